"""An index with planted near-duplicates: what is a group in it, and what is kept of it, is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashsearch.hashing.vectors import Vectors

DIMS = 96
COSINE = 0.98
NEAR, STEP = 4.0, 9.0  # degrees between copies and their original, between the links of the chain

# Rows of each planted group; all other vectors are far from everything. Of the chain only neighbours are pairs.
FIVE, CHAIN, TWO, PAIR = range(5), range(5, 9), range(9, 11), range(11, 13)
COUNT = 40


def vectors() -> Vectors:
    """`(COUNT, DIMS)`: the groups lie where the ranges say, in directions at right angles to each other."""
    generator = np.random.default_rng(0)
    axes = np.linalg.qr(generator.standard_normal((DIMS, DIMS)))[0]
    made = axes[:COUNT].copy()
    for group in (FIVE, TWO, PAIR):
        for row in group[1:]:
            made[row] = turned(axes[group[0]], axes[row], NEAR)
    for link, row in enumerate(CHAIN):
        made[row] = turned(axes[CHAIN[0]], axes[CHAIN[1]], STEP * link)
    lengths = generator.uniform(0.5, 2, (COUNT, 1))
    return (made * lengths).astype(np.float32)


def turned(vector: np.ndarray, aside: np.ndarray, degrees: float) -> np.ndarray:
    """The vector turned by an angle towards another one at right angles to it."""
    vectors: np.ndarray = np.cos(np.radians(degrees)) * vector + np.sin(np.radians(degrees)) * aside
    return vectors


def texts() -> list[dict[str, Any]]:
    """What is stored of the images: sizes grow with the row within five, all others are of one size."""
    told: list[dict[str, Any]] = []
    for row in range(COUNT):
        size = {"width": 100 + 10 * row if row in FIVE else 100, "height": 80}
        at = {"indexed_at": f"2026-03-{28 - row % 28:02}T02:00:00+00:00"}
        told.append({"title": f"picture {row}", "category": ("mugs", "pens")[row % 2], **size, **at})
    for row, price in {0: "9.90", 1: "54.90", 2: "10", 3: "", 5: "7"}.items():
        told[row]["attributes"] = {"price": price, "shelf": f"s{row}"}
    return told
