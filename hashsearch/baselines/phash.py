"""The perceptual hash of an image: 64 bits that survive re-compression and resizing, not cropping or turning.

imagehash's `phash`: grey, 32 x 32 pixels, DCT, the 8 x 8 lowest frequencies against their median.
"""

from __future__ import annotations

import imagehash
import numpy as np
from PIL import Image


def perceptual_hash(image: np.ndarray) -> np.ndarray:
    """`(height, width, 3) uint8 -> (8,) uint8`, the 64 bits of `imagehash.phash` packed big-endian."""
    return np.packbits(imagehash.phash(Image.fromarray(image)).hash)
