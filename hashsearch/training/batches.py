"""Photos to the batches that a network sees; they are read and augmented while it trains on earlier ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from hashsearch.embedders import Preprocessing
from hashsearch.training.augmentation import Augmentation
from hashsearch.training.photos import Photos
from hashsearch.training.sampling import by_class, shuffled

_INFERENCE_BATCH = 128


class Batches:
    """Makes batches of any photos, or (with `per_class`) of that many photos of each of some classes."""

    def __init__(self, preprocessing: Preprocessing, batch: int, per_class: int | None, seed: int) -> None:
        self.preprocessing = preprocessing
        self.batch = batch
        self.per_class = per_class
        self.seed = seed

    def learned(self, photos: Photos, augmentation: Augmentation, done: int) -> tf.data.Dataset:
        """Augmented photos, in a different order in each epoch; `done` epochs are over already."""
        epochs = iter(range(done, 1 << 30))
        return self._dataset(photos, lambda: next(epochs), augmentation)

    def validated(self, photos: Photos) -> tf.data.Dataset:
        """Photos without augmentation, always in the same order."""
        return self._dataset(photos, lambda: 0, self._resized)

    def outputs(self, model: tf.keras.Model, photos: Photos) -> np.ndarray:
        """A model's output for photos without augmentation: `(n, ...) float32`."""
        parts = []
        count = len(photos.labels)
        for places in np.split(np.arange(count), range(_INFERENCE_BATCH, count, _INFERENCE_BATCH)):
            images = self._resized(photos.read(places))
            parts.append(model(self.preprocessing.network_input(images), training=False).numpy())
        return np.concatenate(parts).astype(np.float32)

    def _dataset(
        self, photos: Photos, epoch: Callable[[], int], augment: Callable[[tf.Tensor], tf.Tensor]
    ) -> tf.data.Dataset:
        def draw() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            rng = np.random.default_rng([self.seed, epoch()])
            if self.per_class is None:
                batches = shuffled(len(photos.labels), self.batch, rng)
            else:
                batches = by_class(photos.labels, self.batch, self.per_class, rng)
            for places in batches:
                yield photos.read(places), photos.labels[places]

        shapes = tf.TensorSpec((None, photos.side, photos.side, 3), tf.uint8), tf.TensorSpec((None,), tf.int64)
        raw = tf.data.Dataset.from_generator(draw, output_signature=shapes)
        raw = raw.apply(tf.data.experimental.assert_cardinality(math.ceil(len(photos.labels) / self.batch)))
        augmented = raw.map(lambda pixels, labels: (self.preprocessing.network_input(augment(pixels)), labels))
        return augmented.prefetch(tf.data.AUTOTUNE)

    def _resized(self, pixels: tf.Tensor) -> tf.Tensor:
        images, size = tf.cast(pixels, tf.float32), self.preprocessing.input_size
        return images if pixels.shape[1] == size else tf.image.resize(images, (size, size), antialias=True)
