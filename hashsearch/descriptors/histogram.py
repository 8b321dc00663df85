"""Colour histograms: how much of a picture each colour covers, wherever it is (Swain & Ballard, IJCV 1991)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hashsearch.hashing.vectors import Vectors

HUES, SATURATIONS, VALUES = 12, 4, 4
DIMS = HUES * SATURATIONS * VALUES
_SAMPLED_SIDE = 256  # pixels per side, evenly spaced; more do not change the shares


def colour_histograms(images: Sequence[NDArray[np.uint8]]) -> Vectors:
    """Square roots of the colour shares of RGB images `(height, width, 3) uint8`: `(n, DIMS) float32`, of length 1.

    Each bin is a range of hue, saturation and value (HSV). The dot product of two histograms is the Bhattacharyya
    coefficient: 1 for equal shares, 0 if no colour is shared.
    """
    counts = [np.bincount(_bins(_sampled(image)), minlength=DIMS) for image in images]
    shares = np.array(counts, dtype=np.float32).reshape(len(images), DIMS)
    roots: Vectors = np.sqrt(shares / shares.sum(axis=1, keepdims=True))
    return roots


def _sampled(image: NDArray[np.uint8]) -> NDArray[np.int32]:
    """At most 256 x 256 of the pixels: `(n, 3)`."""
    rows, columns = (-(-side // _SAMPLED_SIDE) for side in image.shape[:2])
    return image[::rows, ::columns].reshape(-1, 3).astype(np.int32)


def _bins(pixels: NDArray[np.int32]) -> NDArray[np.int64]:
    """The bin `(n,)` of each pixel `(n, 3)`; greys, whose hue is only noise, are counted as hue 0."""
    value, lowest = pixels.max(axis=1), pixels.min(axis=1)
    spread = value - lowest
    saturation = spread * SATURATIONS // (value + 1)
    hue = np.where(saturation > 0, (_hues(pixels, value, spread) * HUES / 6 + 0.5).astype(np.int64) % HUES, 0)
    bins: NDArray[np.int64] = (hue * SATURATIONS + saturation) * VALUES + value * VALUES // 256
    return bins


def _hues(pixels: NDArray[np.int32], value: NDArray[np.int32], spread: NDArray[np.int32]) -> NDArray[np.float64]:
    """Positions on the colour circle, 0 to 6: red 0, yellow 1, green 2, cyan 3, blue 4, magenta 5."""
    red, green, blue = pixels.T
    sector = np.select([value == red, value == green], [0, 2], 4)
    difference = np.select([value == red, value == green], [green - blue, blue - red], red - green)
    hues: NDArray[np.float64] = (sector + difference / np.maximum(spread, 1)) % 6
    return hues
