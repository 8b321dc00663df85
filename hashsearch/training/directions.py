"""Directions of a hash head, learned from labels: images of a class get codes near each other, others distant ones.

In training a bit is the relaxed `u = tanh(projection)`, between -1 and 1. Three losses act on it:

- triplets: an image is nearer to one of its class than to one of another, by a margin (NINH: Lai et al., CVPR 2015),
  the other one being semi-hard (FaceNet: Schroff et al., CVPR 2015, eq. 4);
- balance: each bit is set for half of the images (SSDH: Yang et al., TPAMI 2018);
- quantisation: `u` is near -1 or 1, so that little is lost when it becomes a bit (DSH: Liu et al., CVPR 2016).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from hashsearch.hashing.hash_head import Classes, LossWeights
from hashsearch.hashing.nearest import top_k
from hashsearch.hashing.vectors import Vectors
from hashsearch.training.losses import semi_hard_triplet_loss
from hashsearch.training.sampling import by_class
from hashsearch.training.trainer import prepare

Rows = NDArray[np.intp]

_BATCH, _PER_CLASS = 128, 8  # images of a batch, and of each of its classes
_ROUND = 50  # batches after which the images held out are searched for
_PATIENCE = 8  # rounds without improvement
_HELD_OUT, _MOST_HELD_OUT = 5, 1000  # one image in five, and at most 1000
_RANKS = 10  # nearest codes that are judged
_RATE = 0.06  # of Adam, relative to the root mean square of the weights at the start


def learn_directions(
    centred: Vectors,
    classes: Classes,
    start: Vectors,
    weights: LossWeights,
    rounds: int,
    generator: np.random.Generator,
) -> Vectors:
    """Directions `(dims, bits)` of length 1, learned from centred vectors `(n, dims)` and `classes (n,)`.

    One vector in five is held out. Of `start` and the directions after each round, those are kept whose codes find most
    of the class among the first ten of the others.
    """
    order = generator.permutation(len(centred))
    held_out, learned = np.split(order, [min(len(order) // _HELD_OUT, _MOST_HELD_OUT)])
    # Scaled to where tanh bends; vectors that are all the same have no spread.
    centred = (centred / ((centred[learned] @ start).std() or 1)).astype(np.float32)
    best = _KeepBest(start, lambda directions: class_precision(centred, classes, directions, held_out, learned))
    if rounds:
        model = _coding_layer(start, weights)
        batches = _batches(centred[learned], classes[learned], generator)
        prepare(model, batches)
        model.fit(batches, steps_per_epoch=_ROUND, epochs=rounds, callbacks=[best], shuffle=False, verbose=0)
    directions: Vectors = best.directions / np.linalg.norm(best.directions, axis=0)
    return directions


def coding_loss(classes: tf.Tensor, codes: tf.Tensor, weights: LossWeights) -> tf.Tensor:
    """The weighted sum of the three losses of relaxed codes `(n, bits)`."""
    # The squared distance of scaled codes is, for codes of -1 and 1, the share of bits that differ.
    triplets = semi_hard_triplet_loss(classes, codes / (2.0 * float(codes.shape[1]) ** 0.5), weights.margin)
    return triplets + weights.balance * balance_loss(codes) + weights.quantisation * quantisation_loss(codes)


def balance_loss(codes: tf.Tensor) -> tf.Tensor:
    """Mean over bits of the squared mean of a bit."""
    return tf.reduce_mean(tf.square(tf.reduce_mean(codes, axis=0)))


def quantisation_loss(codes: tf.Tensor) -> tf.Tensor:
    """Mean of `(|u| - 1)^2`."""
    return tf.reduce_mean(tf.square(tf.abs(codes) - 1.0))


def class_precision(centred: Vectors, classes: Classes, directions: Vectors, queries: Rows, others: Rows) -> float:
    """Mean average precision at 10 of searches with the codes of `queries` among those of `others`; 0 without any."""
    if not len(queries):
        return 0.0
    bits = np.where(centred @ directions > 0, np.float32(1), np.float32(-1))
    nearest = top_k(bits[queries] @ bits[others].T, _RANKS)
    relevant = classes[others[nearest]] == classes[queries][:, None]
    precisions = relevant.cumsum(axis=1) / np.arange(1, nearest.shape[1] + 1)
    class_sizes = np.bincount(classes[others], minlength=classes.max() + 1)[classes[queries]]
    return float(((precisions * relevant).sum(axis=1) / class_sizes.clip(1, nearest.shape[1])).mean())


def _coding_layer(start: Vectors, weights: LossWeights) -> tf.keras.Model:
    """A compiled model of centred vectors `(n, dims)` to relaxed codes `(n, bits)`."""
    layers: Any = tf.keras.layers
    layer = layers.Dense(start.shape[1], activation="tanh", use_bias=False)
    model = tf.keras.Sequential([layers.Input((start.shape[0],)), layer])
    layer.set_weights([start])
    rate = _RATE * float(np.sqrt((start**2).mean()))
    optimiser: Any = tf.keras.optimizers
    model.compile(optimiser.Adam(rate), loss=lambda classes, codes: coding_loss(classes, codes, weights))
    return model


def _batches(vectors: Vectors, classes: Classes, generator: np.random.Generator) -> tf.data.Dataset:
    """Batches of vectors and their classes without end, each of at most 16 classes with as many vectors of each."""

    def draw() -> Iterator[tuple[Vectors, Classes]]:
        while True:
            for rows in by_class(classes, _BATCH, _PER_CLASS, generator):
                yield vectors[rows], classes[rows]

    shapes = tf.TensorSpec((None, vectors.shape[1]), tf.float32), tf.TensorSpec((None,), tf.int64)
    return tf.data.Dataset.from_generator(draw, output_signature=shapes).prefetch(2)


class _KeepBest(tf.keras.callbacks.Callback):
    """Keeps the directions that score highest, those of the start included; ends when no round improves on them."""

    def __init__(self, start: Vectors, score: Callable[[Vectors], float]) -> None:
        super().__init__()
        self.score = score
        self.directions, self.highest, self.since = start, score(start), 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        (directions,) = self.model.get_weights()
        score = self.score(directions)
        self.since += 1
        if score > self.highest:
            self.directions, self.highest, self.since = directions, score, 0
        self.model.stop_training = self.since == _PATIENCE
