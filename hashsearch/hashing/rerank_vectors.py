"""Embeddings to the vectors that re-rank: what the index stores of them, and whose cosine decides a search.

They, not the codes, set an index's size. Two things make them smaller and may be combined. PCA keeps the `dims`
directions in which embeddings have most of their length. `int8` keeps one byte a component instead of four.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import HashingError
from hashsearch.hashing.binarizers import principal_axes, random_rotation
from hashsearch.hashing.vectors import Vectors, check_vectors, normalised

RERANK_DTYPES = ("float32", "int8")

_MOST = 127  # int8's -128 has no opposite
_LEAST_LENGTH = 1e-5  # of a projection of a vector of length 1; what is shorter is mostly rounding


class RerankVectors:
    """How an embedding is stored to be compared by cosine; by default whole, as `float32`.

    `dims`: PCA to so many, None for all. `dtype`: `float32`, or `int8` with a random rotation before it.
    Learned, unless stored whole: `directions_ (embedding dims, dims) float32`, orthonormal columns.

    The PCA is not centred: the axes of the second moments keep the scalar products best (Eckart and Young 1936), while
    a cosine of centred vectors is another one than that of the embeddings. A projection is scaled to length 1, so that
    an image has cosine 1 to itself. The rotation spreads the length over all components; without it a few large ones
    leave the others few of the 255 steps. Steps are of the vector's own size, its largest component is 127: the cosine
    does not depend on them.
    """

    def __init__(self, dims: int | None = None, dtype: str = "float32", seed: int = 0) -> None:
        if dtype not in RERANK_DTYPES:
            raise HashingError(f"re-rank vectors are stored as {' or '.join(RERANK_DTYPES)}, got '{dtype}'")
        if dims is not None and dims < 1:
            raise HashingError(f"re-rank vectors must have at least 1 dimension, got {dims}")
        self.dims = dims
        self.dtype = dtype
        self.seed = seed

    @property
    def whole(self) -> bool:
        """Whether embeddings are stored as they are."""
        return self.dims is None and self.dtype == "float32"

    def fit(self, embeddings: Vectors) -> RerankVectors:
        """Learn from embeddings `(n, dims)` of length 1 and return self; HashingError when they have too few dims."""
        if self.whole:
            return self
        embeddings = check_vectors(embeddings)
        self.check_dims(embeddings.shape[1])
        directions = np.eye(embeddings.shape[1]) if self.dims is None else principal_axes(embeddings, self.dims)
        if self.dtype == "int8":
            directions = directions @ random_rotation(directions.shape[1], np.random.default_rng(self.seed))
        self.directions_: Vectors = np.ascontiguousarray(directions, dtype=np.float32)
        return self

    def check_dims(self, available: int) -> None:
        """HashingError when embeddings have fewer dimensions than are to be stored."""
        if self.dims is not None and self.dims > available:
            raise HashingError(f"re-rank vectors have at most the embedding's {available} dims, got {self.dims}")

    def transform(self, embeddings: Vectors) -> NDArray[Any]:
        """What is stored of embeddings of length 1: `(n, embedding dims) -> (n, dims)` of the dtype.

        HashingError when one of them is not `representable`.
        """
        if self.whole:
            return check_vectors(embeddings)
        projected = self._project(embeddings)
        lengths = _lengths(projected)
        if (lengths < _LEAST_LENGTH).any():
            raise HashingError(
                f"a vector must lie at least {_LEAST_LENGTH:g} of its length in the {self.dims} directions that "
                f"re-rank vectors keep, got {lengths.min():.1e}"
            )
        if self.dtype == "float32":
            return normalised(projected)
        return np.rint(projected * (_MOST / np.abs(projected).max(axis=1, keepdims=True))).astype(np.int8)

    def representable(self, embeddings: Vectors) -> NDArray[np.bool_]:
        """Which embeddings `(n, embedding dims)` of length 1 can be stored: `(n,) bool`.

        False for one that is orthogonal to the PCA subspace, or nearly so.
        """
        if self.dims is None:
            return np.ones(len(embeddings), dtype=bool)
        representable: NDArray[np.bool_] = _lengths(self._project(embeddings)) >= _LEAST_LENGTH
        return representable

    def reconstruct(self, stored: NDArray[Any]) -> Vectors:
        """Embeddings of length 1, nearly those that were stored: `(n, dims) -> (n, embedding dims) float32`."""
        if self.whole:
            return check_vectors(stored)
        embeddings = check_vectors(stored, self.directions_.shape[1]) @ self.directions_.T
        return normalised(embeddings)

    def _project(self, embeddings: Vectors) -> Vectors:
        if not hasattr(self, "directions_"):
            raise HashingError("re-rank vectors must be fitted before they are used")
        return check_vectors(embeddings, len(self.directions_)) @ self.directions_

    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON holds them."""
        return {"dims": self.dims, "dtype": self.dtype, "seed": self.seed}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The learned arrays by name, as `np.savez` stores them."""
        return {} if self.whole else {"directions_": self.directions_}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> RerankVectors:
        """Take over learned arrays saved by `arrays` and return self."""
        if not self.whole:
            self.directions_ = arrays["directions_"]
        return self


def _lengths(vectors: Vectors) -> NDArray[np.float32]:
    lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1)
    return lengths


def as_json(vector: NDArray[Any]) -> NDArray[np.float32] | str:
    """A stored vector `(dims,)` as Elasticsearch takes it: floats as they are, bytes in hex, which is shorter."""
    return vector.tobytes().hex() if vector.dtype == np.int8 else vector
