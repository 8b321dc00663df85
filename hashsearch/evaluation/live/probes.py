"""The embeddings and hits that a night stores, and how they differ from another night's.

Embeddings are compared as distributions, by a sample of each night. Hits are compared by probes: embeddings of images
chosen in the first night and searched again every night, whether their images still exist or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.elastic.document import StoredVectors
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.evaluation.live.drift import Spread, distance, mean_cosine, noise
from hashsearch.evaluation.live.exact import directions, stored_vectors
from hashsearch.evaluation.live.history import History, Night
from hashsearch.hashing.vectors import Vectors
from hashsearch.search.planner import SearchOptions
from hashsearch.search.searcher import Searcher

K = 10
SEED = 0
PROBES = 50
_ARRAYS = {"mean", "variance", "count", "probe_ids", "probe_vectors", "probe_hits"}
_SAME = 0.999  # an image's embedding counts as unchanged from this cosine on


def compared(
    searcher: Searcher, stored: Mapping[str, StoredVectors], history: History, before: Night | None, notes: list[str]
) -> tuple[dict[str, NDArray[Any]], dict[str, Any] | None, dict[str, Any] | None]:
    """Tonight's arrays for later nights, the drift since the night before, and the changes of its probes."""
    vectors = directions(stored)
    spread = Spread.of(vectors)
    arrays: dict[str, NDArray[Any]] = {
        "mean": spread.mean,
        "variance": spread.variance,
        "count": np.array(len(vectors)),
    }
    past = _past(history, before, searcher.encoder.fingerprint, notes)
    ids = past["probe_ids"] if past else np.array([*stored][:PROBES])
    probes = past["probe_vectors"] if past else vectors[:PROBES]
    hits = _hits(searcher, probes)
    arrays |= {"probe_ids": ids, "probe_vectors": probes, "probe_hits": hits}
    if past is None:
        return arrays, None, None
    then = Spread(past["mean"], past["variance"], int(past["count"]))
    drift = {
        "mean_cosine": mean_cosine(spread, then),
        "distance": distance(spread, then),
        "noise": noise(vectors, then.count, SEED),
    }
    return arrays, drift, _changes(searcher.index, past, hits)


def _past(history: History, before: Night | None, fingerprint: str, notes: list[str]) -> dict[str, NDArray[Any]] | None:
    """The arrays of the night before, None if they cannot be compared."""
    if before is None:
        return None
    if before["versions"]["encoder"] != fingerprint:
        notes.append(f"embeddings not compared: the encoder differs from that of {before['at'][:10]}")
        return None
    past = history.arrays(before)
    if past is None or not past.keys() >= _ARRAYS:
        notes.append(f"embeddings not compared: the arrays of {before['at'][:10]} are missing or damaged")
        return None
    return past


def _hits(searcher: Searcher, probes: Vectors) -> NDArray[np.str_]:
    """`(probes, K)`: ids of the hits of the probes' embeddings, "" where there are fewer."""
    embeddings = searcher.encoder.rerank_vectors.reconstruct(probes)
    ids = [[hit.id for hit in searcher.by_vector(embedding, SearchOptions(k=K))] for embedding in embeddings]
    return np.array([of_probe + [""] * (K - len(of_probe)) for of_probe in ids])


def _changes(index: ImageIndex, past: Mapping[str, NDArray[Any]], hits: NDArray[np.str_]) -> dict[str, Any]:
    """Shares of the probes that are deleted and that have a new embedding, and of the former hits that are hits now."""
    ids = past["probe_ids"].tolist()
    now = stored_vectors(index, ids)
    indexed = [row for row, image_id in enumerate(ids) if image_id in now]
    cosines = np.einsum("ij,ij->i", directions(now), past["probe_vectors"][indexed]) if indexed else np.empty(0)
    former = [{*row} - {""} for row in past["probe_hits"].tolist()]
    shares = [len(before & {*row}) / len(before) for before, row in zip(former, hits.tolist()) if before]
    return {
        "gone": 1 - len(indexed) / len(ids),
        "changed": float(np.mean(cosines < _SAME)) if indexed else 0.0,
        "same_hits": float(np.mean(shares)) if shares else 0.0,
    }
