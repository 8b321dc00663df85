"""How sure a figure is: intervals, comparisons, and what scores tell of relevance; pure numpy, seeded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashsearch.errors import EvaluationError
from hashsearch.evaluation.metrics import ranking as metrics
from hashsearch.evaluation.metrics.ranking import Counts, PerQuery, Relevant

RESAMPLES = 2000
_AT_ONCE = 1 << 22  # drawn numbers held in memory


class Figure(TypedDict):
    """A mean over queries and its 95 % interval."""

    value: float
    low: float
    high: float


class Comparison(TypedDict):
    """How much a method is better than a baseline, the 95 % interval of that, and the chance of it if neither were."""

    difference: float
    low: float
    high: float
    p_value: float


class Curve(TypedDict):
    """Receiver operating characteristic, and the area under it."""

    false_positive_rate: list[float]
    true_positive_rate: list[float]
    auc: float


class Threshold(TypedDict):
    """From which score on so large a share of all hits is relevant, and which share of the relevant images that is."""

    precision: float
    score: float
    recall: float


class Histogram(TypedDict):
    """How many hits of either kind have a score between two edges; one edge more than counts."""

    edges: list[float]
    relevant: list[int]
    irrelevant: list[int]


def figures(
    relevant: Relevant, scores: NDArray[np.floating], counts: Counts, seed: int
) -> tuple[dict[str, Figure], dict[str, list[float]]]:
    """Every figure of a ranking by name, as means with intervals and for each query.

    `relevant` and `scores` `(queries, ranks)` are of the hits, best first (False and NaN where there are fewer),
    `counts` `(queries,)` of the relevant images. `mrr` and ties look as deep as there are ranks.
    """
    of_each = {
        **{f"precision@{k}": metrics.precision(relevant, k) for k in (1, 5, 10)},
        **{f"recall@{k}": metrics.recall(relevant, counts, k) for k in (1, 5, 10)},
        **{f"accuracy@{k}": metrics.hit_rate(relevant, k) for k in (1, 5)},
        "hit_rate@10": metrics.hit_rate(relevant, 10),
        "average_precision@10": metrics.average_precision(relevant, 10),
        "map@10": metrics.average_precision(relevant, 10, counts),
        "mrr": metrics.reciprocal_rank(relevant),
        "ndcg@10": metrics.ndcg(relevant, counts, 10),
        "tie_aware_recall@10": metrics.tie_aware_recall(relevant, scores, counts, 10),
    }
    return intervals(of_each, seed), {name: values.tolist() for name, values in of_each.items()}


def intervals(per_query: Mapping[str, ArrayLike], seed: int) -> dict[str, Figure]:
    """The mean of each figure with its 95 % interval: percentile bootstrap over the queries (Efron 1979).

    All figures see the same resamples. Queries that all have one value leave the interval no width, however few they
    are. EvaluationError without queries.
    """
    values = np.stack([_checked(name, given) for name, given in per_query.items()], axis=1)
    means = np.concatenate(list(_resampled(values, np.random.default_rng(seed))))
    lows, highs = np.quantile(means, (0.025, 0.975), axis=0)
    return {
        name: Figure(value=float(value), low=float(low), high=float(high))
        for name, value, low, high in zip(per_query, values.mean(axis=0), lows, highs)
    }


def quantile_interval(values: ArrayLike, quantile: float) -> Figure:
    """A quantile with its 95 % interval from ranks alone, whatever the distribution (Conover 1999, 3.2)."""
    ordered = np.sort(_checked("values", values))
    middle, half = len(ordered) * quantile, 1.96 * np.sqrt(len(ordered) * quantile * (1 - quantile))
    low, high = np.clip(np.rint([middle - half - 1, middle + half]), 0, len(ordered) - 1).astype(int)
    return Figure(value=float(np.quantile(ordered, quantile)), low=float(ordered[low]), high=float(ordered[high]))


def share_interval(count: int, of: int) -> Figure:
    """A share with its 95 % interval (Wilson 1927), which is right also where the share is 0 or 1."""
    share, spread = count / of, 1.96**2 / of
    middle = (share + spread / 2) / (1 + spread)
    half = np.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    return Figure(value=share, low=max(0.0, float(middle - half)), high=min(1.0, float(middle + half)))


def compare(method: ArrayLike, baseline: ArrayLike, seed: int) -> Comparison:
    """How a method's figure for each query compares with a baseline's for the same queries.

    The interval is a bootstrap of the differences; `p_value`, two-sided, is of the randomisation test that changes the
    sign of each (Smucker, Allan and Carterette 2007). It is never zero: the figures as they are count as one draw.
    """
    first, second = _checked("method", method), _checked("baseline", baseline)
    if len(first) != len(second):
        raise EvaluationError(f"compared figures must be of the same queries, got {len(first)} and {len(second)}")
    differences = first - second
    rng = np.random.default_rng(seed)
    interval = intervals({"difference": differences}, seed)["difference"]
    sums = np.concatenate(list(_drawn(len(differences), lambda size: rng.choice((-1.0, 1.0), size) @ differences)))
    as_extreme = np.abs(sums) >= abs(differences.sum()) - 1e-9
    p_value = (1 + int(as_extreme.sum())) / (1 + len(sums))
    return Comparison(difference=interval["value"], low=interval["low"], high=interval["high"], p_value=p_value)


def roc(relevant: ArrayLike, scores: ArrayLike, points: int = 200) -> Curve | None:
    """How relevant hits part from the others as the score falls; None unless there are hits of both kinds.

    Arrays of one shape; NaN is no hit. Hits of one score pass together. The area is of the whole curve, of which about
    `points` points are given.
    """
    found, missed, _ = _passing(relevant, scores)
    if not len(found) or not found[-1] or not missed[-1]:
        return None
    true_rate, false_rate = (np.concatenate([[0], passed / passed[-1]]) for passed in (found, missed))
    area = float(np.sum(np.diff(false_rate) * (true_rate[1:] + true_rate[:-1]) / 2))
    shown = np.unique(np.linspace(0, len(true_rate) - 1, points).round().astype(int))
    return Curve(false_positive_rate=false_rate[shown].tolist(), true_positive_rate=true_rate[shown].tolist(), auc=area)


def threshold(relevant: ArrayLike, scores: ArrayLike, precision: float, relevant_images: int) -> Threshold | None:
    """The smallest score such that `precision` of all hits at or above it are relevant; None when there is none.

    Arrays of one shape; NaN is no hit. `relevant_images` is the sum over the queries, what the recall is out of.
    """
    found, missed, at = _passing(relevant, scores)
    precise = np.flatnonzero(found >= precision * (found + missed) - 1e-9)
    if not len(precise):
        return None
    last = precise[-1]
    return Threshold(precision=precision, score=float(at[last]), recall=float(found[last] / relevant_images))


def histogram(relevant: ArrayLike, scores: ArrayLike, bins: int = 40) -> Histogram | None:
    """Counts of the scores of relevant and other hits between common edges; None without hits. NaN is no hit."""
    hits, of_hits = _hits(relevant, scores)
    if not len(hits):
        return None
    edges = np.histogram_bin_edges(of_hits, bins)
    return Histogram(
        edges=edges.tolist(),
        relevant=np.histogram(of_hits[hits], edges)[0].tolist(),
        irrelevant=np.histogram(of_hits[~hits], edges)[0].tolist(),
    )


def _checked(name: str, given: ArrayLike) -> PerQuery:
    values = np.asarray(given, np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise EvaluationError(f"{name} must be a finite number for each of one or more queries, got {given!r:.80}")
    return values


def _drawn(queries: int, draw: Callable[[tuple[int, int]], NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """`draw` of `(resamples, queries)`, in pieces that fit into memory."""
    piece = max(1, _AT_ONCE // queries)
    return [draw((min(piece, RESAMPLES - done), queries)) for done in range(0, RESAMPLES, piece)]


def _resampled(values: NDArray[np.float64], rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Means `(resamples, figures)` over queries drawn with replacement: how often each was drawn, by its values."""
    queries = len(values)

    def means(size: tuple[int, int]) -> NDArray[np.float64]:
        places = rng.integers(queries, size=size) + queries * np.arange(size[0])[:, None]
        times = np.bincount(places.ravel(), minlength=size[0] * queries).reshape(size)
        return times @ values / queries

    return _drawn(queries, means)


def _hits(relevant: ArrayLike, scores: ArrayLike) -> tuple[Relevant, NDArray[np.float64]]:
    """Flat relevance and scores of the hits there are."""
    flat, of_flat = np.asarray(relevant, bool).ravel(), np.asarray(scores, np.float64).ravel()
    if flat.shape != of_flat.shape:
        raise EvaluationError(f"every hit must have a score, but {flat.size} hits have {of_flat.size} scores")
    known = ~np.isnan(of_flat)
    return flat[known], of_flat[known]


def _passing(
    relevant: ArrayLike, scores: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Relevant and other hits at or above each score there is, and these scores, the largest first."""
    hits, of_hits = _hits(relevant, scores)
    order = np.argsort(-of_hits, kind="stable")
    hits, of_hits = hits[order], of_hits[order]
    ends = np.append(np.flatnonzero(np.diff(of_hits)), len(hits) - 1) if len(hits) else np.empty(0, np.int64)
    found = np.cumsum(hits, dtype=np.int64)[ends]
    return found, ends + 1 - found, of_hits[ends]
