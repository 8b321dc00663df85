"""Sub-codes of ElasticHash and FENSHSES: 16 bits of a code each, and all values within some flips.

Independent of `hashsearch.hashing.sub_codes.Blocks`, so that changes there do not change the peers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.hashing.bits import Codes, flip_masks
from hashsearch.hashing.sub_codes import decorrelating_permutation

BITS = 16  # of a piece
DECIMALS = np.arange(1 << BITS).astype(str)  # values as they are indexed


class Pieces:
    """Learned: `positions_ (pieces, 16) int32`, the bits of the code that make up each piece."""

    positions_: NDArray[np.int32]

    def __init__(self, count: int) -> None:
        self.count = count

    def fit(self, codes: Codes) -> Pieces:
        """Group bits that correlate little; if fewer pieces are needed, keep those that correlate least."""
        pieces = decorrelating_permutation(codes).reshape(-1, BITS)
        with np.errstate(invalid="ignore"):  # a bit that never changes has no correlation
            correlation = np.abs(np.nan_to_num(np.corrcoef(np.unpackbits(codes, axis=1), rowvar=False)))
        within = [correlation[np.ix_(piece, piece)].sum() for piece in pieces]
        self.positions_ = pieces[np.sort(np.argsort(within, kind="stable")[: self.count])]
        return self

    def values(self, codes: Codes) -> NDArray[np.uint16]:
        """Value of each piece: `(n, bits // 8) uint8 -> (n, pieces) uint16`."""
        chosen = np.unpackbits(codes, axis=1).take(self.positions_.ravel(), axis=1)
        return np.packbits(chosen, axis=1).view(">u2").astype(np.uint16)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The learned arrays by name."""
        return {"positions_": self.positions_}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> Pieces:
        """Set the learned arrays and return self."""
        self.positions_ = arrays["positions_"]
        return self


@cache
def masks(flips: int) -> NDArray[np.uint16]:
    """XOR masks to all values that differ in at most `flips` bits, zero first: `(neighbour_count(flips),)`."""
    return np.packbits(flip_masks(BITS, flips), axis=1).view(">u2").astype(np.uint16).ravel()


def neighbour_count(flips: int) -> int:
    """The number of values within some flips: 17 within one, 137 within two, 697 within three."""
    return sum(comb(BITS, count) for count in range(flips + 1))


def neighbour_lists(flips: int) -> Iterator[dict[str, Any]]:
    """Documents of ElasticHash's index of neighbours: each value with all values within the flips."""
    for value in range(1 << BITS):
        yield {"_id": str(value), "nbs": (masks(flips) ^ value).tolist()}
