"""Perceptual hashes: robust to re-compression and resizing, not to cropping; for rotation see `variants`.

Computed by imagehash from a very small grey picture: pHash compares its lowest frequencies with their median, dHash
each pixel with its left neighbour, aHash each pixel with the mean, wHash the Haar wavelet's approximation with its
median.

Pictures of nearly one colour (`is_flat`) have no usable hash: red, blue and white have the same one, and with a little
noise it is random.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashsearch.errors import HashingError
from hashsearch.hashing.bits import Codes
from hashsearch.hashing.sub_codes import Blocks

# The eight orientations (symmetries of a square) in the order of `variants`; rotations are counter-clockwise.
TURNS = {
    "upright": None,
    "rotated 90": Image.Transpose.ROTATE_90,
    "rotated 180": Image.Transpose.ROTATE_180,
    "rotated 270": Image.Transpose.ROTATE_270,
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
    "flipped": Image.Transpose.FLIP_TOP_BOTTOM,
    "transposed": Image.Transpose.TRANSPOSE,
    "transversed": Image.Transpose.TRANSVERSE,
}


@dataclass(frozen=True)
class PerceptualHash:
    """One kind of hash with `bits` bits; `function` is its name in imagehash."""

    function: str
    bits: int

    def hash(self, images: Sequence[NDArray[np.uint8]]) -> Codes:
        """Hashes of RGB images `(height, width, 3) uint8`: `(n, bits // 8) uint8`."""
        return self._codes([_grey(image) for image in images])

    def variants(self, image: NDArray[np.uint8]) -> Codes:
        """Hashes `(8, bits // 8) uint8` of one image in all eight orientations, in the order of TURNS.

        Each is computed from the turned grey picture, as it cannot be derived from the upright hash: dHash does not
        compare pixels vertically, pHash's median changes when half of the frequencies change their sign, and the small
        picture is rounded differently.
        """
        grey = _grey(image)
        return self._codes([grey if turn is None else grey.transpose(turn) for turn in TURNS.values()])

    def _codes(self, pictures: Sequence[Image.Image]) -> Codes:
        import imagehash

        function: Callable[..., Any] = getattr(imagehash, self.function)
        hashes = [function(picture, hash_size=isqrt(self.bits)).hash.ravel() for picture in pictures]
        return np.packbits(np.array(hashes, dtype=bool).reshape(len(pictures), self.bits), axis=1)


_FUNCTIONS = {"phash": "phash", "dhash": "dhash", "ahash": "average_hash", "whash": "whash"}
HASHES = {
    f"{kind}-{bits}": PerceptualHash(function, bits) for kind, function in _FUNCTIONS.items() for bits in (64, 256)
}


def make_hash(name: str) -> PerceptualHash:
    """The hash of a name such as `phash-64`; HashingError lists the known names."""
    if name not in HASHES:
        raise HashingError(f"unknown perceptual hash '{name}', known: {', '.join(HASHES)}")
    return HASHES[name]


STORED = HASHES["phash-64"]  # of every image in the index that is not flat
FLAT_HASHES = (bytes(8), b"\x80" + bytes(7))  # stored hashes of one colour: no frequency but the mean
_FLAT_BELOW = 1.0  # standard deviation of 255 levels
_FLAT_SIDE = 32  # of the grey picture that pHash compares
BLOCKS = Blocks().restore({"permutation_": np.arange(STORED.bits, dtype=np.int32)})  # in the bits' own order


def is_flat(image: NDArray[np.uint8]) -> bool:
    """Whether an RGB image `(height, width, 3) uint8` is too flat for a usable hash.

    It is if the grey picture of 32 x 32 that pHash compares has a standard deviation below 1 of 255 levels. So are
    pictures of one colour, faint noise, and a dot that vanishes when reduced. Colours of equal brightness are one grey.
    """
    reduced = _grey(image).resize((_FLAT_SIDE, _FLAT_SIDE), Image.Resampling.LANCZOS)
    return bool(np.asarray(reduced).std() < _FLAT_BELOW)


def _grey(image: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(image).convert("L")  # as imagehash would, but once for all variants
