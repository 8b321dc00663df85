"""Batches: every photo once per epoch, or a number of each class."""

from __future__ import annotations

import numpy as np

from hashsearch.training.sampling import by_class, shuffled


def test_each_photo_is_in_one_batch() -> None:
    batches = list(shuffled(10, 4, np.random.default_rng(0)))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert sorted(np.concatenate(batches)) == list(range(10))
    assert np.concatenate(batches).tolist() != list(range(10))


def test_batches_have_per_class_photos_of_each_class() -> None:
    labels = np.repeat(np.arange(6), 10)
    batches = list(by_class(labels, 12, 4, np.random.default_rng(0)))
    assert len(batches) == 5
    for batch in batches:
        assert np.unique(labels[batch], return_counts=True)[1].tolist() == [4, 4, 4]
        assert len(set(batch)) == 12


def test_photos_of_a_small_class_are_repeated_and_few_classes_have_more_each() -> None:
    labels = np.array([0, 0, 1, 1, 1, 1])
    (batch, *_) = by_class(labels, 8, 2, np.random.default_rng(0))
    assert np.bincount(labels[batch]).tolist() == [4, 4]
    assert set(batch[labels[batch] == 0]) == {0, 1}
