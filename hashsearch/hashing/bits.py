"""Packed bits: codes are `(n, bits // 8) uint8`, most significant bit first, as `numpy.packbits` makes them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import HashingError

Codes = NDArray[np.uint8]
Vectors = NDArray[np.float32]
Labels = Sequence[Hashable] | NDArray[Any]  # one a vector; None or "" where its class is not known


def check_bits(bits: int) -> int:
    """Return `bits`; HashingError unless it is a positive multiple of 8, which is what a packed code can hold."""
    if bits <= 0 or bits % 8:
        raise HashingError(f"a code's length must be a positive multiple of 8 bits, got {bits}")
    return bits


def check_vectors(vectors: NDArray[np.floating], dims: int | None = None) -> Vectors:
    """Return `(n, dims) float32`; HashingError for another shape, for NaN or infinite values."""
    checked = np.ascontiguousarray(vectors, dtype=np.float32)
    if checked.ndim != 2 or (dims is not None and checked.shape[1] != dims):
        raise HashingError(f"vectors must have the shape (n, {dims or 'dims'}), got {np.shape(vectors)}")
    if not np.isfinite(checked).all():
        raise HashingError("vectors must be finite, got NaN or infinity")
    return checked


def check_labels(labels: Labels, count: int) -> Labels:
    """Return the labels; HashingError unless there is one for each of `count` vectors."""
    if len(labels) != count:
        raise HashingError(f"there must be one label for each vector, got {len(labels)} for {count}")
    return labels


def hamming(codes: Codes, others: Codes) -> NDArray[np.int32]:
    """Hamming distances of every code to every other one: `(n, b), (m, b) uint8 -> (n, m) int32`."""
    distances = np.empty((len(codes), len(others)), dtype=np.int32)
    for row, code in enumerate(codes):
        distances[row] = np.bitwise_count(others ^ code).sum(axis=1, dtype=np.int32)
    return distances


def flip_masks(width: int, flips: int) -> NDArray[np.bool_]:
    """All ways to flip at most `flips` of `width` bits, fewest first: `(masks, width) bool`."""
    chosen = [choice for count in range(flips + 1) for choice in combinations(range(width), count)]
    masks = np.zeros((len(chosen), width), dtype=bool)
    for row, positions in enumerate(chosen):
        masks[row, list(positions)] = True
    return masks
