"""The vectors stored in an index, and the nearest of them by exact cosine: the reference that recall is measured by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hashsearch.elastic.document import StoredVectors
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.hashing.nearest import top_k
from hashsearch.hashing.vectors import Vectors, normalised
from hashsearch.progress import Progress, no_progress

PAGE = 500
_ROUNDING = 1e-6


def nearest(
    index: ImageIndex, queries: Mapping[str, StoredVectors], k: int, progress: Progress = no_progress
) -> NDArray[np.float32]:
    """Cosines `(queries, k)` of the images nearest to each indexed image, without itself, best first."""
    return nearest_to(index, directions(queries), k, [*queries], progress)


def nearest_to(
    index: ImageIndex, queries: Vectors, k: int, own: Sequence[str] = (), progress: Progress = no_progress
) -> NDArray[np.float32]:
    """Cosines `(n, k)` of the images nearest to each re-rank vector `(n, dims)` of length 1, best first.

    Minus infinity where the index holds fewer. `own` are the ids of the vectors' images, each excluded from its own
    row. All stored re-rank vectors are read once, in pages: Elasticsearch's own exact search needs scripts, which some
    clusters do not allow, or an index without a graph.
    """
    best = np.full((len(queries), k), -np.inf, np.float32)
    done, total = 0, index.count()
    for ids, vectors in index.rerank_vectors([]):
        best = _better(best, queries @ normalised(vectors).T, own, ids)
        done += len(ids)
        progress("exact neighbours", done, total)
    return best


def share_found(hits: Sequence[float], exact: NDArray[np.float32]) -> float:
    """The share of the exact nearest (their cosines) that the hits reach; a hit equally near is not a miss."""
    cosines = exact[np.isfinite(exact)]
    near = sum(bool(cosine >= cosines[-1] - _ROUNDING) for cosine in hits)
    return min(1.0, near / len(cosines))


def _better(
    best: NDArray[np.float32], cosines: NDArray[np.float32], own: Sequence[str], page: Sequence[str]
) -> NDArray[np.float32]:
    """The best of the cosines so far and of a page `(queries, page)`, best first, without each query's own image."""
    column = {image_id: number for number, image_id in enumerate(page)}
    for row, image_id in enumerate(own):
        if image_id in column:
            cosines[row, column[image_id]] = -np.inf
    both = np.concatenate([best, cosines], axis=1)
    return np.take_along_axis(both, top_k(both, best.shape[1]), axis=1)


def stored_vectors(index: ImageIndex, image_ids: Sequence[str]) -> dict[str, StoredVectors]:
    """The stored vectors of images, in their order, without images that have been deleted since."""
    stored: dict[str, StoredVectors] = {}
    for start in range(0, len(image_ids), PAGE):
        stored |= index.vectors(image_ids[start : start + PAGE])
    return {image_id: stored[image_id] for image_id in image_ids if image_id in stored}


def directions(stored: Mapping[str, StoredVectors]) -> Vectors:
    """The images' re-rank vectors `(n, dims) float32`, scaled to length 1."""
    return normalised(np.stack([image.rerank_vector for image in stored.values()]))
