"""Vectors: their types, checks, and the one way to scale them to length 1."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import EncoderError, HashingError

Vectors = NDArray[np.float32]
ZeroPolicy = Literal["raise", "keep"]
Labels = Sequence[Hashable] | NDArray[Any]  # one a vector; None or "" where its class is not known


def check_vectors(vectors: NDArray[np.floating], dims: int | None = None) -> Vectors:
    """Return `(n, dims) float32`; HashingError for another shape, for NaN or infinite values."""
    checked = _check_shape(vectors, dims)
    if not np.isfinite(checked).all():
        raise HashingError("vectors must be finite, got NaN or infinity")
    return checked


def _check_shape(vectors: NDArray[np.floating], dims: int | None) -> Vectors:
    checked = np.ascontiguousarray(vectors, dtype=np.float32)
    if checked.ndim != 2 or (dims is not None and checked.shape[1] != dims):
        raise HashingError(f"vectors must have the shape (n, {dims or 'dims'}), got {np.shape(vectors)}")
    return checked


def check_labels(labels: Labels, count: int) -> Labels:
    """Return the labels; HashingError unless there is one for each of `count` vectors."""
    if len(labels) != count:
        raise HashingError(f"there must be one label for each vector, got {len(labels)} for {count}")
    return labels


def is_normalizable(vectors: Vectors) -> NDArray[np.bool_]:
    """Which of the vectors `(n, dims)` can be compared by cosine: `(n,) bool`, False for zero, NaN and infinity."""
    usable: NDArray[np.bool_] = np.isfinite(vectors).all(axis=1) & (vectors != 0).any(axis=1)
    return usable


def normalised(vectors: NDArray[np.floating], dims: int | None = None, *, zero: ZeroPolicy = "raise") -> Vectors:
    """Vectors `(n, dims)` scaled to length 1, as float32.

    `zero` is the policy for rows without a direction: "raise" an EncoderError for zero and a HashingError for NaN and
    infinity, or "keep" such rows as they are. HashingError for another shape.
    """
    vectors = _check_shape(vectors, dims) if zero == "keep" else check_vectors(vectors, dims)
    # In double precision, or the squares of numbers as small as 1e-23 would be zero, of those above 1e19 infinite.
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    if zero == "keep":
        lengths[~((lengths > 0) & np.isfinite(lengths))] = 1
    elif not lengths.all():
        raise EncoderError("a vector must have a direction to compare by cosine, got a zero vector")
    return (vectors / lengths[:, np.newaxis]).astype(np.float32)
