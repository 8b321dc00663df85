"""Search by perceptual hash on the same index: image or id -> hits, nearest hash first; exact, as codes of 64 bits are.

A hash changes beyond recognition when the picture is turned, so a query may ask with the hashes of all eight turns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashsearch.descriptors.phash import BLOCKS, STORED, TURNS
from hashsearch.elastic import queries
from hashsearch.elastic.document import PHASH, code_of, described
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.queries import MAX_CANDIDATES
from hashsearch.errors import SearchError
from hashsearch.hashing.bits import Codes, hamming
from hashsearch.hashing.sub_codes import Blocks
from hashsearch.search.hits import FoundImage
from hashsearch.search.radius import MEASURED, Costs, Radius


@dataclass(frozen=True)
class PerceptualHit(FoundImage):
    """One found image: the bits in which its hash differs, and how the query was turned to be that near."""

    hamming: int
    turn: str


def as_table(hits: Sequence[PerceptualHit]) -> str:
    """Hits as lines for a terminal: Hamming distance, how the query was turned, id, title."""
    lines = ["hamming  query        id"]
    lines += [f"{hit.hamming:>7}  {hit.turn:<11}  {hit.id}  {hit.title or ''}".rstrip() for hit in hits]
    return "\n".join(lines)


_FIRST_KEPT = 100  # of the images within a radius


class _Coding(NamedTuple):
    """What planning needs to know of the stored hashes."""

    bits: int
    sub_codes: Blocks


class PerceptualSearcher:
    """Answers queries on one index by the perceptual hashes that it holds.

    `filters` are clauses of `queries.filters`. With `turned`, an image is as near as the nearest of the query's turns.
    """

    def __init__(self, index: ImageIndex, costs: Costs = MEASURED) -> None:
        self.index = index
        self.radius = Radius(_Coding(STORED.bits, BLOCKS), index, costs, PHASH)

    def by_image(
        self, image: NDArray[np.uint8], k: int = 10, *, turned: bool = False, filters: Sequence[queries.Body] = ()
    ) -> list[PerceptualHit]:
        """The k hits nearest to an RGB image `(height, width, 3) uint8`; SearchError unless k is 1 to 10,000."""
        return self._nearest(_hashes(image, turned), k, filters)

    def by_id(self, image_id: str, k: int = 10, *, filters: Sequence[queries.Body] = ()) -> list[PerceptualHit]:
        """The k hits nearest to an indexed image, itself left out; ImageNotFound when it is not there."""
        others = queries.none_of(queries.ids([image_id]))
        return self._nearest(self._stored(image_id), k, [*filters, others])

    def within_radius(
        self, image: NDArray[np.uint8], radius: int, *, turned: bool = False, filters: Sequence[queries.Body] = ()
    ) -> list[PerceptualHit]:
        """Every indexed image whose hash is within `radius` bits of the image's, nearest first: none is missed.

        SearchError when the radius is not 0 to 64, or when more images lie within it than one answer holds.
        """
        return self._within(_hashes(image, turned), radius, filters)

    def within_radius_of(
        self, image_id: str, radius: int, *, filters: Sequence[queries.Body] = ()
    ) -> list[PerceptualHit]:
        """The same for an indexed image, itself left out; ImageNotFound when it is not there."""
        others = queries.none_of(queries.ids([image_id]))
        return self._within(self._stored(image_id), radius, [*filters, others])

    def _stored(self, image_id: str) -> Codes:
        """An indexed image's hash `(1, 8)`: only a picture can be turned."""
        phash = self.index.vectors_of(image_id).phash
        if phash is None:
            raise SearchError(f"image '{image_id}' of '{self.index.alias}' was written without a perceptual hash")
        return np.frombuffer(bytes.fromhex(phash), np.uint8)[np.newaxis]

    def _nearest(self, codes: Codes, k: int, filters: Sequence[queries.Body]) -> list[PerceptualHit]:
        if not 1 <= k <= MAX_CANDIDATES:
            raise SearchError(f"k must be 1 to {MAX_CANDIDATES}, got {k}")
        return self._ask(codes, [queries.near_hash(_hex(code), k, filters) for code in codes], k)

    def _within(self, codes: Codes, radius: int, filters: Sequence[queries.Body]) -> list[PerceptualHit]:
        if not 0 <= radius <= STORED.bits:
            raise SearchError(f"radius must be 0 to {STORED.bits}, the bits of a hash, got {radius}")
        sieves = [self._sieve(code, radius) for code in codes]
        # To keep the nearest in order takes most of a scan's time if so many are kept. A sieve lets few through.
        for most in (_FIRST_KEPT, MAX_CANDIDATES):
            near = [
                queries.near_hash(_hex(code), MAX_CANDIDATES if sieve else most, [*filters, *sieve], radius)
                for code, sieve in zip(codes, sieves, strict=True)
            ]
            hits = self._ask(codes, near, most)
            if len(hits) < most:
                return hits
        raise SearchError(f"{MAX_CANDIDATES} or more images lie within radius {radius}: ask for a smaller one")

    def _sieve(self, code: Codes, radius: int) -> list[queries.Body]:
        """What all images within the radius fulfil; those without blocks, which older versions wrote, do so always."""
        return [queries.or_without(PHASH.terms, clause) for clause in self.radius.clauses(code, radius)]

    def _ask(self, codes: Codes, near: Sequence[queries.Body], most: int) -> list[PerceptualHit]:
        (answer,) = self.index.search(queries.nearest_hashes(near, most))
        hits = [_hit(hit, codes) for hit in answer["hits"]["hits"]]
        return sorted(hits, key=lambda hit: (hit.hamming, hit.id))


def _hashes(image: NDArray[np.uint8], turned: bool) -> Codes:
    return STORED.variants(image) if turned else STORED.hash([image])


def _hex(code: Codes) -> str:
    return code.tobytes().hex()


def _hit(hit: Mapping[str, Any], codes: Codes) -> PerceptualHit:
    distances = hamming(codes, code_of(hit, PHASH.code)[np.newaxis])[:, 0]
    nearest = int(distances.argmin())
    return PerceptualHit(hamming=int(distances[nearest]), turn=list(TURNS)[nearest], **described(hit))
