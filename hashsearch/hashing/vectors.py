"""Vectors and labels: their types, checks, and the L2 normalisation."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import EncoderError, HashingError

Vectors = NDArray[np.float32]
ZeroPolicy = Literal["raise", "keep"]
Labels = Sequence[Hashable] | NDArray[Any]  # one per vector; None or "" if its class is unknown


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
        raise HashingError(f"there must be one label per vector, got {len(labels)} labels for {count} vectors")
    return labels


def is_normalizable(vectors: Vectors) -> NDArray[np.bool_]:
    """Which vectors `(n, dims)` can be compared by cosine: `(n,) bool`, False for zero, NaN and infinity."""
    usable: NDArray[np.bool_] = np.isfinite(vectors).all(axis=1) & (vectors != 0).any(axis=1)
    return usable


def normalised(vectors: NDArray[np.floating], dims: int | None = None, *, zero: ZeroPolicy = "raise") -> Vectors:
    """Vectors scaled to length 1: `(n, dims) -> (n, dims) float32`; HashingError for another shape.

    `zero` is the policy for rows without a direction: "raise" raises EncoderError for zero and HashingError for NaN and
    infinity, "keep" returns such rows unchanged.
    """
    vectors = _check_shape(vectors, dims) if zero == "keep" else check_vectors(vectors, dims)
    # In float32 the squares of numbers below 1e-23 would be zero, those of numbers above 1e19 infinite.
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    if zero == "keep":
        lengths[~((lengths > 0) & np.isfinite(lengths))] = 1
    elif not lengths.all():
        raise EncoderError("a vector must not be zero, as it is compared by cosine")
    scaled: Vectors = (vectors / lengths[:, np.newaxis]).astype(np.float32)
    return scaled
