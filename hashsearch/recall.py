"""Which codes a query is compared with: the strategy, and the sub-codes asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from hashsearch.encoder import EncodedQuery, Encoder
from hashsearch.errors import SearchError
from hashsearch.hashing.sub_codes import Blocks, Cells
from hashsearch.index.queries import Body
from hashsearch.index.store import ImageIndex

STRATEGIES = ("scan", "sub_codes", "graph")

SCANNED_UP_TO = 50_000  # images; comparing so many codes takes about 1.5 ms, choosing among them saves less
COMPARED_AT_LEAST = 10_000
COMPARED_SHARE = 40  # cells compare at least one code in so many; docs/recall.md has the recall that it buys
CELLS_AT_LEAST = 16  # with few, large cells a share would be too few of them
PROBES = 16
MOST_TERMS = 65_536  # Elasticsearch's limit for one terms clause
COUNTED_FOR = 60.0  # seconds
_FILTERS_KNOWN = 256  # counts kept, one of each filter asked for


@dataclass(frozen=True)
class _Census:
    """How many images pass a filter, and how many of each cell `(cells,)`, as counted at a time."""

    images: int
    cells: NDArray[np.int64]
    at: float


class Recall:
    """Plans the recall of queries on one index.

    With more than `scanned_up_to` images the default is cells. What counts is how many pass the query's filter: of a
    hundredth of the index, a query's nearest cells would hold next to nothing. It is known for `counted_for` seconds.
    """

    def __init__(
        self,
        encoder: Encoder,
        index: ImageIndex,
        scanned_up_to: int = SCANNED_UP_TO,
        counted_for: float = COUNTED_FOR,
    ) -> None:
        self.encoder = encoder
        self.index = index
        self.scanned_up_to = scanned_up_to
        self.counted_for = counted_for
        self._counted: dict[str, _Census] = {}

    def strategy(self, asked: str | None, filters: Sequence[Body] = ()) -> str:
        """The strategy asked for, or the best for this index; SearchError for one that it was not made for.

        A graph where there is one; else cells, where there are any, from a size on at which they are worth it.
        """
        if asked is None:
            if self.index.graph:
                return "graph"
            cells = self.encoder.sub_codes
            large = isinstance(cells, Cells) and self._census(cells, filters).images > self.scanned_up_to
            return "sub_codes" if large else "scan"
        if asked == "graph" and not self.index.graph:
            raise SearchError(f"strategy 'graph' needs an index with a graph, and '{self.index.alias}' has none")
        return asked

    def terms(
        self, query: EncodedQuery, probes: int | None, compared: int | None, filters: Sequence[Body] = ()
    ) -> list[str]:
        """The sub-codes to ask for. SearchError for `probes` with cells and `compared` with blocks, or too many."""
        sub_codes = self.encoder.sub_codes
        if isinstance(sub_codes, Blocks):
            if compared is not None:
                raise SearchError(f"compared goes with cells, and this encoder has blocks; got {compared}")
            asked = PROBES if probes is None else probes
            terms = sub_codes.query_terms(query.code, query.margins, asked)
            if len(terms) > MOST_TERMS:
                raise SearchError(f"probes may come to {MOST_TERMS} sub-codes, {asked} are {len(terms)}")
            return terms
        if probes is not None:
            raise SearchError(f"probes go with blocks, and this encoder has cells; got {probes}")
        census = self._census(sub_codes, filters)
        most = budget(census.images, sub_codes.cells) if compared is None else compared
        return sub_codes.query_terms(query.embedding, census.cells, most)

    def _census(self, cells: Cells, filters: Sequence[Body]) -> _Census:
        key = json.dumps(filters, sort_keys=True)
        known = self._counted.get(key)
        if known is None or monotonic() - known.at > self.counted_for:
            for oldest in list(self._counted)[: 1 - _FILTERS_KNOWN]:
                self._counted.pop(oldest, None)
            known = self._counted[key] = self._count(cells, filters)
        return known

    def _count(self, cells: Cells, filters: Sequence[Body]) -> _Census:
        images, counts = self.index.sub_code_counts(cells.cells, filters)
        sizes = np.array([counts.get(name, 0) for name in cells.names()], dtype=np.int64)
        return _Census(images, sizes, monotonic())


def budget(images: int, cells: int) -> int:
    """How many codes a query compares by default, in an index of so many images in so many cells."""
    return max(COMPARED_AT_LEAST, images // COMPARED_SHARE, CELLS_AT_LEAST * images // cells)
