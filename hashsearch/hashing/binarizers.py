"""Vectors to codes. Every binarizer is linear: `bit = (projection of the centred vector > 0)`.

The signed projection is the bit's *margin*: its size says how certain the bit is. Vectors are centred first, as pooled
ReLU features are never negative: without it every bit would be set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import HashingError
from hashsearch.hashing.bits import Codes, check_bits
from hashsearch.hashing.hash_head import LossWeights, in_shared_class
from hashsearch.hashing.nearest import top_k
from hashsearch.hashing.vectors import Labels, Vectors, check_vectors


class Binarizer:
    """Base of all binarizers; a subclass implements `_directions`, and `_center` unless it centres at the mean.

    Learned: `center_ (dims,) float32`, `directions_ (dims, bits) float32`.
    """

    name = ""
    center_: Vectors
    directions_: Vectors

    def __init__(self, bits: int = 1024, seed: int = 0) -> None:
        self.bits = check_bits(bits)
        self.seed = seed

    def fit(self, vectors: Vectors, labels: Labels | None = None) -> Binarizer:
        """Learn from `(n, dims) float32` and return self; HashingError if n or dims are too small.

        `labels (n,)` are used only by binarizers that learn from them.
        """
        vectors = check_vectors(vectors)
        if len(vectors) < 2:
            raise HashingError(f"fitting a binarizer needs at least 2 vectors, got {len(vectors)}")
        self.center_ = self._center(vectors)
        self.directions_ = self._directions(vectors - self.center_).astype(np.float32)
        return self

    def learns_from(self, labels: Labels) -> NDArray[np.bool_]:
        """Which images with these labels would be learned from: `(n,) bool`; all, unless labels are used."""
        return np.ones(len(labels), dtype=bool)

    def margins(self, vectors: Vectors) -> NDArray[np.float32]:
        """Signed margin of every bit: `(n, dims) -> (n, bits) float32`; the sign is the bit, the size its certainty."""
        if not hasattr(self, "center_"):
            raise HashingError(f"binarizer '{self.name}' must be fitted before it is used")
        centred = check_vectors(vectors, len(self.center_)) - self.center_
        margins: NDArray[np.float32] = np.matmul(centred, self.directions_, dtype=np.float32)
        return margins

    def transform(self, vectors: Vectors) -> Codes:
        """Codes of vectors: `(n, dims) float32 -> (n, bits // 8) uint8`."""
        return np.packbits(self.margins(vectors) > 0, axis=1)

    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON."""
        return {"bits": self.bits, "seed": self.seed}

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """The learned arrays by name, for `np.savez`."""
        return {"center_": self.center_, "directions_": self.directions_}

    def restore(self, arrays: Mapping[str, NDArray[np.float32]]) -> Binarizer:
        """Set the learned arrays from `arrays` and return self."""
        self.center_, self.directions_ = arrays["center_"], arrays["directions_"]
        return self

    def _center(self, vectors: Vectors) -> Vectors:
        center: Vectors = vectors.mean(axis=0, dtype=np.float32)
        return center

    def _directions(self, centred: Vectors) -> NDArray[np.floating]:
        raise NotImplementedError


class MeanThreshold(Binarizer):
    """One bit per dimension, set above the mean; uses the `bits` dimensions of largest variance."""

    name = "mean"

    def _directions(self, centred: Vectors) -> NDArray[np.floating]:
        if self.bits > centred.shape[1]:
            raise HashingError(
                f"binarizer '{self.name}' can have at most one bit per dimension, {centred.shape[1]}, got {self.bits}"
            )
        widest = top_k(centred.var(axis=0), self.bits)
        return np.eye(centred.shape[1], dtype=np.float32)[:, np.sort(widest)]


class MedianThreshold(MeanThreshold):
    """One bit per dimension, set above the median: every bit splits the sample in half."""

    name = "median"

    def _center(self, vectors: Vectors) -> Vectors:
        return np.median(vectors, axis=0).astype(np.float32)


class RandomHyperplanes(Binarizer):
    """Signs of random Gaussian projections: P(bits differ) = angle / pi (Charikar, STOC 2002)."""

    name = "hyperplanes"

    def _directions(self, centred: Vectors) -> NDArray[np.floating]:
        return np.random.default_rng(self.seed).standard_normal((centred.shape[1], self.bits))


