"""Perceptual hashes: bits that survive re-compression and resizing, not cropping, and turning only by asking for it.

Those of imagehash, of a grey and very small picture: pHash, its lowest frequencies against their median; dHash, each
pixel against its left neighbour; aHash, against the mean; wHash, the Haar wavelet's approximation against its median.
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

# How a picture is turned, counter-clockwise, in the order of `variants`; all eight symmetries of a square.
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
    """One kind of hash of `bits` bits, by the name that imagehash gives its function."""

    function: str
    bits: int

    def hash(self, images: Sequence[NDArray[np.uint8]]) -> Codes:
        """Hashes of RGB images `(height, width, 3) uint8`: `(n, bits // 8) uint8`."""
        return self._codes([_grey(image) for image in images])

    def variants(self, image: NDArray[np.uint8]) -> Codes:
        """Hashes `(8, bits // 8) uint8` of one image as it is, rotated and mirrored, in the order of TURNS.

        Each is made anew of the turned grey picture. Its bits cannot be had from the upright hash: dHash compares no
        pixel with the one below, pHash's median is another once half of the frequencies change their sign, and all
        round at other places when they make the picture small.
        """
        grey = _grey(image)
        return self._codes([grey if turn is None else grey.transpose(turn) for turn in TURNS.values()])

    def _codes(self, pictures: Sequence[Image.Image]) -> Codes:
        import imagehash

        make: Callable[..., Any] = getattr(imagehash, self.function)
        hashes = [make(picture, hash_size=isqrt(self.bits)).hash.ravel() for picture in pictures]
        return np.packbits(np.array(hashes, dtype=bool).reshape(len(pictures), self.bits), axis=1)


_FUNCTIONS = {"phash": "phash", "dhash": "dhash", "ahash": "average_hash", "whash": "whash"}
HASHES = {f"{kind}-{bits}": PerceptualHash(made, bits) for kind, made in _FUNCTIONS.items() for bits in (64, 256)}


def make_hash(name: str) -> PerceptualHash:
    """The hash of that name, `phash-64` for example; HashingError lists the known names."""
    if name not in HASHES:
        raise HashingError(f"unknown perceptual hash '{name}', known: {', '.join(HASHES)}")
    return HASHES[name]


STORED = HASHES["phash-64"]  # what the index holds of every image
BLOCKS = Blocks().restore({"permutation_": np.arange(STORED.bits, dtype=np.int32)})  # in the bits' own order


def _grey(image: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(image).convert("L")  # as imagehash would, but once for all variants
