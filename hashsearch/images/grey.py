"""Grey levels of any depth as 8 bits.

A file with more than 8 bits seldom says which level is white: cameras and microscopes store 10 to 14 bits in 16 or 32,
and floats end at 1, at 255 or anywhere. The white level is therefore, in this order:

1. What the file declares: the significant bits of a PNG (sBIT), the bits or the highest sample value of a TIFF, unless
   its levels exceed that.
2. 1 or 255 for floats whose highest level lies between a quarter of that and the whole.
3. The highest number of the fewest bits, 8 to 16, that hold the levels, for whole numbers that are not negative.
4. The highest level.

The black level is 0, or the lowest level if there are negative ones. Of the levels, the outermost thousandth is ignored
if it lies apart, further from the others than these are spread: a hot pixel does not make a picture black. Levels that
are ignored become black or white, infinite ones and NaN become black. The mapping is the same for all pixels, and a
higher level is never darker.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FLOAT_WHITES = (1.0, 255.0)
_SAMPLED = 1 << 20  # levels that tell what the outermost thousandth is
_FEW = 100  # levels of which none is ignored


@dataclass(frozen=True)
class GreyScale:
    """The levels that become 0 and 255."""

    black: float
    white: float

    def apply(self, levels: NDArray[Any]) -> NDArray[np.uint8]:
        """`(height, width) uint8` of levels."""
        bits = int(self.white).bit_length()
        if levels.dtype.itemsize == 2 and self.black == 0 and self.white == (1 << bits) - 1 >= 255:
            shifted: NDArray[Any] = levels.astype(np.uint16) >> (bits - 8)
            upper: NDArray[np.uint8] = np.minimum(shifted, 255).astype(np.uint8)
            return upper
        span = self.white - self.black
        numbers: NDArray[Any] = levels.astype(
            np.float32 if 1e-30 < span < 1e30 else np.float64
        )  # the first takes half of the time
        if levels.dtype.kind == "f":
            numbers[~np.isfinite(numbers)] = self.black
        np.subtract(numbers, self.black, out=numbers)
        np.multiply(numbers, 255 / span, out=numbers)
        scaled: NDArray[np.uint8] = np.rint(np.clip(numbers, 0, 255, out=numbers), out=numbers).astype(np.uint8)
        return scaled


def grey_scale(blocks: Iterable[NDArray[Any]], pixels: int, declared: float | None = None) -> GreyScale:
    """The scale of a picture with this number of pixels, given as blocks of its levels.

    `declared` is the white level that its file declares.
    """
    floats, low, high = False, 0.0, 0.0
    lowest, highest, samples = np.inf, -np.inf, [np.empty(0)]
    for block in blocks:
        floats = block.dtype.kind == "f"
        finite = block.ravel()
        if floats and not np.isfinite(block.sum(dtype=np.float64)):
            finite = block[np.isfinite(block)]
        if finite.size:
            lowest, highest = min(lowest, float(finite.min())), max(highest, float(finite.max()))
            samples.append(finite[:: max(1, pixels // _SAMPLED)].astype(np.float64))
    levels = np.concatenate(samples)
    if levels.size:
        low, high = _without_outliers(levels, lowest, highest)
    black = min(0.0, low)
    if declared is not None and black < high <= declared:
        return GreyScale(black, declared)
    usual = next((white for white in _FLOAT_WHITES if floats and white / 4 < high <= white), None)
    if usual is None and black == 0 and (not floats or (levels == np.rint(levels)).all()):
        usual = next((float((1 << bits) - 1) for bits in range(8, 17) if high < 1 << bits), None)
    return GreyScale(black, usual or (high if high > black else black + max(1.0, -black)))


def _without_outliers(levels: NDArray[np.float64], lowest: float, highest: float) -> tuple[float, float]:
    """The range of levels, without the outermost thousandth where it lies apart from the others."""
    ignored = max(1, len(levels) // 1000) if len(levels) >= _FEW else 0
    ordered = np.partition(levels, (ignored, len(levels) - 1 - ignored))
    low, high = float(ordered[ignored]), float(ordered[-1 - ignored])
    spread = high - low
    return (lowest if low - lowest <= spread else low), (highest if highest - high <= spread else high)
