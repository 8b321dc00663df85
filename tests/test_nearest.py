"""The exact top k: the same as sorting everything, in a fixed order."""

from __future__ import annotations

import numpy as np
import pytest

from hashsearch.hashing.nearest import top_k

FLOATS = np.random.default_rng(0).standard_normal((40, 200)).astype(np.float32)
TIED = np.random.default_rng(1).integers(0, 4, (40, 200))


@pytest.mark.parametrize("scores", [FLOATS, TIED, TIED.astype(np.float32), -TIED], ids=["floats", "ints", "few", "low"])
@pytest.mark.parametrize("k", [0, 1, 2, 10, 199, 200, 500])
def test_top_k_is_the_head_of_a_stable_sort(scores: np.ndarray, k: int) -> None:
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    assert top_k(scores, k).tolist() == expected.tolist()


@pytest.mark.parametrize("k", [0, 1, 3, 200, 201])
def test_one_row_gives_one_row(k: int) -> None:
    assert top_k(TIED[0], k).tolist() == top_k(TIED[:1], k)[0].tolist()
    assert top_k(TIED[0], k).shape == (min(k, 200),)


def test_equal_scores_come_by_column() -> None:
    assert top_k(np.array([0.5, 0.9, 0.5, 0.9, 0.5]), 3).tolist() == [1, 3, 0]
    assert top_k(np.zeros((2, 6)), 4).tolist() == [[0, 1, 2, 3]] * 2


def test_minus_infinity_comes_last() -> None:
    assert top_k(np.array([-np.inf, 2.0, -np.inf, 1.0]), 3).tolist() == [1, 3, 0]


def test_no_rows_and_no_columns_give_none() -> None:
    assert top_k(np.empty((0, 5)), 3).shape == (0, 3)
    assert top_k(np.empty((4, 0)), 3).shape == (4, 0)


def test_the_scores_stay_as_they_were() -> None:
    scores = FLOATS.copy()
    top_k(scores, 7)
    assert (scores == FLOATS).all()
