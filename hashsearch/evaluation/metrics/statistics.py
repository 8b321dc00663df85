"""How certain a figure is: intervals and comparisons, and how scores separate relevant hits; pure numpy, seeded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashsearch.errors import EvaluationError
from hashsearch.evaluation.metrics import ranking as metrics
from hashsearch.evaluation.metrics.ranking import Counts, PerQuery, Relevant

RESAMPLES = 2000
_AT_ONCE = 1 << 22  # random numbers in memory at a time


class Estimate(TypedDict):
    """A mean over queries (or another statistic) with its 95 % interval."""

    value: float
    low: float
    high: float


class Comparison(TypedDict):
    """How much better a method is than a baseline, with the 95 % interval and the p-value of the difference."""

    difference: float
    low: float
    high: float
    p_value: float


class Curve(TypedDict):
    """Receiver operating characteristic and the area under it."""

    false_positive_rate: list[float]
    true_positive_rate: list[float]
    auc: float


class Threshold(TypedDict):
    """The smallest score at which hits reach a precision, and the recall there."""

    precision: float
    score: float
    recall: float


class Histogram(TypedDict):
    """Counts of relevant and irrelevant hits by score; one more edge than counts."""

    edges: list[float]
    relevant: list[int]
    irrelevant: list[int]


def figures(
    relevant: Relevant, scores: NDArray[np.floating], counts: Counts, seed: int
) -> tuple[dict[str, Estimate], dict[str, list[float]]]:
    """All figures of a ranking.

    Parameters
    ----------
    relevant : (queries, ranks) bool
        Relevance of the hits, best first; False where a query has fewer hits.
    scores : (queries, ranks) float
        Descending; NaN where there is no hit.
    counts : (queries,) int
        How many relevant images exist for each query.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    dict of Estimate
        Each figure's mean and interval, by name. `mrr` and ties look at all ranks given.
    dict of list
        Each figure's value for every query.

    Raises
    ------
    EvaluationError
        When scores or counts do not fit the hits.
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


def intervals(per_query: Mapping[str, ArrayLike], seed: int) -> dict[str, Estimate]:
    """The mean of each figure with its 95 % interval: percentile bootstrap over the queries (Efron 1979).

    Parameters
    ----------
    per_query : mapping of (queries,) float
        The values of each figure; all figures use the same resamples.
    seed : int
        Seed of the resampling.

    Returns
    -------
    dict of Estimate
        By the same names. When all queries have the same value the interval has no width, however few they are.

    Raises
    ------
    EvaluationError
        Without queries, and for values that are not finite.
    """
    values = np.stack([_checked(name, of_figure) for name, of_figure in per_query.items()], axis=1)
    means = np.concatenate(list(_resampled(values, np.random.default_rng(seed))))
    lows, highs = np.quantile(means, (0.025, 0.975), axis=0)
    return {
        name: Estimate(value=float(value), low=float(low), high=float(high))
        for name, value, low, high in zip(per_query, values.mean(axis=0), lows, highs)
    }


def quantile_interval(values: ArrayLike, quantile: float) -> Estimate:
    """A quantile with its 95 % interval, which assumes no distribution: it is made of ranks (Conover 1999, 3.2)."""
    ordered = np.sort(_checked("values", values))
    middle, half = len(ordered) * quantile, 1.96 * np.sqrt(len(ordered) * quantile * (1 - quantile))
    low, high = np.clip(np.rint([middle - half - 1, middle + half]), 0, len(ordered) - 1).astype(int)
    return Estimate(value=float(np.quantile(ordered, quantile)), low=float(ordered[low]), high=float(ordered[high]))


def share_interval(count: int, of: int) -> Estimate:
    """The share `count / of` with its 95 % interval (Wilson 1927), which is valid for shares of 0 and 1 too."""
    share, spread = count / of, 1.96**2 / of
    middle = (share + spread / 2) / (1 + spread)
    half = np.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    return Estimate(value=share, low=max(0.0, float(middle - half)), high=min(1.0, float(middle + half)))


