"""Colour histograms of pictures whose shares of colours are known."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from numpy.typing import NDArray

from hashsearch.descriptors.histogram import DIMS, HUES, SATURATIONS, VALUES, colour_histograms

RED, YELLOW, GREEN, CYAN, BLUE, MAGENTA = (
    (255, 0, 0),
    (255, 255, 0),
    (0, 255, 0),
    (0, 255, 255),
    (0, 0, 255),
    (255, 0, 255),
)
BLACK, WHITE, GREY = (0, 0, 0), (255, 255, 255), (128, 128, 128)
COLOURS = (RED, YELLOW, GREEN, CYAN, BLUE, MAGENTA, BLACK, WHITE, GREY)


def flat(*colours: tuple[int, int, int], height: int = 8) -> NDArray[np.uint8]:
    """Upright stripes of equal width."""
    return np.array([colours], dtype=np.uint8).repeat(height, axis=0).repeat(4, axis=1)


def test_shares_by_hand() -> None:
    red, half, black = colour_histograms([flat(RED), flat(RED, BLUE, BLUE, BLUE), flat(BLACK)])
    assert red.dtype == np.float32
    assert red[(0 * SATURATIONS + SATURATIONS - 1) * VALUES + VALUES - 1] == 1
    assert red @ half == pytest.approx(0.5)
    assert red @ black == 0
    assert sorted(half[half > 0].tolist()) == pytest.approx([0.25**0.5, 0.75**0.5])


def test_pure_colours_share_no_bin() -> None:
    shares = colour_histograms([flat(colour) for colour in COLOURS])
    assert shares.shape == (len(COLOURS), DIMS)
    assert (shares @ shares.T == np.eye(len(COLOURS))).all()


def test_noise_does_not_scatter_greys_over_the_hues() -> None:
    grey = flat(GREY, (130, 128, 128), (128, 131, 128), (128, 129, 133))
    assert (colour_histograms([flat(GREY), grey]) @ colour_histograms([flat(GREY)])[0] == 1).all()


def test_neither_size_nor_position_matters() -> None:
    image = np.random.default_rng(0).integers(256, size=(40, 30, 3), dtype=np.uint8)
    shares = colour_histograms([image, image[::-1, ::-1], image.swapaxes(0, 1), image.repeat(2, axis=0)])
    assert np.allclose(shares, shares[0])
    assert np.allclose(np.linalg.norm(shares, axis=1), 1)


def test_large_pictures_are_sampled_evenly() -> None:
    image = np.random.default_rng(0).integers(256, size=(600, 1100, 3), dtype=np.uint8)
    sampled, rest = colour_histograms([image, image[::3, ::5]])
    assert (sampled == rest).all()


def test_hues_are_those_of_colorsys() -> None:
    """The nearest of 12 hues, of strong colours, one pixel each."""
    for colour in np.random.default_rng(1).integers(256, size=(300, 3), dtype=np.uint8):
        hue, saturation, value = colorsys.rgb_to_hsv(*(colour / 255))
        if saturation < 0.3 or abs(hue * HUES % 1 - 0.5) < 1e-6:
            continue
        (bin,) = np.flatnonzero(colour_histograms([colour.reshape(1, 1, 3)])[0])
        assert bin // (SATURATIONS * VALUES) == round(hue * HUES) % HUES
        assert bin % VALUES == int(value * 255 * VALUES / 256)


def test_no_images_have_no_histograms() -> None:
    assert colour_histograms([]).shape == (0, DIMS)
