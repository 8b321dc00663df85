"""Keras's optimizers by the names of recipes, with a learning rate that follows a schedule and can be lowered."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from hashsearch.training import hyperrule
from hashsearch.training.recipes import Optimiser, check_name

_keras: Any = tf.keras.optimizers


class LearningRate(_keras.schedules.LearningRateSchedule):
    """A constant rate or the rate of a schedule, times `factor`, which the training log lowers."""

    def __init__(self, rate: Any) -> None:
        self.rate = rate
        self.factor = tf.Variable(1.0, trainable=False)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return self.factor * (self.rate(step) if callable(self.rate) else self.rate)


class HyperRule(_keras.schedules.LearningRateSchedule):
    """BiT's learning rate for a data set of that many photos; 0 once its steps are done."""

    def __init__(self, photos: int, batch: int, rate: float) -> None:
        steps = hyperrule.steps(photos)[-1] + 2
        self.rates = tf.constant([hyperrule.rate(step, photos, batch, rate) for step in range(steps)], tf.float32)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.rates, tf.minimum(tf.cast(step, tf.int32), self.rates.shape[0] - 1))


def warmup_cosine(rate: float, warmup: int, decay: int, first: float = 0.0) -> Any:
    """A linear rise from `first` to `rate` in `warmup` steps, then half a cosine down to 0 in `decay` steps."""
    if not warmup:
        return _keras.schedules.CosineDecay(rate, decay)
    return _keras.schedules.CosineDecay(first, decay, warmup_target=rate, warmup_steps=warmup)


def _cosine(recipe: Optimiser, photos: int, batch: int, epochs: int) -> Any:
    """A rise during the first epoch; the cosine spans as many steps as all epochs, so that it ends above 0."""
    steps = math.ceil(photos / batch)
    return warmup_cosine(recipe.learning_rate, steps, steps * epochs)


OPTIMISERS: dict[str, Callable[[LearningRate, Optimiser], Any]] = {
    "adam": lambda rate, recipe: _keras.Adam(rate),
    "adamw": lambda rate, recipe: _keras.AdamW(rate, weight_decay=recipe.weight_decay),
    "sgd": lambda rate, recipe: _keras.SGD(rate, momentum=recipe.momentum),
}
DECAYS: dict[str, Callable[[Optimiser, int, int, int], Any]] = {
    "constant": lambda recipe, photos, batch, epochs: recipe.learning_rate,
    "cosine": _cosine,
    "bit": lambda recipe, photos, batch, epochs: HyperRule(photos, batch, recipe.learning_rate),
}


def make_optimiser(recipe: Optimiser, photos: int, batch: int, epochs: int) -> tuple[Any, LearningRate]:
    """The optimizer of a recipe for that many photos in an epoch, and its learning rate.

    TrainingError for an unknown name or decay.
    """
    check_name("an optimiser", recipe.name, OPTIMISERS)
    check_name("decay", recipe.decay, DECAYS)
    rate = LearningRate(DECAYS[recipe.decay](recipe, photos, batch, epochs))
    return OPTIMISERS[recipe.name](rate, recipe), rate