def compare(method: ArrayLike, baseline: ArrayLike, seed: int) -> Comparison:
    """The difference between a method and a baseline, both measured on the same queries.

    Parameters
    ----------
    method, baseline : (queries,) float
        A figure of both for each query.
    seed : int
        Seed of the resampling and the test.

    Returns
    -------
    Comparison
        The mean difference, its bootstrap interval, and the two-sided p-value of the randomisation test that flips the
        sign of each difference (Smucker, Allan and Carterette 2007). The p-value is never zero: the measured values
        count as one of the draws.

    Raises
    ------
    EvaluationError
        When the numbers of queries differ, without queries, and for values that are not finite.
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
    """The ROC curve of hits by score.

    Parameters
    ----------
    relevant, scores : arrays of the same shape
        Relevance and score of each hit; NaN is not a hit. Hits with equal scores count together.
    points : int
        About how many points of the curve are returned; the area is that of the whole curve.

    Returns
    -------
    Curve or None
        None unless there are both relevant and irrelevant hits.
    """
    right, wrong, _ = _cumulative(relevant, scores)
    if not len(right) or not right[-1] or not wrong[-1]:
        return None
    true_rate, false_rate = (np.concatenate([[0], counts / counts[-1]]) for counts in (right, wrong))
    area = float(np.sum(np.diff(false_rate) * (true_rate[1:] + true_rate[:-1]) / 2))
    shown = np.unique(np.linspace(0, len(true_rate) - 1, points).round().astype(int))
    return Curve(false_positive_rate=false_rate[shown].tolist(), true_positive_rate=true_rate[shown].tolist(), auc=area)


def threshold(relevant: ArrayLike, scores: ArrayLike, precision: float, relevant_images: int) -> Threshold | None:
    """The smallest score such that `precision` of all hits at or above it are relevant.

    Parameters
    ----------
    relevant, scores : arrays of the same shape
        Relevance and score of each hit; NaN is not a hit.
    precision : float
        The share of relevant hits wanted.
    relevant_images : int
        The number of relevant images over all queries, for the recall.

    Returns
    -------
    Threshold or None
        None when no score reaches the precision.
    """
    right, wrong, edges = _cumulative(relevant, scores)
    precise = np.flatnonzero(right >= precision * (right + wrong) - 1e-9)
    if not len(precise):
        return None
    last = precise[-1]
    return Threshold(precision=precision, score=float(edges[last]), recall=float(right[last] / relevant_images))


def histogram(relevant: ArrayLike, scores: ArrayLike, bins: int = 40) -> Histogram | None:
    """Counts of relevant and irrelevant hits by score, with common edges; NaN is not a hit. None without hits."""
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
    """`(queries,) float64`; EvaluationError where there are no queries or values that are not finite."""
    values = np.asarray(given, np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise EvaluationError(f"{name} must be a finite number for each of one or more queries, got {given!r:.80}")
    return values


def _drawn(queries: int, draw: Callable[[tuple[int, int]], NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """`draw` called for pieces of `(resamples, queries)` that fit into memory."""
    piece = max(1, _AT_ONCE // queries)
    return [draw((min(piece, RESAMPLES - done), queries)) for done in range(0, RESAMPLES, piece)]


def _resampled(values: NDArray[np.float64], rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """Means `(resamples, figures)` over queries drawn with replacement: how often each was drawn, times its values."""
    queries = len(values)

    def means(size: tuple[int, int]) -> NDArray[np.float64]:
        drawn = rng.integers(queries, size=size) + queries * np.arange(size[0])[:, None]
        times = np.bincount(drawn.ravel(), minlength=size[0] * queries).reshape(size)
        return times @ values / queries

    return _drawn(queries, means)


def _hits(relevant: ArrayLike, scores: ArrayLike) -> tuple[Relevant, NDArray[np.float64]]:
    """Relevance and scores of the hits, flat, without the NaN."""
    flat, of_flat = np.asarray(relevant, bool).ravel(), np.asarray(scores, np.float64).ravel()
    if flat.shape != of_flat.shape:
        raise EvaluationError(f"every hit must have a score, but {flat.size} hits have {of_flat.size} scores")
    is_hit = ~np.isnan(of_flat)
    return flat[is_hit], of_flat[is_hit]


def _cumulative(
    relevant: ArrayLike, scores: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Counts of relevant and irrelevant hits at or above each distinct score, and these scores, largest first."""
    hits, of_hits = _hits(relevant, scores)
    order = np.argsort(-of_hits, kind="stable")
    hits, of_hits = hits[order], of_hits[order]
    ends = np.append(np.flatnonzero(np.diff(of_hits)), len(hits) - 1) if len(hits) else np.empty(0, np.int64)
    right = np.cumsum(hits, dtype=np.int64)[ends]
    return right, ends + 1 - right, of_hits[ends]
