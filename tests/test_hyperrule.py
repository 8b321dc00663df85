"""BiT's hyper-rule: the paper's table."""

from __future__ import annotations

import pytest

from hashsearch.training import hyperrule


def test_small_images_are_brought_to_160_and_cut_to_128() -> None:
    assert hyperrule.resolution(32, 32) == (160, 128)
    assert hyperrule.resolution(96, 96) == (512, 480)


@pytest.mark.parametrize(("images", "last"), [(2_934, 500), (20_000, 10_000), (500_000, 20_000)])
def test_larger_data_sets_are_learned_longer(images: int, last: int) -> None:
    assert hyperrule.steps(images)[-1] == last
    assert hyperrule.rate(last + 1, images) == 0
    assert hyperrule.mixup(images) == (0.1 if images >= 20_000 else 0)


def test_the_rate_rises_then_falls_to_a_tenth_three_times() -> None:
    rates = [hyperrule.rate(step, 5_000) for step in (0, 50, 100, 200, 201, 301, 401, 500)]
    assert rates == pytest.approx([0, 0.0015, 0.003, 0.003, 0.0003, 0.00003, 0.000003, 0.000003])


def test_the_rate_goes_with_the_batch() -> None:
    assert hyperrule.rate(100, 5_000, batch=32) == pytest.approx(0.003 / 16)
