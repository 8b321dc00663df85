"""Losses as functions of labels `(n,)` and a network's output for a batch: softmax, and losses over triplets and pairs.

Losses over triplets and pairs compare the embeddings `(n, dims)` of a batch with each other.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def softmax_loss(labels: tf.Tensor, logits: tf.Tensor, smoothing: float) -> tf.Tensor:
    """Mean cross-entropy of logits `(n, classes)`; `smoothing` is the share of a label spread over all classes."""
    classes = int(logits.shape[-1])
    one_hot = tf.one_hot(tf.cast(tf.reshape(labels, [-1]), tf.int32), classes) * (1.0 - smoothing) + smoothing / classes
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(one_hot, tf.cast(logits, tf.float32)))


def semi_hard_triplet_loss(labels: tf.Tensor, embeddings: tf.Tensor, margin: float) -> tf.Tensor:
    """Mean over pairs of a class of `max(0, margin + d(anchor, positive) - d(anchor, negative))`, distances squared.

    The negative is the nearest of those farther from the anchor than the positive, or the farthest if all are nearer
    (Schroff et al., FaceNet, CVPR 2015, eq. 3 and 4). 0 for a batch without a pair.
    """
    distances, same, pairs = _compare(labels, embeddings)
    ordered = tf.sort(tf.where(same, np.inf, distances), axis=1)  # negatives of each anchor, then infinity
    place = tf.searchsorted(ordered, distances, side="right")  # n only for NaN: the last column is infinity
    nearest = tf.gather(ordered, tf.minimum(place, tf.shape(distances)[0] - 1), batch_dims=1)
    farthest = tf.reduce_max(tf.where(same, -np.inf, distances), axis=1, keepdims=True)
    negative = tf.where(tf.math.is_finite(nearest), nearest, tf.broadcast_to(farthest, tf.shape(nearest)))
    return _mean_where(pairs & tf.math.is_finite(negative), tf.nn.relu(margin + distances - negative))


def hard_triplet_loss(labels: tf.Tensor, embeddings: tf.Tensor, margin: float) -> tf.Tensor:
    """The same, as a mean over anchors, of the farthest positive and nearest negative (Hermans et al. 2017, eq. 5)."""
    distances, same, pairs = _compare(labels, embeddings)
    positive = tf.reduce_max(tf.where(pairs, distances, -np.inf), axis=1)
    negative = tf.reduce_min(tf.where(same, np.inf, distances), axis=1)
    usable = tf.math.is_finite(positive) & tf.math.is_finite(negative)
    return _mean_where(usable, tf.nn.relu(margin + positive - negative))


def contrastive_loss(labels: tf.Tensor, embeddings: tf.Tensor, margin: float) -> tf.Tensor:
    """Half of `d^2` for pairs of a class and of `max(0, margin - d)^2` for others (Hadsell et al., CVPR 2006, eq. 4).

    All pairs of the batch count. Pairs of a class and other pairs have equal weight, however many there are of each.
    """
    squared, same, pairs = _compare(labels, embeddings)
    distances = tf.sqrt(tf.maximum(squared, 1e-12))
    attraction = _mean_where(pairs, 0.5 * squared)
    return (attraction + _mean_where(~same, 0.5 * tf.square(tf.nn.relu(margin - distances)))) / 2.0


def _compare(labels: tf.Tensor, embeddings: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Squared distances `(n, n)`, whether two labels are equal, and whether they are also of two different images."""
    embeddings = tf.cast(embeddings, tf.float32)
    lengths = tf.reduce_sum(tf.square(embeddings), axis=1)
    products = tf.matmul(embeddings, embeddings, transpose_b=True)
    distances = tf.maximum(lengths[:, None] + lengths[None, :] - 2.0 * products, 0.0)
    labels = tf.reshape(labels, [-1])
    same = labels[:, None] == labels[None, :]
    return distances, same, tf.linalg.set_diag(same, tf.zeros_like(labels, dtype=tf.bool))


def _mean_where(condition: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """The mean of the values for which the condition holds, 0 without any; the others have no gradient."""
    count = tf.reduce_sum(tf.cast(condition, tf.float32))
    return tf.reduce_sum(tf.where(condition, values, 0.0)) / tf.maximum(count, 1.0)
