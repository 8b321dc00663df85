"""High-dimensional vectors as points of a plane, to be looked at: PCA and t-SNE."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hashsearch.hashing.bits import Vectors

MOST = 1000  # pictures on one map
_NEIGHBOURS = 30  # t-SNE's perplexity: how many neighbours a point keeps near
_SAME = 1e-5  # less than that between any two vectors of length 1 is none
_DIMS = 50  # that t-SNE starts from: the rest is noise to it, and time


def projected(vectors: Vectors, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Vectors `(n, dims)`, seen by their direction, as `(n, 2)` by PCA and by t-SNE.

    None for fewer than four, and for vectors that all point the same way: of these t-SNE crashes.
    t-SNE: van der Maaten and Hinton 2008, begun from the principal components as Kobak and Berens 2019 advise.
    """
    directions = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    if len(vectors) < 4 or vectors.shape[1] < 2 or np.ptp(directions, axis=0).max() < _SAME:
        return None
    import sklearn.manifold  # noqa: F401  (before the limit, which holds for what is loaded)

    # Its threads wait for each other a thousand times: on a busy machine two take many times as long as one.
    with threadpool_limits(1):
        components = _components(directions, seed)
        return components[:, :2].astype(np.float64), _placed(components, seed)


def _components(directions: Vectors, seed: int) -> NDArray[np.float64]:
    from sklearn.decomposition import PCA

    components: NDArray[np.float64] = PCA(min(_DIMS, *directions.shape), random_state=seed).fit_transform(directions)
    return components


def _placed(components: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    from sklearn.manifold import TSNE

    perplexity = min(_NEIGHBOURS, (len(components) - 1) / 3)
    placed = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(components)
    return np.asarray(placed, np.float64)


def sampled(count: int, seed: int) -> NDArray[np.int64]:
    """At most `MOST` of `count` rows, ascending."""
    return np.sort(np.random.default_rng(seed).choice(count, min(MOST, count), replace=False)).astype(np.int64)
