"""Exact neighbours by cosine, and the recall of an answer against them; pure numpy, in blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import SearchError
from hashsearch.hashing.nearest import top_k
from hashsearch.hashing.vectors import Vectors

BLOCK = 8192  # rows compared with all queries at once
TOLERANCE = 1e-6  # rounding of a float32 cosine


def blocks_of(vectors: Vectors) -> Iterator[Vectors]:
    """The rows of `(n, dims)`, possibly a memory map, in blocks."""
    for start in range(0, len(vectors), BLOCK):
        yield np.asarray(vectors[start : start + BLOCK])


def nearest(queries: Vectors, blocks: Iterable[Vectors], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows and cosines of each query's `k` nearest, best first: `(queries, k)`, fewer columns for fewer rows.

    All vectors have length 1; rows are numbered across the blocks.
    """
    rows = np.empty((len(queries), 0), dtype=np.int64)
    cosines = np.empty((len(queries), 0), dtype=np.float32)
    first = 0
    for block in blocks:
        found = queries @ block.T
        best = top_k(found, k)
        cosines = np.hstack([cosines, np.take_along_axis(found, best, axis=1)])
        rows = np.hstack([rows, best + first])
        kept = top_k(cosines, k)
        rows, cosines = np.take_along_axis(rows, kept, axis=1), np.take_along_axis(cosines, kept, axis=1)
        first += len(block)
    return rows, cosines


def check_answer(rows: NDArray[np.int64], k: int, count: int) -> None:
    """Raise SearchError unless the answer is at most `k` distinct rows of `count`."""
    if rows.ndim != 1 or len(rows) > k:
        raise SearchError(f"an answer must be at most {k} rows, got an array of shape {rows.shape}")
    if len(rows) and not (rows.min() >= 0 and rows.max() < count):
        raise SearchError(f"an answer's rows must be 0 to {count - 1}, got {rows.min()} to {rows.max()}")
    if len(np.unique(rows)) < len(rows):
        raise SearchError(f"an answer's rows must be distinct, got {rows.tolist()}")


def recall(vectors: Vectors, query: Vectors, rows: NDArray[np.int64], exact: NDArray[np.float32]) -> float:
    """The share of the exact `k` neighbours in an answer, by cosines computed from the vectors `(n, dims)`.

    `exact` are the cosines of the k nearest, best first. As in ann-benchmarks, a row counts when its cosine reaches
    that of the k-th, so that equal vectors are interchangeable. SearchError for rows that cannot be an answer.
    """
    check_answer(rows, len(exact), len(vectors))
    # Row by row: a memory map reads only these.
    cosines = np.array([np.dot(vectors[row].astype(np.float64), query.astype(np.float64)) for row in rows])
    return float((cosines >= exact[-1] - TOLERANCE).sum() / len(exact))
