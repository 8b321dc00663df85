"""Photos to the batches that a network sees, drawn, augmented and preprocessed while it learns from the last ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from hashsearch.embedders import Preprocessing
from hashsearch.training.augmentation import Augmentation
from hashsearch.training.photos import Photos
from hashsearch.training.sampling import by_class, shuffled

_SEEN = 128  # photos that pass a network at once when it only looks


class Batches:
    """How batches are made: of any photos (`per_class` None), or of so many of each class."""

    def __init__(self, preprocessing: Preprocessing, batch: int, per_class: int | None, seed: int) -> None:
        self.preprocessing = preprocessing
        self.batch = batch
        self.per_class = per_class
        self.seed = seed

    def learned(self, photos: Photos, augmentation: Augmentation, done: int) -> tf.data.Dataset:
        """Augmented photos; each epoch, `done` being those that there were, has an order of its own."""
        epochs = iter(range(done, 1 << 30))
        return self._drawn(photos, lambda: next(epochs), augmentation)

    def validated(self, photos: Photos) -> tf.data.Dataset:
        """Photos as they are, always in the same order."""
        return self._drawn(photos, lambda: 0, self._resized)

    def answers(self, model: tf.keras.Model, photos: Photos) -> np.ndarray:
        """What a model answers to photos as they are: `(n, ...) float32`."""
        parts = []
        for some in np.split(np.arange(len(photos.labels)), range(_SEEN, len(photos.labels), _SEEN)):
            images = self._resized(photos.read(some))
            parts.append(model(self.preprocessing.network_input(images), training=False).numpy())
        return np.concatenate(parts).astype(np.float32)

    def _drawn(
        self, photos: Photos, epoch: Callable[[], int], see: Callable[[tf.Tensor], tf.Tensor]
    ) -> tf.data.Dataset:
        def draw() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            rng = np.random.default_rng([self.seed, epoch()])
            if self.per_class is None:
                drawn = shuffled(len(photos.labels), self.batch, rng)
            else:
                drawn = by_class(photos.labels, self.batch, self.per_class, rng)
            for rows in drawn:
                yield photos.read(rows), photos.labels[rows]

        shapes = tf.TensorSpec((None, photos.side, photos.side, 3), tf.uint8), tf.TensorSpec((None,), tf.int64)
        drawn = tf.data.Dataset.from_generator(draw, output_signature=shapes)
        drawn = drawn.apply(tf.data.experimental.assert_cardinality(math.ceil(len(photos.labels) / self.batch)))
        seen = drawn.map(lambda pixels, labels: (self.preprocessing.network_input(see(pixels)), labels))
        return seen.prefetch(tf.data.AUTOTUNE)

    def _resized(self, pixels: tf.Tensor) -> tf.Tensor:
        images, size = tf.cast(pixels, tf.float32), self.preprocessing.input_size
        return images if pixels.shape[1] == size else tf.image.resize(images, (size, size), antialias=True)
