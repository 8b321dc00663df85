"""Losses of a small network (the student) that imitates a larger one (the teacher)."""

from __future__ import annotations

import tensorflow as tf


def feature_loss(teacher: tf.Tensor, predicted: tf.Tensor) -> tf.Tensor:
    """Mean of 1 - cosine of the teacher's centred features and those predicted from the student's, both `(n, dims)`."""
    return 1.0 - tf.reduce_mean(tf.reduce_sum(unit(predicted) * unit(teacher), axis=1))


def neighbour_loss(teacher: tf.Tensor, student: tf.Tensor, temperature: float) -> tf.Tensor:
    """Mean KL divergence between the softmax distributions, teacher's and student's, over cosines within the batch."""
    target = tf.nn.log_softmax(_cosines(teacher) / temperature)
    predicted = tf.nn.log_softmax(_cosines(student) / temperature)
    return tf.reduce_mean(tf.reduce_sum(tf.exp(target) * (target - predicted), axis=1))


def unit(x: tf.Tensor) -> tf.Tensor:
    """Rows scaled to length 1."""
    return tf.math.l2_normalize(x, axis=1)


def _cosines(x: tf.Tensor) -> tf.Tensor:
    """`(n, dims)` -> `(n, n)` cosines; that of an image with itself is -100, so that softmax ignores it."""
    cosines = tf.matmul(unit(x), unit(x), transpose_b=True)
    return tf.linalg.set_diag(cosines, tf.fill(tf.shape(cosines)[:1], -100.0))
