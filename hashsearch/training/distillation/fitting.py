"""Distilling a small BiT network from a teacher's features: the training loop, its state and its log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from hashsearch.embedders.architectures import Architecture, parameter_shapes
from hashsearch.embedders.bit import features, standardize
from hashsearch.training.distillation.losses import feature_loss, label_loss, neighbour_loss
from hashsearch.training.distillation.views import Views

LOSSES = ("features", "neighbours", "labels")


@dataclass(frozen=True)
class Phase:
    """Epochs that are alike: the side the network sees, the share of whole photos, and the weight of each loss."""

    epochs: int
    size: int
    whole: float
    weights: dict[str, float]


@dataclass(frozen=True)
class FitRecipe:
    """How long, how fast and towards what: the `[fit]` table of a recipe file."""

    phases: list[Phase]  # one after the other
    batch: int
    learning_rate: float
    weight_decay: float
    warmup_epochs: int
    average_decay: float  # of the moving average of the parameters, which is what is kept
    precision: str  # the type activations are computed in
    temperature: float  # of the neighbour loss
    label_scale: float
    label_smoothing: float
    measure_every: int  # epochs

    @property
    def epochs(self) -> list[Phase]:
        """The phase of every epoch."""
        return [phase for phase in self.phases for _ in range(phase.epochs)]


def first_parameters(
    net: Architecture, teacher_dims: int, classes: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Random parameters of the network and of the two heads that only training has."""
    parameters = {}
    heads = {"head/teacher": (net.dims, teacher_dims), "head/prototypes": (classes, net.dims)}
    for name, shape in (parameter_shapes(net) | heads).items():
        if len(shape) == 1:
            parameters[name] = np.full(shape, float(name.endswith("gamma")), np.float32)
        else:
            spread = np.sqrt(2 / np.prod(shape[:-1]))
            parameters[name] = rng.normal(0, spread, shape).astype(np.float32)
    return parameters


def augment(pixels: tf.Tensor, size: int, random: tf.random.Generator) -> tf.Tensor:
    """`(n, side, side, 3) uint8` -> `(n, size, size, 3)` in about -1..1, randomly mirrored, moved and coloured."""
    n = tf.shape(pixels)[0]
    scale = random.uniform([n, 2], 0.85, 1.0)
    low = random.uniform([n, 2]) * (1.0 - scale)
    high = low + scale
    mirror = random.uniform([n]) < 0.5
    left, right = tf.where(mirror, high[:, 1], low[:, 1]), tf.where(mirror, low[:, 1], high[:, 1])
    boxes = tf.stack([low[:, 0], left, high[:, 0], right], axis=1)
    x = tf.image.crop_and_resize(tf.cast(pixels, tf.float32), boxes, tf.range(n), [size, size]) / 127.5 - 1.0

    def factor(spread: float) -> tf.Tensor:
        return random.uniform([n, 1, 1, 1], 1.0 - spread, 1.0 + spread)

    grey = tf.reduce_mean(x, axis=3, keepdims=True)
    x = grey + (x - grey) * factor(0.3)
    middle = tf.reduce_mean(x, axis=[1, 2, 3], keepdims=True)
    return (middle + (x - middle) * factor(0.3)) * factor(0.1) + factor(0.2) - 1.0


