"""Grey levels of any depth: the same picture at any depth looks the same, and nothing decodes to black."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from benchmarks.bad_images import chunk, tiff
from hashsearch.images.decoding import decode
from hashsearch.images.grey import grey_scale

Levels = NDArray[Any]
SHAPE = (40, 50)


def picture(seed: int) -> Levels:
    """`(40, 50)` levels of 0 to 1 in soft blobs: almost black to almost white."""
    rough = np.random.default_rng(seed).random((6, 7)).astype(np.float32)
    soft = np.asarray(Image.fromarray(rough).resize(SHAPE[::-1], Image.Resampling.BICUBIC))
    levels: Levels = 0.02 + 0.96 * (soft - soft.min()) / (soft.max() - soft.min())
    return levels


def as_png(levels: Levels, *chunks: bytes) -> bytes:
    """A 16-bit grey PNG, with chunks before its pixels."""
    out = io.BytesIO()
    Image.fromarray(levels.astype(np.uint16)).save(out, "PNG")
    data = out.getvalue()
    return data[:33] + b"".join(chunks) + data[33:]


def as_tiff(levels: Levels, dtype: str, **tags: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(levels.astype(dtype)).save(out, "TIFF", **tags)
    return out.getvalue()


CONTAINERS: dict[str, Callable[[Levels], bytes]] = {
    "16-bit PNG": as_png,
    "16-bit TIFF": lambda levels: as_tiff(levels, "uint16"),
    "32-bit TIFF": lambda levels: as_tiff(levels, "int32"),
    "float TIFF": lambda levels: as_tiff(levels, "float32"),
}


def grey(data: bytes) -> NDArray[np.int64]:
    """The levels of a decoded grey picture."""
    image = decode(data)
    assert (image == image[:, :, :1]).all()
    return image[:, :, 0].astype(int)


@given(st.integers(8, 16), st.integers(0, 1000), st.sampled_from(sorted(CONTAINERS)))
def test_a_picture_of_any_depth_looks_like_the_one_of_8_bits(depth: int, seed: int, container: str) -> None:
    levels = picture(seed)
    decoded = grey(CONTAINERS[container](np.rint(levels * (2**depth - 1))))
    assert np.abs(decoded - np.rint(levels * 255)).max() <= 1


@given(st.floats(1e-6, 1e9), st.integers(0, 1000))
def test_floats_of_any_range_look_alike(white: float, seed: int) -> None:
    """Up to a factor of four, which is how far a picture may stay below 1 and 255."""
    levels = picture(seed)
    decoded = grey(as_tiff(levels * white, "float32"))
    assert decoded.max() >= 255 // 4
    assert np.abs(decoded / decoded.max() - levels / levels.max()).max() < 1.5 / decoded.max()


@given(st.integers(8, 14), st.integers(1, 2), st.integers(0, 1000), st.sampled_from(sorted(CONTAINERS)))
def test_a_few_hot_pixels_change_nothing_else(depth: int, count: int, seed: int, container: str) -> None:
    levels = np.rint(picture(seed) * (2**depth - 1))
    before = grey(CONTAINERS[container](levels))
    places = np.random.default_rng(seed).choice(levels.size, count, replace=False)
    levels.flat[places] = 65535
    after = grey(CONTAINERS[container](levels))
    assert (after.flat[places] == 255).all()
    assert (np.delete(after, places) == np.delete(before, places)).all()


def test_a_float_just_above_a_usual_white_level_does_not_blacken_the_picture() -> None:
    levels = picture(1)
    before = grey(as_tiff(levels, "float32"))
    for white in (1, 255, 65535):
        for share in (0.0005, 0.05):
            above = levels * white
            above.flat[: int(share * above.size)] = 1.01 * white
            assert np.abs(grey(as_tiff(above, "float32")) - before)[2:].max() <= 6


NUMBERS = st.floats(width=32) | st.sampled_from([0.0, 1.0, 255.0, 4095.0, 65535.0, -1.0])


@given(st.lists(NUMBERS, min_size=1, max_size=300), st.sampled_from([None, 1.0, 4095.0]))
def test_a_higher_float_is_never_darker(numbers: list[float], declared: float | None) -> None:
    levels = np.array([sorted(numbers, key=lambda number: (number != number, number))], np.float32)
    mapped = grey_scale([levels], levels.size, declared).apply(levels)[0]
    finite = np.isfinite(levels[0])
    assert (np.diff(mapped[finite].astype(int)) >= 0).all() and (mapped[~finite] == 0).all()


@given(
    st.lists(st.integers(0, 65535), min_size=1, max_size=300),
    st.sampled_from(["uint16", ">u2", "int32"]),
    st.sampled_from([None, 1023.0, 3000.0]),
)
def test_a_higher_integer_is_never_darker(numbers: list[int], dtype: str, declared: float | None) -> None:
    levels = np.array([sorted(numbers)]).astype(dtype)
    mapped = grey_scale([levels], levels.size, declared).apply(levels)[0]
    assert (np.diff(mapped.astype(int)) >= 0).all()


@given(st.lists(st.floats(0, 1e6), min_size=120, max_size=400), st.integers(1, 7))
def test_parts_of_a_picture_have_the_scale_of_the_whole(numbers: list[float], parts: int) -> None:
    levels = np.array(numbers)
    assert grey_scale(np.array_split(levels, parts), levels.size) == grey_scale([levels], levels.size)


def test_a_photo_of_all_16_bits_keeps_its_upper_bytes() -> None:
    levels = np.rint(picture(3) * 65535).astype(np.uint16)
    for data in (as_png(levels), as_tiff(levels, "uint16")):
        assert (grey(data) == levels >> 8).all()


@pytest.mark.parametrize("depth", [10, 12, 14])
def test_the_significant_bits_of_a_png_say_what_is_white(depth: int) -> None:
    dark = np.rint(picture(4) * (2**depth - 1) / 5)
    decoded = grey(as_png(dark, chunk(b"sBIT", bytes([depth]))))
    assert np.abs(decoded - np.rint(picture(4) * 255 / 5)).max() <= 1


def test_levels_that_fill_all_bits_overrule_the_significant_bits() -> None:
    """The standard says that levels are to be scaled up to all bits, and some writers do that."""
    levels = np.rint(picture(5) * 4095).astype(np.uint16) << 4
    assert (grey(as_png(levels, chunk(b"sBIT", b"\x0c"))) == levels >> 8).all()


@pytest.mark.parametrize(("tag", "dtype", "white"), [(281, "uint16", 3000), (341, "float32", 2.5)])
def test_the_highest_sample_value_of_a_tiff_is_white(tag: int, dtype: str, white: float) -> None:
    levels = picture(6) * white / 3
    decoded = grey(as_tiff(levels, dtype, tiffinfo={tag: white}))
    assert np.abs(decoded - picture(6) * 255 / 3).max() <= 1


@pytest.mark.parametrize("tag", [281, 341])
def test_a_declared_white_that_levels_exceed_or_that_says_nothing_is_ignored(tag: int) -> None:
    levels = np.rint(picture(7) * 4095)
    plain = grey(as_tiff(levels, "uint16"))
    for white in (0, 1, 255, 65535):
        assert (grey(as_tiff(levels, "uint16", tiffinfo={tag: white})) == plain).all()


def test_twelve_packed_bits_are_read() -> None:
    levels = np.rint(picture(8) * 4095 / 3).astype(int)
    first, second = levels.reshape(-1, 2).T
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1).astype(np.uint8).tobytes()
    start = 8 + 2 + 9 * 12 + 4
    tags = [(256, 4, 1, 50), (257, 4, 1, 40), (258, 3, 1, 12), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, start)]
    data = tiff([*tags, (277, 3, 1, 1), (278, 4, 1, 40), (279, 4, 1, len(packed))], packed)
    assert np.abs(grey(data) - picture(8) * 255 / 3).max() <= 1


def test_signed_levels_are_spread_from_the_lowest_on() -> None:
    levels = picture(9)
    for low, high in ((-1.0, 1.0), (-1000.0, 3000.0)):
        decoded = grey(as_tiff(levels * (high - low) + low, "float32"))
        assert np.abs(decoded - (levels - levels.min()) * 255 / (levels.max() - levels.min())).max() <= 6
    depths = np.rint(levels * 4000 - 1000)
    assert len(np.unique(grey(as_tiff(depths, "int32")))) > 200


def test_pictures_of_one_level_and_of_none_are_decoded() -> None:
    for number in (0, 1, 4000):
        assert len(np.unique(grey(as_png(np.full(SHAPE, number))))) == 1
    for level in (0.0, 0.3, -5.0, np.nan, np.inf, 1e38, 1e-42):
        assert len(np.unique(grey(as_tiff(np.full(SHAPE, level), "float32")))) == 1


def test_unrelated_pictures_of_12_bits_stay_unlike() -> None:
    first, second = (grey(as_png(np.rint(picture(seed) * 4095))) for seed in (10, 11))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] < 0.7
