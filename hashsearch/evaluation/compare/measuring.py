"""One method on one task: extract, learn, index, search one query after the other; its answers and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from hashsearch.errors import EvaluationError, HashsearchError, StoreError
from hashsearch.evaluation.compare.plan import Entry
from hashsearch.evaluation.data.pictures import Picture
from hashsearch.evaluation.data.tasks import Task
from hashsearch.evaluation.methods import Method, RunContext
from hashsearch.evaluation.methods.cache import Extracted, FeatureCaches
from hashsearch.evaluation.methods.classes import Classes
from hashsearch.evaluation.methods.features import Feature
from hashsearch.evaluation.methods.method import NOTHING, Labels, Ranking

WARM_UP = 5  # queries that are asked before any is timed


@dataclass(frozen=True)
class Measured:
    """What one method did on one task; `answers` and `seconds` are of each query, rows are those of the task's base."""

    answers: list[Ranking]
    seconds: NDArray[np.float64]
    failures: list[dict[str, str]]
    costs: dict[str, float | None]
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Seen:
    """The task's pictures as the method sees them."""

    learn: Extracted
    base: Extracted
    queries: Extracted

    def failures(self, task: Task) -> list[dict[str, str]]:
        """Each picture without a feature, once."""
        parts = ((task.learn, self.learn), (task.base, self.base), (task.queries, self.queries))
        reasons = {pictures[row].id: reason for pictures, seen in parts for row, reason in seen.failures.items()}
        return [{"picture": picture, "reason": reason} for picture, reason in reasons.items()]


def measure(entry: Entry, task: Task, caches: FeatureCaches, place: RunContext, k: int) -> Measured:
    """The method's answers to every query of the task, and its costs.

    A query that fails has no hits and is told among the failures; where all of them fail, the first one's reason is the
    error. Whatever happens, the method gives back what it holds.
    """
    seen = _see(entry, task, caches)
    kept = np.array([row for row, feature in enumerate(seen.base.features) if feature is not None], np.int64)
    if not len(kept):
        raise EvaluationError(f"nothing can be searched, for no picture is usable: {_first(seen.base.failures)}")
    method = entry.make(place)
    try:
        learn_seconds = _timed(method.learn, *_labelled(task.learn, seen.learn))
        index_seconds = _timed(method.index, [seen.base.features[row] for row in kept])
        # Left to itself, BLAS takes all cores for each small product and spins on them afterwards.
        with threadpool_limits(1, "blas"):
            answers, seconds, failed = _search(method, task, seen.queries, kept, k, entry.name)
        bytes_per_image, extra = method.bytes_per_image(), _classified(method, task, seen.queries)
    finally:
        method.close()
    costs = {
        "extract_images_per_second": caches.of(entry.features).images_per_second,
        "bytes_per_image": bytes_per_image,
        "learn_seconds": learn_seconds,
        "index_seconds": index_seconds,
    }
    told = [{"picture": task.queries[row].id, "reason": reason} for row, reason in failed.items()]
    return Measured(answers, seconds, seen.failures(task) + told, costs, extra)


def own_rows(task: Task) -> list[int | None]:
    """For each query the row of its own file in what is searched; a distorted picture is another one than its file."""
    rows = {picture.path: row for row, picture in enumerate(task.base) if picture.distortion is None}
    return [None if picture.distortion else rows.get(picture.path) for picture in task.queries]


def _see(entry: Entry, task: Task, caches: FeatureCaches) -> _Seen:
    total = sum(map(len, (task.learn, task.base, task.queries)))
    with tqdm(total=total, unit=" pictures", desc=f"  {entry.features.name}", leave=False) as bar:
        base = caches.of(entry.features)
        return _Seen(
            base.of(task.learn, bar.update),
            base.of(task.base, bar.update),
            caches.of(entry.features.of_queries).of(task.queries, bar.update),
        )


def _labelled(pictures: Sequence[Picture], seen: Extracted) -> tuple[list[Feature], Labels]:
    """Features of the pictures that have one, and their labels."""
    usable = [(feature, picture.label) for feature, picture in zip(seen.features, pictures) if feature is not None]
    return [feature for feature, _ in usable], np.array([label for _, label in usable], np.str_)


def _search(
    method: Method, task: Task, queries: Extracted, kept: NDArray[np.int64], k: int, name: str
) -> tuple[list[Ranking], NDArray[np.float64], dict[int, str]]:
    """Each query's answer and seconds, one after the other, and by row why one has none."""
    failed: dict[int, str] = {}
    answers: list[Ranking] = []
    seconds = np.zeros(len(task.queries))
    asked = [feature for feature in queries.features if feature is not None]
    for first in asked[:WARM_UP]:
        _answer(method, first, k)
    shown = tqdm(zip(queries.features, own_rows(task)), f"  {name}", len(seconds), unit=" queries", leave=False)
    for row, (feature, own) in enumerate(shown):
        answer: Ranking | str = NOTHING
        if feature is not None:
            began = perf_counter()
            answer = _answer(method, feature, k + (own is not None))
            seconds[row] = perf_counter() - began
        if isinstance(answer, str):
            failed[row], answer = answer, NOTHING
        answers.append(_others(kept[answer[0]], answer[1], own, k))
    if len(failed) == len(asked):
        reason = _first(failed or queries.failures)
        raise EvaluationError(f"no query can be answered, the first one for this reason: {reason}")
    return answers, seconds, failed


def _answer(method: Method, feature: Feature, k: int) -> Ranking | str:
    """The hits, or why this query has none. An error of Elasticsearch is one of the method, not of a query."""
    try:
        return method.search(feature, k)
    except StoreError:
        raise
    except HashsearchError as error:
        return str(error)


def _others(rows: NDArray[np.int64], scores: NDArray[np.float32], own: int | None, k: int) -> Ranking:
    others = rows != (-1 if own is None else own)
    return rows[others][:k], scores[others][:k]


def _classified(method: Method, task: Task, queries: Extracted) -> dict[str, Any]:
    """How a classifier does as such: the share of queries whose class it tells."""
    if not isinstance(method, Classes):
        return {}
    features, labels = _labelled(task.queries, queries)
    return {"classifier_accuracy": float((method.classify(features) == labels).mean())}


def _timed(work: Callable[..., None], *arguments: Any) -> float:
    began = perf_counter()
    work(*arguments)
    return perf_counter() - began


def _first(reasons: dict[int, str]) -> str:
    return next(iter(reasons.values()), "there is none")
