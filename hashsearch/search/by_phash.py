"""Search by perceptual hash on the same index: images or ids to hits, nearest hash first.

The search is exact. A hash changes completely when the picture is rotated or mirrored; a query may therefore search
with the hashes of all eight orientations. Pictures of nearly one colour are neither searched with nor found: their
hashes are all alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashsearch.descriptors.phash import BLOCKS, FLAT_HASHES, STORED, TURNS, is_flat
from hashsearch.elastic import queries
from hashsearch.elastic.document import PHASH, code_of, described, hash_fields
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.queries import MAX_CANDIDATES
from hashsearch.errors import FlatImage, SearchError
from hashsearch.hashing.bits import Codes, hamming
from hashsearch.hashing.sub_codes import Blocks
from hashsearch.search.hits import FoundImage
from hashsearch.search.radius import MEASURED, Costs, RadiusPlanner


@dataclass(frozen=True)
class PerceptualHit(FoundImage):
    """One hit: the image's stored fields, and how near its hash is to the query's.

    Attributes
    ----------
    hamming : int
        Number of bits in which the hashes differ, 0 to 64.
    turn : str
        Orientation of the query that is nearest, a key of `descriptors.phash.TURNS`; "upright" unless `turned`.
    """

    hamming: int
    turn: str


def as_table(hits: Sequence[PerceptualHit]) -> str:
    """Hits as lines for a terminal: Hamming distance, orientation of the query, id, title."""
    lines = ["hamming  query        id"]
    lines += [f"{hit.hamming:>7}  {hit.turn:<11}  {hit.id}  {hit.title or ''}".rstrip() for hit in hits]
    return "\n".join(lines)


_FIRST_SIZE = 100  # images within a radius to ask for first


class _Coding(NamedTuple):
    """What the radius planner needs to know of the stored hashes."""

    bits: int
    sub_codes: Blocks


class PerceptualSearcher:
    """Searches one index by the perceptual hashes (64-bit pHash) that it stores.

    Parameters
    ----------
    index : ImageIndex
        The index to search; no encoder is needed.
    costs : Costs
        Cost model of the radius search.

    Notes
    -----
    All methods take `filters`, clauses made by `elastic.queries.filters`. With `turned`, the query is compared in all
    eight orientations (rotated by right angles, mirrored), and the nearest counts.
    """

    def __init__(self, index: ImageIndex, costs: Costs = MEASURED) -> None:
        self.index = index
        self.radius_planner = RadiusPlanner(_Coding(STORED.bits, BLOCKS), index, costs, PHASH)

    def by_image(
        self, image: NDArray[np.uint8], k: int = 10, *, turned: bool = False, filters: Sequence[queries.Body] = ()
    ) -> list[PerceptualHit]:
        """Search with an image.

        Parameters
        ----------
        image : array of shape (height, width, 3), uint8
            RGB image of any size.
        k : int
            Number of hits, 1 to 10,000.
        turned : bool
            Compare the query in all eight orientations.
        filters : sequence of dict

        Returns
        -------
        list of PerceptualHit
            At most k hits, nearest first, those of one distance by id.

        Raises
        ------
        FlatImage
            If the image has nearly one colour, so that its hash says nothing (`descriptors.phash.is_flat`).
        SearchError
            If k is out of range.
        StoreError
            If the index does not exist or Elasticsearch does not answer.
        """
        return self._nearest(_hashes(image, turned), k, filters)

    def by_id(self, image_id: str, k: int = 10, *, filters: Sequence[queries.Body] = ()) -> list[PerceptualHit]:
        """Search with an indexed image, which is left out of the hits.

        Raises
        ------
        ImageNotFound
            If the index has no image with that id.
        SearchError
            If the image has no stored hash, or k is out of range.
        """
        others = queries.none_of(queries.ids([image_id]))
        return self._nearest(self._stored(image_id), k, [*filters, others])

    def within_radius(
        self, image: NDArray[np.uint8], radius: int, *, turned: bool = False, filters: Sequence[queries.Body] = ()
    ) -> list[PerceptualHit]:
        """All indexed images whose hash is within `radius` bits of the image's, nearest first; none is missed.

        Raises
        ------
        SearchError
            If the radius is not 0 to 64, or 10,000 or more images are within it.
        """
        return self._within(_hashes(image, turned), radius, filters)

    def within_radius_of(
        self, image_id: str, radius: int, *, filters: Sequence[queries.Body] = ()
    ) -> list[PerceptualHit]:
        """The same as `within_radius` for an indexed image, which is left out of the hits.

        Raises
        ------
        ImageNotFound
            If the index has no image with that id.
        """
        others = queries.none_of(queries.ids([image_id]))
        return self._within(self._stored(image_id), radius, [*filters, others])

    def _stored(self, image_id: str) -> Codes:
        """An indexed image's hash `(1, 8)`; its other orientations cannot be computed from it."""
        phash = self.index.vectors_of(image_id).phash
        if phash is None:
            raise SearchError(
                f"image '{image_id}' of '{self.index.alias}' has no perceptual hash: index it again, "
                "unless it is a picture of nearly one colour, which has none"
            )
        if bytes.fromhex(phash) in FLAT_HASHES:
            raise FlatImage(
                f"the query must have shapes, but image '{image_id}' of '{self.index.alias}' has nearly one colour: "
                "its perceptual hash is that of every such picture"
            )
        return np.frombuffer(bytes.fromhex(phash), np.uint8)[np.newaxis]

    def _nearest(self, codes: Codes, k: int, filters: Sequence[queries.Body]) -> list[PerceptualHit]:
        if not 1 <= k <= MAX_CANDIDATES:
            raise SearchError(f"k must be 1 to {MAX_CANDIDATES}, got {k}")
        clauses = [[*filters]] * len(codes)
        # Elasticsearch cuts off images of the last distance by their place in the index, so more hits are read.
        for size in (k + 1, k + _FIRST_SIZE, MAX_CANDIDATES):
            hits, complete = self._search(codes, clauses, min(size, MAX_CANDIDATES))
            if complete or (len(hits) > k and hits[-1].hamming > hits[k - 1].hamming):
                break
        return hits[:k]

    def _within(self, codes: Codes, radius: int, filters: Sequence[queries.Body]) -> list[PerceptualHit]:
        if not 0 <= radius <= STORED.bits:
            raise SearchError(f"radius must be 0 to {STORED.bits}, the bits of a hash, got {radius}")
        clauses = [[*filters, *self._prefilter(code, radius)] for code in codes]
        # Sorting takes most of a scan's time if it returns 10,000 images. Few images pass a prefilter.
        prefiltered = all(len(of_code) > len(filters) for of_code in clauses)
        for size in (MAX_CANDIDATES,) if prefiltered else (_FIRST_SIZE, MAX_CANDIDATES):
            hits, complete = self._search(codes, clauses, size, radius)
            if complete:
                return hits
        raise SearchError(f"{MAX_CANDIDATES} or more images are within radius {radius}: use a smaller radius")

    def _prefilter(self, code: Codes, radius: int) -> list[queries.Body]:
        """Clauses that all images within the radius match; images without blocks, of older versions, always match."""
        return [queries.or_without(PHASH.terms, clause) for clause in self.radius_planner.clauses(code, radius)]

    def _search(
        self, codes: Codes, clauses: Sequence[Sequence[queries.Body]], size: int, radius: int | None = None
    ) -> tuple[list[PerceptualHit], bool]:
        """The `size` nearest hits, given the clauses of each code; and whether they are all there are.

        Hashes of flat pictures, which older versions stored, are left out.
        """
        stored = self._stored_hits(codes, clauses, size, radius)
        if any(map(_is_flat, stored)):
            usable = [[*of_code, _NOT_FLAT] for of_code in clauses]
            stored = self._stored_hits(codes, usable, size, radius)
        hits = [_hit(hit, codes) for hit in stored if not _is_flat(hit)]
        return sorted(hits, key=lambda hit: (hit.hamming, hit.id)), len(stored) < size

    def _stored_hits(
        self, codes: Codes, clauses: Sequence[Sequence[queries.Body]], size: int, radius: int | None
    ) -> list[dict[str, Any]]:
        near = [
            queries.near_hash(_hex(code), size, of_code, radius) for code, of_code in zip(codes, clauses, strict=True)
        ]
        (answer,) = self.index.search(queries.nearest_hashes(near, size))
        hits: list[dict[str, Any]] = answer["hits"]["hits"]
        return hits


def _has_hash(code: bytes) -> queries.Body:
    """A clause that matches images with this hash, by its blocks; images without blocks never match."""
    terms = hash_fields(np.frombuffer(code, np.uint8))[PHASH.terms]
    return queries.all_of([queries.sub_codes([term], PHASH.terms) for term in terms])


_NOT_FLAT = queries.all_of([queries.none_of(_has_hash(code)) for code in FLAT_HASHES])


def _is_flat(hit: Mapping[str, Any]) -> bool:
    return code_of(hit, PHASH.code).tobytes() in FLAT_HASHES


def _hashes(image: NDArray[np.uint8], turned: bool) -> Codes:
    if is_flat(image):
        raise FlatImage(
            "the query must have shapes, but the picture has nearly one colour: its perceptual hash is useless"
        )
    return STORED.variants(image) if turned else STORED.hash([image])


def _hex(code: Codes) -> str:
    return code.tobytes().hex()


def _hit(hit: Mapping[str, Any], codes: Codes) -> PerceptualHit:
    distances = hamming(codes, code_of(hit, PHASH.code)[np.newaxis])[:, 0]
    nearest = int(distances.argmin())
    return PerceptualHit(hamming=int(distances[nearest]), turn=list(TURNS)[nearest], **described(hit))
