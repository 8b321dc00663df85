"""Optimizers of a recipe: Keras's own, with a learning rate that may follow a schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from hashsearch.errors import TrainingError
from hashsearch.training import hyperrule
from hashsearch.training.recipes import Optimiser

_keras: Any = tf.keras.optimizers

OPTIMISERS: dict[str, Callable[[Any, Optimiser], Any]] = {
    "adam": lambda rate, told: _keras.Adam(rate),
    "adamw": lambda rate, told: _keras.AdamW(rate, weight_decay=told.weight_decay),
    "sgd": lambda rate, told: _keras.SGD(rate, momentum=told.momentum),
}


class HyperRule(_keras.schedules.LearningRateSchedule):
    """BiT's learning rate for a data set of so many photos, after which epoch it may be."""

    def __init__(self, photos: int, batch: int, rate: float) -> None:
        steps = hyperrule.steps(photos)[-1] + 2
        self.rates = tf.constant([hyperrule.rate(step, photos, batch, rate) for step in range(steps)], tf.float32)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.rates, tf.minimum(tf.cast(step, tf.int32), self.rates.shape[0] - 1))


def _cosine(told: Optimiser, photos: int, batch: int, epochs: int) -> Any:
    """A rise during the first epoch, then half a cosine down to 0."""
    steps = math.ceil(photos / batch)
    return _keras.schedules.CosineDecay(0.0, steps * epochs, warmup_target=told.learning_rate, warmup_steps=steps)


DECAYS: dict[str, Callable[[Optimiser, int, int, int], Any]] = {
    "constant": lambda told, photos, batch, epochs: told.learning_rate,
    "cosine": _cosine,
    "bit": lambda told, photos, batch, epochs: HyperRule(photos, batch, told.learning_rate),
}


def make_optimiser(told: Optimiser, photos: int, batch: int, epochs: int) -> Any:
    """The optimizer of a recipe, for so many photos in an epoch. TrainingError for an unknown name or decay."""
    for rule, name, known in (("an optimiser", told.name, OPTIMISERS), ("decay", told.decay, DECAYS)):
        if name not in known:
            raise TrainingError(f"{rule} must be one of {', '.join(known)}, got '{name}'")
    return OPTIMISERS[told.name](DECAYS[told.decay](told, photos, batch, epochs), told)
