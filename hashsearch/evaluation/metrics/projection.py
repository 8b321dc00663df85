"""Maps of high-dimensional vectors, for people to look at: PCA and t-SNE."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from hashsearch.hashing.vectors import Vectors, normalised

MOST = 1000  # points on one map
_NEIGHBOURS = 30  # t-SNE's perplexity: about how many neighbours a point keeps close
_SAME = 1e-5  # vectors of length 1 that differ by less count as equal
_DIMS = 50  # principal components that t-SNE starts from; more add noise and time


def projected(vectors: Vectors, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Vectors as points on two maps, one by PCA and one by t-SNE.

    Parameters
    ----------
    vectors : (n, dims) float32
        Only their directions count.
    seed : int
        Seed of both methods.

    Returns
    -------
    tuple of two (n, 2) float64, or None
        The points by PCA and by t-SNE; None where `components` has none.
    """
    axes = components(vectors, seed)
    return None if axes is None else (axes[:, :2].astype(np.float64), placed(axes, seed))


def components(vectors: Vectors, seed: int) -> NDArray[np.floating] | None:
    """The first principal components `(n, 2 to 50)` of the directions of vectors `(n, dims)`.

    None for fewer than four vectors, and for vectors that all have the same direction: t-SNE crashes on these.
    """
    directions = normalised(vectors, zero="keep")
    if len(vectors) < 4 or vectors.shape[1] < 2 or np.ptp(directions, axis=0).max() < _SAME:
        return None
    from sklearn.decomposition import PCA

    # Its threads wait for each other thousands of times: on a busy machine two take many times as long as one.
    with threadpool_limits(1):
        fitted: NDArray[np.floating] = PCA(min(_DIMS, *directions.shape), random_state=seed).fit_transform(directions)
    return fitted


def placed(components: NDArray[np.floating], seed: int) -> NDArray[np.float64]:
    """Principal components of at least four points as points `(n, 2)` by t-SNE.

    Van der Maaten and Hinton 2008, initialised with the principal components as Kobak and Berens 2019 advise.
    """
    from sklearn.manifold import TSNE

    perplexity = min(_NEIGHBOURS, (len(components) - 1) / 3)
    with threadpool_limits(1):  # as above
        points = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(components)
    return np.asarray(points, np.float64)


def sampled(count: int, seed: int, most: int = MOST) -> NDArray[np.int64]:
    """At most `most` random rows out of `count`, in ascending order."""
    return np.sort(np.random.default_rng(seed).choice(count, min(most, count), replace=False)).astype(np.int64)
