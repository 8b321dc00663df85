"""How good a network is: retrieval among validation photos, accuracy of classes and of pairs. Pure numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashsearch.evaluation.metrics.ranking import average_precision, rank_same_class
from hashsearch.hashing.nearest import top_k
from hashsearch.hashing.vectors import Vectors, normalised

_RANKS = 10
_PAIRS = 20_000  # of each kind, drawn at random


def mean_average_precision(vectors: Vectors, labels: NDArray[np.int64]) -> float:
    """mAP@10 of `(n, dims)`, each a query against all others, except vectors that are the only one of their class."""
    _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    queries = counts[places] > 1
    if not queries.any():
        return 0.0
    ranks = min(_RANKS, len(labels) - 1)
    relevant = rank_same_class(normalised(vectors, zero="keep"), labels, ranks)
    return float(average_precision(relevant[queries], ranks, (counts[places] - 1)[queries]).mean())


def top_accuracy(scores: NDArray[np.floating], labels: NDArray[np.int64], k: int) -> float:
    """The share of rows of `(n, classes)` scores whose label is among the `k` largest."""
    return float((top_k(scores, k) == labels[:, None]).any(axis=1).mean())


def pair_distances(
    vectors: Vectors, labels: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
    """Euclidean distances of random pairs, half of them of one class, and which pairs those are."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, len(labels), (2, 50 * _PAIRS))
    same = labels[first] == labels[second]
    count = min(_PAIRS, int(((first != second) & same).sum()), int((~same).sum()))
    rows = np.concatenate([np.flatnonzero((first != second) & same)[:count], np.flatnonzero(~same)[:count]])
    return np.linalg.norm(vectors[first[rows]] - vectors[second[rows]], axis=1), same[rows]


def best_threshold(distances: NDArray[np.floating], same: NDArray[np.bool_]) -> float:
    """The distance up to which a pair is best taken for one class."""
    order = np.argsort(distances, kind="stable")
    right = np.cumsum(same[order]) + (~same).sum() - np.cumsum(~same[order])
    best = int(np.argmax(right))
    nearest = distances[order]
    return float(nearest[best] if best + 1 == len(order) else (nearest[best] + nearest[best + 1]) / 2)


def pair_accuracy(distances: NDArray[np.floating], same: NDArray[np.bool_], threshold: float) -> float:
    """The share of pairs that the threshold classifies correctly."""
    return float(((distances <= threshold) == same).mean())
