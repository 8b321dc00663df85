"""Points to clusters that a person can name: k-means and HDBSCAN, in a name table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hashsearch.errors import EvaluationError

ALONE = -1  # the number of what is in no cluster
_STARTS = 4  # of k-means: one alone now and then leaves two clusters as one
_MOST_PAIRED = 20_000  # points that HDBSCAN compares with each other
_MOST_BY_DEFAULT = 100  # clusters: as many as a person may name, and Spotlight tell apart by colour

Points = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Clusters:
    """`numbers (n,) int64`: 0 is the largest cluster, ALONE what is in none; `certainty (n,) float64`, 1 the surest."""

    numbers: NDArray[np.int64]
    certainty: NDArray[np.float64]

    @property
    def count(self) -> int:
        """How many clusters there are."""
        return int(self.numbers.max(initial=ALONE)) + 1


class Clustering(Protocol):
    """One way to cluster."""

    def find(self, points: Points, seed: int) -> Clusters:
        """The clusters of points `(n, dims)`; EvaluationError for points that it cannot cluster."""
        ...


@dataclass(frozen=True)
class KMeans:
    """`count` clusters; without it the square root of half the points (Mardia et al. 1979, section 13.1), at most 100.

    Certainty is the simplified silhouette (Hruschka et al. 2004): how much nearer the own centre is than the next.
    """

    count: int | None = None

    def find(self, points: Points, seed: int) -> Clusters:
        from sklearn.cluster import KMeans as Model

        count = min(max(round(math.sqrt(len(points) / 2)), 2), _MOST_BY_DEFAULT) if self.count is None else self.count
        if not 2 <= count <= len(points):
            raise EvaluationError(f"k-means finds 2 clusters or more, as many as pictures at most, got {count}")
        with threadpool_limits(1):  # or sums differ between runs by their order
            model = Model(count, n_init=_STARTS, random_state=seed).fit(points)
            nearest = np.partition(model.transform(points), 1, axis=1)
        own, next_best = nearest[:, 0], nearest[:, 1]
        return by_size(model.labels_, 1 - own / np.maximum(next_best, np.finfo(np.float64).tiny))


@dataclass(frozen=True)
class HDBSCAN:
    """As many clusters as are denser than what is around them, of `smallest` points or more (Campello et al. 2013).

    Points between them are in none. Certainty is the strength with which a point belongs to its cluster.
    """

    smallest: int = 5

    def find(self, points: Points, seed: int) -> Clusters:
        from sklearn.cluster import HDBSCAN as Model

        if len(points) > _MOST_PAIRED:
            raise EvaluationError(
                f"hdbscan compares all pairs, of {_MOST_PAIRED} pictures at most, got {len(points)}: take a sample"
            )
        if not 2 <= self.smallest <= len(points):
            raise EvaluationError(
                f"hdbscan finds clusters of 2 pictures or more, of all at most, got smallest {self.smallest}"
            )
        model = Model(min_cluster_size=self.smallest, copy=True).fit(points)
        return by_size(model.labels_, model.probabilities_)


CLUSTERINGS: dict[str, type[KMeans] | type[HDBSCAN]] = {"kmeans": KMeans, "hdbscan": HDBSCAN}


def make_clustering(name: str, options: Mapping[str, int]) -> Clustering:
    """The clustering of that name; EvaluationError for a name or option that it has not."""
    if name not in CLUSTERINGS:
        raise EvaluationError(f"clusters must be found by one of {', '.join(CLUSTERINGS)}, got '{name}'")
    known = [field.name for field in fields(CLUSTERINGS[name])]
    if unknown := options.keys() - set(known):
        raise EvaluationError(f"{name} has the option {', '.join(known)}, got '{', '.join(sorted(unknown))}'")
    return CLUSTERINGS[name](**options)


def by_size(numbers: NDArray[np.integer], certainty: NDArray[np.floating]) -> Clusters:
    """Clusters numbered anew, the largest first, of two as large the one that comes first; ALONE stays."""
    found, first, inverse, sizes = np.unique(numbers, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -sizes, found == ALONE))
    new = np.empty(len(found), np.int64)
    new[order] = np.arange(len(found))
    new[found == ALONE] = ALONE
    return Clusters(new[inverse.ravel()], np.asarray(certainty, np.float64))
