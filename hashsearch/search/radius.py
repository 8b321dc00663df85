"""Plans for searches within a Hamming radius: compare all codes, or only those that pass a prefilter on their blocks.

A prefilter requires that at least c blocks are near the query's (`sub_codes` has the guarantee that no code within the
radius fails it). Which c is cheapest depends on the codes of the index, of which a sample is compared with the query.
"""

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
from hashsearch.search.planner import MAX_TERMS

_SAMPLE = 1024  # codes
_SAMPLE_EXPIRES = 600.0  # seconds
_PASSING_RATIO = 0.25  # share of the passing codes that still pass with one more required block, at least; of photos
_REQUIRED = (1, 2, 3, 4, 6, 8, 12)  # numbers of near blocks that are tried


@dataclass(frozen=True)
class Costs:
    """Nanoseconds; only their ratios matter.

    Fitted to `benchmarks/radius.py`: a million codes of 1024 bits on the local node, each query run once, so that its
    terms are not in the processor's caches yet (looking them up takes half as long if they are).
    """

    code: float = 11.0  # to compare one code in a scan, in memory order
    bit: float = 0.01  # and for each of its bits
    term: float = 2200.0  # to look up
    posting: float = 65.0  # to read and count an image with a term
    single: float = 500.0  # to compare one code at a random position
    passed_over: float = 2.0  # for each code of the index, if more than MAX_CANDIDATES are compared
    planning: float = 1_500_000.0  # scans cheaper than this are not planned, just run


MEASURED = Costs()


@dataclass(frozen=True)
class Prefilter:
    """A condition on the blocks that every code within the radius meets, and its expected cost.

    A block is near if it differs in fewer bits than its reach (`reaches (blocks,)`); at least `required` blocks must be
    near. `terms` are to be looked up, `postings` images read and counted (once per near block), `passing` images pass.
    """

    reaches: NDArray[np.uint8]
    required: int
    terms: int
    postings: float
    passing: float


def prefilters(blocks: Blocks, radius: int, sampled: NDArray[np.uint8], images: int) -> Iterable[Prefilter]:
    """All prefilters to choose from, given the block distances `(blocks, n)` of a sample of n of the images."""
    scale = images / sampled.shape[1]
    for required in _REQUIRED:
        if required > blocks.count:
            return
        reaches = blocks.reaches(radius, required, sampled)
        near = (sampled < reaches[:, np.newaxis]).sum(axis=0, dtype=np.uint16)
        # If hardly any code of the sample passes, it underestimates how many of all do.
        passing = np.count_nonzero(near >= required) + _PASSING_RATIO ** (required - 1)
        yield Prefilter(reaches, required, blocks.neighbour_count(reaches), scale * int(near.sum()), scale * passing)


def cheapest(choices: Iterable[Prefilter], images: int, bits: int, costs: Costs = MEASURED) -> Prefilter | None:
    """The prefilter of the lowest expected cost; None if comparing all codes costs no more."""
    scan = images * _per_code(bits, costs)
    priced = [(_price(choice, images, costs), choice) for choice in choices if choice.terms <= MAX_TERMS]
    price, best = min(priced, key=lambda pair: pair[0], default=(scan, None))
    return best if price < scan else None


def _per_code(bits: int, costs: Costs) -> float:
    return costs.code + costs.bit * bits


def _price(prefilter: Prefilter, images: int, costs: Costs) -> float:
    lookup = prefilter.terms * costs.term + prefilter.postings * costs.posting
    walk = images * costs.passed_over if prefilter.passing > MAX_CANDIDATES else 0.0
    return lookup + prefilter.passing * costs.single + walk


@dataclass(frozen=True)
class _Sample:
    """The number of images of an index, block values `(n, blocks)` of some of them, and when they were read."""

    images: int
    values: NDArray[np.uint16]
    at: float


class Coding(Protocol):
    """What the planner needs of an encoder: the length of its codes, and its blocks if it has any."""

    @property
    def bits(self) -> int: ...

    @property
    def sub_codes(self) -> SubCodes: ...


class RadiusPlanner:
    """Plans searches within a radius on one index, from a sample of its codes that is at most ten minutes old."""

    def __init__(self, encoder: Coding, index: ImageIndex, costs: Costs = MEASURED, fields: CodeFields = CODE) -> None:
        self.encoder = encoder
        self.index = index
        self.costs = costs
        self.fields = fields
        self._cached: _Sample | None = None

    def prefilter(self, code: Codes, radius: int) -> Prefilter | None:
        """The cheapest prefilter for the radius around a code `(bits // 8,)`; None to compare all codes."""
        blocks = self.encoder.sub_codes
        if not isinstance(blocks, Blocks):
            return None
        sample = self._sample(blocks)
        if not len(sample.values):
            return None
        choices = prefilters(blocks, radius, blocks.distances(code, sample.values), sample.images)
        return cheapest(choices, sample.images, self.encoder.bits, self.costs)

    def clauses(self, code: Codes, radius: int) -> list[queries.Body]:
        """Clauses that all images within the radius of a code `(bits // 8,)` match; empty to compare all codes."""
        blocks, prefilter = self.encoder.sub_codes, self.prefilter(code, radius)
        if prefilter is None or not isinstance(blocks, Blocks):
            return []
        terms = blocks.neighbours(code, prefilter.reaches)
        return [queries.near_blocks(terms, prefilter.required, self.fields.terms)]

    def _sample(self, blocks: Blocks) -> _Sample:
        if self._cached is None or monotonic() - self._cached.at > _SAMPLE_EXPIRES:
            images, codes = self.index.count(), np.empty((0, self.encoder.bits // 8), np.uint8)
            if images * _per_code(self.encoder.bits, self.costs) > self.costs.planning:
                images, sampled = self.index.sampled_codes(_SAMPLE, self.fields.code)
                codes = sampled.reshape(-1, self.encoder.bits // 8)  # also if no image has a code
            self._cached = _Sample(images, np.asfortranarray(blocks.values(codes)), monotonic())
        return self._cached
