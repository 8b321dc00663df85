"""BiT in TensorFlow, to be trained; `hashsearch.embedders.bit` is the same network for the engine that runs it.

A network is an `Architecture` and a flat dict of arrays under the names of the official `.npz` checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from hashsearch.embedders.architectures import KERNEL, Architecture

Parameters = Mapping[str, Any]


def standardize(parameters: Parameters) -> dict[str, Any]:
    """The parameters with every kernel scaled to mean 0 and variance 1 over height, width and input channels."""
    folded = dict(parameters)
    for name, value in parameters.items():
        if name.endswith(KERNEL):
            mean, variance = tf.nn.moments(tf.convert_to_tensor(value), axes=[0, 1, 2])
            folded[name] = (value - mean) * tf.math.rsqrt(variance + 1e-10)
    return folded


def convolve(x: tf.Tensor, kernel: tf.Tensor, stride: int = 1) -> tf.Tensor:
    """A convolution padded by half the kernel on each side; "SAME" would pad strided ones by other amounts."""
    half = int(kernel.shape[0]) // 2
    if stride > 1 and half:
        # Not as the convolution's own explicit padding: oneDNN has no gradient for that, and the fallback is slow.
        x = tf.pad(x, [[0, 0], [half, half], [half, half], [0, 0]])
    return tf.nn.conv2d(x, tf.cast(kernel, x.dtype), stride, "SAME" if stride == 1 else "VALID")


def normalize(x: tf.Tensor, parameters: Parameters, name: str, groups: int) -> tf.Tensor:
    """`x` after group normalisation and ReLU.

    The moments are taken per channel first and the rest is one multiply-add over `x`: faster than moments of a
    reshaped 5-d array.
    """
    channels = int(x.shape[-1])
    wide = tf.cast(x, tf.float32)
    grouped = [-1, groups, channels // groups]
    mean = tf.reduce_mean(tf.reshape(tf.reduce_mean(wide, [1, 2]), grouped), 2, keepdims=True)
    square = tf.reduce_mean(tf.reshape(tf.reduce_mean(tf.square(wide), [1, 2]), grouped), 2, keepdims=True)
    gamma, beta = (tf.reshape(parameters[f"{name}/group_norm/{side}"], grouped) for side in ("gamma", "beta"))
    scale = tf.math.rsqrt(tf.maximum(square - tf.square(mean), 0.0) + 1e-5) * gamma
    shift = beta - mean * scale
    per_channel = [-1, 1, 1, channels]
    scaled = x * tf.cast(tf.reshape(scale, per_channel), x.dtype)
    return tf.nn.relu(scaled + tf.cast(tf.reshape(shift, per_channel), x.dtype))


def features(folded: Parameters, x: tf.Tensor, net: Architecture) -> tf.Tensor:
    """`(n, height, width, 3)` in -1..1 -> `(n, dims) float32` pooled features; `folded` comes from `standardize`."""
    x = convolve(x, folded[f"resnet/root_block/{KERNEL}"], 2)
    x = tf.nn.max_pool2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2, "VALID")
    for name, _, stride in net.unit_names():
        inner = normalize(x, folded, f"{name}/a", net.groups)
        if name.endswith("unit01"):
            x = convolve(inner, folded[f"{name}/a/proj/{KERNEL}"], stride)
        inner = convolve(inner, folded[f"{name}/a/{KERNEL}"])
        inner = convolve(normalize(inner, folded, f"{name}/b", net.groups), folded[f"{name}/b/{KERNEL}"], stride)
        x += convolve(normalize(inner, folded, f"{name}/c", net.groups), folded[f"{name}/c/{KERNEL}"])
    return tf.reduce_mean(tf.cast(normalize(x, folded, "resnet", net.groups), tf.float32), [1, 2])