class RandomRotation(Binarizer):
    """PCA to at most `bits` dimensions, then random rotations; the default.

    With more bits than dimensions several rotations are concatenated. Each is orthogonal, so its bits carry more
    information than independent hyperplanes would (super-bit LSH: Ji et al., NIPS 2012).
    """

    name = "rotation"

    def _directions(self, centred: Vectors) -> NDArray[np.floating]:
        basis = principal_axes(centred, self.bits)
        generator = np.random.default_rng(self.seed)
        count = -(-self.bits // basis.shape[1])
        rotations = [random_rotation(basis.shape[1], generator) for _ in range(count)]
        return basis @ np.hstack(rotations)[:, : self.bits]


class ITQ(Binarizer):
    """PCA, then the rotation that minimises the quantisation error (Gong and Lazebnik, CVPR 2011, eq. 2-3)."""

    name = "itq"

    def __init__(self, bits: int = 256, seed: int = 0, iterations: int = 50) -> None:
        super().__init__(bits, seed)
        self.iterations = iterations

    def parameters(self) -> dict[str, Any]:
        return {**super().parameters(), "iterations": self.iterations}

    def _directions(self, centred: Vectors) -> NDArray[np.floating]:
        dims = min(centred.shape)
        if self.bits > dims:
            raise HashingError(f"binarizer 'itq' can have at most min(n, dims) = {dims} bits, got {self.bits}")
        basis = principal_axes(centred, self.bits)
        projected = (centred @ basis).astype(np.float32)
        rotation = random_rotation(self.bits, np.random.default_rng(self.seed)).astype(np.float32)
        for _ in range(self.iterations):
            signs = np.sign(projected @ rotation)
            left, _, right = np.linalg.svd(projected.T @ signs)
            rotation = left @ right
        return basis @ rotation


class HashHead(Binarizer):
    """Directions that give images of a class similar codes; `hashsearch.training.hash_head` learns them from labels.

    `margin`, `balance` and `quantisation` are those of `LossWeights`; training has at most `rounds` of 50 batches.
    """

    name = "head"

    def __init__(
        self,
        bits: int = 256,
        seed: int = 0,
        rounds: int = 40,
        margin: float = 0.2,
        balance: float = 0.1,
        quantisation: float = 0.3,
    ) -> None:
        super().__init__(bits, seed)
        self.rounds = rounds
        self.weights = LossWeights(margin, balance, quantisation)

    def parameters(self) -> dict[str, Any]:
        return {**super().parameters(), "rounds": self.rounds, **asdict(self.weights)}

    def learns_from(self, labels: Labels) -> NDArray[np.bool_]:
        """Which images have a known class that another image has too; HashingError for fewer than two such classes."""
        return in_shared_class(labels)

    def fit(self, vectors: Vectors, labels: Labels | None = None) -> Binarizer:
        """Raise HashingError: only a head made by `hashsearch.training.hash_head.make_binarizer` can be fitted."""
        raise HashingError(
            f"binarizer '{self.name}' is fitted with TensorFlow: make it with "
            "hashsearch.training.hash_head.make_binarizer"
        )

    def _directions(self, centred: Vectors) -> NDArray[np.floating]:
        """Those that training starts from."""
        start = ITQ if self.bits <= min(centred.shape) else RandomRotation
        return start(self.bits, self.seed)._directions(centred)


def principal_axes(vectors: Vectors, count: int) -> NDArray[np.float64]:
    """Axes of largest mean square (variance if centred), largest first: `(n, dims) -> (dims, min(dims, count))`."""
    moments = vectors.T.astype(np.float64) @ vectors / len(vectors)
    _, axes = np.linalg.eigh(moments)
    return axes[:, ::-1][:, :count]


def random_rotation(dims: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """A uniformly random rotation: QR of a Gaussian matrix, signs corrected by R's diagonal (Mezzadri 2007)."""
    orthogonal, upper = np.linalg.qr(generator.standard_normal((dims, dims)))
    return orthogonal * np.sign(np.diag(upper))


BINARIZERS: dict[str, type[Binarizer]] = {
    kind.name: kind for kind in (RandomRotation, ITQ, RandomHyperplanes, MedianThreshold, MeanThreshold, HashHead)
}


def make_binarizer(name: str, **parameters: Any) -> Binarizer:
    """A new binarizer by name; HashingError lists the known names."""
    if name not in BINARIZERS:
        raise HashingError(f"unknown binarizer '{name}', known: {', '.join(sorted(BINARIZERS))}")
    return BINARIZERS[name](**parameters)
