"""Training an embedder by a recipe: photos, network, epochs, figures, and the folder that is loaded by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tensorflow as tf

from hashsearch.errors import TrainingError
from hashsearch.evaluation.compare.results import locked_results
from hashsearch.evaluation.data.datasets import DataSet
from hashsearch.files import read_json, write_json
from hashsearch.training import figures, losses
from hashsearch.training.augmentation import Augmentation
from hashsearch.training.batches import Batches
from hashsearch.training.curves import draw_log
from hashsearch.training.log import Row, TrainingLog
from hashsearch.training.networks import Network, build
from hashsearch.training.optimisers import make_optimiser
from hashsearch.training.photos import Photos, fingerprint, read_photos, split
from hashsearch.training.recipes import Loss, Recipe
from hashsearch.training.saving import write_trained

SOFTMAX = "softmax"
PAIRWISE: dict[str, Callable[[tf.Tensor, tf.Tensor, float], tf.Tensor]] = {
    "semi-hard-triplet": losses.semi_hard_triplet_loss,
    "hard-triplet": losses.hard_triplet_loss,
    "contrastive": losses.contrastive_loss,
}


def train(recipe: Recipe, data: DataSet, out: Path, weights: Path | None, notify: Callable[[str], object]) -> Path:
    """Learn from the base of a data set and save the embedder `out/NAME`, whose folder comes back.

    The queries are looked at once, at the end. A run that was killed goes on after its last epoch when it is started
    again with the same `out`; one that is done is not done again. Raises TrainingError for a recipe or data that cannot
    be used, for a loss that is not finite, and rather than overwrite what another recipe or other photos gave;
    ConfigError while another run trains the same.
    """
    folder, work = out / recipe.name, out / f"{recipe.name}.work"
    identity = _identity(recipe, data)
    if _is_there(folder / "manifest.json", identity):
        return folder
    with locked_results(work):
        if not _is_there(work / "identity.json", identity):
            write_json(work / "identity.json", identity)
        tf.keras.utils.set_random_seed(recipe.seed)
        training = Training(recipe, data, work, weights, notify)
        training.fit()
        training.write(folder, identity)
        shutil.rmtree(work)
    return folder


def is_done(recipe: Recipe, data: DataSet, out: Path) -> bool:
    """Whether `train` would find its work done. Raises TrainingError where another recipe's or photos' is."""
    return _is_there(out / recipe.name / "manifest.json", _identity(recipe, data))


def _identity(recipe: Recipe, data: DataSet) -> dict[str, Any]:
    return {"recipe": recipe.as_dict(), "data": {"name": data.name, "fingerprint": fingerprint(data.base)}}


def _is_there(path: Path, identity: Mapping[str, Any]) -> bool:
    found = read_json(path)
    if found is None:
        return False
    same = found["recipe"] == json.loads(json.dumps(identity["recipe"]))
    if not same or found["data"]["fingerprint"] != identity["data"]["fingerprint"]:
        raise TrainingError(f"what is there may only be gone on with, and {path} is of another recipe or other photos")
    return True


class Training:
    """One training; everything that it needs to go on lies in `work`."""

    def __init__(
        self, recipe: Recipe, data: DataSet, work: Path, weights: Path | None, notify: Callable[[str], object]
    ) -> None:
        if recipe.loss.name not in (SOFTMAX, *PAIRWISE):
            raise TrainingError(f"a loss must be one of {', '.join((SOFTMAX, *PAIRWISE))}, got '{recipe.loss.name}'")
        self.recipe, self.data, self.work, self.weights, self.notify = recipe, data, work, weights, notify
        model, schedule = recipe.model, recipe.schedule
        self.photos = read_photos(data.base, model.photo_size or model.input_size, work / "photos.npy")
        for problem in self.photos.problems:
            notify(f"left out {problem}")
        learned, validated = split(self.photos.labels, schedule.validation, recipe.seed)
        self.learned, self.validated = self.photos.of(learned), self.photos.of(validated)
        with _computing_in(schedule.precision):
            self.network = self._build()
        per_class = None if recipe.loss.name == SOFTMAX else recipe.loss.per_class
        self.batches = Batches(self.network.preprocessing, schedule.batch, per_class, recipe.seed)
        self.course = TrainingLog(schedule, work, recipe.optimiser.learning_rate, self._validate, notify)

    def _build(self) -> Network:
        unit = self.recipe.loss.name != SOFTMAX
        return build(self.recipe.model, len(self.photos.classes), unit, self.weights)

    def fit(self) -> None:
        """All epochs that are left."""
        recipe, done = self.recipe, len(self.course.rows)
        model, schedule = self.network.learning, recipe.schedule
        optimiser = make_optimiser(recipe.optimiser, len(self.learned.labels), schedule.batch, schedule.epochs)
        model.compile(optimizer=optimiser, loss=_loss(recipe.loss, len(self.photos.classes)))
        if done:
            optimiser.build(model.trainable_variables)
            model.load_weights(self.course.weights(done))
            self.notify(f"going on after epoch {done}")
        if not self.course.ended:
            augmentation = Augmentation(recipe.augmentation, recipe.model.input_size, recipe.seed + done)
            model.fit(
                self.batches.learned(self.learned, augmentation, done),
                validation_data=self.batches.validated(self.validated),
                initial_epoch=done,
                epochs=schedule.epochs,
                callbacks=[self.course, *_tensorboard(self.work / "tensorboard")],
                shuffle=False,  # batches come in an order of their own
                verbose=0,
            )

    def _validate(self) -> Row:
        vectors = self.batches.answers(self.network.embedding, self.validated)
        row = {"val_map": figures.mean_average_precision(vectors, self.validated.labels)}
        if self.network.logits:
            row["val_accuracy"] = figures.top_accuracy(self.network.scores(vectors), self.validated.labels, 1)
        return row

    def write(self, folder: Path, identity: Mapping[str, Any]) -> None:
        """Save the network of the best epoch, with its figures, log and curves; perhaps its class probabilities too."""
        self.network = self._build()  # in single precision, as it will be used
        self.network.learning.load_weights(self.course.weights(self.course.best + 1))
        manifest = {
            "recipe": identity["recipe"],
            "data": {**identity["data"], **self._data()},
            "metrics": self._metrics(),
            "versions": {name: version(name) for name in ("hashsearch", "keras")} | {"tensorflow": tf.__version__},
        }
        draw_log(self.work / "log.csv", self.work / "curves.png")
        beside = [path for name in ("log.csv", "curves.png", "tensorboard") if (path := self.work / name).exists()]
        if self.network.logits and self.recipe.loss.probabilities:
            softmax = tf.keras.layers.Softmax(dtype="float32")(self.network.logits.output)
            classes = tf.keras.Model(self.network.logits.input, softmax)
            name = f"{self.recipe.name}-classes"
            told = {**manifest, "classes": manifest["data"]["classes"]}
            write_trained(folder.with_name(name), classes, self.network.preprocessing, told, [])
        write_trained(folder, self.network.embedding, self.network.preprocessing, manifest, beside)

    def _data(self) -> dict[str, Any]:
        classes, photos, left_out = self.photos.classes, len(self.photos.labels), len(self.photos.problems)
        return {"photos": photos, "left_out": left_out, "classes": list(classes)}

    def _metrics(self) -> dict[str, Any]:
        """The figures of the best epoch and, of what the embedding itself cannot tell, of the data's queries."""
        told: dict[str, Any] = {"epochs": len(self.course.rows), "best": self.course.rows[self.course.best]}
        photos, file = self.photos, self.work / "held-out.npy"
        held_out = read_photos(self.data.queries, photos.side, file, photos.classes)
        if len(held_out.labels):
            counts = {"photos": len(held_out.labels), "left_out": len(held_out.problems)}
            told["held_out"] = counts | (self._named(held_out) if self.network.logits else self._paired(held_out))
        return told

    def _named(self, held_out: Photos) -> dict[str, float]:
        scores = self.batches.answers(self.network.learning, held_out)
        return {f"top_{k}": figures.top_accuracy(scores, held_out.labels, k) for k in (1, 5)}

    def _paired(self, held_out: Photos) -> dict[str, float]:
        """How well a distance, learned on the validation photos, tells pairs of one class from others."""
        known, new = (
            figures.pair_distances(self.batches.answers(self.network.embedding, some), some.labels, self.recipe.seed)
            for some in (self.validated, held_out)
        )
        threshold = figures.best_threshold(*known)
        return {"threshold": threshold, "pair_accuracy": figures.pair_accuracy(*new, threshold)}


def _loss(told: Loss, classes: int) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    if told.name == SOFTMAX:
        crossed = tf.keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=told.smoothing)
        return lambda labels, logits: crossed(tf.one_hot(tf.cast(tf.reshape(labels, [-1]), tf.int32), classes), logits)
    return lambda labels, embeddings: PAIRWISE[told.name](labels, embeddings, told.margin)


@contextmanager
def _computing_in(precision: str) -> Iterator[None]:
    """Keras's policy for the layers made meanwhile: the recipe's, on a GPU half precision."""
    before = tf.keras.config.dtype_policy()
    policy = "mixed_float16" if tf.config.list_physical_devices("GPU") else precision
    try:
        tf.keras.config.set_dtype_policy(policy)
    except ValueError as error:
        raise TrainingError(f"precision must be float32 or mixed_bfloat16, got '{precision}'") from error
    try:
        yield
    finally:
        tf.keras.config.set_dtype_policy(before)


def _tensorboard(folder: Path) -> list[Any]:
    """Writes events for TensorBoard, where that is installed."""
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        return []
    return [tf.keras.callbacks.TensorBoard(folder, write_graph=False)]
