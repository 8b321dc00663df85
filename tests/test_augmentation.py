"""Augmentation keeps sizes and the range of values, follows its probabilities, and repeats with its seed."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from hashsearch.errors import TrainingError
from hashsearch.training.augmentation import LAYERS, Augmentation
from hashsearch.training.recipes import Step

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (16, 40, 40, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", LAYERS)
def test_every_kind_changes_images_and_keeps_their_size_and_range(kind: str) -> None:
    images = Augmentation([Step(kind, 1.0 if kind == "blur" else 0.3)], 40, 0)(tf.constant(PIXELS)).numpy()
    assert images.shape == (16, 40, 40, 3)
    assert images.min() >= 0 and images.max() <= 255
    assert np.abs(images - PIXELS).mean() > 1


def test_a_probability_applies_to_each_image() -> None:
    images = Augmentation([Step("brightness", 0.5, p=0.5)], 40, 3)(tf.constant(np.repeat(PIXELS, 8, axis=0))).numpy()
    changed = np.abs(images - np.repeat(PIXELS, 8, axis=0)).mean(axis=(1, 2, 3)) > 0.5
    assert 40 < changed.sum() < 88


def test_larger_photos_are_cropped_at_random_places() -> None:
    ramp = np.broadcast_to(np.arange(40, dtype=np.uint8)[None, None, :, None], (64, 40, 40, 3))
    images = Augmentation([], 32, 0)(tf.constant(ramp)).numpy()
    assert images.shape == (64, 32, 32, 3)
    firsts = images[:, 0, 0, 0]
    assert 0 <= firsts.min() < 2 and 6 < firsts.max() <= 8
    assert np.ptp(images, axis=2) == pytest.approx(31, abs=0.3)


def test_the_same_seed_gives_the_same_images() -> None:
    steps = [Step("crop", 0.5), Step("flip", p=0.5)]
    first, again = (Augmentation(steps, 40, 5)(tf.constant(PIXELS)).numpy() for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, Augmentation(steps, 40, 6)(tf.constant(PIXELS)).numpy())


@pytest.mark.parametrize(
    ("step", "rule"),
    [
        (Step("turn"), "an augmentation must be one of flip, .* got 'turn'"),
        (Step("flip", p=1.5), r"must be 0 to 1, got 1.5 of 'flip'"),
        (Step("rotation", -2), "'rotation' cannot have strength -2"),
    ],
)
def test_wrong_steps_are_refused(step: Step, rule: str) -> None:
    with pytest.raises(TrainingError, match=rule):
        Augmentation([step], 40, 0)
