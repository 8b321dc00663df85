"""Embeddings to re-rank vectors: the form in which the index stores them, and whose cosine ranks the hits.

They, not the codes, determine the size of an index. Two options make them smaller and can be combined: PCA to the
`dims` directions in which embeddings are longest, and `int8`, one byte per component instead of four.
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
MAX_DIMS = 4096  # of a vector in Elasticsearch

_MAX_BYTE = 127  # -128 has no opposite in int8
_MIN_LENGTH = 1e-5  # of the projection of a vector of length 1; shorter ones are mostly rounding error


class RerankVectors:
    """How embeddings are stored to be compared by cosine; by default unchanged, as `float32`.

    `dims` is the number of PCA dimensions, None for no PCA. `dtype` is `float32`, or `int8` after a random rotation.
    Learned, unless stored unchanged: `directions_ (embedding dims, dims) float32`, orthonormal columns.

    The PCA is not centred: the axes of the second moments preserve scalar products best (Eckart and Young 1936), and
    the cosine of centred vectors differs from that of the embeddings. Projections are scaled to length 1, so that an
    image has cosine 1 to itself. The rotation spreads the length over all components; without it, a few large ones
    would leave the others few of the 255 steps. Each vector is scaled to a largest component of 127, which does not
    change its cosines.
    """

    def __init__(self, dims: int | None = None, dtype: str = "float32", seed: int = 0) -> None:
        if dtype not in RERANK_DTYPES:
            raise HashingError(f"the dtype of re-rank vectors must be {' or '.join(RERANK_DTYPES)}, got '{dtype}'")
        if dims is not None and dims < 1:
            raise HashingError(f"re-rank vectors must have at least 1 dimension, got {dims}")
        self.dims = dims
        self.dtype = dtype
        self.seed = seed

    @property
    def whole(self) -> bool:
        """Whether embeddings are stored unchanged."""
        return self.dims is None and self.dtype == "float32"

    def fit(self, embeddings: Vectors) -> RerankVectors:
        """Learn from embeddings `(n, dims)` of length 1 and return self; HashingError if they have too few dims."""
        embeddings = check_vectors(embeddings)
        self.check_dims(embeddings.shape[1])
        if self.whole:
            return self
        directions = np.eye(embeddings.shape[1]) if self.dims is None else principal_axes(embeddings, self.dims)
        if self.dtype == "int8":
            directions = directions @ random_rotation(directions.shape[1], np.random.default_rng(self.seed))
        self.directions_: Vectors = np.ascontiguousarray(directions, dtype=np.float32)
        return self

    def check_dims(self, available: int) -> None:
        """HashingError if embeddings have fewer dimensions than the re-rank vectors, or these more than MAX_DIMS."""
        if self.dims is not None and self.dims > available:
            raise HashingError(f"re-rank vectors can have at most the embedding's {available} dims, got {self.dims}")
        check_storable(self.dims or available)

    def transform(self, embeddings: Vectors) -> NDArray[Any]:
        """Re-rank vectors of embeddings of length 1: `(n, embedding dims) -> (n, dims) float32 | int8`.

        HashingError if one of them is not `representable`.
        """
        if self.whole:
            return check_vectors(embeddings)
        projected = self._project(embeddings)
        lengths = _lengths(projected)
        if (lengths < _MIN_LENGTH).any():
            raise HashingError(
                f"a vector must have at least {_MIN_LENGTH:g} of its length in the PCA subspace of {self.dims} dims, "
                f"got {lengths.min():.1e}"
            )
        if self.dtype == "float32":
            return normalised(projected)
        scales = _MAX_BYTE / np.abs(projected).max(axis=1, keepdims=True)
        quantised: NDArray[np.int8] = np.rint(projected * scales).astype(np.int8)
        return quantised

    def representable(self, embeddings: Vectors) -> NDArray[np.bool_]:
        """Which embeddings `(n, embedding dims)` of length 1 can be stored: `(n,) bool`.

        False for one that is orthogonal to the PCA subspace, or nearly so.
        """
        if self.dims is None:
            return np.ones(len(embeddings), dtype=bool)
        representable: NDArray[np.bool_] = _lengths(self._project(embeddings)) >= _MIN_LENGTH
        return representable

    def reconstruct(self, stored: NDArray[Any]) -> Vectors:
        """Approximate embeddings, of length 1, from re-rank vectors: `(n, dims) -> (n, embedding dims) float32`."""
        if self.whole:
            return check_vectors(stored)
        embeddings = check_vectors(stored, self.directions_.shape[1]) @ self.directions_.T
        return normalised(embeddings)

    def _project(self, embeddings: Vectors) -> Vectors:
        if not hasattr(self, "directions_"):
            raise HashingError("re-rank vectors must be fitted before they are used")
        return check_vectors(embeddings, len(self.directions_)) @ self.directions_

    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON."""
        return {"dims": self.dims, "dtype": self.dtype, "seed": self.seed}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The learned arrays by name, for `np.savez`."""
        return {} if self.whole else {"directions_": self.directions_}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> RerankVectors:
        """Set the learned arrays from `arrays` and return self."""
        if not self.whole:
            self.directions_ = arrays["directions_"]
        return self


def check_storable(dims: int) -> None:
    """HashingError if re-rank vectors of this length cannot be stored."""
    if dims > MAX_DIMS:
        raise HashingError(
            f"re-rank vectors may have at most {MAX_DIMS} dims, which is Elasticsearch's limit, got {dims}: "
            "fit the encoder with --rerank-dims 2048"
        )


def _lengths(vectors: Vectors) -> NDArray[np.float32]:
    lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1)
    return lengths


def as_json(vector: NDArray[Any]) -> NDArray[np.float32] | str:
    """A re-rank vector `(dims,)` for a JSON request: floats as they are, bytes as hex, which is shorter."""
    return vector.tobytes().hex() if vector.dtype == np.int8 else vector
