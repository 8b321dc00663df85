"""Retrieval metrics on ranked relevance, pure numpy.

`relevant` is `(queries, ranks) bool`, best rank first, False where a query has fewer hits. `counts` is `(queries,)
int`: how many relevant images exist for each query. Metrics return `(queries,) float64`, one value for each query,
which the module `statistics` turns into means with intervals. A rank without a hit counts as irrelevant, so precision
at 5 of a search with three hits is out of five.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashsearch.errors import EvaluationError
from hashsearch.hashing.nearest import top_k

Relevant = NDArray[np.bool_]
Counts = NDArray[np.integer]
PerQuery = NDArray[np.float64]


def relevant_hits(rankings: Sequence[ArrayLike], relevant: Sequence[ArrayLike], k: int) -> Relevant:
    """Which of each query's first `k` hits are relevant.

    Parameters
    ----------
    rankings : sequence of (hits,) int
        For each query the rows that it found, best first.
    relevant : sequence of (n,) int
        For each query the rows that are relevant.
    k : int
        Number of ranks.

    Returns
    -------
    (queries, k) bool
        False where a query has fewer hits.

    Raises
    ------
    EvaluationError
        When a ranking contains a row twice, which would count twice.
    """
    hits = np.zeros((len(rankings), k), bool)
    for query, (ranking, wanted) in enumerate(zip(rankings, relevant, strict=True)):
        first = np.asarray(ranking, np.int64)[:k]
        if len(np.unique(first)) != len(first):
            raise EvaluationError(f"a ranking must contain each image once, but the hits of query {query} repeat one")
        hits[query, : len(first)] = np.isin(first, np.asarray(wanted, np.int64))
    return hits


def padded_scores(scores: Sequence[ArrayLike], k: int) -> NDArray[np.float64]:
    """`(queries, k)`: the scores of each query's first `k` hits, NaN where there are fewer."""
    padded = np.full((len(scores), k), np.nan)
    for query, of_query in enumerate(scores):
        first = np.asarray(of_query, np.float64)[:k]
        padded[query, : len(first)] = first
    return padded


def precision(relevant: Relevant, k: int) -> PerQuery:
    """Precision at `k`: the share of relevant hits among the first `k`.

    Parameters
    ----------
    relevant : (queries, ranks) bool
        Relevance of the hits, best first.
    k : int
        Number of ranks; a rank without a hit counts as irrelevant.

    Returns
    -------
    (queries,) float64
    """
    shares: PerQuery = relevant[:, :k].sum(axis=1) / k
    return shares


def recall(relevant: Relevant, counts: Counts, k: int) -> PerQuery:
    """Recall at `k`: the share of the relevant images that are among the first `k` hits.

    Parameters
    ----------
    relevant : (queries, ranks) bool
        Relevance of the hits, best first.
    counts : (queries,) int
        How many relevant images exist for each query.
    k : int
        Number of ranks.

    Returns
    -------
    (queries,) float64

    Raises
    ------
    EvaluationError
        When a query has no relevant image, or more relevant hits than relevant images.
    """
    shares: PerQuery = relevant[:, :k].sum(axis=1) / _possible(relevant, counts)
    return shares


def hit_rate(relevant: Relevant, k: int) -> PerQuery:
    """1 where any of the first `k` hits is relevant, else 0: top-`k` accuracy, where relevance means the same class."""
    return np.asarray(relevant[:, :k].any(axis=1), np.float64)


def average_precision(relevant: Relevant, k: int, counts: Counts | None = None) -> PerQuery:
    """Average precision at `k`: the sum of the precisions at the ranks of the relevant hits, normalised.

    Parameters
    ----------
    relevant : (queries, ranks) bool
        Relevance of the hits, best first.
    k : int
        Number of ranks.
    counts : (queries,) int, optional
        How many relevant images exist for each query. With it the sum is divided by `min(counts, k)`: images that were
        not found count as zero, and 1 can be reached (trec_eval's map_cut divides by `counts`). Without it the sum is
        divided by the number of relevant hits, which measures only the order of the hits.

    Returns
    -------
    (queries,) float64

    Raises
    ------
    EvaluationError
        When a query has no relevant image, or more relevant hits than relevant images.
    """
    hits = relevant[:, :k].astype(np.float64)
    at_ranks = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    divisor = hits.sum(axis=1) if counts is None else np.minimum(_possible(relevant, counts), k)
    averages: PerQuery = (at_ranks * hits).sum(axis=1) / np.maximum(divisor, 1)
    return averages


def reciprocal_rank(relevant: Relevant) -> PerQuery:
    """1 divided by the rank of the first relevant hit, 0 without a relevant hit."""
    if not relevant.shape[1]:
        return np.zeros(len(relevant))
    reciprocals: PerQuery = relevant.any(axis=1) / (np.argmax(relevant, axis=1) + 1)
    return reciprocals


