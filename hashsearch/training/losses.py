"""Losses as pure functions: over a student and its teacher (distillation), over triplets, over pairs.

Those over triplets and pairs take `labels (n,)` and embeddings `(n, dims)` of a batch, compared with itself.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def semi_hard_triplet_loss(labels: tf.Tensor, embeddings: tf.Tensor, margin: float) -> tf.Tensor:
    """Mean over pairs of a class of `max(0, margin + d(anchor, positive) - d(anchor, negative))`, distances squared.

    The negative is the nearest of those farther from the anchor than the positive; where there is none, the farthest
    (Schroff et al., FaceNet, CVPR 2015, eq. 3 and 4). 0 for a batch without a pair.
    """
    distances, same, pairs = _compared(labels, embeddings)
    to_negative = tf.where(same, np.inf, distances)  # (anchor, negative)
    farther = to_negative[:, None, :] > distances[:, :, None]  # (anchor, positive, negative)
    nearest = tf.reduce_min(tf.where(farther, to_negative[:, None, :], np.inf), axis=2)
    farthest = tf.reduce_max(tf.where(same, -np.inf, distances), axis=1, keepdims=True)
    negative = tf.where(tf.math.is_finite(nearest), nearest, tf.broadcast_to(farthest, tf.shape(nearest)))
    return _mean_of(tf.nn.relu(margin + distances - negative), pairs & tf.math.is_finite(negative))


def hard_triplet_loss(labels: tf.Tensor, embeddings: tf.Tensor, margin: float) -> tf.Tensor:
    """Mean over anchors of the same, of the farthest positive and the nearest negative (Hermans et al. 2017, eq. 5)."""
    distances, same, pairs = _compared(labels, embeddings)
    positive = tf.reduce_max(tf.where(pairs, distances, -np.inf), axis=1)
    negative = tf.reduce_min(tf.where(same, np.inf, distances), axis=1)
    usable = tf.math.is_finite(positive) & tf.math.is_finite(negative)
    return _mean_of(tf.nn.relu(margin + positive - negative), usable)


def contrastive_loss(labels: tf.Tensor, embeddings: tf.Tensor, margin: float) -> tf.Tensor:
    """Half of `d^2` for pairs of a class and of `max(0, margin - d)^2` for others (Hadsell et al., CVPR 2006, eq. 4).

    All pairs of the batch are taken. The two kinds weigh the same, however many more pairs differ than agree.
    """
    squared, same, pairs = _compared(labels, embeddings)
    distances = tf.sqrt(tf.maximum(squared, 1e-12))
    attraction = _mean_of(0.5 * squared, pairs)
    return (attraction + _mean_of(0.5 * tf.square(tf.nn.relu(margin - distances)), ~same)) / 2.0


def _compared(labels: tf.Tensor, embeddings: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Squared distances `(n, n)`, whether labels are the same, and whether these are also two different photos."""
    embeddings = tf.cast(embeddings, tf.float32)
    lengths = tf.reduce_sum(tf.square(embeddings), axis=1)
    products = tf.matmul(embeddings, embeddings, transpose_b=True)
    distances = tf.maximum(lengths[:, None] + lengths[None, :] - 2.0 * products, 0.0)
    labels = tf.reshape(labels, [-1])
    same = labels[:, None] == labels[None, :]
    return distances, same, tf.linalg.set_diag(same, tf.zeros_like(labels, dtype=tf.bool))


def _mean_of(values: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
    """The mean of the values kept, 0 where none is; what is not kept has no gradient either."""
    count = tf.reduce_sum(tf.cast(kept, tf.float32))
    return tf.reduce_sum(tf.where(kept, values, 0.0)) / tf.maximum(count, 1.0)
