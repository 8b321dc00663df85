"""Checks of vectors and labels, and the one scaling to length 1 with its two policies for a zero row."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from hashsearch.errors import EncoderError, HashingError
from hashsearch.hashing.vectors import ZeroPolicy, check_labels, check_vectors, is_normalizable, normalised

VECTORS = np.random.default_rng(0).standard_normal((50, 7)).astype(np.float32)


@pytest.mark.parametrize("zero", get_args(ZeroPolicy))
class TestNormalised:
    def test_rows_have_length_one_and_keep_their_direction(self, zero: ZeroPolicy) -> None:
        unit = normalised(VECTORS, zero=zero)
        lengths = np.linalg.norm(VECTORS.astype(np.float64), axis=1, keepdims=True)
        assert unit.dtype == np.float32
        assert np.abs(unit - VECTORS / lengths).max() < 1e-7

    @pytest.mark.parametrize("factor", [1e-30, 1e-20, 1.0, 1e20, 1e30])
    def test_very_short_and_very_long_vectors_are_scaled_exactly(self, zero: ZeroPolicy, factor: float) -> None:
        rows = np.array([[3, 4]], np.float32) * np.float32(factor)
        assert normalised(rows, zero=zero)[0].tolist() == pytest.approx([0.6, 0.8], abs=1e-7)

    def test_other_dtypes_give_float32(self, zero: ZeroPolicy) -> None:
        for dtype in (np.float16, np.float64, np.int8):
            unit = normalised(np.array([[3, 4], [0, -2]], dtype), 2, zero=zero)
            assert unit.dtype == np.float32
            assert unit.tolist() == [pytest.approx([0.6, 0.8], abs=1e-7), [0, -1]]

    def test_the_vectors_stay_as_they_were(self, zero: ZeroPolicy) -> None:
        rows = np.array([[3, 4], [5, 12]], np.float32)
        normalised(rows, zero=zero)
        assert rows.tolist() == [[3, 4], [5, 12]]

    def test_no_vectors_give_none(self, zero: ZeroPolicy) -> None:
        assert normalised(np.empty((0, 7), np.float32), 7, zero=zero).shape == (0, 7)

    @pytest.mark.parametrize(("shape", "dims"), [((7,), None), ((2, 3, 4), None), ((2, 6), 7)])
    def test_another_shape_is_refused(self, zero: ZeroPolicy, shape: tuple[int, ...], dims: int | None) -> None:
        with pytest.raises(HashingError, match=rf"shape \(n, {dims or 'dims'}\), got"):
            normalised(np.ones(shape, np.float32), dims, zero=zero)


def test_a_zero_vector_is_refused_by_default() -> None:
    with pytest.raises(EncoderError, match="a vector must not be zero, as it is compared by cosine"):
        normalised(np.array([[1, 0], [0, 0]], np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_by_default(value: float) -> None:
    with pytest.raises(HashingError, match="must be finite, got NaN or infinity"):
        normalised(np.array([[1, 0], [1, value]], np.float32))


def test_rows_without_a_direction_are_kept_on_request_and_spoil_no_other_row() -> None:
    rows = np.array([[3, 4], [0, 0], [np.nan, 1], [np.inf, 1], [0, 5]], np.float32)
    kept = normalised(rows, zero="keep")
    assert kept[0].tolist() == pytest.approx([0.6, 0.8], abs=1e-7)
    np.testing.assert_array_equal(kept[1:4], rows[1:4])
    assert kept[4].tolist() == [0, 1]
    assert is_normalizable(kept).tolist() == [True, False, False, False, True]


def test_vectors_come_back_as_contiguous_float32() -> None:
    checked = check_vectors(np.asfortranarray(VECTORS.astype(np.float64)), 7)
    assert checked.dtype == np.float32
    assert checked.flags.c_contiguous
    assert (checked == VECTORS).all()


def test_there_is_one_label_for_each_vector() -> None:
    assert check_labels(["a", None], 2) == ["a", None]
    with pytest.raises(HashingError, match="one label per vector, got 1 labels for 2 vectors"):
        check_labels(["a"], 2)
