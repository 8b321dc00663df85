"""Which codes a query is compared with: the strategy, the sub-codes asked for, and how many are re-ranked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from hashsearch.elastic import queries
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.queries import MAX_CANDIDATES, Body
from hashsearch.elastic.tuned import Tuned
from hashsearch.encoder import EncodedQuery, Encoder
from hashsearch.errors import SearchError
from hashsearch.hashing.sub_codes import Blocks, Cells

STRATEGIES = ("scan", "sub_codes", "graph")

CANDIDATES = 500
SCANNED_UP_TO = 50_000  # images; comparing so many codes takes about 1.5 ms, choosing among them saves less
COMPARED_AT_LEAST = 10_000
COMPARED_SHARE = 40  # cells compare at least one code in so many; docs/recall.md has the recall that it buys
CELLS_AT_LEAST = 16  # with few, large cells a share would be too few of them
PROBES = 16
MOST_TERMS = 65_536  # Elasticsearch's limit for one terms clause
COUNTED_FOR = 60.0  # seconds
_FILTERS_KNOWN = 256  # counts kept, one of each filter asked for


@dataclass(frozen=True)
class SearchOptions:
    """How to search. SearchError names the option that is outside its range.

    `strategy`: `scan` compares every code, `sub_codes` only those that share a sub-code with the query, `graph` walks
    the graph over the quantised vectors of an index that has one.
    `candidates` are recalled (of each shard) by Hamming distance, with `graph` by the quantised vectors, and re-ranked
    by exact cosine.
    `compared`: how many codes `sub_codes` may compare, with cells; `probes`: how many sub-codes of each block it asks
    for, with blocks.
    These four are taken as the index was tuned where they are None, else as is best for most indices.
    `explain`: also tell each hit's code, sub-codes and rank before re-ranking.
    """

    k: int = 10
    candidates: int | None = None
    strategy: str | None = None
    compared: int | None = None
    probes: int | None = None
    category: Sequence[str] = ()
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    min_cosine: float | None = None
    explain: bool = True

    def __post_init__(self) -> None:
        if self.candidates is None:
            if not 1 <= self.k <= MAX_CANDIDATES:
                raise SearchError(f"k must be 1 to {MAX_CANDIDATES}, got {self.k}")
        elif not 1 <= self.candidates <= MAX_CANDIDATES:
            raise SearchError(f"candidates must be 1 to {MAX_CANDIDATES}, got {self.candidates}")
        elif not 1 <= self.k <= self.candidates:
            raise SearchError(f"k must be 1 to the number of candidates, {self.candidates}, got {self.k}")
        if self.strategy is not None and self.strategy not in STRATEGIES:
            raise SearchError(f"strategy must be one of {', '.join(STRATEGIES)}, got '{self.strategy}'")
        if self.compared is not None and self.compared < 1:
            raise SearchError(f"compared must be at least 1, got {self.compared}")
        if self.min_cosine is not None and not -1 <= self.min_cosine <= 1:
            raise SearchError(f"min_cosine must be -1 to 1, got {self.min_cosine}")

    @property
    def filters(self) -> list[Body]:
        """A clause for each filter, all of which an image must pass."""
        return queries.filters(self.category, self.attributes)


@dataclass(frozen=True)
class Query:
    """An encoded query; `own` is the id of the indexed image that it was made of, which is none of its hits."""

    encoded: EncodedQuery
    own: str | None = None


@dataclass(frozen=True)
class Plan:
    """One query's way to its candidates, nothing left open; `terms` are the sub-codes asked for."""

    query: Query
    options: SearchOptions
    strategy: str
    candidates: int
    terms: Sequence[str]

    def clauses(self) -> list[Body]:
        """What an image must fulfil to be compared."""
        own = [] if self.query.own is None else [queries.none_of(queries.ids([self.query.own]))]
        asked = [queries.sub_codes(self.terms)] if self.strategy == "sub_codes" else []
        return own + self.options.filters + asked

    def recalled(self) -> Body | None:
        """The clause that the candidates fulfil; None with a graph, whose walk is part of the re-ranking."""
        if self.strategy == "graph":
            return None
        return queries.recall(self.query.encoded.code.tobytes().hex(), self.candidates, self.clauses())

    def reranked(self, k: int, min_cosine: float | None) -> Body:
        """The whole search: the k best of the candidates by exact cosine."""
        recalled = self.recalled()
        clauses = self.clauses() if recalled is None else [recalled]
        return queries.rerank(self.query.encoded, clauses, k, self.candidates, min_cosine)


