"""Metrics, on rankings worked by hand and beside scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score

from hashsearch.errors import EvaluationError
from hashsearch.evaluation.metrics import statistics
from hashsearch.evaluation.metrics.ranking import (
    average_precision,
    average_precision_at,
    hit_rate,
    ndcg,
    padded_scores,
    precision,
    precision_at,
    precision_recall,
    rank_same_class,
    recall,
    reciprocal_rank,
    relevant_hits,
    tie_aware_recall,
)

RELEVANT = np.array([[1, 0, 1, 0], [0, 0, 1, 1], [0, 0, 0, 0]], bool)
COUNTS = np.array([2, 4, 1])


def test_precision_is_the_share_of_relevant_hits() -> None:
    assert precision(RELEVANT, 1).tolist() == [1, 0, 0]
    assert precision(RELEVANT, 4).tolist() == [0.5, 0.5, 0]
    assert precision_at(RELEVANT, 4) == pytest.approx((2 + 2 + 0) / 12)


def test_ranks_that_no_hit_fills_count_as_irrelevant() -> None:
    assert precision(RELEVANT, 8).tolist() == [0.25, 0.25, 0]


def test_recall_is_the_share_of_what_there_is() -> None:
    assert recall(RELEVANT, COUNTS, 2).tolist() == [0.5, 0, 0]
    assert recall(RELEVANT, COUNTS, 4).tolist() == [1, 0.5, 0]


def test_one_relevant_hit_is_enough_for_the_hit_rate() -> None:
    assert hit_rate(RELEVANT, 1).tolist() == [1, 0, 0]
    assert hit_rate(RELEVANT, 3).tolist() == [1, 1, 0]


def test_average_precision_is_worked_by_hand() -> None:
    first, second = (1 / 1 + 2 / 3) / 2, (1 / 3 + 2 / 4) / 2
    assert average_precision(RELEVANT, 4) == pytest.approx([first, second, 0])
    assert average_precision_at(RELEVANT, 4) == pytest.approx((first + second + 0) / 3)
    assert average_precision_at(RELEVANT, 2) == pytest.approx((1 + 0 + 0) / 3)


def test_average_precision_over_what_there_is_counts_what_was_not_found() -> None:
    assert average_precision(RELEVANT, 4, COUNTS) == pytest.approx([5 / 6, (1 / 3 + 2 / 4) / 4, 0])
    # of four relevant images two fit into two ranks: both there would be perfect
    assert average_precision(np.array([[1, 1]], bool), 2, np.array([4])).tolist() == [1]


def test_reciprocal_rank_is_of_the_first_relevant_hit() -> None:
    assert reciprocal_rank(RELEVANT) == pytest.approx([1, 1 / 3, 0])


def test_ndcg_is_worked_by_hand() -> None:
    perfect_of_two = 1 + 1 / np.log2(3)
    assert ndcg(RELEVANT, COUNTS, 4)[0] == pytest.approx((1 + 1 / np.log2(4)) / perfect_of_two)
    assert ndcg(RELEVANT, COUNTS, 2).tolist() == pytest.approx([1 / perfect_of_two, 0, 0])


def test_a_tie_at_the_cut_counts_by_its_share_of_relevant_hits() -> None:
    scores = np.array([[5.0, 4, 4, 4]])
    # at 2: the first hit, and one of three tied, two of which are relevant
    assert tie_aware_recall(np.array([[1, 0, 1, 1]], bool), scores, np.array([4]), 2) == pytest.approx(
        [(1 + 2 / 3) / 4]
    )
    assert tie_aware_recall(np.array([[0, 1, 1, 0]], bool), scores, np.array([2]), 3) == pytest.approx([2 * 2 / 3 / 2])


def test_a_query_with_fewer_hits_than_asked_for_has_no_tie() -> None:
    relevant, scores = np.array([[1, 0, 0, 0]], bool), np.array([[5.0, 5, np.nan, np.nan]])
    assert tie_aware_recall(relevant, scores, np.array([2]), 3).tolist() == [0.5]
    assert tie_aware_recall(relevant, scores, np.array([2]), 10).tolist() == [0.5]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_tie_aware_recall_is_the_mean_over_random_orders_of_the_ties(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    relevant, scores = rng.random(12) < 0.4, -np.sort(rng.integers(0, 4, 12)).astype(float)
    counts = np.array([max(1, relevant.sum())])
    orders = np.lexsort((rng.random((4000, 12)), np.broadcast_to(-scores, (4000, 12))))
    shuffled = recall(relevant[orders], np.repeat(counts, 4000), k).mean()
    assert tie_aware_recall(relevant[None], scores[None], counts, k)[0] == pytest.approx(shuffled, abs=0.06)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(1, 25))
def test_average_precision_and_ndcg_agree_with_scikit_learn(seed: int, images: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    relevant = rng.random((3, images)) < 0.3
    relevant[:, rng.integers(images)] = True
    counts, falling = relevant.sum(axis=1), -np.arange(images, dtype=float)
    theirs = [average_precision_score(row, falling) for row in relevant]
    assert average_precision(relevant, images, counts) == pytest.approx(theirs)
    first = [average_precision_score(row[:k], falling[:k]) if row[:k].any() else 0 for row in relevant]
    assert average_precision(relevant, k) == pytest.approx(first)
    if images > 1:  # scikit-learn ranks no fewer than two
        ranked = [ndcg_score(row[None], falling[None], k=k) for row in relevant.astype(float)]
        assert ndcg(relevant, counts, k) == pytest.approx(ranked)


def test_hits_are_relevant_where_their_rows_are_wanted() -> None:
    hits = relevant_hits([[7, 3, 5], np.array([2])], [np.array([3, 9]), [2, 4]], 2)
    assert hits.tolist() == [[False, True], [True, False]]
    assert relevant_hits([[]], [[1]], 3).tolist() == [[False, False, False]]


def test_scores_are_padded_where_there_are_fewer_hits() -> None:
    np.testing.assert_array_equal(padded_scores([[3, 2, 1], [4], []], 2), [[3, 2], [4, np.nan], [np.nan, np.nan]])


def test_the_curve_is_the_mean_at_every_rank() -> None:
    precisions, recalls = precision_recall(RELEVANT, COUNTS)
    for rank in range(1, 5):
        assert precisions[rank - 1] == pytest.approx(precision(RELEVANT, rank).mean())
        assert recalls[rank - 1] == pytest.approx(recall(RELEVANT, COUNTS, rank).mean())


def test_a_query_without_a_relevant_image_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"must have a relevant image.*query 1 has 2 hits of 0"):
        recall(RELEVANT, np.array([2, 0, 1]), 4)


def test_more_relevant_hits_than_images_are_refused() -> None:
    with pytest.raises(EvaluationError, match="query 0 has 2 hits of 1"):
        ndcg(RELEVANT, np.array([1, 2, 1]), 4)


def test_an_image_found_twice_is_refused() -> None:
    with pytest.raises(EvaluationError, match="hits of query 1 repeat one"):
        relevant_hits([[1], [2, 2]], [[1], [2]], 5)


@pytest.mark.parametrize("scores", [[[1.0, 2.0]], [[1.0]], [[1.0, np.nan]]])
def test_scores_must_descend_and_fit_the_hits(scores: list[list[float]]) -> None:
    with pytest.raises(EvaluationError):
        tie_aware_recall(np.array([[True, True]]), np.array(scores), np.array([2]), 1)


def test_neighbours_are_ranked_by_cosine_and_leave_the_query_out() -> None:
    angles = np.deg2rad([0, 10, 30, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    labels = np.array([0, 1, 0, 1])
    # nearest first: 0 -> 1 2, 1 -> 0 2, 2 -> 1 0, 3 -> 2 1
    assert rank_same_class(vectors, labels, 2).tolist() == [[False, True], [False, False], [False, True], [False, True]]


class TestFewImages:
    """Ranks beyond the images that there are: they count as irrelevant, and nothing fails."""

    @given(labels=st.lists(st.integers(0, 2), min_size=1, max_size=14), k=st.integers(0, 12), seed=st.integers(0, 9))
    @settings(deadline=None)
    def test_neighbours_are_those_of_plain_sorting_however_few(self, labels: list[int], k: int, seed: int) -> None:
        vectors = np.random.default_rng(seed).standard_normal((len(labels), 5))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        expected = []
        for query, label in enumerate(labels):
            others = [row for row in range(len(labels)) if row != query]
            nearest = sorted(others, key=lambda row: -float(vectors[row] @ vectors[query]))[:k]
            expected.append([labels[row] == label for row in nearest] + [False] * (k - len(nearest)))
        relevant = rank_same_class(vectors.astype(np.float32), np.array(labels), k)
        assert (relevant.shape, relevant.tolist()) == ((len(labels), k), expected)

    @given(ranks=st.integers(0, 14), k=st.integers(1, 12), queries=st.integers(1, 4), seed=st.integers(0, 9))
    @settings(deadline=None)
    def test_every_metric_equals_that_of_ranks_without_hits(self, ranks: int, k: int, queries: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        hits = rng.random((queries, ranks)) < 0.5
        scores = -np.sort(-rng.integers(0, 4, (queries, ranks)).astype(float), axis=1)
        counts = hits.sum(axis=1) + rng.integers(1, 3, queries)
        padded_hits = np.pad(hits, ((0, 0), (0, 20 - ranks)))
        padded = np.pad(scores, ((0, 0), (0, 20 - ranks)), constant_values=np.nan)
        for few, many in (
            (precision(hits, k), precision(padded_hits, k)),
            (recall(hits, counts, k), recall(padded_hits, counts, k)),
            (hit_rate(hits, k), hit_rate(padded_hits, k)),
            (average_precision(hits, k), average_precision(padded_hits, k)),
            (average_precision(hits, k, counts), average_precision(padded_hits, k, counts)),
            (reciprocal_rank(hits), reciprocal_rank(padded_hits)),
            (ndcg(hits, counts, k), ndcg(padded_hits, counts, k)),
            (tie_aware_recall(hits, scores, counts, k), tie_aware_recall(padded_hits, padded, counts, k)),
        ):
            assert np.isfinite(few).all() and few == pytest.approx(many)
        figures, per_query = statistics.figures(hits, scores, counts, 0)
        assert all(0 <= figure["low"] <= figure["high"] <= 1 + 1e-9 for figure in figures.values())
        assert all(len(values) == queries for values in per_query.values())
