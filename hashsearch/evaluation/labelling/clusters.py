"""Clusters of points that a person can name: k-means and HDBSCAN."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hashsearch.errors import EvaluationError

ALONE = -1  # the number of points in no cluster
_STARTS = 4  # of k-means: a single one sometimes merges two clusters
_MOST_PAIRED = 20_000  # points for HDBSCAN, which compares all pairs
_MOST_BY_DEFAULT = 100  # clusters: more are tedious to name, and Spotlight has no more colours

Points = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Clusters:
    """The cluster of each point.

    `numbers (n,) int64`: 0 is the largest cluster, ALONE means none. `certainty (n,) float64`: 1 is the most certain.
    """

    numbers: NDArray[np.int64]
    certainty: NDArray[np.float64]

    @property
    def count(self) -> int:
        """The number of clusters."""
        return int(self.numbers.max(initial=ALONE)) + 1


class Clustering(Protocol):
    """A clustering method."""

    def find(self, points: Points, seed: int) -> Clusters:
        """The clusters of points `(n, dims)`; EvaluationError if they cannot be clustered this way."""
        ...


@dataclass(frozen=True)
class KMeans:
    """`count` clusters; by default the square root of half the points (Mardia et al. 1979, section 13.1), at most 100.

    Certainty is the simplified silhouette (Hruschka et al. 2004): how much nearer the own centre is than the next.
    """

    count: int | None = None

    def find(self, points: Points, seed: int) -> Clusters:
        from sklearn.cluster import KMeans as Estimator

        count = min(max(round(math.sqrt(len(points) / 2)), 2), _MOST_BY_DEFAULT) if self.count is None else self.count
        if not 2 <= count <= len(points):
            raise EvaluationError(f"count must be 2 to the number of images, {len(points)}, got {count}")
        with threadpool_limits(1):  # with more, sums differ between runs by their order
            estimator = Estimator(count, n_init=_STARTS, random_state=seed).fit(points)
            nearest = np.partition(estimator.transform(points), 1, axis=1)
        own, next_best = nearest[:, 0], nearest[:, 1]
        return by_size(estimator.labels_, 1 - own / np.maximum(next_best, np.finfo(np.float64).tiny))


@dataclass(frozen=True)
class HDBSCAN:
    """Clusters of at least `smallest` points that are denser than their surroundings (Campello et al. 2013).

    Points between them are in no cluster. Certainty is the strength of a point's membership.
    """

    smallest: int = 5

    def find(self, points: Points, seed: int) -> Clusters:
        from sklearn.cluster import HDBSCAN as Estimator

        if len(points) > _MOST_PAIRED:
            raise EvaluationError(
                f"hdbscan compares all pairs, at most {_MOST_PAIRED} images, got {len(points)}: use --sample"
            )
        if not 2 <= self.smallest <= len(points):
            raise EvaluationError(f"smallest must be 2 to the number of images, {len(points)}, got {self.smallest}")
        estimator = Estimator(min_cluster_size=self.smallest, copy=True).fit(points)
        return by_size(estimator.labels_, estimator.probabilities_)


CLUSTERINGS: dict[str, type[KMeans] | type[HDBSCAN]] = {"kmeans": KMeans, "hdbscan": HDBSCAN}


def make_clustering(name: str, options: Mapping[str, int]) -> Clustering:
    """The clustering method of that name; EvaluationError for an unknown name or option."""
    if name not in CLUSTERINGS:
        raise EvaluationError(f"the clustering method must be one of {', '.join(CLUSTERINGS)}, got '{name}'")
    known = [field.name for field in fields(CLUSTERINGS[name])]
    if unknown := options.keys() - set(known):
        raise EvaluationError(f"{name} has only the option {', '.join(known)}, got '{', '.join(sorted(unknown))}'")
    return CLUSTERINGS[name](**options)


def by_size(numbers: NDArray[np.integer], certainty: NDArray[np.floating]) -> Clusters:
    """Clusters renumbered, the largest first and of equal ones the one with the first point; ALONE stays."""
    old, first, inverse, sizes = np.unique(numbers, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -sizes, old == ALONE))
    new = np.empty(len(old), np.int64)
    new[order] = np.arange(len(old))
    new[old == ALONE] = ALONE
    return Clusters(new[inverse.ravel()], np.asarray(certainty, np.float64))