@dataclass(frozen=True)
class _Census:
    """How many images pass a filter, and how many of each cell `(cells,)`, as counted at a time."""

    images: int
    cells: NDArray[np.int64]
    at: float


class QueryPlanner:
    """Plans the recall of queries on one index.

    With more than `scanned_up_to` images the default is cells. What counts is how many pass the query's filter: of a
    hundredth of the index, a query's nearest cells would hold next to nothing. It is known for `counted_for` seconds.

    What the index was tuned to goes before these defaults. It was measured without filters and for so many hits; a
    search with filters or for more hits takes the larger of the tuned number and the default one.
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

    def plan(self, query: Query, options: SearchOptions) -> Plan:
        """How a query is recalled; SearchError for options that do not go with the index or its encoder."""
        strategy = self.strategy(options)
        terms = self.terms(query.encoded, options) if strategy == "sub_codes" else []
        return Plan(query, options, strategy, self.candidates(options, strategy), terms)

    def strategy(self, options: SearchOptions) -> str:
        """The strategy asked for, or the best for this index; SearchError for one that it was not made for.

        What it was tuned to, but not sub-codes under a filter; else a graph where there is one; else cells, where there
        are any, from a size on at which they are worth it.
        """
        asked, tuned = options.strategy, self.index.tuned
        if asked == "graph" and not self.index.graph:
            raise SearchError(f"strategy 'graph' needs an index with a graph, and '{self.index.alias}' has none")
        if asked is not None:
            return asked
        if tuned is not None and not (tuned.strategy == "sub_codes" and options.filters):
            return tuned.strategy
        if self.index.graph:
            return "graph"
        cells = self.encoder.sub_codes
        large = isinstance(cells, Cells) and self._census(cells, options.filters).images > self.scanned_up_to
        return "sub_codes" if large else "scan"

    def candidates(self, options: SearchOptions, strategy: str) -> int:
        """How many are re-ranked: as many as asked, else as tuned, else 500; k at least."""
        if options.candidates is not None:
            return options.candidates
        tuned = self._tuned(strategy)
        return max(options.k, CANDIDATES if tuned is None else _taken(tuned, tuned.candidates, CANDIDATES, options))

    def terms(self, query: EncodedQuery, options: SearchOptions) -> list[str]:
        """The sub-codes to ask for. SearchError for `probes` with cells and `compared` with blocks, or too many."""
        sub_codes = self.encoder.sub_codes
        if isinstance(sub_codes, Blocks):
            if options.compared is not None:
                raise SearchError(f"compared goes with cells, and this encoder has blocks; got {options.compared}")
            asked = self._probes(options)
            terms = sub_codes.query_terms(query.code, query.margins, asked)
            if len(terms) > MOST_TERMS:
                raise SearchError(f"probes may come to {MOST_TERMS} sub-codes, {asked} are {len(terms)}")
            return terms
        if options.probes is not None:
            raise SearchError(f"probes go with blocks, and this encoder has cells; got {options.probes}")
        census = self._census(sub_codes, options.filters)
        most = self._compared(options, census.images, sub_codes.cells)
        return sub_codes.query_terms(query.embedding, census.cells, most)

    def _tuned(self, strategy: str) -> Tuned | None:
        """What the index was tuned to, if to this strategy: its numbers mean nothing for another."""
        tuned = self.index.tuned
        return tuned if tuned is not None and tuned.strategy == strategy else None

    def _probes(self, options: SearchOptions) -> int:
        if options.probes is not None:
            return options.probes
        tuned = self._tuned("sub_codes")
        return PROBES if tuned is None or tuned.probes is None else _taken(tuned, tuned.probes, PROBES, options)

    def _compared(self, options: SearchOptions, images: int, cells: int) -> int:
        """How many codes may be compared where so many images, in so many cells, pass the filters.

        A tuned number grows with the index, so that the share of the codes that are compared stays what it was.
        """
        if options.compared is not None:
            return options.compared
        tuned, default = self._tuned("sub_codes"), budget(images, cells)
        if tuned is None or tuned.compared is None:
            return default
        grown = tuned.compared * max(images, tuned.images) // tuned.images
        return _taken(tuned, grown, default, options)

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


def _taken(tuned: Tuned, number: int, default: int, options: SearchOptions) -> int:
    """A tuned number for searches like those that were measured, for others the larger of it and the default."""
    return number if options.k <= tuned.k and not options.filters else max(number, default)


def budget(images: int, cells: int) -> int:
    """How many codes a query compares by default, in an index of so many images in so many cells."""
    return max(COMPARED_AT_LEAST, images // COMPARED_SHARE, CELLS_AT_LEAST * images // cells)
