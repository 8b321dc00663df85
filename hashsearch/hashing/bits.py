"""Packed bits: codes are `(n, bits // 8) uint8`, most significant bit first, as `numpy.packbits` makes them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import HashingError

Codes = NDArray[np.uint8]


def check_bits(bits: int) -> int:
    """Return `bits`; HashingError unless it is a positive multiple of 8, as packed codes are whole bytes."""
    if bits <= 0 or bits % 8:
        raise HashingError(f"bits must be a positive multiple of 8, got {bits}")
    return bits


def hamming(codes: Codes, others: Codes) -> NDArray[np.int32]:
    """Hamming distances between all codes and all others: `(n, b), (m, b) uint8 -> (n, m) int32`."""
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
