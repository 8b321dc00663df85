"""Vectors and metadata with planted near-duplicates, of which the groups and the image to keep are known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.hashing.vectors import Vectors

DIMS = 96
COSINE = 0.98
NEAR, STEP = 4.0, 9.0  # degrees between a copy and its original, and between neighbours in the chain

# Rows of each planted group; all other vectors are far from everything. In the chain only neighbours are pairs.
FIVE, CHAIN, TWO, PAIR = range(5), range(5, 9), range(9, 11), range(11, 13)
COUNT = 40


def vectors() -> Vectors:
    """`(COUNT, DIMS)`: the rows of a range are near each other; different groups are orthogonal."""
    generator = np.random.default_rng(0)
    axes = np.linalg.qr(generator.standard_normal((DIMS, DIMS)))[0]
    planted_vectors = axes[:COUNT].copy()
    for group in (FIVE, TWO, PAIR):
        for row in group[1:]:
            planted_vectors[row] = turned(axes[group[0]], axes[row], NEAR)
    for link, row in enumerate(CHAIN):
        planted_vectors[row] = turned(axes[CHAIN[0]], axes[CHAIN[1]], STEP * link)
    lengths = generator.uniform(0.5, 2, (COUNT, 1))
    scaled: Vectors = (planted_vectors * lengths).astype(np.float32)
    return scaled


def turned(vector: NDArray[np.float64], aside: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """The vector rotated by an angle towards an orthogonal one."""
    rotated: NDArray[np.float64] = np.cos(np.radians(degrees)) * vector + np.sin(np.radians(degrees)) * aside
    return rotated


def texts() -> list[dict[str, Any]]:
    """The metadata of the images: in the first group the size grows with the row, all others have one size."""
    records: list[dict[str, Any]] = []
    for row in range(COUNT):
        size = {"width": 100 + 10 * row if row in FIVE else 100, "height": 80}
        at = {"indexed_at": f"2026-03-{28 - row % 28:02}T02:00:00+00:00"}
        records.append({"title": f"picture {row}", "category": ("mugs", "pens")[row % 2], **size, **at})
    for row, price in {0: "9.90", 1: "54.90", 2: "10", 3: "", 5: "7"}.items():
        records[row]["attributes"] = {"price": price, "shelf": f"s{row}"}
    return records
