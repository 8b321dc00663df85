"""Drift on samples of known distributions."""

from __future__ import annotations

import numpy as np
import pytest

from hashsearch.evaluation.live.drift import Spread, distance, mean_cosine, noise


def sample(count: int, seed: int, shift: float = 0.0, spread: float = 1.0) -> np.ndarray:
    """Vectors `(count, 16)` of a normal distribution."""
    vectors = shift + spread * np.random.default_rng(seed).standard_normal((count, 16))
    return vectors.astype(np.float32)


def test_the_distance_is_worked_by_hand() -> None:
    one = Spread(np.array([1.0, 0.0]), np.array([4.0, 1.0]), 10)
    other = Spread(np.array([0.0, 2.0]), np.array([1.0, 1.0]), 10)
    assert distance(one, other) == pytest.approx(1 + 4 + 1)
    assert distance(one, one) == 0
    assert mean_cosine(one, other) == 0
    assert mean_cosine(one, one) == pytest.approx(1)


def test_a_spread_is_of_its_vectors() -> None:
    spread = Spread.of(np.array([[1, 2], [3, 2]], np.float32))
    assert (spread.mean.tolist(), spread.variance.tolist(), spread.count) == ([2, 2], [1, 0], 2)


def test_samples_of_one_distribution_rarely_go_beyond_the_noise() -> None:
    past = Spread.of(sample(300, 0))
    beyond = []
    for seed in range(1, 101):
        tonight = sample(500, seed)
        beyond.append(distance(Spread.of(tonight), past) > noise(tonight, past.count, seed))
    assert np.mean(beyond) <= 0.06


@pytest.mark.parametrize(("shift", "spread"), [(0.15, 1.0), (0.0, 1.2)])
def test_a_moved_or_wider_distribution_does(shift: float, spread: float) -> None:
    past, tonight = Spread.of(sample(500, 0)), sample(500, 1, shift, spread)
    assert distance(Spread.of(tonight), past) > 2 * noise(tonight, past.count, 0)


def test_one_vector_tells_nothing() -> None:
    assert noise(sample(1, 0), 10, 0) == float("inf")
