"""What a night keeps of the index's embeddings and answers, and how they differ from another night's.

Embeddings are compared as distributions, by a sample of each night. Answers are compared by probes: embeddings
of images picked in the first night, searched again every night, whether the images are still there or not.
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
from hashsearch.search.searcher import Searcher, SearchOptions

K = 10
SEED = 0
PROBES = 50
_KEPT = {"mean", "variance", "count", "probe_ids", "probe_vectors", "probe_hits"}
_SAME = 0.999  # cosine from which an image's embedding is what it was


def compared(
    searcher: Searcher, stored: Mapping[str, StoredVectors], history: History, before: Night | None, notes: list[str]
) -> tuple[dict[str, NDArray[Any]], dict[str, Any] | None, dict[str, Any] | None]:
    """What later nights compare with, the drift since the night before, and what became of its probes."""
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
    answers = _probe(searcher, probes)
    arrays |= {"probe_ids": ids, "probe_vectors": probes, "probe_hits": answers}
    if past is None:
        return arrays, None, None
    then = Spread(past["mean"], past["variance"], int(past["count"]))
    drift = {
        "mean_cosine": mean_cosine(spread, then),
        "distance": distance(spread, then),
        "noise": noise(vectors, then.count, SEED),
    }
    return arrays, drift, _probed(searcher.index, past, answers)


def _past(history: History, before: Night | None, fingerprint: str, notes: list[str]) -> dict[str, NDArray[Any]] | None:
    """The arrays of the night before, if they can be compared."""
    if before is None:
        return None
    if before["versions"]["encoder"] != fingerprint:
        notes.append(f"another encoder than on {before['at'][:10]}: embeddings are not compared")
        return None
    past = history.arrays(before)
    if past is None or not past.keys() >= _KEPT:
        notes.append(f"what was kept of {before['at'][:10]} is gone or damaged: embeddings are not compared")
        return None
    return past


def _probe(searcher: Searcher, probes: Vectors) -> NDArray[np.str_]:
    """`(probes, K)`: ids of the hits of the probes' embeddings, empty where there are fewer."""
    embeddings = searcher.encoder.rerank_vectors.reconstruct(probes)
    found = [[hit.id for hit in searcher.by_vector(embedding, SearchOptions(k=K))] for embedding in embeddings]
    return np.array([hits + [""] * (K - len(hits)) for hits in found])


def _probed(index: ImageIndex, past: Mapping[str, NDArray[Any]], answers: NDArray[np.str_]) -> dict[str, Any]:
    """Shares of the probes that are gone and whose embedding is another, and of the former hits that are hits still."""
    ids = past["probe_ids"].tolist()
    now = stored_vectors(index, ids)
    kept = [row for row, image_id in enumerate(ids) if image_id in now]
    cosines = np.einsum("ij,ij->i", directions(now), past["probe_vectors"][kept]) if kept else np.empty(0)
    former = [{*row} - {""} for row in past["probe_hits"].tolist()]
    still = [len(hits & {*row}) / len(hits) for hits, row in zip(former, answers.tolist()) if hits]
    return {
        "gone": 1 - len(kept) / len(ids),
        "changed": float(np.mean(cosines < _SAME)) if kept else 0.0,
        "same_hits": float(np.mean(still)) if still else 0.0,
    }
