"""Bits against Python's own integers."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from support.vectors import random_codes

from hashsearch.errors import HashingError
from hashsearch.hashing.bits import check_bits, flip_masks, hamming
from hashsearch.hashing.vectors import check_vectors


@pytest.mark.parametrize("bits", [8, 72, 512, 1024])
def test_hamming_equals_pythons_count(bits: int) -> None:
    codes, others = random_codes(20, bits, seed=1), random_codes(30, bits, seed=2)
    numbers = [[int.from_bytes(code.tobytes(), "big") for code in some] for some in (codes, others)]
    expected = [[bin(one ^ other).count("1") for other in numbers[1]] for one in numbers[0]]
    distances = hamming(codes, others)
    assert distances.dtype == np.int32
    assert distances.tolist() == expected


def test_hamming_does_not_overflow() -> None:
    zeros, ones = np.zeros((1, 128), np.uint8), np.full((1, 128), 255, np.uint8)
    assert hamming(zeros, ones).tolist() == [[1024]]


def test_hamming_of_nothing_is_an_empty_table() -> None:
    assert hamming(random_codes(0, 64), random_codes(3, 64)).shape == (0, 3)
    assert hamming(random_codes(3, 64), random_codes(0, 64)).shape == (3, 0)


@pytest.mark.parametrize(("width", "flips"), [(16, 0), (16, 1), (16, 3), (5, 5), (4, 9)])
def test_flip_masks_are_all_ways_once_fewest_first(width: int, flips: int) -> None:
    masks = flip_masks(width, flips)
    sizes = masks.sum(axis=1)
    assert len(masks) == sum(comb(width, count) for count in range(flips + 1))
    assert len(np.unique(masks, axis=0)) == len(masks)
    assert sizes.max() == min(flips, width)
    assert (np.diff(sizes) >= 0).all()


@pytest.mark.parametrize("bits", [0, -8, 1, 12, 1023])
def test_bits_that_are_not_whole_bytes_are_refused(bits: int) -> None:
    with pytest.raises(HashingError, match=f"bits must be a positive multiple of 8, got {bits}"):
        check_bits(bits)


def test_vectors_become_contiguous_float32() -> None:
    checked = check_vectors(np.arange(12, dtype=np.float64).reshape(3, 4)[:, ::2])
    assert checked.dtype == np.float32
    assert checked.flags.c_contiguous
    assert checked.tolist() == [[0, 2], [4, 6], [8, 10]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_are_refused(value: float) -> None:
    vectors = np.ones((2, 3), np.float32)
    vectors[1, 2] = value
    with pytest.raises(HashingError, match="must be finite"):
        check_vectors(vectors)


@pytest.mark.parametrize("shape", [(4,), (2, 3), (1, 2, 4)])
def test_vectors_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(HashingError, match=r"must have the shape \(n, 4\), got"):
        check_vectors(np.ones(shape, np.float32), 4)
