"""Measuring one method on one task: extract features, learn, index, and search one query after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import EvaluationError, HashsearchError, StoreError
from hashsearch.evaluation.compare.plan import PlannedMethod
from hashsearch.evaluation.data.pictures import Picture
from hashsearch.evaluation.data.tasks import Task
from hashsearch.evaluation.methods import Method, RunContext
from hashsearch.evaluation.methods.cache import Extracted, FeatureCaches
from hashsearch.evaluation.methods.classes import Classes
from hashsearch.evaluation.methods.features import Feature
from hashsearch.evaluation.methods.method import NO_HITS, Labels, Ranking
from hashsearch.progress import Progress, tracked
from hashsearch.threads import one_core

WARM_UP = 5  # queries searched before the timed ones


@dataclass(frozen=True)
class Measurement:
    """One method on one task: the `rankings` (rows of the task's base) and `seconds` of each query, and the costs."""

    rankings: list[Ranking]
    seconds: NDArray[np.float64]
    failures: list[dict[str, str]]
    costs: dict[str, float | None]
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _TaskFeatures:
    """The features of a task's pictures."""

    learn: Extracted
    base: Extracted
    queries: Extracted

    def failures(self, task: Task) -> list[dict[str, str]]:
        """Each picture without a feature, once."""
        parts = ((task.learn, self.learn), (task.base, self.base), (task.queries, self.queries))
        reasons = {pictures[row].id: reason for pictures, part in parts for row, reason in part.failures.items()}
        return [{"picture": picture, "reason": reason} for picture, reason in reasons.items()]


def measure(
    planned: PlannedMethod, task: Task, caches: FeatureCaches, context: RunContext, k: int, progress: Progress
) -> Measurement:
    """The method's rankings for every query of the task, and its costs.

    A query that fails has no hits and is listed in the failures; EvaluationError with the first reason when all fail.
    The method is closed in any case.
    """
    features = _extract(planned, task, caches, progress)
    usable = np.array([row for row, feature in enumerate(features.base.features) if feature is not None], np.int64)
    if not len(usable):
        raise EvaluationError(f"no picture to search is usable; first error: {_first(features.base.failures)}")
    method = planned.make(context)
    try:
        learn_seconds = _timed(method.learn, *_labelled(task.learn, features.learn))
        index_seconds = _timed(method.index, [features.base.features[row] for row in usable])
        # By default BLAS takes all cores for each small product, and its threads spin afterwards.
        with one_core():
            rankings, seconds, failed = _search(method, task, features.queries, usable, k, planned.name, progress)
        bytes_per_image, extra = method.bytes_per_image(), _classified(method, task, features.queries)
    finally:
        method.close()
    costs = {
        "extract_images_per_second": caches.of(planned.features).images_per_second,
        "bytes_per_image": bytes_per_image,
        "learn_seconds": learn_seconds,
        "index_seconds": index_seconds,
    }
    failed_queries = [{"picture": task.queries[row].id, "reason": reason} for row, reason in failed.items()]
    return Measurement(rankings, seconds, features.failures(task) + failed_queries, costs, extra)


def own_rows(task: Task) -> list[int | None]:
    """For each query the row of its own file in what is searched; None without one, and for a distorted query."""
    rows = {picture.path: row for row, picture in enumerate(task.base) if picture.distortion is None}
    return [None if picture.distortion else rows.get(picture.path) for picture in task.queries]


def _extract(planned: PlannedMethod, task: Task, caches: FeatureCaches, progress: Progress) -> _TaskFeatures:
    """The features of all pictures of the task, from the cache where they are stored."""
    features, done = planned.features, 0
    total = sum(map(len, (task.learn, task.base, task.queries)))

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(f"{features.name} features", done, total)

    cache = caches.of(features)
    return _TaskFeatures(
        cache.of(task.learn, advance),
        cache.of(task.base, advance),
        caches.of(features.of_queries).of(task.queries, advance),
    )


def _labelled(pictures: Sequence[Picture], extracted: Extracted) -> tuple[list[Feature], Labels]:
    """Features of the pictures that have one, and their labels."""
    pairs = [(feature, picture.label) for feature, picture in zip(extracted.features, pictures) if feature is not None]
    return [feature for feature, _ in pairs], np.array([label for _, label in pairs], np.str_)


def _search(
    method: Method, task: Task, queries: Extracted, usable: NDArray[np.int64], k: int, name: str, progress: Progress
) -> tuple[list[Ranking], NDArray[np.float64], dict[int, str]]:
    """Each query's ranking and seconds, one query after the other, and the reasons of failed ones by row.

    The method's rows are the `usable` rows of the task's base.
    """
    failed: dict[int, str] = {}
    rankings: list[Ranking] = []
    seconds = np.zeros(len(task.queries))
    known = [feature for feature in queries.features if feature is not None]
    for feature in known[:WARM_UP]:
        _answer(method, feature, k)
    pairs = [*zip(queries.features, own_rows(task))]
    for row, (query, own) in enumerate(tracked(pairs, f"{name} queries", progress)):
        ranking: Ranking | str = NO_HITS
        if query is not None:
            began = perf_counter()
            ranking = _answer(method, query, k + (own is not None))
            seconds[row] = perf_counter() - began
        if isinstance(ranking, str):
            failed[row], ranking = ranking, NO_HITS
        rankings.append(_others(usable[ranking[0]], ranking[1], own, k))
    if len(failed) == len(known):
        raise EvaluationError(f"every query failed; first error: {_first(failed or queries.failures)}")
    return rankings, seconds, failed


def _answer(method: Method, feature: Feature, k: int) -> Ranking | str:
    """The hits, or why this query has none. An error of Elasticsearch fails the method, not a query."""
    try:
        return method.search(feature, k)
    except StoreError:
        raise
    except HashsearchError as error:
        return str(error)


def _others(rows: NDArray[np.int64], scores: NDArray[np.float32], own: int | None, k: int) -> Ranking:
    """The first `k` hits other than the query's own file."""
    others = rows != (-1 if own is None else own)
    return rows[others][:k], scores[others][:k]


def _classified(method: Method, task: Task, queries: Extracted) -> dict[str, Any]:
    """A classifier's accuracy: the share of queries whose class it predicts."""
    if not isinstance(method, Classes):
        return {}
    features, labels = _labelled(task.queries, queries)
    return {"classifier_accuracy": float((method.classify(features) == labels).mean())}


def _timed(work: Callable[..., None], *arguments: Any) -> float:
    began = perf_counter()
    work(*arguments)
    return perf_counter() - began


def _first(reasons: dict[int, str]) -> str:
    return next(iter(reasons.values()), "there are no pictures")
