"""Intervals, comparisons and score statistics, on data whose answer is known and beside scikit-learn's."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from hashsearch.errors import EvaluationError
from hashsearch.evaluation.metrics.statistics import (
    compare,
    figures,
    histogram,
    intervals,
    quantile_interval,
    roc,
    share_interval,
    threshold,
)

NAN = float("nan")


def test_figures_go_by_the_names_of_the_result_files() -> None:
    relevant = np.array([[1, 0, 1], [0, 0, 0]], bool)
    scores = np.array([[0.9, 0.8, 0.7], [0.5, NAN, NAN]])
    found, of_each = figures(relevant, scores, np.array([2, 3]), seed=0)
    names = """precision@1 precision@5 precision@10 recall@1 recall@5 recall@10 accuracy@1 accuracy@5 hit_rate@10
        average_precision@10 map@10 mrr ndcg@10 tie_aware_recall@10""".split()
    assert [*found] == [*of_each] == names
    assert of_each["average_precision@10"] == pytest.approx([(1 + 2 / 3) / 2, 0])
    assert found["precision@5"]["value"] == pytest.approx(0.2)
    assert all(figure["low"] <= figure["value"] <= figure["high"] for figure in found.values())


def test_an_interval_is_as_wide_as_theory_says() -> None:
    values = (np.arange(400) < 120).astype(float)  # a share of 0.3
    figure = intervals({"share": values}, seed=1)["share"]
    half = 1.96 * np.sqrt(0.3 * 0.7 / 400)
    assert figure["value"] == pytest.approx(0.3)
    assert (figure["low"], figure["high"]) == pytest.approx((0.3 - half, 0.3 + half), abs=0.006)


def test_intervals_hold_the_truth_as_often_as_promised() -> None:
    rng = np.random.default_rng(3)
    samples = {str(run): rng.normal(5, 2, 80) for run in range(300)}
    covered = [figure["low"] <= 5 <= figure["high"] for figure in intervals(samples, seed=4).values()]
    assert 0.91 <= np.mean(covered) <= 0.98


def test_intervals_follow_from_the_seed() -> None:
    values = {"any": np.random.default_rng(0).random(30)}
    assert intervals(values, seed=5) == intervals(values, seed=5) != intervals(values, seed=6)


def test_many_queries_are_resampled_in_pieces() -> None:
    values = np.random.default_rng(0).random(10_000)
    figure = intervals({"mean": values}, seed=0)["mean"]
    assert figure["high"] - figure["low"] == pytest.approx(2 * 1.96 * values.std() / 100, rel=0.1)


def test_a_quantile_lies_between_ranks() -> None:
    figure = quantile_interval(np.arange(1, 101), 0.5)
    assert figure == {"value": 50.5, "low": 40, "high": 61}  # the 40th and the 61st of a hundred, as tables have it
    assert quantile_interval([7], 0.95) == {"value": 7, "low": 7, "high": 7}


def test_quantile_intervals_hold_the_truth_as_often_as_promised() -> None:
    rng = np.random.default_rng(5)
    found = [quantile_interval(rng.exponential(1, 100), 0.9) for _ in range(400)]
    covered = [figure["low"] <= np.log(10) <= figure["high"] for figure in found]
    assert 0.92 <= np.mean(covered) <= 0.99


def test_a_share_has_wilsons_interval() -> None:
    figure = share_interval(10, 100)
    assert (figure["low"], figure["high"]) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    assert share_interval(0, 50)["low"] == 0 < share_interval(0, 50)["high"]


def test_a_difference_that_every_query_shows_is_significant() -> None:
    baseline = np.random.default_rng(0).random(50)
    comparison = compare(baseline + 0.1, baseline, seed=0)
    assert comparison["difference"] == pytest.approx(0.1)
    assert comparison["p_value"] == pytest.approx(1 / 2001)
    assert comparison["low"] > 0.09


def test_equal_methods_do_not_differ() -> None:
    values = np.random.default_rng(0).random(50)
    assert compare(values, values, seed=0) == {"difference": 0, "low": 0, "high": 0, "p_value": 1}


def test_the_randomisation_test_comes_near_that_of_all_signs() -> None:
    differences = np.array([0.3, 0.1, -0.1, 0.2, 0.4, 0.0, -0.2, 0.3])
    sums = np.array([*product((-1, 1), repeat=8)]) @ differences
    exact = np.mean(np.abs(sums) >= differences.sum() - 1e-9)
    assert compare(differences, np.zeros(8), seed=2)["p_value"] == pytest.approx(exact, abs=0.03)


def test_chance_is_rarely_significant() -> None:
    rng = np.random.default_rng(8)
    found = [compare(rng.random(40), rng.random(40), seed)["p_value"] <= 0.05 for seed in range(200)]
    assert 0.01 <= np.mean(found) <= 0.1


@pytest.mark.parametrize("values", [[], [1.0, NAN], [[1.0]]])
def test_figures_that_are_no_numbers_are_refused(values: list[float]) -> None:
    with pytest.raises(EvaluationError, match="finite number"):
        intervals({"recall": values}, seed=0)


def test_only_figures_of_the_same_queries_are_compared() -> None:
    with pytest.raises(EvaluationError, match="same queries, got 2 and 3"):
        compare([1, 2], [1, 2, 3], seed=0)


def test_the_curve_is_worked_by_hand() -> None:
    curve = roc([True, False, True, False], [4, 3, 2, 1])
    assert curve is not None
    assert curve["false_positive_rate"] == [0, 0, 0.5, 0.5, 1]
    assert curve["true_positive_rate"] == [0, 0.5, 0.5, 1, 1]
    assert curve["auc"] == pytest.approx(0.75)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_the_area_agrees_with_scikit_learn_with_ties_and_thinned(seed: int) -> None:
    rng = np.random.default_rng(seed)
    relevant, scores = rng.random(60) < 0.5, rng.integers(0, 20, 60)
    relevant[:2] = True, False
    curve = roc(relevant, scores, points=7)
    assert curve is not None
    assert curve["auc"] == pytest.approx(roc_auc_score(relevant, scores))
    assert len(curve["true_positive_rate"]) <= 7


@pytest.mark.parametrize("relevant", [[True, True], [False, False]])
def test_hits_of_one_kind_have_no_curve(relevant: list[bool]) -> None:
    assert roc(relevant, [2, 1]) is None


def test_the_threshold_is_the_lowest_score_that_is_precise_enough() -> None:
    relevant = np.array([[True, True, False], [True, True, False]])
    scores = np.array([[0.9, 0.8, 0.7], [0.6, 0.5, NAN]])
    # from the top: 1/1, 2/2, 2/3, 3/4, 4/5
    assert threshold(relevant, scores, 0.8, 8) == {"precision": 0.8, "score": 0.5, "recall": 0.5}
    assert threshold(relevant, scores, 0.9, 8) == {"precision": 0.9, "score": 0.8, "recall": 0.25}


def test_hits_of_one_score_are_at_the_threshold_together() -> None:
    assert threshold([True, False], [0.9, 0.9], 0.95, 1) is None


def test_there_may_be_no_threshold() -> None:
    assert threshold([False, True], [0.9, 0.8], 0.95, 1) is None
    assert threshold([[False]], [[NAN]], 0.95, 1) is None


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 0.8, 0.95]))
def test_no_lower_score_is_precise_enough(seed: int, wanted: float) -> None:
    rng = np.random.default_rng(seed)
    relevant, scores = rng.random(30) < 0.7, rng.integers(0, 12, 30).astype(float)
    precise = [score for score in np.unique(scores) if relevant[scores >= score].mean() >= wanted - 1e-12]
    found = threshold(relevant, scores, wanted, 30)
    assert (found["score"] if found else None) == (min(precise) if precise else None)


def test_the_histogram_counts_both_kinds_between_common_edges() -> None:
    found = histogram([[True, False, True], [False, False, False]], [[1.0, 0.5, 0.9], [0.0, 0.1, NAN]], bins=2)
    assert found == {"edges": [0, 0.5, 1], "relevant": [0, 2], "irrelevant": [2, 1]}


def test_without_hits_there_is_no_histogram_and_no_curve() -> None:
    assert histogram([[False]], [[NAN]]) is None
    assert roc([[False]], [[NAN]]) is None
