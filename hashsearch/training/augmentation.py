"""Random changes of a batch of photos, by Keras's layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from hashsearch.errors import TrainingError
from hashsearch.training.recipes import Step, check_name

Change = Callable[[tf.Tensor], tf.Tensor]
_layers = tf.keras.layers

# By kind: the layer, from strength and seed. Pixel values are 0..255.
LAYERS: dict[str, Callable[[float, int], Change]] = {
    "flip": lambda strength, seed: _layers.RandomFlip("horizontal", seed=seed),
    "rotation": lambda strength, seed: _layers.RandomRotation(strength, fill_mode="reflect", seed=seed),  # of a turn
    "zoom": lambda strength, seed: _layers.RandomZoom(strength, fill_mode="reflect", seed=seed),  # of the side
    "brightness": lambda strength, seed: _layers.RandomBrightness(strength, value_range=(0, 255), seed=seed),
    "contrast": lambda strength, seed: _layers.RandomContrast(strength, value_range=(0, 255), seed=seed),
    "saturation": lambda strength, seed: _layers.RandomSaturation(
        (0.5 - strength / 2, 0.5 + strength / 2), value_range=(0, 255), seed=seed
    ),
    "blur": lambda strength, seed: _layers.RandomGaussianBlur(
        factor=1.0, kernel_size=5, sigma=strength, value_range=(0, 255), seed=seed
    ),
    "crop": lambda least, seed: _Crop(least, seed=seed),  # least share of each side
}


class _Crop:
    """A random part of each image, `least` to 1 of each side, resized to the image's size."""

    def __init__(self, least: float, *, seed: int) -> None:
        self.least = least
        self.random = tf.random.Generator.from_seed(seed)

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        count, side = tf.shape(images)[0], images.shape[1]
        shares = self.random.uniform([count, 2], self.least, 1.0)
        return _cut(images, shares, side, self.random)


class Augmentation:
    """All steps of a recipe in order, after a random crop to `size` if the photos are larger.

    Raises TrainingError for an unknown kind or a probability outside 0..1.
    """

    def __init__(self, steps: Sequence[Step], size: int, seed: int) -> None:
        self.size = size
        self.random = tf.random.Generator.from_seed(seed)
        self.steps = [(_layer(step, seed + number), step.p) for number, step in enumerate(steps, 1)]

    def __call__(self, pixels: tf.Tensor) -> tf.Tensor:
        """`(n, side, side, 3) uint8` -> `(n, size, size, 3) float32`, values 0..255."""
        images = tf.cast(pixels, tf.float32)
        count, side = tf.shape(images)[0], images.shape[1]
        if side != self.size:
            images = _cut(images, tf.fill([count, 2], self.size / side), self.size, self.random)
        for change, p in self.steps:
            changed = self.random.uniform([count, 1, 1, 1]) < p
            images = tf.where(changed, tf.cast(change(images), tf.float32), images)
        return tf.clip_by_value(images, 0.0, 255.0)


def _layer(step: Step, seed: int) -> Change:
    check_name("an augmentation", step.kind, LAYERS)
    if not 0 <= step.p <= 1:
        raise TrainingError(f"the probability of an augmentation must be 0 to 1, got {step.p} of '{step.kind}'")
    try:
        return LAYERS[step.kind](step.strength, seed)
    except ValueError as error:
        raise TrainingError(f"'{step.kind}' cannot have strength {step.strength}: {error}") from error


def _cut(images: tf.Tensor, shares: tf.Tensor, size: int, random: tf.random.Generator) -> tf.Tensor:
    """A random part of each image, `shares (n, 2)` of height and width, as `(n, size, size, 3)`."""
    count = tf.shape(images)[0]
    low = random.uniform([count, 2]) * (1.0 - shares)
    boxes = tf.concat([low, low + shares], axis=1)
    return tf.image.crop_and_resize(images, boxes, tf.range(count), [size, size])
