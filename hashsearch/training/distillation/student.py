"""The student of a distillation: a BiT network with an output for each loss, and the batches it learns from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from hashsearch.embedders.architectures import Architecture, parameter_shapes
from hashsearch.training.distillation.losses import feature_loss, neighbour_loss, unit
from hashsearch.training.distillation.views import Views
from hashsearch.training.losses import softmax_loss
from hashsearch.training.networks import BiTTrunk
from hashsearch.training.optimisers import LearningRate, warmup_cosine
from hashsearch.training.recipes import FitRecipe, Phase
from hashsearch.training.trainer import LossFunction

Parameters = dict[str, np.ndarray]

_layers: Any = tf.keras.layers
_TRUNK, _TEACHER, _PROTOTYPES = "trunk", "head/teacher", "head/prototypes"


class Prototypes(tf.keras.layers.Layer):
    """`scale` times the cosines of features `(n, dims)` to a learned prototype of each class: `(n, classes)`."""

    def __init__(self, prototypes: np.ndarray, scale: float, **options: Any) -> None:
        super().__init__(**options)
        self.scale = scale
        self.prototypes = self.add_weight(
            name="prototypes", shape=prototypes.shape, initializer=tf.constant_initializer(prototypes)
        )

    def call(self, features: tf.Tensor) -> tf.Tensor:
        return self.scale * tf.matmul(unit(features), unit(self.prototypes), transpose_b=True)


def first_parameters(net: Architecture, teacher_dims: int, classes: int, rng: np.random.Generator) -> Parameters:
    """Random parameters of the network, and of the two heads that only training has."""
    parameters = {}
    heads = {_TEACHER: (net.dims, teacher_dims), _PROTOTYPES: (classes, net.dims)}
    for name, shape in (parameter_shapes(net) | heads).items():
        if len(shape) == 1:
            parameters[name] = np.full(shape, float(name.endswith("gamma")), np.float32)
        else:
            spread = np.sqrt(2 / np.prod(shape[:-1]))
            parameters[name] = rng.normal(0, spread, shape).astype(np.float32)
    return parameters


def build_student(net: Architecture, parameters: Parameters, recipe: FitRecipe) -> tf.keras.Model:
    """A model of images `(n, side, side, 3)` in -1..1 of any side to the outputs that the losses compare."""
    images = _layers.Input((None, None, 3))
    features = BiTTrunk(net, parameters, recipe.precision, name=_TRUNK)(images)
    kernel = parameters[_TEACHER]
    head = _layers.Dense(
        kernel.shape[1],
        use_bias=False,
        kernel_initializer=tf.constant_initializer(kernel),
        dtype="float32",
        name="features",
    )
    outputs = {
        "features": head(features),
        "neighbours": _layers.Identity(dtype="float32", name="neighbours")(features),
        "labels": Prototypes(parameters[_PROTOTYPES], recipe.label_scale, dtype="float32", name="labels")(features),
    }
    return tf.keras.Model(images, outputs)


def trunk_parameters(student: tf.keras.Model) -> Parameters:
    """The student's parameters without its heads, with the names of a checkpoint."""
    return {name: variable.value.numpy() for name, variable in student.get_layer(_TRUNK).parameters.items()}


def losses(recipe: FitRecipe) -> dict[str, LossFunction]:
    """The losses by the names of the student's outputs."""
    return {
        "features": feature_loss,
        "neighbours": partial(neighbour_loss, temperature=recipe.temperature),
        "labels": partial(softmax_loss, smoothing=recipe.label_smoothing),
    }


def make_optimiser(student: tf.keras.Model, recipe: FitRecipe, steps: int) -> tuple[Any, LearningRate]:
    """AdamW for that many steps in all, with a moving average of the weights; vectors (of norms) do not decay."""
    rate = learning_rate(recipe, steps)
    optimisers: Any = tf.keras.optimizers
    optimiser = optimisers.AdamW(
        rate,
        weight_decay=recipe.weight_decay,
        epsilon=1e-8,
        global_clipnorm=5.0,
        use_ema=True,
        ema_momentum=recipe.average_decay,
    )
    optimiser.exclude_from_weight_decay([value for value in student.trainable_variables if len(value.shape) < 2])
    return optimiser, rate


def learning_rate(recipe: FitRecipe, steps: int) -> LearningRate:
    """A linear rise over the warm-up, then half a cosine down to 0 at the last step."""
    warmup = steps * recipe.warmup_epochs // recipe.epochs
    first = recipe.learning_rate / max(warmup, 1)
    return LearningRate(warmup_cosine(recipe.learning_rate, warmup, max(steps - warmup, 1), first))


def batches(views: Views, phase: Phase, recipe: FitRecipe, seed: int) -> Callable[[int], tf.data.Dataset]:
    """Makes the data after that many epochs: each photo once an epoch, in a random view, augmented, and its targets."""
    photos, side, dims = len(views.labels), views.pixels[0].shape[1], views.teacher[0].shape[1]
    centre = views.teacher[0].astype(np.float32).mean(axis=0)

    def draw(epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(photos)
        crops = rng.integers(1, len(views.pixels), size=photos)
        view = np.where(rng.random(photos) < phase.whole, 0, crops)
        for first in range(0, photos - recipe.batch + 1, recipe.batch):
            rows = order[first : first + recipe.batch]
            pixels = np.stack([views.pixels[view[row]][row] for row in rows])
            teacher = np.stack([views.teacher[view[row]][row] for row in rows]).astype(np.float32) - centre
            yield pixels, teacher, views.labels[rows]

    def make(done: int) -> tf.data.Dataset:
        epochs = iter(range(done + 1, 1 << 30))
        random = tf.random.Generator.from_seed(seed + done + 1)

        def targets(pixels: tf.Tensor, teacher: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
            images = augment(pixels, phase.size, random)
            return images, {"features": teacher, "neighbours": teacher, "labels": labels}

        shapes = (
            tf.TensorSpec((recipe.batch, side, side, 3), tf.uint8),
            tf.TensorSpec((recipe.batch, dims), tf.float32),
            tf.TensorSpec((recipe.batch,), tf.int64),
        )
        data = tf.data.Dataset.from_generator(lambda: draw(next(epochs)), output_signature=shapes)
        data = data.apply(tf.data.experimental.assert_cardinality(photos // recipe.batch))
        return data.map(targets).prefetch(2)

    return make


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
