"""Vectors to all pairs of them whose cosine reaches a threshold.

Every vector is compared with every other, by sketches of 64 numbers whose dot product is never below the cosine; only
pairs that the sketches do not rule out are compared in full. So no pair is missed. The cost grows with the square of
the number of vectors, but is a fraction of that of plain comparison. It is lowest where similar images are adjacent, as
in an index sorted by cell: the pairs to compare in full are then in few tiles.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hashsearch.duplicates.sketches import ROUNDING, Sketches
from hashsearch.duplicates.spool import Rows, Spool
from hashsearch.hashing.vectors import Vectors, normalised
from hashsearch.overlap import prefetch
from hashsearch.progress import Progress, no_progress, tracked

Pairs = tuple[Rows, Rows]

EQUAL = 1e-6  # tolerance of the threshold: by rounding, equal images have cosines slightly below 1
_TILE = 512  # rows; the scalar products of two tiles stay in the processor's cache
_STRIP = 8 * _TILE  # rows that a tile is compared with at a time
_LEARNED_FROM = 2048  # vectors that the axes are fitted to; the bound holds for any axes


def similar_pairs(vectors: Spool, cosine: float, progress: Progress = no_progress) -> Iterator[Pairs]:
    """All pairs of rows `(pairs,), (pairs,)` whose vectors have at least this cosine, in batches.

    Each pair comes once, the lower row first. The vectors may have any length but zero.
    """
    if len(vectors) < 2:
        return
    # By default BLAS uses all cores for each small product and keeps them spinning afterwards.
    workers = os.cpu_count() or 1
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(workers, "compare") as pool:
        comparison = _Comparison(vectors, _sketched(vectors), cosine)
        strips = tracked(list(_strips(len(vectors))), "compare vectors", progress)
        for pairs in prefetch(strips, lambda strip: pool.submit(comparison.pairs, *strip), ahead=workers):
            yield pairs.result()


def directions(vectors: Spool, rows: Rows) -> Vectors:
    """The vectors of these rows, normalized: `(n, dims) float32`."""
    return normalised(vectors.take(rows).astype(np.float32), vectors.dims)


def _strips(count: int) -> Iterator[tuple[int, int]]:
    """Start rows of tile and strip, for all on or above the diagonal."""
    return ((row, column) for row in range(0, count, _TILE) for column in range(row, count, _STRIP))


def _sketched(vectors: Spool) -> Spool:
    count = len(vectors)
    sample = np.random.default_rng(0).choice(count, min(count, _LEARNED_FROM), replace=False)
    sketches = Sketches().fit(directions(vectors, np.sort(sample)))
    spool = Spool(sketches.width, "float32")
    for start in range(0, count, _TILE):
        part = vectors.read(start, _TILE).astype(np.float32)
        spool.append(sketches.transform(normalised(part, vectors.dims)))
    return spool


@dataclass(frozen=True)
class _Comparison:
    """Vectors, their sketches in the same order, and the threshold."""

    vectors: Spool
    sketches: Spool
    cosine: float

    def pairs(self, row: int, column: int) -> Pairs:
        """The pairs between the tile starting at `row` and the strip starting at `column`, which is not below `row`."""
        tile, strip = self.sketches.read(row, _TILE), self.sketches.read(column, _STRIP)
        confirmed = [(np.empty(0, np.int64), np.empty(0, np.int64))]
        for start in range(0, len(strip), _TILE):
            near = tile @ strip[start : start + _TILE].T >= self.cosine - ROUNDING
            if row == column + start:
                near = np.triu(near, 1)
            confirmed.append(self._confirmed(near, row, column + start))
        firsts, seconds = zip(*confirmed)
        return np.concatenate(firsts), np.concatenate(seconds)

    def _confirmed(self, near: NDArray[np.bool_], row: int, column: int) -> Pairs:
        """The pairs `(tile, tile) bool` with similar sketches whose vectors reach the cosine too."""
        rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        if not len(rows):
            return rows, columns
        cosines = directions(self.vectors, row + rows) @ directions(self.vectors, column + columns).T
        firsts, seconds = np.nonzero(near[np.ix_(rows, columns)] & (cosines >= self.cosine - EQUAL))
        return row + rows[firsts], column + columns[seconds]
