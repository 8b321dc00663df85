"""Search within a Hamming radius: whether all codes are compared, or those that the blocks of the code let through."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hashsearch.elastic import queries
from hashsearch.elastic.document import CODE, CodeFields
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.queries import MAX_CANDIDATES
from hashsearch.hashing.bits import Codes
from hashsearch.hashing.sub_codes import Blocks, SubCodes
from hashsearch.search.planner import MOST_TERMS

_SAMPLE = 1024  # codes
_FURTHER = 0.25  # of the codes that pass, at least so many still do when one more block must be near: as with photos
_KNOWN_FOR = 600.0  # seconds
_REQUIRED = (1, 2, 3, 4, 6, 8, 12)  # blocks that must be near


@dataclass(frozen=True)
class Costs:
    """Nanoseconds; only their ratios decide.

    Fitted to `benchmarks/radius.py`: a million codes of 1024 bits on the local node, each query asked once, so that its
    terms are not in the processor's caches yet (where they are, looking them up takes half as long).
    """

    code: float = 11.0  # to compare one of all codes, in the order of memory
    bit: float = 0.01  # and for each of its bits
    term: float = 2200.0  # to look up
    posting: float = 65.0  # to read and count an image with a term
    single: float = 500.0  # to compare one code here and there
    passed_over: float = 2.0  # for each code, once more than MAX_CANDIDATES are compared
    planning: float = 1_500_000.0  # a cheaper search is not planned


MEASURED = Costs()


@dataclass(frozen=True)
class Sieve:
    """A question to the blocks that no code within the radius fails, and what is expected of it.

    The `reaches (blocks,)` of near blocks and how many must be near; terms asked for, images counted (once for each
    near block), images that pass.
    """

    reaches: NDArray[np.uint8]
    required: int
    terms: int
    postings: float
    passing: float


def sieves(blocks: Blocks, radius: int, sampled: NDArray[np.uint8], images: int) -> Iterable[Sieve]:
    """The questions that may be asked, given the block distances `(blocks, n)` of n of the images."""
    share = images / sampled.shape[1]
    for required in _REQUIRED:
        if required > blocks.count:
            return
        reaches = blocks.reaches(radius, required, sampled)
        near = (sampled < reaches[:, np.newaxis]).sum(axis=0, dtype=np.uint16)
        # Where hardly any of the sample passes, more of all images do than it tells.
        passing = np.count_nonzero(near >= required) + _FURTHER ** (required - 1)
        yield Sieve(reaches, required, blocks.neighbour_count(reaches), share * int(near.sum()), share * passing)


def cheapest(asked: Iterable[Sieve], images: int, bits: int, costs: Costs = MEASURED) -> Sieve | None:
    """The sieve of the least expected cost, None if comparing all codes costs no more. Pure."""
    everything = images * _each(bits, costs)
    priced = [(_price(sieve, images, costs), sieve) for sieve in asked if sieve.terms <= MOST_TERMS]
    price, best = min(priced, key=lambda pair: pair[0], default=(everything, None))
    return best if price < everything else None


def _each(bits: int, costs: Costs) -> float:
    return costs.code + costs.bit * bits


def _price(sieve: Sieve, images: int, costs: Costs) -> float:
    asking = sieve.terms * costs.term + sieve.postings * costs.posting
    walk = images * costs.passed_over if sieve.passing > MAX_CANDIDATES else 0.0
    return asking + sieve.passing * costs.single + walk


@dataclass(frozen=True)
class _Census:
    """How many images an index has, and the block values `(n, blocks)` of some, as of a time."""

    images: int
    values: NDArray[np.uint16]
    at: float


class Coding(Protocol):
    """What planning needs of an encoder: how long its codes are, and whether they have blocks."""

    @property
    def bits(self) -> int: ...

    @property
    def sub_codes(self) -> SubCodes: ...


class Radius:
    """Plans searches within a radius on one index; what it knows of the index's codes is at most ten minutes old."""

    def __init__(self, encoder: Coding, index: ImageIndex, costs: Costs = MEASURED, fields: CodeFields = CODE) -> None:
        self.encoder = encoder
        self.index = index
        self.costs = costs
        self.fields = fields
        self._known: _Census | None = None

    def sieve(self, code: Codes, radius: int) -> Sieve | None:
        """What to ask the blocks about images within the radius of a code `(bits // 8,)`; None to compare all codes."""
        blocks = self.encoder.sub_codes
        if not isinstance(blocks, Blocks):
            return None
        census = self._census(blocks)
        if not len(census.values):
            return None
        asked = sieves(blocks, radius, blocks.distances(code, census.values), census.images)
        return cheapest(asked, census.images, self.encoder.bits, self.costs)

    def clauses(self, code: Codes, radius: int) -> list[queries.Body]:
        """What all images within the radius of a code `(bits // 8,)` fulfil; empty where that would save nothing."""
        blocks, sieve = self.encoder.sub_codes, self.sieve(code, radius)
        if sieve is None or not isinstance(blocks, Blocks):
            return []
        return [queries.near_blocks(blocks.neighbours(code, sieve.reaches), sieve.required, self.fields.terms)]

    def _census(self, blocks: Blocks) -> _Census:
        if self._known is None or monotonic() - self._known.at > _KNOWN_FOR:
            images, codes = self.index.count(), np.empty((0, self.encoder.bits // 8), np.uint8)
            if images * _each(self.encoder.bits, self.costs) > self.costs.planning:
                images, codes = self.index.sampled_codes(_SAMPLE, self.fields.code)
            self._known = _Census(images, np.asfortranarray(blocks.values(codes)), monotonic())
        return self._known
