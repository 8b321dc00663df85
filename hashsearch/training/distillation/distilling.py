"""Distillation from recipe to embedder: photos, views, training, and the quality of teacher and student."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from hashsearch.embedders import BIT, Embedder, load_embedder
from hashsearch.embedders.architectures import Architecture
from hashsearch.encoder import EmbedderSpec
from hashsearch.errors import TrainingError
from hashsearch.evaluation.metrics.ranking import average_precision_at, precision_at, rank_same_class
from hashsearch.files import atomic_file
from hashsearch.images.sources import DEFAULT_READER, ImageReader
from hashsearch.training.curves import draw_log
from hashsearch.training.distillation import student
from hashsearch.training.distillation.views import PhotoSet, Views, make_views, read_image, read_photo_set
from hashsearch.training.log import Row, TrainingLog
from hashsearch.training.networks import build
from hashsearch.training.photos import fingerprint
from hashsearch.training.recipes import DistillationRecipe, FitRecipe, NetworkRecipe, Schedule
from hashsearch.training.runs import Identity, is_trained_with, work_folder
from hashsearch.training.saving import write_trained
from hashsearch.training.trainer import Stage, averaged, fit

Notify = Callable[[str], object]
Measure = Callable[[Path], Row]  # figures of the network in a checkpoint


def distil(
    recipe: DistillationRecipe,
    data: Path,
    teacher_weights: Path,
    out: Path,
    notify: Notify,
    reader: ImageReader = DEFAULT_READER,
) -> Path:
    """Train the recipe's network and save it as the folder `out/NAME`, which is returned.

    The folder is an embedder, and has the network as a checkpoint `NETWORK.npz` too. Its manifest has `measure` of
    teacher and student among the metrics. Held-out photos are measured during the training, for the log only. A run
    that was killed resumes after its last epoch when it is started again with the same `out`; a finished one is not
    repeated. TrainingError for photos that cannot be used, and for an `out` with the results of another recipe,
    teacher or other photos; ConfigError while another process trains the same.
    """
    teacher = load_embedder(recipe.teacher, teacher_weights)
    train, held_out = (
        [read_photo_set(data, source, reader) for source in sources] for sources in (recipe.train, recipe.held_out)
    )
    folder, work = out / recipe.name, out / f"{recipe.name}.work"
    identity = _identity(recipe, [*train, *held_out], teacher)
    if is_trained_with(folder, identity) and not work.exists():
        return folder
    with work_folder(work, identity):
        if not is_trained_with(folder, identity):
            views = make_views(train, teacher, recipe.views, recipe.seed, work / "views", notify)
            net = BIT[recipe.network]

            def measure_checkpoint(path: Path) -> Row:
                return measure(load_embedder(recipe.network, path), held_out)

            checkpoint = work / f"{recipe.network}.npz"
            run = DistillationRun(net, recipe.fit, views, checkpoint, recipe.seed, measure_checkpoint, notify)
            run.fit()
            metrics = {"teacher": measure(teacher, held_out), "student": measure_checkpoint(checkpoint)}
            _write(folder, recipe, run, {**identity, "metrics": {**run.metrics(), **metrics}})
    return folder


def _identity(recipe: DistillationRecipe, photo_sets: Sequence[PhotoSet], teacher: Embedder) -> Identity:
    pictures = [picture for photos in photo_sets for picture in photos.pictures]
    data = {"photos": len(pictures), "fingerprint": fingerprint(pictures)}
    return {"recipe": recipe.as_dict(), "data": data, "teacher": EmbedderSpec.of(teacher).identity()}


def _write(folder: Path, recipe: DistillationRecipe, run: DistillationRun, details: Mapping[str, Any]) -> None:
    size = run.net.input_size
    network = build(NetworkRecipe(recipe.network, size), classes=0, unit=True, weights=run.checkpoint)
    work = run.checkpoint.parent
    draw_log(work / "log.csv", work / "curves.svg", recipe.name)
    beside = [run.checkpoint, *(work / name for name in ("log.csv", "curves.svg", "tensorboard"))]
    write_trained(folder, network.embedding, network.preprocessing, details, beside)


class DistillationRun:
    """The training of a student on views; all that is needed to resume it is in the folder of `checkpoint`.

    Once an epoch is logged, `checkpoint` has the moving averages of the network's parameters after it.
    """

    def __init__(
        self,
        net: Architecture,
        recipe: FitRecipe,
        views: Views,
        checkpoint: Path,
        seed: int,
        measure: Measure,
        notify: Notify,
    ) -> None:
        photos, (_, teacher_dims) = len(views.labels), views.teacher[0].shape
        if photos < recipe.batch:
            raise TrainingError(f"batch must be at most the number of photos, {photos}, got {recipe.batch}")
        tf.keras.utils.set_random_seed(seed)
        self.net, self.recipe, self.views, self.checkpoint, self.seed = net, recipe, views, checkpoint, seed
        self._measure = measure
        classes = int(views.labels.max()) + 1
        start = student.first_parameters(net, teacher_dims, classes, np.random.default_rng(seed))
        self.student = student.build_student(net, start, recipe)
        steps = recipe.epochs * (photos // recipe.batch)
        self._optimiser, rate = student.make_optimiser(self.student, recipe, steps)
        # The last epoch is kept: nothing is chosen by the held-out photos.
        schedule = Schedule(recipe.epochs, recipe.batch, patience=recipe.epochs, monitor=None)
        self.log = TrainingLog(schedule, checkpoint.parent, rate, self._after_epoch, notify)

    def fit(self) -> None:
        """Train for all epochs that are left."""
        fit(self.student, self._optimiser, self._stages(), self.log)

    def metrics(self) -> dict[str, Any]:
        """The number of epochs and the figures of the last one."""
        return {"epochs": len(self.log.rows), "best": self.log.rows[self.log.best]}

    def _stages(self) -> list[Stage]:
        stages, end = [], 0
        for phase in self.recipe.phases:
            end += phase.epochs
            batches = student.batches(self.views, phase, self.recipe, self.seed)
            stages.append(Stage(end, student.losses(self.recipe), batches, phase.weights))
        return stages

    def _after_epoch(self, epoch: int) -> Row:
        with averaged(self.student):
            save_weights(self.checkpoint, student.trunk_parameters(self.student))
        if epoch % self.recipe.measure_every and epoch < self.recipe.epochs:
            return {}
        return {name: value for name, value in self._measure(self.checkpoint).items() if name.endswith("AP@10")}


def save_weights(path: Path, parameters: Mapping[str, np.ndarray]) -> None:
    """Write a checkpoint in half precision: half the size, and no figure changes in its third digit."""
    with atomic_file(path) as file:
        halves = {name: value.astype(np.float16) for name, value in parameters.items()}
        np.savez(file, **halves)  # type: ignore[arg-type]  # numpy's stub takes an array for allow_pickle


def measure(embedder: Embedder, photo_sets: Sequence[PhotoSet]) -> Row:
    """Precision at 1 and average precision at 10, each photo of a set a query against all others of that set."""
    figures = {}
    for photos in photo_sets:
        images = [embedder.prepare(read_image(picture)) for picture in photos.pictures]
        relevant = rank_same_class(embedder.embed(images), photos.labels, 10)
        figures[f"{photos.name} P@1"] = precision_at(relevant, 1)
        figures[f"{photos.name} AP@10"] = average_precision_at(relevant, 10)
    return figures
