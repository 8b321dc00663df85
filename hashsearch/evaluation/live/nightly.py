"""The nightly measurement of an index in use, compared with earlier nights.

Queries are random indexed images, excluded from their own hits, searched with the default options as users search.
Recall is measured against exact cosine over all stored re-rank vectors, computed by numpy. A hit counts when its cosine
reaches that of the exact tenth, so equal pictures are not misses. What re-rank vectors lose compared with the
embeddings themselves is not measured here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np

from hashsearch.elastic.client import store_errors
from hashsearch.elastic.document import StoredVectors
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.errors import EvaluationError, ImageNotFound
from hashsearch.evaluation.live.exact import PAGE, nearest, share_found, stored_vectors
from hashsearch.evaluation.live.history import History, Night, summary, worse
from hashsearch.evaluation.live.probes import SEED, K, compared
from hashsearch.evaluation.metrics import ranking as metrics
from hashsearch.evaluation.metrics.statistics import Estimate, intervals, quantile_interval, share_interval
from hashsearch.hashing.nearest import top_k
from hashsearch.indexing.checkpoint import IndexingSummary
from hashsearch.progress import Progress, no_progress, tracked
from hashsearch.provenance import VERSION
from hashsearch.search.planner import SearchOptions
from hashsearch.search.searcher import Hit, Searcher

SAMPLED = 2000  # images whose embeddings are compared with another night's
_CATEGORIES = 10_000  # at most that many are counted
_CATEGORIES_LISTED = 20
_WARM_UP = 3  # searches before the timed ones


@dataclass(frozen=True)
class TimedHits:
    """The hits of a query by an indexed image, and the seconds that the search took."""

    id: str
    hits: Sequence[Hit]
    seconds: float


def measure(
    searcher: Searcher,
    history: History,
    *,
    queries: int = 200,
    labels: Mapping[str, set[str]] | None = None,
    last_run: IndexingSummary | None = None,
    now: datetime | None = None,
    progress: Progress = no_progress,
) -> Night:
    """Measure the index and append the night to the history. EvaluationError for an index of fewer than two images.

    `labels` are the ids of relevant images by query id, `last_run` the counts of the last indexing run.
    """
    began, index = time.perf_counter(), searcher.index
    now = (now or datetime.now(timezone.utc)).astimezone(timezone.utc)
    images = index.count()
    if images < 2:
        raise EvaluationError(
            f"an index must hold at least 2 images to be measured, and '{index.alias}' holds {images}"
        )
    notes: list[str] = []
    records = index.sample(min(SAMPLED, images))
    stored = stored_vectors(index, [*records])
    searches = timed_searches(searcher, [*stored][:queries], "sampled queries", progress)
    figures = intervals({"recall@10": _recalls(index, stored, searches, progress)}, SEED)
    by_category, precisions = _by_category(index, records, searches)
    figures |= precisions
    figures |= _labelled(searcher, labels, queries, notes, progress) if labels else {}
    figures |= _others(images, last_run, searches, notes)
    before = history.reference(now)
    arrays, drift, probes = compared(searcher, stored, history, before, notes)
    night: Night = {
        "at": now.isoformat(timespec="seconds"),
        "index": history.index,
        "figures": figures,
        "by_category": by_category,
        "drift": drift,
        "probes": probes,
        "notes": notes,
        "settings": {"k": K, "queries": len(searches), **_settings(searcher)},
        "versions": {"hashsearch": VERSION, "elasticsearch": _server(index), "encoder": index.fingerprint},
        "seconds": round(time.perf_counter() - began, 1),
    }
    night["compared_with"] = before and before["at"]
    night["worse"] = [*(worse(night, before) if before else ()), *_drifted(drift)]
    night["summary"] = summary(night, before)
    history.append(night, arrays)
    return night


def timed_searches(
    searcher: Searcher, image_ids: Sequence[str], stage: str, progress: Progress = no_progress
) -> list[TimedHits]:
    """Searches by indexed images with the default options; images deleted meanwhile are left out."""
    searches = []
    options = SearchOptions(k=K)
    warm_up = image_ids[:_WARM_UP]
    for number, image_id in enumerate(tracked([*warm_up, *image_ids], stage, progress)):
        began = time.perf_counter()
        try:
            hits = searcher.by_id(image_id, options)
        except ImageNotFound:
            continue
        if number >= len(warm_up):
            searches.append(TimedHits(image_id, hits, time.perf_counter() - began))
    return searches


def _recalls(
    index: ImageIndex, stored: Mapping[str, StoredVectors], searches: Sequence[TimedHits], progress: Progress
) -> list[float]:
    """For each search the share of the exact nearest that its hits reach."""
    exact = nearest(index, {search.id: stored[search.id] for search in searches}, K, progress)
    return [share_found([hit.cosine for hit in search.hits], row) for search, row in zip(searches, exact)]


def _by_category(
    index: ImageIndex, records: Mapping[str, Mapping[str, Any]], searches: Sequence[TimedHits]
) -> tuple[dict[str, dict[str, float]], dict[str, Estimate]]:
    """Precision at 1 and 10, of the most frequent categories and of all queries whose category has another image."""
    sizes = index.categories(_CATEGORIES)
    chosen = [search for search in searches if sizes.get(records[search.id].get("category", ""), 0) > 1]
    categories = np.array([records[search.id]["category"] for search in chosen])
    relevant = np.zeros((len(chosen), K), bool)
    for row, search in enumerate(chosen):
        relevant[row, : len(search.hits)] = [hit.category == categories[row] for hit in search.hits]
    precisions = {f"precision@{k}": metrics.precision(relevant, k) for k in (1, K)}
    names, counts = np.unique(categories, return_counts=True)
    largest = names[top_k(counts, _CATEGORIES_LISTED)]
    by_category = {
        str(name): {
            "queries": int((categories == name).sum()),
            **{figure: float(values[categories == name].mean()) for figure, values in precisions.items()},
        }
        for name in largest
    }
    return by_category, intervals(precisions, SEED) if chosen else {}


def _labelled(
    searcher: Searcher, labels: Mapping[str, set[str]], limit: int, notes: list[str], progress: Progress
) -> dict[str, Estimate]:
    """Figures of at most `limit` queries with relevant images that people labelled, the same each night."""
    indexed = _indexed(searcher.index, {*labels}.union(*labels.values()))
    known = {query: (relevant & indexed) - {query} for query, relevant in sorted(labels.items()) if query in indexed}
    known = {query: relevant for query, relevant in known.items() if relevant}
    if left_out := len(labels) - len(known):
        notes.append(f"{left_out} of {len(labels)} labelled queries left out: they or their answers are not indexed")
    if not known:
        return {}
    chosen = np.random.default_rng(SEED).permutation(len(known))[:limit]
    searches = timed_searches(searcher, [[*known][row] for row in sorted(chosen)], "labelled queries", progress)
    relevant = np.zeros((len(searches), K), bool)
    for row, search in enumerate(searches):
        relevant[row, : len(search.hits)] = [hit.id in known[search.id] for hit in search.hits]
    counts = np.array([len(known[search.id]) for search in searches])
    per_query = {
        "labelled recall@10": metrics.recall(relevant, counts, K),
        "labelled mrr": metrics.reciprocal_rank(relevant),
    }
    return intervals(per_query, SEED) if searches else {}


def _others(
    images: int, last_run: IndexingSummary | None, searches: Sequence[TimedHits], notes: list[str]
) -> dict[str, Estimate]:
    """Number of images, latency of the searches, and the share of rejects in the last indexing run."""
    milliseconds = [search.seconds * 1e3 for search in searches]
    figures = {"images": Estimate(value=images, low=images, high=images)}
    if milliseconds:
        figures |= {f"p{part} ms": quantile_interval(milliseconds, part / 100) for part in (50, 95)}
    if last_run and last_run.entries:
        figures["rejected share"] = share_interval(last_run.rejected, last_run.entries)
    else:
        notes.append("rejects not measured: there is no record of an indexing run here")
    return figures


def _drifted(drift: Mapping[str, float] | None) -> list[str]:
    if drift is None or drift["distance"] <= drift["noise"]:
        return []
    return [f"embeddings drifted by {drift['distance']:.3g}, more than the {drift['noise']:.3g} expected by chance"]


def _indexed(index: ImageIndex, image_ids: set[str]) -> set[str]:
    """The ids that are in the index."""
    ordered = sorted(image_ids)
    pages = (ordered[start : start + PAGE] for start in range(0, len(ordered), PAGE))
    return {image_id for page in pages for image_id in index.records(page)}


def _settings(searcher: Searcher) -> dict[str, Any]:
    """The strategy and candidates that the default options lead to."""
    options = SearchOptions(k=K)
    strategy = searcher.planner.strategy(options)
    return {"strategy": strategy, "candidates": searcher.planner.candidates(options, strategy)}


def _server(index: ImageIndex) -> str:
    with store_errors(index.alias):
        nodes = index.client.nodes.info(metric="_none")["nodes"]
    return ", ".join(sorted({node["version"] for node in nodes.values()}))
