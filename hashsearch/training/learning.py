"""Training an embedder from labels: photos, network, epochs, figures, and the folder that is loaded by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow as tf

from hashsearch.evaluation.data.datasets import DataSet
from hashsearch.training import figures, losses
from hashsearch.training.augmentation import Augmentation
from hashsearch.training.batches import Batches
from hashsearch.training.curves import draw_log
from hashsearch.training.log import Row, TrainingLog
from hashsearch.training.networks import TrainableNetwork, build
from hashsearch.training.optimisers import make_optimiser
from hashsearch.training.photos import Photos, read_photos, split
from hashsearch.training.recipes import LOSSES, Loss, TrainingRecipe, check_name
from hashsearch.training.runs import Identity, classes_folder, identity_of, is_trained_with, work_folder
from hashsearch.training.saving import write_trained
from hashsearch.training.trainer import LossFunction, Stage, fit, load_weights, precision_policy

SOFTMAX = "softmax"
PAIRWISE: dict[str, Callable[[tf.Tensor, tf.Tensor, float], tf.Tensor]] = {
    "semi-hard-triplet": losses.semi_hard_triplet_loss,
    "hard-triplet": losses.hard_triplet_loss,
    "contrastive": losses.contrastive_loss,
}


def train(
    recipe: TrainingRecipe, data: DataSet, out: Path, weights: Path | None, notify: Callable[[str], object]
) -> Path:
    """Train on the base of a data set and save the embedder as the folder `out/NAME`, which is returned.

    The queries are used once, at the end, to measure it. A run that was killed resumes after its last epoch when it is
    started again with the same `out`; a finished one is not repeated. TrainingError for a recipe or data that cannot
    be used, for a loss that is not finite, and for an `out` with the results of another recipe or other photos;
    ConfigError while another process trains the same.
    """
    folder, work = out / recipe.name, out / f"{recipe.name}.work"
    identity = identity_of(recipe, data)
    if recipe.loss.probabilities:
        is_trained_with(classes_folder(folder), identity)  # the result of another training is refused now
    if is_trained_with(folder, identity) and not work.exists():
        return folder
    with work_folder(work, identity):
        if not is_trained_with(folder, identity):
            tf.keras.utils.set_random_seed(recipe.seed)
            training = Training(recipe, data, work, weights, notify)
            training.fit()
            training.write(folder, identity)
    return folder


class Training:
    """One training; all that is needed to resume it is in the folder `work`."""

    def __init__(
        self, recipe: TrainingRecipe, data: DataSet, work: Path, weights: Path | None, notify: Callable[[str], object]
    ) -> None:
        check_name("a loss", recipe.loss.name, LOSSES)
        self.recipe, self.data, self.work, self.weights, self.notify = recipe, data, work, weights, notify
        model, schedule = recipe.model, recipe.schedule
        self.photos = read_photos(data.base, model.photo_size or model.input_size, work / "photos.npy")
        for problem in self.photos.problems:
            notify(f"left out {problem}")
        learned, validated = split(self.photos.labels, schedule.validation, recipe.seed)
        self.learned, self.validated = self.photos.of(learned), self.photos.of(validated)
        with precision_policy(schedule.precision):
            self.network = self._build()
        per_class = None if recipe.loss.name == SOFTMAX else recipe.loss.per_class
        self.batches = Batches(self.network.preprocessing, schedule.batch, per_class, recipe.seed)
        self.optimiser, rate = make_optimiser(recipe.optimiser, len(learned), schedule.batch, schedule.epochs)
        self.log = TrainingLog(schedule, work, rate, self._measure, notify)

    def _build(self) -> TrainableNetwork:
        unit = self.recipe.loss.name != SOFTMAX
        return build(self.recipe.model, len(self.photos.classes), unit, self.weights)

    def fit(self) -> None:
        """Train for all epochs that are left."""
        stage = Stage(
            self.recipe.schedule.epochs,
            _loss(self.recipe.loss),
            self._augmented,
            validation=self.batches.validated(self.validated),
        )
        fit(self.network.learning, self.optimiser, [stage], self.log)

    def _augmented(self, done: int) -> tf.data.Dataset:
        recipe = self.recipe
        augmentation = Augmentation(recipe.augmentation, recipe.model.input_size, recipe.seed + done)
        return self.batches.learned(self.learned, augmentation, done)

    def _measure(self, epoch: int) -> Row:
        vectors = self.batches.outputs(self.network.embedding, self.validated)
        row = {"val_map": figures.mean_average_precision(vectors, self.validated.labels)}
        if self.network.logits:
            row["val_accuracy"] = figures.top_accuracy(self.network.scores(vectors), self.validated.labels, 1)
        return row

    def write(self, folder: Path, identity: Identity) -> None:
        """Save the network of the best epoch with its figures, log and curves; if wanted, its class probabilities too.

        `folder` is written last, so that it tells whether everything is there.
        """
        self.network = self._build()  # in single precision, as it will be used
        load_weights(self.network.learning, self.log.weights(self.log.best + 1))
        manifest = {
            "recipe": identity["recipe"],
            "data": {**identity["data"], **self._data()},
            "metrics": self._metrics(),
        }
        draw_log(self.work / "log.csv", self.work / "curves.svg", self.recipe.name)
        probabilities = classes_folder(folder)
        if self.network.logits and self.recipe.loss.probabilities and not is_trained_with(probabilities, identity):
            softmax = tf.keras.layers.Softmax(dtype="float32")(self.network.logits.output)
            classes = tf.keras.Model(self.network.logits.input, softmax)
            named = {**manifest, "classes": manifest["data"]["classes"]}
            write_trained(probabilities, classes, self.network.preprocessing, named, [])
        beside = [self.work / name for name in ("log.csv", "curves.svg", "tensorboard")]
        write_trained(folder, self.network.embedding, self.network.preprocessing, manifest, beside)

    def _data(self) -> dict[str, Any]:
        classes, photos, left_out = self.photos.classes, len(self.photos.labels), len(self.photos.problems)
        return {"photos": photos, "left_out": left_out, "classes": list(classes)}

    def _metrics(self) -> dict[str, Any]:
        """The figures of the best epoch and those of the queries: classes or pairs, as the loss was."""
        metrics: dict[str, Any] = {"epochs": len(self.log.rows), "best": self.log.rows[self.log.best]}
        photos, file = self.photos, self.work / "held-out.npy"
        held_out = read_photos(self.data.queries, photos.side, file, photos.classes)
        if len(held_out.labels):
            counts = {"photos": len(held_out.labels), "left_out": len(held_out.problems)}
            measure = self._class_accuracy if self.network.logits else self._pair_accuracy
            metrics["held_out"] = {**counts, **measure(held_out)}
        return metrics

    def _class_accuracy(self, held_out: Photos) -> Mapping[str, float]:
        scores = self.batches.outputs(self.network.learning, held_out)
        return {f"top_{k}": figures.top_accuracy(scores, held_out.labels, k) for k in (1, 5)}

    def _pair_accuracy(self, held_out: Photos) -> Mapping[str, float]:
        """How well a distance, learned from the validation photos, separates pairs of one class from others."""
        known, new = (
            figures.pair_distances(self.batches.outputs(self.network.embedding, some), some.labels, self.recipe.seed)
            for some in (self.validated, held_out)
        )
        threshold = figures.best_threshold(*known)
        return {"threshold": threshold, "pair_accuracy": figures.pair_accuracy(*new, threshold)}


def _loss(recipe: Loss) -> LossFunction:
    if recipe.name == SOFTMAX:
        return partial(losses.softmax_loss, smoothing=recipe.smoothing)
    pairwise = PAIRWISE[recipe.name]
    return lambda labels, embeddings: pairwise(labels, embeddings, recipe.margin)
