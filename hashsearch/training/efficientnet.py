"""EfficientNet-Lite in Keras, to be trained; `hashsearch.embedders.efficientnet` is the same network that runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from hashsearch.embedders.architectures import LITE
from hashsearch.embedders.efficientnet import EPSILON, read_checked

_layers = tf.keras.layers
Tensor = Any


def lite_trunk(name: str, size: int, weights: Path) -> tf.keras.Model:
    """A model of images `(n, size, size, 3)` to pooled features `(n, 1280)`, with the weights of a file.

    Raises WeightsNotFound or WeightsMismatch.
    """
    parameters = read_checked(name, weights)
    x = images = _layers.Input((size, size, 3))
    x = _convolved(x, parameters, "_conv_stem", "_bn0", stride=2)
    for number, block in enumerate(LITE[name].blocks()):
        inner, at = x, f"_blocks.{number}"
        if block.expands:
            inner = _convolved(inner, parameters, f"{at}._expand_conv", f"{at}._bn0")
        inner = _convolved(inner, parameters, f"{at}._depthwise_conv", f"{at}._bn1", stride=block.stride)
        inner = _convolved(inner, parameters, f"{at}._project_conv", f"{at}._bn2", active=False)
        x = _layers.Add()([x, inner]) if block.skips else inner
    x = _convolved(x, parameters, "_conv_head", "_bn1")
    return tf.keras.Model(images, _layers.GlobalAveragePooling2D()(x))


def _convolved(
    x: Tensor,
    parameters: Mapping[str, np.ndarray],
    convolution: str,
    normalisation: str,
    *,
    stride: int = 1,
    active: bool = True,
) -> Tensor:
    """`x` after a convolution, batch normalisation and ReLU6."""
    kernel = parameters[f"{convolution}.weight"]  # (out, in, side, side), depthwise (channels, 1, side, side)
    options = {"strides": stride, "padding": "same", "use_bias": False}
    if kernel.shape[1] == 1:
        layer = _layers.DepthwiseConv2D(kernel.shape[2], **options)
        weights = kernel.transpose(2, 3, 0, 1)
    else:
        layer = _layers.Conv2D(len(kernel), kernel.shape[2], **options)
        weights = kernel.transpose(2, 3, 1, 0)
    x = layer(x)
    layer.set_weights([weights])
    normalise = _layers.BatchNormalization(epsilon=EPSILON)
    x = normalise(x)
    parts = ("weight", "bias", "running_mean", "running_var")
    normalise.set_weights([parameters[f"{normalisation}.{part}"] for part in parts])
    return _layers.ReLU(6.0)(x) if active else x
