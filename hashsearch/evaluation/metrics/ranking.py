"""Retrieval metrics on ranked relevance, pure numpy.

A function of `relevant` takes `(queries, ranks) bool`, best rank first, False where a query has fewer hits; one of
`counts` also takes `(queries,)`: how many relevant images there are to be found. It returns `(queries,) float64`, one
figure a query, which the module `statistics` turns into means with intervals. A rank nobody filled counts as an
irrelevant hit, so precision at 5 of a search with three hits is out of five.
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
    """`(queries, k) bool`: which of each query's first `k` hits are relevant; both lists hold rows of what is searched.

    EvaluationError where a query names a row twice: it would count twice.
    """
    hits = np.zeros((len(rankings), k), bool)
    for query, (ranking, wanted) in enumerate(zip(rankings, relevant, strict=True)):
        first = np.asarray(ranking, np.int64)[:k]
        if len(np.unique(first)) != len(first):
            raise EvaluationError(f"a search must name each image once, but the hits of query {query} name one again")
        hits[query, : len(first)] = np.isin(first, np.asarray(wanted, np.int64))
    return hits


def padded_scores(scores: Sequence[ArrayLike], k: int) -> NDArray[np.float64]:
    """`(queries, k)`: the scores of each query's first `k` hits, NaN where there are fewer."""
    padded = np.full((len(scores), k), np.nan)
    for query, given in enumerate(scores):
        first = np.asarray(given, np.float64)[:k]
        padded[query, : len(first)] = first
    return padded


def precision(relevant: Relevant, k: int) -> PerQuery:
    """The share of relevant hits among the first `k`."""
    return relevant[:, :k].sum(axis=1) / k


def recall(relevant: Relevant, counts: Counts, k: int) -> PerQuery:
    """The share of the relevant images that are among the first `k` hits."""
    return relevant[:, :k].sum(axis=1) / _possible(relevant, counts)


def hit_rate(relevant: Relevant, k: int) -> PerQuery:
    """1 where any of the first `k` hits is relevant, else 0; where relevance is the class: top-`k` accuracy."""
    return np.asarray(relevant[:, :k].any(axis=1), np.float64)


def average_precision(relevant: Relevant, k: int, counts: Counts | None = None) -> PerQuery:
    """Average precision at `k`: the precisions at the ranks of the relevant hits among the first `k`, added up.

    Without `counts` divided by the number of those hits: how well what was found is ordered. With `counts` by
    `min(counts, k)`, as trec_eval's map_cut but for the cut: what was not found counts as zero, 1 can be reached.
    """
    hits = relevant[:, :k].astype(np.float64)
    at_ranks = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    wanted = hits.sum(axis=1) if counts is None else np.minimum(_possible(relevant, counts), k)
    return (at_ranks * hits).sum(axis=1) / np.maximum(wanted, 1)


def reciprocal_rank(relevant: Relevant) -> PerQuery:
    """One over the rank of the first relevant hit, 0 where there is none."""
    return relevant.any(axis=1) / (np.argmax(relevant, axis=1) + 1)


def ndcg(relevant: Relevant, counts: Counts, k: int) -> PerQuery:
    """Normalised discounted cumulative gain at `k` with gains 0 and 1 (Järvelin and Kekäläinen 2002, discount log2)."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    gained = relevant[:, :k] @ discounts[: relevant.shape[1]]
    return gained / np.cumsum(discounts)[np.minimum(_possible(relevant, counts), k) - 1]


def tie_aware_recall(relevant: Relevant, scores: NDArray[np.floating], counts: Counts, k: int) -> PerQuery:
    """The recall at `k` to be expected when hits of one score stand in random order (McSherry and Najork 2008).

    Hamming distances have few values, so the order within one decides much and says nothing. `scores` is `(queries,
    ranks)`, descending, NaN where there is no hit. Of the hits tied at rank `k`, as many as still fit count by the
    share of relevant ones among them. A tie that goes on behind the last rank given is known only as far as given.
    """
    known = _checked(relevant, scores)
    if known.shape[1] <= k:
        return recall(relevant, counts, k)
    at_cut = known[:, k - 1 : k]
    above, tied = known > at_cut, known == at_cut
    share = (relevant & tied).sum(axis=1) / tied.sum(axis=1)
    found = (relevant & above).sum(axis=1) + (k - above.sum(axis=1)) * share
    return found / _possible(relevant, counts)


def precision_recall(relevant: Relevant, counts: Counts) -> tuple[PerQuery, PerQuery]:
    """`(ranks,)` each: mean precision and mean recall of the queries at every rank, for a curve."""
    found = np.cumsum(relevant, axis=1)
    precisions = found / np.arange(1, relevant.shape[1] + 1)
    return precisions.mean(axis=0), (found / _possible(relevant, counts)[:, None]).mean(axis=0)


def precision_at(relevant: Relevant, k: int) -> float:
    """The mean of `precision` over the queries."""
    return float(precision(relevant, k).mean())


def average_precision_at(relevant: Relevant, k: int) -> float:
    """The mean of `average_precision` over the queries, over the relevant hits found."""
    return float(average_precision(relevant, k).mean())


def rank_same_class(vectors: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """`(n, k) bool`: whether each vector's `k` nearest others by cosine carry its label; vectors are L2-normalised."""
    same = np.empty((len(vectors), k), bool)
    for first in range(0, len(vectors), 1024):
        rows = np.arange(first, min(first + 1024, len(vectors)))
        cosines = vectors[rows] @ vectors.T
        cosines[rows - first, rows] = -np.inf
        same[rows] = labels[top_k(cosines, k)] == labels[rows, None]
    return same


def _possible(relevant: Relevant, counts: Counts) -> Counts:
    """The counts; EvaluationError where a query has nothing to find, or found more than there is."""
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
    known = np.where(np.isnan(scores), -np.inf, scores)
    if known.shape != relevant.shape or (relevant & np.isneginf(known)).any():
        raise EvaluationError(f"every hit must have a score, but {relevant.shape} hits have scores of {known.shape}")
    if (known[:, 1:] > known[:, :-1]).any():
        raise EvaluationError("scores must descend with the rank, but some ascend")
    return known
