"""A night's measurement of the live index, beside those of the nights before.

Queries are indexed images picked at random, themselves left out of their answers, searched as users search: with the
default options. Recall is against exact cosine over all stored re-rank vectors, which numpy computes. An answer counts
as found when its cosine reaches that of the exact tenth, so that equal pictures are no misses. What re-rank vectors
lose against the embeddings themselves is not seen here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np
from tqdm import tqdm

from hashsearch import __version__
from hashsearch.elastic.client import store_errors
from hashsearch.elastic.document import StoredVectors
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.errors import EvaluationError, ImageNotFound
from hashsearch.evaluation.live.exact import PAGE, nearest, share_found, stored_vectors
from hashsearch.evaluation.live.history import History, Night, summary, worse
from hashsearch.evaluation.live.probes import SEED, K, compared
from hashsearch.evaluation.metrics import ranking as metrics
from hashsearch.evaluation.metrics.statistics import Figure, intervals, quantile_interval, share_interval
from hashsearch.indexing.checkpoint import IndexingSummary
from hashsearch.search.searcher import Hit, Searcher, SearchOptions

SAMPLED = 2000  # images whose embeddings are compared with another night's
_CATEGORIES = 10_000  # counted
_CATEGORIES_TOLD = 20
_WARMING = 3  # searches before time is taken


@dataclass(frozen=True)
class Answer:
    """A query by an indexed image, its hits and how long they took."""

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
) -> Night:
    """A night's figures, appended to the history. EvaluationError for an index of fewer than two images.

    `labels` are relevant images' ids by the query's, `last_run` what became of the entries of the last indexing run.
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
    answers = ask(searcher, [*stored][:queries])
    figures = intervals({"recall@10": _recalls(index, stored, answers)}, SEED)
    by_category, precisions = _by_category(index, records, answers)
    figures |= precisions
    figures |= _labelled(searcher, labels, queries, notes) if labels else {}
    figures |= _others(images, last_run, answers, notes)
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
        "settings": {"k": K, "queries": len(answers), **_settings(searcher)},
        "versions": {"hashsearch": __version__, "elasticsearch": _server(index), "encoder": index.fingerprint},
        "seconds": round(time.perf_counter() - began, 1),
    }
    night["compared_with"] = before and before["at"]
    night["worse"] = [*(worse(night, before) if before else ()), *_drifted(drift)]
    night["summary"] = summary(night, before)
    history.append(night, arrays)
    return night


def ask(searcher: Searcher, image_ids: Sequence[str]) -> list[Answer]:
    """Answers by indexed images under the default options; an image that went away meanwhile has none."""
    answers = []
    options = SearchOptions(k=K)
    for place, image_id in enumerate(tqdm([*image_ids[:_WARMING], *image_ids], desc="live", unit=" queries")):
        began = time.perf_counter()
        try:
            hits = searcher.by_id(image_id, options)
        except ImageNotFound:
            continue
        if place >= min(_WARMING, len(image_ids)):
            answers.append(Answer(image_id, hits, time.perf_counter() - began))
    return answers


def _recalls(index: ImageIndex, stored: Mapping[str, StoredVectors], answers: Sequence[Answer]) -> list[float]:
    """The share of each answer's hits that are as near as the exact ones."""
    exact = nearest(index, {answer.id: stored[answer.id] for answer in answers}, K)
    return [share_found([hit.cosine for hit in answer.hits], row) for answer, row in zip(answers, exact)]


def _by_category(
    index: ImageIndex, records: Mapping[str, Mapping[str, Any]], answers: Sequence[Answer]
) -> tuple[dict[str, dict[str, float]], dict[str, Figure]]:
    """Precision at 1 and 10 of the categories asked most and of all, where the category has another image."""
    sizes = index.categories(_CATEGORIES)
    asked = [answer for answer in answers if sizes.get(records[answer.id].get("category", ""), 0) > 1]
    own = np.array([records[answer.id]["category"] for answer in asked])
    relevant = np.zeros((len(asked), K), bool)
    for row, answer in enumerate(asked):
        relevant[row, : len(answer.hits)] = [hit.category == own[row] for hit in answer.hits]
    precisions = {f"precision@{k}": metrics.precision(relevant, k) for k in (1, K)}
    names, counts = np.unique(own, return_counts=True)
    largest = names[np.argsort(-counts, kind="stable")][:_CATEGORIES_TOLD]
    told = {
        str(name): {
            "queries": int((own == name).sum()),
            **{figure: float(values[own == name].mean()) for figure, values in precisions.items()},
        }
        for name in largest
    }
    return told, intervals(precisions, SEED) if asked else {}


def _labelled(searcher: Searcher, labels: Mapping[str, set[str]], most: int, notes: list[str]) -> dict[str, Figure]:
    """Figures of the queries whose answers people have told, `most` of them, the same each night."""
    indexed = _indexed(searcher.index, {*labels}.union(*labels.values()))
    known = {query: (relevant & indexed) - {query} for query, relevant in sorted(labels.items()) if query in indexed}
    known = {query: relevant for query, relevant in known.items() if relevant}
    if len(known) < len(labels):
        notes.append(f"{len(labels) - len(known)} of {len(labels)} labelled queries, or all their answers, not indexed")
    if not known:
        return {}
    chosen = np.random.default_rng(SEED).permutation(len(known))[:most]
    answers = ask(searcher, [[*known][row] for row in sorted(chosen)])
    relevant = np.zeros((len(answers), K), bool)
    for row, answer in enumerate(answers):
        relevant[row, : len(answer.hits)] = [hit.id in known[answer.id] for hit in answer.hits]
    counts = np.array([len(known[answer.id]) for answer in answers])
    per_query = {
        "labelled recall@10": metrics.recall(relevant, counts, K),
        "labelled mrr": metrics.reciprocal_rank(relevant),
    }
    return intervals(per_query, SEED) if answers else {}


def _others(
    images: int, last_run: IndexingSummary | None, answers: Sequence[Answer], notes: list[str]
) -> dict[str, Figure]:
    """Latency of the live searches, images, and the share of rejects."""
    milliseconds = [answer.seconds * 1e3 for answer in answers]
    figures = {"images": Figure(value=images, low=images, high=images)}
    if milliseconds:
        figures |= {f"p{part} ms": quantile_interval(milliseconds, part / 100) for part in (50, 95)}
    if last_run and last_run.entries:
        figures["rejected share"] = share_interval(last_run.rejected, last_run.entries)
    else:
        notes.append("no indexing run is known here: rejects are not counted")
    return figures


def _drifted(drift: Mapping[str, float] | None) -> list[str]:
    if drift is None or drift["distance"] <= drift["noise"]:
        return []
    return [f"embeddings drifted by {drift['distance']:.3g}, chance makes up to {drift['noise']:.3g}"]


def _indexed(index: ImageIndex, image_ids: set[str]) -> set[str]:
    """Those of the ids that a search can find."""
    ordered = sorted(image_ids)
    return {found for start in range(0, len(ordered), PAGE) for found in index.records(ordered[start : start + PAGE])}


def _settings(searcher: Searcher) -> dict[str, Any]:
    """What the default options came to."""
    options = SearchOptions(k=K)
    strategy = searcher.recall.strategy(options)
    return {"strategy": strategy, "candidates": searcher.recall.candidates(options, strategy)}


def _server(index: ImageIndex) -> str:
    with store_errors(index.alias):
        nodes = index.client.nodes.info(metric="_none")["nodes"]
    return ", ".join(sorted({node["version"] for node in nodes.values()}))
