"""BiT: ResNet-v2 with group normalisation and weight standardisation (Kolesnikov et al. 2019, arXiv 1912.11370).

A network is an `Architecture` and a flat dict of arrays under the names of the official `.npz` checkpoints; the
classifier head of a checkpoint is not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.embedders import engine
from hashsearch.embedders.architectures import KERNEL, Architecture
from hashsearch.embedders.embedder import Embedder, digest_files
from hashsearch.embedders.preprocessing import Preprocessing
from hashsearch.embedders.weights import read_parameters

Parameters = Mapping[str, NDArray[Any]]


def load_bit(name: str, net: Architecture, preprocessing: Preprocessing, path: Path) -> Embedder:
    """The embedder of an `.npz` checkpoint. Raises WeightsNotFound or WeightsMismatch."""
    model = bit_model(net, read_parameters(path, net), preprocessing.input_size)
    network = engine.network_of(model, preprocessing, path)
    return Embedder(name, net.dims, digest_files(path), preprocessing, path, network)


def bit_model(net: Architecture, parameters: Parameters, size: int) -> engine.Model:
    """The model of images `(n, 3, size, size)` in -1..1 to pooled features `(n, dims)`."""
    graph = _Graph(net, parameters)
    images = graph.op.parameter([-1, 3, size, size], np.float32)
    return engine.openvino().Model([graph.features(images)], [images], "bit")


class _Graph:
    """The network in operators, channels before height and width."""

    def __init__(self, net: Architecture, parameters: Parameters) -> None:
        self.op = engine.operators()
        self.net = net
        self.parameters = parameters

    def features(self, x: engine.Node) -> engine.Node:
        op = self.op
        x = self._convolve(x, "resnet/root_block", 2)
        x = op.pad(x, np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), "constant", np.float32(0))
        x = op.max_pool(x, [2, 2], [1, 1], [0, 0], [0, 0], [3, 3], "floor").output(0)
        for name, _, stride in self.net.unit_names():
            inner = self._normalize(x, f"{name}/a")
            shortcut = self._convolve(inner, f"{name}/a/proj", stride) if name.endswith("unit01") else x
            inner = self._convolve(inner, f"{name}/a")
            inner = self._convolve(self._normalize(inner, f"{name}/b"), f"{name}/b", stride)
            inner = self._convolve(self._normalize(inner, f"{name}/c"), f"{name}/c")
            x = op.add(shortcut, inner)
        return op.reduce_mean(self._normalize(x, "resnet"), np.array([2, 3]), False)

    def _convolve(self, x: engine.Node, name: str, stride: int = 1) -> engine.Node:
        """A convolution padded by half the kernel on each side; "SAME" would pad strided ones by other amounts."""
        kernel = _standardized(self.parameters[f"{name}/{KERNEL}"]).transpose(3, 2, 0, 1)
        half = kernel.shape[2] // 2
        return self.op.convolution(x, np.ascontiguousarray(kernel), [stride] * 2, [half] * 2, [half] * 2, [1, 1])

    def _normalize(self, x: engine.Node, name: str) -> engine.Node:
        """`x` after group normalisation and ReLU."""
        gamma, beta = (self.parameters[f"{name}/group_norm/{side}"] for side in ("gamma", "beta"))
        return self.op.relu(self.op.group_normalization(x, gamma, beta, self.net.groups, 1e-5))


def _standardized(kernel: NDArray[Any]) -> NDArray[np.float32]:
    """A kernel `(height, width, in, out)` of mean 0 and variance 1 over height, width and input channels."""
    wide = kernel.astype(np.float64)
    centred = wide - wide.mean(axis=(0, 1, 2))
    scaled: NDArray[np.float32] = (centred / np.sqrt(wide.var(axis=(0, 1, 2)) + 1e-10)).astype(np.float32)
    return scaled
