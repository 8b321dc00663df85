"""Retrieval metrics on ranked relevance, pure numpy."""

from __future__ import annotations

import numpy as np


def precision_at(relevant: np.ndarray, k: int) -> float:
    """The mean share of relevant hits among the first `k`; `relevant` is `(queries, ranks) bool`, best rank first."""
    return float(relevant[:, :k].mean())


def average_precision_at(relevant: np.ndarray, k: int) -> float:
    """The mean over queries of average precision at `k`, over the relevant hits found.

    A query's average precision is the mean, over its relevant hits among the first `k`, of the precision at their
    ranks; 0 where none of them is relevant.
    """
    hits = relevant[:, :k].astype(np.float64)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    found = hits.sum(axis=1)
    return float(((precision * hits).sum(axis=1) / np.maximum(found, 1)).mean())


def rank_same_class(vectors: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """`(n, k) bool`: whether each vector's `k` nearest others by cosine carry its label; vectors are L2-normalised."""
    same = np.empty((len(vectors), k), bool)
    for first in range(0, len(vectors), 1024):
        rows = np.arange(first, min(first + 1024, len(vectors)))
        cosines = vectors[rows] @ vectors.T
        cosines[rows - first, rows] = -np.inf
        nearest = np.argpartition(-cosines, k, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(cosines, nearest, axis=1), axis=1, kind="stable")
        same[rows] = labels[np.take_along_axis(nearest, order, axis=1)] == labels[rows, None]
    return same
