"""Figures of a training: retrieval, classes, pairs; on vectors with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from hashsearch.training import figures


def circle(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_map_of_separate_classes_is_one() -> None:
    labels = np.array([0, 0, 1, 1])
    assert figures.mean_average_precision(circle(0, 5, 90, 95), labels) == 1
    assert figures.mean_average_precision(3 * circle(0, 90, 5, 95), labels) == pytest.approx(
        (1 / 2 + 1 / 3) / 2, abs=0.1
    )


def test_a_class_of_one_photo_is_no_query() -> None:
    assert figures.mean_average_precision(circle(0, 5, 3), np.array([0, 0, 1])) == pytest.approx(1 / 2)
    assert figures.mean_average_precision(circle(0, 90), np.array([0, 1])) == 0


def test_top_accuracy_counts_the_label_among_the_largest() -> None:
    scores = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]])
    assert figures.top_accuracy(scores, np.array([2, 0]), 1) == 0.5
    assert figures.top_accuracy(scores, np.array([2, 0]), 2) == 1


def test_the_threshold_classifies_most_pairs_correctly() -> None:
    distances, same = np.array([0.1, 0.2, 0.3, 0.4, 0.9]), np.array([True, True, False, True, False])
    threshold = figures.best_threshold(distances, same)
    assert threshold in (pytest.approx(0.25), pytest.approx(0.65))
    assert figures.pair_accuracy(distances, same, threshold) == 0.8


def test_half_of_the_pairs_are_of_one_class_and_none_is_a_photo_with_itself() -> None:
    vectors, labels = circle(0, 10, 90, 100, 180), np.array([0, 0, 1, 1, 2])
    distances, same = figures.pair_distances(vectors, labels, seed=0)
    assert same.sum() * 2 == len(same) > 0
    assert distances[same] == pytest.approx(2 * np.sin(np.radians(5)), abs=1e-6)
    assert distances.min() > 0.1