class DistillationRun:
    """One training run; `step` learns from a batch, `save` and `load` keep everything that a resumed run needs."""

    def __init__(self, net: Architecture, recipe: FitRecipe, start: dict[str, np.ndarray], steps: int) -> None:
        self.net, self.recipe, self.steps = net, recipe, steps
        self.parameters = {name: tf.Variable(value) for name, value in start.items()}
        self.average = {name: tf.Variable(value) for name, value in start.items()}
        self.first = {name: tf.Variable(tf.zeros_like(value)) for name, value in start.items()}
        self.second = {name: tf.Variable(tf.zeros_like(value)) for name, value in start.items()}
        self.done = tf.Variable(0, dtype=tf.int64)
        self.random = tf.random.Generator.from_seed(0)
        self.step = tf.function(self._step)

    def rate(self) -> tf.Tensor:
        """The learning rate now: a linear rise over the warm-up, then half a cosine down to 0."""
        done = tf.cast(self.done, tf.float32)
        warmup = self.steps / len(self.recipe.epochs) * self.recipe.warmup_epochs
        falling = 0.5 * (1 + tf.cos(np.pi * (done - warmup) / (self.steps - warmup)))
        return self.recipe.learning_rate * tf.where(done < warmup, (done + 1) / warmup, falling)

    def losses(self, pixels: tf.Tensor, teacher: tf.Tensor, labels: tf.Tensor, size: int) -> tuple[tf.Tensor, ...]:
        """The three losses of a batch, in the order of LOSSES."""
        recipe = self.recipe
        images = tf.cast(augment(pixels, size, self.random), recipe.precision)
        student = features(standardize(self.parameters), images, self.net)
        return (
            feature_loss(tf.matmul(student, self.parameters["head/teacher"]), teacher),
            neighbour_loss(student, teacher, recipe.temperature),
            label_loss(student, self.parameters["head/prototypes"], labels, recipe.label_scale, recipe.label_smoothing),
        )

    def _step(
        self, pixels: tf.Tensor, teacher: tf.Tensor, labels: tf.Tensor, size: int, weights: tf.Tensor
    ) -> tf.Tensor:
        with tf.GradientTape() as tape:
            losses = tf.stack(self.losses(pixels, teacher, labels, size))
            total = tf.reduce_sum(weights * losses)
        names = list(self.parameters)
        gradients = tape.gradient(total, [self.parameters[name] for name in names])
        gradients, _ = tf.clip_by_global_norm(gradients, 5.0)
        rate = self.rate()
        self.done.assign_add(1)
        for name, gradient in zip(names, gradients, strict=True):
            self._update(name, gradient, rate)
        return losses

    def _update(self, name: str, gradient: tf.Tensor, rate: tf.Tensor) -> None:
        """One AdamW update of a parameter and of its moving average; vectors (norms) do not decay."""
        done = tf.cast(self.done, tf.float32)
        value = self.parameters[name]
        first = self.first[name].assign(0.9 * self.first[name] + 0.1 * gradient) / (1 - 0.9**done)
        second = self.second[name].assign(0.999 * self.second[name] + 0.001 * gradient**2) / (1 - 0.999**done)
        decay = self.recipe.weight_decay if value.shape.rank > 1 else 0.0
        value.assign_sub(rate * (first / (tf.sqrt(second) + 1e-8) + decay * value))
        # Young averages follow quickly: the random start would weigh on them otherwise.
        keep = tf.minimum(self.recipe.average_decay, done / (done + 10))
        self.average[name].assign(keep * self.average[name] + (1 - keep) * value)

    def network(self) -> dict[str, np.ndarray]:
        """The averaged parameters of the network alone, as a checkpoint has them."""
        return {name: self.average[name].numpy() for name in parameter_shapes(self.net)}

    def _state(self) -> dict[str, tf.Variable]:
        kept = {"parameters": self.parameters, "average": self.average, "first": self.first, "second": self.second}
        return {f"{kind}:{name}": value for kind, values in kept.items() for name, value in values.items()}

    def save(self, path: Path, epoch: int) -> None:
        """Write the whole state after `epoch` epochs, in one move so that a killed run leaves the old one."""
        arrays = {name: value.numpy() for name, value in self._state().items()}
        part = path.with_suffix(".part.npz")
        np.savez(part, epoch=epoch, done=self.done.numpy(), **arrays)
        part.replace(path)

    def load(self, path: Path) -> int:
        """Take up a saved state; returns the epochs it has behind it."""
        with np.load(path, allow_pickle=False) as saved:
            for name, value in self._state().items():
                value.assign(saved[name])
            self.done.assign(saved["done"])
            return int(saved["epoch"])


def fit(
    net: Architecture,
    recipe: FitRecipe,
    views: Views,
    out: Path,
    seed: int,
    measure: Callable[[dict[str, np.ndarray]], dict[str, float]],
) -> dict[str, np.ndarray]:
    """The trained parameters. Every epoch is saved, and logged in `out/log.jsonl`; a rerun goes on where one ended."""
    photos = len(views.labels)
    rng = np.random.default_rng(seed)
    start = first_parameters(net, views.teacher[0].shape[1], int(views.labels.max()) + 1, rng)
    fitting = DistillationRun(net, recipe, start, len(recipe.epochs) * (photos // recipe.batch))
    centre = views.teacher[0].astype(np.float32).mean(axis=0)
    state = out / "state.npz"
    behind = fitting.load(state) if state.exists() else 0
    for epoch, phase in list(enumerate(recipe.epochs, 1))[behind:]:
        fitting.random.reset_from_seed(seed + epoch)
        begun = time.perf_counter()
        losses = _epoch(fitting, views, centre, phase, np.random.default_rng([seed, epoch]))
        row: dict[str, Any] = {"epoch": epoch, "size": phase.size, "seconds": round(time.perf_counter() - begun, 1)}
        row |= {name: round(float(loss), 4) for name, loss in zip(LOSSES, losses, strict=True)}
        if epoch % recipe.measure_every == 0 or epoch == len(recipe.epochs):
            row |= {name: round(value, 4) for name, value in measure(fitting.network()).items()}
        fitting.save(state, epoch)
        _log(out / "log.jsonl", row)
    return fitting.network()


def _epoch(
    fitting: DistillationRun, views: Views, centre: np.ndarray, phase: Phase, rng: np.random.Generator
) -> np.ndarray:
    """The mean losses of one pass over all photos, each in a randomly drawn view."""
    batch = fitting.recipe.batch
    order = rng.permutation(len(views.labels))
    crops = rng.integers(1, len(views.pixels), size=len(order))
    which = np.where(rng.random(len(order)) < phase.whole, 0, crops)
    weights = tf.constant([phase.weights[name] for name in LOSSES])
    losses = []
    for first in range(0, len(order) - batch + 1, batch):
        photos = order[first : first + batch]
        pixels = np.stack([views.pixels[which[i]][i] for i in photos])
        teacher = np.stack([views.teacher[which[i]][i] for i in photos]).astype(np.float32) - centre
        losses.append(fitting.step(pixels, teacher, views.labels[photos], phase.size, weights))
    return np.mean([loss.numpy() for loss in losses], axis=0)


def _log(path: Path, row: dict[str, Any]) -> None:
    print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
