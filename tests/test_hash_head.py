"""The losses of a hash head by hand, by brute force and by finite differences; what it draws and what it keeps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hashsearch.hashing.hash_head import (
    Adam,
    LossWeights,
    balance_loss,
    batches,
    class_precision,
    coding_loss,
    learn_directions,
    numbered,
    quantisation_loss,
    relaxed_distances,
    semi_hard_triplets,
    triplet_loss,
)

CLASSES = np.array([0, 0, 1])
CORNERS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
LOSSES: dict[str, Callable[[NDArray[np.float64], NDArray[np.int64]], tuple[float, NDArray[np.floating]]]] = {
    "triplets": lambda codes, classes: triplet_loss(codes, classes, 0.3),
    "balance": lambda codes, classes: balance_loss(codes),
    "quantisation": lambda codes, classes: quantisation_loss(codes),
    "all": lambda codes, classes: coding_loss(codes, classes, LossWeights(0.3, 0.5, 0.25)),
}


def relaxed(count: int, bits: int, seed: int = 0) -> NDArray[np.float64]:
    return np.tanh(np.random.default_rng(seed).standard_normal((count, bits)))


def test_the_distance_of_corners_is_the_share_of_bits_that_differ() -> None:
    assert relaxed_distances(CORNERS).tolist() == [[0, 0.5, 1], [0.5, 0, 0.5], [1, 0.5, 0]]


def test_triplets_by_hand() -> None:
    anchors, positives, negatives = semi_hard_triplets(relaxed_distances(CORNERS), CLASSES)
    assert [*zip(anchors.tolist(), positives.tolist(), negatives.tolist())] == [(0, 1, 2), (1, 0, 2)]
    assert triplet_loss(CORNERS, CLASSES, 0.25)[0] == pytest.approx((0 + 0.25) / 2)


def test_triplets_are_those_that_loops_find() -> None:
    classes = np.random.default_rng(1).integers(4, size=30)
    distances = relaxed_distances(relaxed(30, 8))
    wanted = []
    for anchor in range(30):
        others = [row for row in range(30) if classes[row] != classes[anchor]]
        for positive in range(30):
            if positive != anchor and classes[positive] == classes[anchor]:
                farther = [row for row in others if distances[anchor, row] > distances[anchor, positive]]
                chosen, of = (min, farther) if farther else (max, others)
                wanted.append((anchor, positive, chosen(of, key=lambda row: distances[anchor, row])))
    found = zip(*(rows.tolist() for rows in semi_hard_triplets(distances, classes)))
    assert [*found] == wanted


@pytest.mark.parametrize("classes", [[0, 0, 0], [0, 1, 2]])
def test_without_a_triplet_there_is_no_loss(classes: list[int]) -> None:
    loss, gradient = triplet_loss(CORNERS, np.array(classes), 0.25)
    assert loss == 0
    assert (gradient == 0).all()


def test_balance_and_quantisation_by_hand() -> None:
    assert balance_loss(CORNERS)[0] == pytest.approx(1 / 9)
    assert balance_loss(np.array([[1.0], [-1.0]]))[0] == 0
    assert quantisation_loss(CORNERS)[0] == 0
    assert quantisation_loss(np.array([[0.5, -0.5, 0.0, 1.0]]))[0] == pytest.approx((0.25 + 0.25 + 1) / 4)


@pytest.mark.parametrize("name", LOSSES)
def test_a_gradient_is_that_of_finite_differences(name: str) -> None:
    codes, classes, step = relaxed(12, 6, seed=3), np.arange(12) % 3, 1e-6
    gradient = LOSSES[name](codes, classes)[1]
    for place in np.ndindex(*codes.shape):
        above, below = codes.copy(), codes.copy()
        above[place] += step
        below[place] -= step
        slope = (LOSSES[name](above, classes)[0] - LOSSES[name](below, classes)[0]) / (2 * step)
        assert gradient[place] == pytest.approx(slope, abs=1e-8)


def test_a_batch_holds_as_many_of_each_of_sixteen_classes() -> None:
    classes = np.repeat(np.arange(20), 40)
    rows = np.arange(100, 800)
    for batch in batches(classes, rows, 5, np.random.default_rng(0)):
        assert np.isin(batch, rows).all()
        assert len(set(batch.tolist())) == 128
        assert sorted(np.bincount(classes[batch])[np.unique(classes[batch])]) == [8] * 16


def test_a_class_of_few_gives_what_it_has() -> None:
    classes = np.array([0] * 3 + [1] * 200)
    (batch,) = batches(classes, np.arange(203), 1, np.random.default_rng(0))
    assert np.bincount(classes[batch]).tolist() == [3, 64]


def test_adams_first_step_has_the_length_of_its_rate() -> None:
    step = Adam(0.01).step(np.array([3.0, -0.002]))
    assert step == pytest.approx([0.01, -0.01], rel=1e-4)


def test_adam_finds_the_bottom_of_a_bowl() -> None:
    place, adam = np.array([1.0, -2.0]), Adam(0.05)
    for _ in range(500):
        place = place - adam.step(2 * place * [1, 30])
    assert np.abs(place).max() < 1e-2


def test_class_precision_by_hand() -> None:
    signs = np.array([[1, 1, 1], [1, 1, -1], [1, -1, -1], [-1, -1, -1]], np.float32)
    classes, others = np.array([0, 0, 1, 0]), np.array([1, 2, 3])
    found = class_precision(signs, classes, np.eye(3, dtype=np.float32), np.array([0]), others)
    assert found == pytest.approx((1 + 2 / 3) / 2), "relevant, irrelevant, relevant"


def test_numbers_of_labels() -> None:
    assert numbered(["b", "a", "b", None]).tolist() == [0, 1, 0, 2]


def test_the_best_round_is_kept_and_not_the_last() -> None:
    generator = np.random.default_rng(0)
    centred, start = generator.standard_normal((400, 16)).astype(np.float32), np.eye(16, 8, dtype=np.float32)
    nonsense = generator.integers(5, size=400)
    weights = LossWeights(0.2, 0.1, 0.1)
    asked, others = np.split(np.random.default_rng(3).permutation(400), [80])

    def judged(rounds: int) -> float:
        learned = learn_directions(centred, nonsense, start, weights, rounds, np.random.default_rng(3))
        return class_precision(centred, nonsense, learned, asked, others)

    scores = [judged(rounds) for rounds in range(5)]
    assert scores == sorted(scores)