def ndcg(relevant: Relevant, counts: Counts, k: int) -> PerQuery:
    """Normalised discounted cumulative gain at `k`, with gains 0 and 1 (Järvelin and Kekäläinen 2002, discount log2).

    Parameters
    ----------
    relevant : (queries, ranks) bool
        Relevance of the hits, best first.
    counts : (queries,) int
        How many relevant images exist for each query.
    k : int
        Number of ranks.

    Returns
    -------
    (queries,) float64

    Raises
    ------
    EvaluationError
        When a query has no relevant image, or more relevant hits than relevant images.
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    gained = relevant[:, :k] @ discounts[: relevant.shape[1]]
    shares: PerQuery = gained / np.cumsum(discounts)[np.minimum(_possible(relevant, counts), k) - 1]
    return shares


def tie_aware_recall(relevant: Relevant, scores: NDArray[np.floating], counts: Counts, k: int) -> PerQuery:
    """Expected recall at `k` when hits with equal scores come in random order (McSherry and Najork 2008).

    Hamming distances have few values, so the order among equal ones decides much and means nothing. Of the hits tied
    at rank `k`, as many as still fit count by the share of relevant hits among them. A tie that continues after the
    last rank given is known only up to that rank.

    Parameters
    ----------
    relevant : (queries, ranks) bool
        Relevance of the hits, best first.
    scores : (queries, ranks) float
        Descending; NaN where there is no hit.
    counts : (queries,) int
        How many relevant images exist for each query.
    k : int
        Number of ranks.

    Returns
    -------
    (queries,) float64

    Raises
    ------
    EvaluationError
        When scores ascend or do not fit the hits, or when counts do not fit (as `recall`).
    """
    ordered = _checked(relevant, scores)
    if ordered.shape[1] <= k:
        return recall(relevant, counts, k)
    at_cut = ordered[:, k - 1 : k]
    above, tied = ordered > at_cut, ordered == at_cut
    share = (relevant & tied).sum(axis=1) / tied.sum(axis=1)
    hits = (relevant & above).sum(axis=1) + (k - above.sum(axis=1)) * share
    expected: PerQuery = hits / _possible(relevant, counts)
    return expected


def precision_recall(relevant: Relevant, counts: Counts) -> tuple[PerQuery, PerQuery]:
    """`(ranks,)` each: mean precision and mean recall of the queries at every rank, for a curve."""
    hits = np.cumsum(relevant, axis=1)
    precisions = hits / np.arange(1, relevant.shape[1] + 1)
    return precisions.mean(axis=0), (hits / _possible(relevant, counts)[:, None]).mean(axis=0)


def precision_at(relevant: Relevant, k: int) -> float:
    """The mean of `precision` over the queries."""
    return float(precision(relevant, k).mean())


def average_precision_at(relevant: Relevant, k: int) -> float:
    """The mean over the queries of `average_precision` without counts."""
    return float(average_precision(relevant, k).mean())


def rank_same_class(vectors: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Whether each vector's nearest neighbours have its label; for `precision` and `average_precision`.

    Parameters
    ----------
    vectors : (n, dims) float32
        L2-normalised.
    labels : (n,)
        One label for each vector.
    k : int
        Number of neighbours.

    Returns
    -------
    (n, k) bool
        The `k` nearest others by cosine, best first; False for ranks beyond the `n - 1` others.
    """
    same = np.zeros((len(vectors), k), bool)
    others = min(k, len(vectors) - 1)
    for first in range(0, len(vectors), 1024):
        rows = np.arange(first, min(first + 1024, len(vectors)))
        cosines = vectors[rows] @ vectors.T
        cosines[rows - first, rows] = -np.inf
        same[rows, :others] = labels[top_k(cosines, others)] == labels[rows, None]
    return same


def _possible(relevant: Relevant, counts: Counts) -> Counts:
    """The counts; EvaluationError where a query has no relevant image, or more relevant hits than images."""
    counts = np.asarray(counts)
    wrong = np.flatnonzero((counts < 1) | (counts < relevant.sum(axis=1)))
    if len(wrong):
        query = wrong[0]
        raise EvaluationError(
            f"every query must have a relevant image, and no more relevant hits than images, but query {query} has "
            f"{int(relevant[query].sum())} hits of {counts[query]} images"
        )
    return counts


def _checked(relevant: Relevant, scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scores with minus infinity where there is no hit; EvaluationError where they do not fit the hits."""
    padded = np.where(np.isnan(scores), -np.inf, scores)
    if padded.shape != relevant.shape or (relevant & np.isneginf(padded)).any():
        raise EvaluationError(f"every hit must have a score, but {relevant.shape} hits have scores of {padded.shape}")
    if (padded[:, 1:] > padded[:, :-1]).any():
        raise EvaluationError("scores must descend with the rank, but some ascend")
    return padded
