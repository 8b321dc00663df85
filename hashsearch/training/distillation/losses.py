"""Losses of a small network that follows a larger one."""

from __future__ import annotations

import tensorflow as tf


def feature_loss(predicted: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """Mean of 1 - cosine between predicted and (centred) teacher features, both `(n, dims)`."""
    return 1.0 - tf.reduce_mean(tf.reduce_sum(_unit(predicted) * _unit(teacher), axis=1))


def neighbour_loss(student: tf.Tensor, teacher: tf.Tensor, temperature: float) -> tf.Tensor:
    """Mean KL divergence between the two softmax distributions over each image's cosines to the rest of the batch."""
    wanted = tf.nn.log_softmax(_cosines(teacher) / temperature)
    got = tf.nn.log_softmax(_cosines(student) / temperature)
    return tf.reduce_mean(tf.reduce_sum(tf.exp(wanted) * (wanted - got), axis=1))


def label_loss(student: tf.Tensor, prototypes: tf.Tensor, labels: tf.Tensor, scale: float, smooth: float) -> tf.Tensor:
    """Cross-entropy of `scale` times the cosines to one `(classes, dims)` prototype a class, labels smoothed."""
    classes = int(prototypes.shape[0])
    wanted = tf.one_hot(labels, classes) * (1.0 - smooth) + smooth / classes
    logits = scale * tf.matmul(_unit(student), _unit(prototypes), transpose_b=True)
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(wanted, logits))


def _unit(x: tf.Tensor) -> tf.Tensor:
    return tf.math.l2_normalize(x, axis=1)


def _cosines(x: tf.Tensor) -> tf.Tensor:
    """`(n, dims)` -> `(n, n)` cosines; an image's cosine to itself is put out of reach."""
    unit = _unit(x)
    cosines = tf.matmul(unit, unit, transpose_b=True)
    return tf.linalg.set_diag(cosines, tf.fill(tf.shape(cosines)[:1], -100.0))
