"""Perceptual hashes against imagehash itself, and on pictures whose bits can be worked out by hand."""

from __future__ import annotations

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from hashsearch.descriptors.phash import BLOCKS, FLAT_HASHES, HASHES, STORED, TURNS, is_flat, make_hash
from hashsearch.errors import HashingError
from hashsearch.hashing.bits import Codes, hamming
from hashsearch.images.decoding import resize_square

THEIRS = {"phash": imagehash.phash, "dhash": imagehash.dhash, "ahash": imagehash.average_hash, "whash": imagehash.whash}
BY_NUMPY = {
    "upright": lambda image: image,
    "rotated 90": lambda image: np.rot90(image, 1),
    "rotated 180": lambda image: np.rot90(image, 2),
    "rotated 270": lambda image: np.rot90(image, 3),
    "mirrored": np.fliplr,
    "flipped": np.flipud,
    "transposed": lambda image: image.swapaxes(0, 1),
    "transversed": lambda image: np.rot90(image, 2).swapaxes(0, 1),
}


def picture(seed: int) -> NDArray[np.uint8]:
    """Soft spots of colour, 90 x 60 pixels."""
    grain = np.random.default_rng(seed).integers(256, size=(6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(grain).resize((90, 60), Image.Resampling.BICUBIC))


def bits(codes: Codes) -> NDArray[np.uint8]:
    """The codes' bits, eight a row: `(n, 8, 8)`."""
    return np.unpackbits(codes, axis=1).reshape(len(codes), 8, 8)


@pytest.mark.parametrize("name", HASHES)
class TestEveryHash:
    def test_hashes_equal_imagehashs(self, name: str) -> None:
        kind, length = name.split("-")
        pictures = [picture(seed) for seed in range(3)]
        codes = make_hash(name).hash(pictures)
        assert (codes.shape, codes.dtype) == ((3, int(length) // 8), np.dtype(np.uint8))
        for code, image in zip(codes, pictures, strict=True):
            theirs = THEIRS[kind](Image.fromarray(image), hash_size=int(int(length) ** 0.5))
            assert code.tobytes().hex() == str(theirs)

    def test_variants_are_the_hashes_of_the_turned_picture(self, name: str) -> None:
        kind, image = make_hash(name), picture(7)
        variants = kind.variants(image)
        turned = [np.ascontiguousarray(BY_NUMPY[turn](image)) for turn in TURNS]
        assert (variants == kind.hash(turned)).all()
        assert len({code.tobytes() for code in variants}) == 8

    def test_no_images_have_no_hashes(self, name: str) -> None:
        assert make_hash(name).hash([]).shape == (0, HASHES[name].bits // 8)

    @pytest.mark.parametrize("size", [(1, 1), (1, 300), (5, 3)])
    def test_tiny_images_have_hashes(self, name: str, size: tuple[int, int]) -> None:
        image = np.full((*size, 3), 7, dtype=np.uint8)
        assert make_hash(name).hash([image]).shape == (1, HASHES[name].bits // 8)


def test_hashes_of_a_bright_left_half_by_hand() -> None:
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    image[:, :32] = 255
    variants = dict(zip(TURNS, bits(make_hash("ahash-64").variants(image)), strict=True))
    assert (variants["upright"] == [1, 1, 1, 1, 0, 0, 0, 0]).all()
    assert (variants["mirrored"] == [0, 0, 0, 0, 1, 1, 1, 1]).all()
    assert (variants["flipped"] == variants["upright"]).all()
    assert (variants["rotated 90"] == variants["mirrored"].T).all(), "the left half becomes the lower"


def test_hashes_of_a_gradient_by_hand() -> None:
    """Every pixel is brighter than the one to its left; only frequencies along the rows are not zero."""
    image = np.repeat(np.arange(256, dtype=np.uint8)[np.newaxis, :, np.newaxis], 256, axis=0).repeat(3, axis=2)
    variants = dict(zip(TURNS, make_hash("dhash-64").variants(image), strict=True))
    assert (variants["upright"] == 255).all()
    assert not any(variants[turn].any() for turn in ("mirrored", "rotated 90", "rotated 180", "transposed"))
    assert not bits(make_hash("phash-64").hash([image]))[0, 1:].any()


def test_another_size_or_compression_keeps_most_bits_and_another_picture_does_not() -> None:
    image = picture(1)
    small = resize_square(image, 40)
    for name, kind in HASHES.items():
        same, other = hamming(kind.hash([image]), kind.hash([small, picture(2)]))[0] / kind.bits
        assert same < 0.15 < 0.25 < other, name


def on_white(top: int, left: int, height: int, width: int, level: int) -> NDArray[np.uint8]:
    """A white page of 600 x 400 pixels with one grey rectangle."""
    page = np.full((400, 600, 3), 255, np.uint8)
    page[top : top + height, left : left + width] = level
    return page


class TestFlat:
    @given(
        colour=st.tuples(*[st.integers(0, 255)] * 3),
        height=st.integers(1, 80),
        width=st.integers(1, 80),
        noise=st.integers(0, 2),
    )
    @settings(max_examples=200, deadline=None)
    def test_one_colour_of_any_size_and_faint_noise_is_flat(
        self, colour: tuple[int, int, int], height: int, width: int, noise: int
    ) -> None:
        faint = noise > 1 and min(height, width) >= 8  # of a few pixels, it may be all that there is to see
        speckle = np.random.default_rng(0).integers(-1, 2, (height, width, 3)) * faint
        image = np.clip(np.full((height, width, 3), colour) + speckle, 0, 255).astype(np.uint8)
        assert is_flat(image)
        if noise < 2:
            assert STORED.hash([image])[0].tobytes() in FLAT_HASHES

    @pytest.mark.parametrize(
        ("image", "flat"),
        [
            (on_white(0, 0, 400, 600, 250), True),
            (on_white(200, 300, 2, 2, 0), True),
            (on_white(100, 100, 50, 50, 253), True),
            (on_white(150, 200, 100, 200, 200), False),
            (on_white(200, 100, 4, 400, 0), False),
            (on_white(0, 0, 400, 300, 240), False),
            (picture(4), False),
        ],
        ids=["page", "dot", "watermark", "logo", "line", "halves", "picture"],
    )
    def test_a_picture_is_flat_if_its_reduced_grey_levels_hardly_differ(
        self, image: NDArray[np.uint8], flat: bool
    ) -> None:
        assert is_flat(image) == flat

    @pytest.mark.parametrize("seed", range(5))
    def test_no_turn_makes_a_picture_flat(self, seed: int) -> None:
        assert not any(is_flat(np.ascontiguousarray(turn(picture(seed)))) for turn in BY_NUMPY.values())


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(HashingError, match="unknown perceptual hash 'phash', known: phash-64, phash-256, dhash-64, "):
        make_hash("phash")


def test_a_stored_hash_has_whole_blocks() -> None:
    assert BLOCKS.count * 16 == STORED.bits
