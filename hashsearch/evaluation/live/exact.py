"""The vectors that an index stores, and the nearest of them by exact cosine: what searches are measured by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hashsearch.elastic.document import StoredVectors
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.hashing.vectors import Vectors, normalised

PAGE = 500
_ROUNDING = 1e-6


def nearest(index: ImageIndex, queries: Mapping[str, StoredVectors], k: int) -> NDArray[np.float32]:
    """Cosines `(queries, k)` of the images nearest to each indexed image, itself left out, best first."""
    return nearest_to(index, directions(queries), k, [*queries])


def nearest_to(index: ImageIndex, asked: Vectors, k: int, own: Sequence[str] = ()) -> NDArray[np.float32]:
    """Cosines `(n, k)` of the images nearest to each re-rank vector `(n, dims)` of length 1, best first.

    Minus infinity where the index holds fewer. `own` are the ids of the images that the vectors are of, each left out
    of its own row. All stored re-rank vectors are read once, in pages: Elasticsearch's own exact search needs scripts,
    which some clusters do not allow, or an index without a graph.
    """
    best = np.full((len(asked), k), -np.inf, np.float32)
    with tqdm(total=index.count(), desc="exact", unit=" images") as bar:
        for ids, vectors in index.rerank_vectors([]):
            stored = normalised(vectors.astype(np.float32), vectors.shape[1])
            best = _better(best, asked @ stored.T, own, ids)
            bar.update(len(ids))
    return -np.sort(-best, axis=1)


def share_found(cosines: Sequence[float], exact: NDArray[np.float32]) -> float:
    """The share of the exact nearest, given by their cosines, that an answer reaches; equal pictures are no misses."""
    wanted = exact[np.isfinite(exact)]
    near = sum(cosine >= wanted[-1] - _ROUNDING for cosine in cosines)
    return min(1.0, near / len(wanted))


def _better(
    best: NDArray[np.float32], cosines: NDArray[np.float32], own: Sequence[str], page: Sequence[str]
) -> NDArray[np.float32]:
    """The best cosines so far and of a page `(queries, page)`."""
    column = {image_id: place for place, image_id in enumerate(page)}
    for row, image_id in enumerate(own):
        if image_id in column:
            cosines[row, column[image_id]] = -np.inf
    both = np.concatenate([best, cosines], axis=1)
    return np.partition(both, -best.shape[1], axis=1)[:, -best.shape[1] :]


def stored_vectors(index: ImageIndex, image_ids: Sequence[str]) -> dict[str, StoredVectors]:
    """What is searched of images, in their order; those that went away meanwhile are left out."""
    found: dict[str, StoredVectors] = {}
    for start in range(0, len(image_ids), PAGE):
        found |= index.vectors(image_ids[start : start + PAGE])
    return {image_id: found[image_id] for image_id in image_ids if image_id in found}


def directions(stored: Mapping[str, StoredVectors]) -> Vectors:
    """Their re-rank vectors `(n, dims) float32`, of length 1."""
    vectors = np.stack([one.rerank_vector for one in stored.values()])
    return normalised(vectors.astype(np.float32), vectors.shape[1])
