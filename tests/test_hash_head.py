"""The losses of a hash head by hand and by brute force; the batches it learns from, and what it keeps."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from hashsearch.hashing.hash_head import LossWeights, class_numbers
from hashsearch.training.directions import (
    balance_loss,
    class_precision,
    coding_loss,
    learn_directions,
    quantisation_loss,
)
from hashsearch.training.sampling import by_class

CLASSES = np.array([0, 0, 1])
CORNERS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])


def relaxed(count: int, bits: int, seed: int = 0) -> NDArray[np.float64]:
    return np.tanh(np.random.default_rng(seed).standard_normal((count, bits)))


def triplet_loss(codes: NDArray[np.float64], classes: NDArray[np.int64], margin: float) -> float:
    return float(coding_loss(tf.constant(classes), tf.constant(codes, tf.float32), LossWeights(margin, 0, 0)))


def tensor(*rows: list[float]) -> tf.Tensor:
    return tf.constant(rows, tf.float32)


def test_triplets_of_corners_by_hand() -> None:
    # Shares of bits that differ: .5 within the class, 1 and .5 to the other: violated by 0 and by the margin.
    assert triplet_loss(CORNERS, CLASSES, 0.25) == pytest.approx((0 + 0.25) / 2)


def test_triplets_are_those_that_loops_find() -> None:
    classes, codes = np.random.default_rng(1).integers(4, size=30), relaxed(30, 8)
    distances = ((codes[:, None] - codes) ** 2).sum(axis=2) / (4 * 8)
    losses = []
    for anchor in range(30):
        others = [row for row in range(30) if classes[row] != classes[anchor]]
        for positive in range(30):
            if positive != anchor and classes[positive] == classes[anchor]:
                farther = [row for row in others if distances[anchor, row] > distances[anchor, positive]]
                chosen, of = (min, farther) if farther else (max, others)
                negative = chosen(of, key=lambda row: distances[anchor, row])
                losses.append(max(0, 0.3 + distances[anchor, positive] - distances[anchor, negative]))
    assert triplet_loss(codes, classes, 0.3) == pytest.approx(np.mean(losses), abs=1e-6)


@pytest.mark.parametrize("classes", [[0, 0, 0], [0, 1, 2]])
def test_without_a_triplet_there_is_no_loss_and_no_gradient(classes: list[int]) -> None:
    codes = tf.Variable(tf.constant(CORNERS, tf.float32))
    with tf.GradientTape() as tape:
        loss = coding_loss(tf.constant(classes), codes, LossWeights(0.25, 0, 0))
    assert float(loss) == 0
    assert (tape.gradient(loss, codes).numpy() == 0).all()


def test_balance_and_quantisation_by_hand() -> None:
    assert float(balance_loss(tf.constant(CORNERS))) == pytest.approx(1 / 9)
    assert float(balance_loss(tensor([1.0], [-1.0]))) == 0
    assert float(quantisation_loss(tf.constant(CORNERS))) == 0
    assert float(quantisation_loss(tensor([0.5, -0.5, 0.0, 1.0]))) == pytest.approx((0.25 + 0.25 + 1) / 4)


def test_losses_are_added_by_their_weights() -> None:
    codes, classes = relaxed(12, 6, seed=3), np.arange(12) % 3
    total = float(coding_loss(tf.constant(classes), tf.constant(codes, tf.float32), LossWeights(0.3, 0.5, 0.25)))
    parts = 0.5 * float(balance_loss(tf.constant(codes))) + 0.25 * float(quantisation_loss(tf.constant(codes)))
    assert total == pytest.approx(triplet_loss(codes, classes, 0.3) + parts, abs=1e-6)


def test_a_gradient_is_that_of_finite_differences() -> None:
    codes, classes, step = relaxed(12, 6, seed=3).astype(np.float32), np.arange(12) % 3, 2e-4
    weights = LossWeights(0.3, 0.5, 0.25)
    relaxed_codes = tf.Variable(codes)
    with tf.GradientTape() as tape:
        loss = coding_loss(tf.constant(classes), relaxed_codes, weights)
    gradient = tape.gradient(loss, relaxed_codes).numpy()
    direction = gradient / np.linalg.norm(gradient)
    above, below = (
        float(coding_loss(tf.constant(classes), tf.constant(codes + sign * step * direction), weights))
        for sign in (1, -1)
    )
    assert (above - below) / (2 * step) == pytest.approx(np.linalg.norm(gradient), rel=0.02)


def test_a_batch_has_equally_many_of_each_of_sixteen_classes() -> None:
    classes = np.repeat(np.arange(20), 40)
    for batch in by_class(classes, 128, 8, np.random.default_rng(0)):
        assert len(set(batch.tolist())) == 128
        assert sorted(np.bincount(classes[batch])[np.unique(classes[batch])]) == [8] * 16


def test_class_precision_by_hand() -> None:
    signs = np.array([[1, 1, 1], [1, 1, -1], [1, -1, -1], [-1, -1, -1]], np.float32)
    classes, others = np.array([0, 0, 1, 0]), np.array([1, 2, 3])
    precision = class_precision(signs, classes, np.eye(3, dtype=np.float32), np.array([0]), others)
    assert precision == pytest.approx((1 + 2 / 3) / 2), "relevant, irrelevant, relevant"


def test_numbers_of_labels() -> None:
    assert class_numbers(["b", "a", "b", None]).tolist() == [0, 1, 0, 2]


@pytest.mark.slow
def test_the_best_round_is_kept_and_not_the_last() -> None:
    generator = np.random.default_rng(0)
    centred, start = generator.standard_normal((400, 16)).astype(np.float32), np.eye(16, 8, dtype=np.float32)
    nonsense = generator.integers(5, size=400)
    weights = LossWeights(0.2, 0.1, 0.1)
    queries, others = np.split(np.random.default_rng(3).permutation(400), [80])

    def score(rounds: int) -> float:
        learned = learn_directions(centred, nonsense, start, weights, rounds, np.random.default_rng(3))
        return class_precision(centred, nonsense, learned, queries, others)

    scores = [score(rounds) for rounds in range(5)]
    assert scores == sorted(scores)
