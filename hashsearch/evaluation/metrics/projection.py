"""High-dimensional vectors as points of a plane, to be looked at: PCA and t-SNE."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hashsearch.hashing.vectors import Vectors, normalised

MOST = 1000  # pictures on one map
_NEIGHBOURS = 30  # t-SNE's perplexity: how many neighbours a point keeps near
_SAME = 1e-5  # less than that between any two vectors of length 1 is none
_DIMS = 50  # that t-SNE starts from: the rest is noise to it, and time


def projected(vectors: Vectors, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Vectors `(n, dims)`, seen by their direction, as `(n, 2)` by PCA and by t-SNE; None where there is no map."""
    found = components(vectors, seed)
    return None if found is None else (found[:, :2].astype(np.float64), placed(found, seed))


def components(vectors: Vectors, seed: int) -> NDArray[np.floating] | None:
    """Vectors `(n, dims)`, seen by their direction, as their first principal components `(n, 2..50)`.

    None for fewer than four, and for vectors that all point the same way: of these t-SNE crashes.
    """
    directions = normalised(vectors, zero="keep")
    if len(vectors) < 4 or vectors.shape[1] < 2 or np.ptp(directions, axis=0).max() < _SAME:
        return None
    from sklearn.decomposition import PCA

    # Its threads wait for each other a thousand times: on a busy machine two take many times as long as one.
    with threadpool_limits(1):
        found: NDArray[np.floating] = PCA(min(_DIMS, *directions.shape), random_state=seed).fit_transform(directions)
    return found


def placed(components: NDArray[np.floating], seed: int) -> NDArray[np.float64]:
    """Principal components of four points or more as `(n, 2)` by t-SNE.

    Van der Maaten and Hinton 2008, begun from the principal components as Kobak and Berens 2019 advise.
    """
    from sklearn.manifold import TSNE

    perplexity = min(_NEIGHBOURS, (len(components) - 1) / 3)
    with threadpool_limits(1):  # as above
        points = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(components)
    return np.asarray(points, np.float64)


def sampled(count: int, seed: int, most: int = MOST) -> NDArray[np.int64]:
    """At most `most` of `count` rows, ascending."""
    return np.sort(np.random.default_rng(seed).choice(count, min(most, count), replace=False)).astype(np.int64)
