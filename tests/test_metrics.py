"""Metrics, on rankings worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hashsearch.evaluation.metrics import average_precision_at, precision_at, rank_same_class

RELEVANT = np.array([[1, 0, 1, 0], [0, 0, 1, 1], [0, 0, 0, 0]], bool)


def test_precision_is_the_share_of_relevant_hits() -> None:
    assert precision_at(RELEVANT, 1) == pytest.approx(1 / 3)
    assert precision_at(RELEVANT, 4) == pytest.approx((2 + 2 + 0) / 12)


def test_average_precision_is_worked_by_hand() -> None:
    first, second = (1 / 1 + 2 / 3) / 2, (1 / 3 + 2 / 4) / 2
    assert average_precision_at(RELEVANT, 4) == pytest.approx((first + second + 0) / 3)
    assert average_precision_at(RELEVANT, 2) == pytest.approx((1 + 0 + 0) / 3)


def test_neighbours_are_ranked_by_cosine_and_leave_the_query_out() -> None:
    angles = np.deg2rad([0, 10, 30, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    labels = np.array([0, 1, 0, 1])
    # nearest first: 0 -> 1 2, 1 -> 0 2, 2 -> 1 0, 3 -> 2 1
    assert rank_same_class(vectors, labels, 2).tolist() == [[False, True], [False, False], [False, True], [False, True]]
