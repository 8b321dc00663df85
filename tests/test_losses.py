"""Losses over pairs and triplets: worked by hand, and against loops over all pairs and triplets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from hashsearch.training.losses import contrastive_loss, hard_triplet_loss, semi_hard_triplet_loss

Loss = Callable[[Any, Any, float], Any]

# On a line: two photos of class 0 at 0 and 1, two of class 1 at 1.2 and 3.
LABELS, PLACES = [0, 0, 1, 1], [[0.0], [1.0], [1.2], [3.0]]


def loss_of(loss: Loss, labels: Any, embeddings: Any, margin: float) -> float:
    return float(loss(tf.constant(labels), tf.constant(embeddings, tf.float32), margin))


def slow_semi_hard(labels: np.ndarray, embeddings: np.ndarray, margin: float) -> float:
    distances = ((embeddings[:, None] - embeddings[None]) ** 2).sum(axis=2)
    losses = []
    for anchor in range(len(labels)):
        for positive in range(len(labels)):
            if positive == anchor or labels[positive] != labels[anchor]:
                continue
            negatives = [distances[anchor, n] for n in range(len(labels)) if labels[n] != labels[anchor]]
            farther = [distance for distance in negatives if distance > distances[anchor, positive]]
            if negatives:
                negative = min(farther) if farther else max(negatives)
                losses.append(max(0.0, margin + distances[anchor, positive] - negative))
    return float(np.mean(losses)) if losses else 0.0


def test_semi_hard_triplets_worked_by_hand() -> None:
    # Squared distances from 0: 1 | 1.44, 9; from 1: 1 | .04, 4; from 1.2: 3.24 | 1.44, .04; from 3: 3.24 | 9, 4.
    each = [0.5 + 1 - 1.44, 0.0, 0.5 + 3.24 - 1.44, 0.0]  # 1's farther negative is 4, 3's is 4: both beyond the margin
    assert loss_of(semi_hard_triplet_loss, LABELS, PLACES, 0.5) == pytest.approx(np.mean(each), abs=1e-5)


def test_hard_triplets_worked_by_hand() -> None:
    each = [0.5 + 1 - 1.44, 0.5 + 1 - 0.04, 0.5 + 3.24 - 0.04, 0.0]
    assert loss_of(hard_triplet_loss, LABELS, PLACES, 0.5) == pytest.approx(np.mean(each), abs=1e-5)


def test_contrastive_worked_by_hand() -> None:
    attraction = np.mean([0.5 * 1, 0.5 * 3.24])
    differing = [1.2, 3.0, 0.2, 2.0]
    repulsion = np.mean([0.5 * max(0.0, 1.5 - distance) ** 2 for distance in differing])
    assert loss_of(contrastive_loss, LABELS, PLACES, 1.5) == pytest.approx((attraction + repulsion) / 2, abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_semi_hard_triplets_are_those_that_loops_find(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, embeddings = rng.integers(0, 4, 24), rng.normal(size=(24, 8)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    wanted = slow_semi_hard(labels, embeddings, 0.4)
    assert loss_of(semi_hard_triplet_loss, labels, embeddings, 0.4) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("loss", [semi_hard_triplet_loss, hard_triplet_loss])
@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 0, 0]])
def test_without_pairs_or_negatives_the_loss_is_zero(loss: Loss, labels: list[int]) -> None:
    assert loss_of(loss, labels, [[1.0, 0], [0, 1.0], [0.6, 0.8]], 0.4) == 0


@pytest.mark.parametrize("loss", [semi_hard_triplet_loss, hard_triplet_loss, contrastive_loss])
def test_gradients_are_finite_also_where_photos_are_the_same(loss: Loss) -> None:
    embeddings = tf.Variable([[1.0, 0], [1.0, 0], [1.0, 0], [0, 1.0]])
    with tf.GradientTape() as tape:
        found = loss(tf.constant([0, 0, 1, 1]), embeddings, 0.4)
    assert np.isfinite(tape.gradient(found, embeddings).numpy()).all()
