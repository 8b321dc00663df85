"""How a query is answered: the strategy, the sub-codes to search, and how many candidates are re-ranked."""

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
SCANNED_UP_TO = 50_000  # images; a scan of that many codes takes about 1.5 ms, and sub-codes would save less
COMPARED_AT_LEAST = 10_000
COMPARED_SHARE = 40  # cells compare at least one code in 40; docs/recall.md has the recall at that share
CELLS_AT_LEAST = 16  # with few, large cells a share alone would select too few of them
PROBES = 16
MAX_TERMS = 65_536  # Elasticsearch's limit for one terms clause
COUNTS_EXPIRE = 60.0  # seconds
_MAX_COUNTED_FILTERS = 256  # filters whose counts are cached


@dataclass(frozen=True)
class SearchOptions:
    """How to search. Options that are None take the value that the index was tuned to, else the default.

    Parameters
    ----------
    k : int
        Number of hits, 1 to 10,000 and at most `candidates`.
    candidates : int, optional
        Images per shard that are re-ranked by exact cosine, 1 to 10,000. Selected by Hamming distance, with "graph" by
        quantised vectors. Default: max(500, k).
    strategy : {"scan", "sub_codes", "graph"}, optional
        "scan" compares the query with every code, "sub_codes" with the codes that share a sub-code with it, "graph"
        searches the HNSW graph of the quantised vectors. Default: "graph" if the index has one; else "sub_codes" for
        cells and more than 50,000 images that pass the filters; else "scan".
    compared : int, optional
        Maximum number of codes that "sub_codes" compares; only for an encoder with cells. Default: a 40th of the
        images, but at least 10,000 and 16 average cells.
    probes : int, optional
        Sub-codes to search per block; only for an encoder with blocks. Default: 16.
    category : sequence of str
        Only images of one of these categories.
    attributes : mapping of str to sequence of str
        Only images that have, for each attribute, one of its values.
    min_cosine : float, optional
        Only hits of at least this cosine, -1 to 1.
    explain : bool
        Also return each hit's Hamming distance, shared sub-codes and rank before re-ranking; needs a second request.

    Raises
    ------
    SearchError
        If an option is out of range; the message names it.
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
        queries.filters(self.category, self.attributes)  # refuses a value that is too long

    @property
    def filters(self) -> list[Body]:
        """One clause per filter; an image must match all of them."""
        return queries.filters(self.category, self.attributes)


@dataclass(frozen=True)
class SearchQuery:
    """An encoded query. `own_id` is the id of the indexed image it was made from, which is left out of the hits."""

    encoded: EncodedQuery
    own_id: str | None = None


@dataclass(frozen=True)
class QueryPlan:
    """All decisions for one query; `terms` are the sub-codes to search."""

    query: SearchQuery
    options: SearchOptions
    strategy: str
    candidates: int
    terms: Sequence[str]

    def clauses(self) -> list[Body]:
        """Clauses that an image must match for its code to be compared."""
        own = [] if self.query.own_id is None else [queries.none_of(queries.ids([self.query.own_id]))]
        sub_codes = [queries.sub_codes(self.terms)] if self.strategy == "sub_codes" else []
        return own + self.options.filters + sub_codes

    def recall_clause(self) -> Body | None:
        """The clause that selects the candidates; None with a graph, which selects and re-ranks in one step."""
        if self.strategy == "graph":
            return None
        return queries.recall(self.query.encoded.code.tobytes().hex(), self.candidates, self.clauses())

    def rerank_body(self, k: int, min_cosine: float | None) -> Body:
        """The request body of the search: the k best candidates by exact cosine."""
        recall = self.recall_clause()
        clauses = self.clauses() if recall is None else [recall]
        return queries.rerank(self.query.encoded, clauses, k, self.candidates, min_cosine)


@dataclass(frozen=True)
class _Counts:
    """Images that match a filter, in total and per cell `(cells,)`, and when they were counted."""

    images: int
    cells: NDArray[np.int64]
    at: float


class QueryPlanner:
    """Plans the queries on one index.

    Values that the index was tuned to take precedence over the defaults. They were measured without filters and for k
    hits; a search with filters or for more hits uses the larger of the tuned value and the default.

    Above `scanned_up_to` images the default strategy is sub-codes, if they are cells. Only images that match the
    query's filters count: if few do, the nearest cells hold hardly any of them. Counts are cached for
    `counts_expire` seconds.
    """

    def __init__(
        self,
        encoder: Encoder,
        index: ImageIndex,
        scanned_up_to: int = SCANNED_UP_TO,
        counts_expire: float = COUNTS_EXPIRE,
    ) -> None:
        self.encoder = encoder
        self.index = index
        self.scanned_up_to = scanned_up_to
        self.counts_expire = counts_expire
        self._cached: dict[str, _Counts] = {}

    def plan(self, query: SearchQuery, options: SearchOptions) -> QueryPlan:
        """The plan for a query; SearchError for options that do not fit the index or its encoder."""
        strategy = self.strategy(options)
        terms = self.terms(query.encoded, options) if strategy == "sub_codes" else []
        return QueryPlan(query, options, strategy, self.candidates(options, strategy), terms)

    def strategy(self, options: SearchOptions) -> str:
        """The strategy of the options, else the tuned one, else the default; SearchError if the index lacks a graph.

        Tuned sub-codes do not apply to a search with filters.
        """
        requested, tuned = options.strategy, self.index.tuned
        if requested == "graph" and not self.index.graph:
            raise SearchError(f"strategy 'graph' needs an index with a graph, and '{self.index.alias}' has none")
        if requested is not None:
            return requested
        if tuned is not None and not (tuned.strategy == "sub_codes" and options.filters):
            return tuned.strategy
        if self.index.graph:
            return "graph"
        cells = self.encoder.sub_codes
        large = isinstance(cells, Cells) and self._counts(cells, options.filters).images > self.scanned_up_to
        return "sub_codes" if large else "scan"

    def candidates(self, options: SearchOptions, strategy: str) -> int:
        """How many images are re-ranked: the value of the options, else max(k, the tuned value or 500)."""
        if options.candidates is not None:
            return options.candidates
        tuned = self._tuned_for(strategy)
        return max(options.k, CANDIDATES if tuned is None else _applied(tuned, tuned.candidates, CANDIDATES, options))

    def terms(self, query: EncodedQuery, options: SearchOptions) -> list[str]:
        """The sub-codes to search. SearchError for `probes` with cells, `compared` with blocks, or too many terms."""
        sub_codes = self.encoder.sub_codes
        if isinstance(sub_codes, Blocks):
            if options.compared is not None:
                raise SearchError(f"compared goes with cells, and this encoder has blocks; got {options.compared}")
            probes = self._probes(options)
            terms = sub_codes.query_terms(query.code, query.margins, probes)
            if len(terms) > MAX_TERMS:
                raise SearchError(
                    f"probes may select at most {MAX_TERMS} sub-codes, and {probes} per block select {len(terms)}"
                )
            return terms
        if options.probes is not None:
            raise SearchError(f"probes go with blocks, and this encoder has cells; got {options.probes}")
        counts = self._counts(sub_codes, options.filters)
        max_compared = self._compared(options, counts.images, sub_codes.cells)
        return sub_codes.query_terms(query.embedding, counts.cells, max_compared)

    def _tuned_for(self, strategy: str) -> Tuned | None:
        """What the index was tuned to, if to this strategy: the values do not apply to another one."""
        tuned = self.index.tuned
        return tuned if tuned is not None and tuned.strategy == strategy else None

    def _probes(self, options: SearchOptions) -> int:
        if options.probes is not None:
            return options.probes
        tuned = self._tuned_for("sub_codes")
        return PROBES if tuned is None or tuned.probes is None else _applied(tuned, tuned.probes, PROBES, options)

    def _compared(self, options: SearchOptions, images: int, cells: int) -> int:
        """How many codes may be compared if `images` match the filters.

        A tuned value grows with the index, so that the share of compared codes stays the same.
        """
        if options.compared is not None:
            return options.compared
        tuned, default = self._tuned_for("sub_codes"), default_compared(images, cells)
        if tuned is None or tuned.compared is None:
            return default
        grown = tuned.compared * max(images, tuned.images) // tuned.images
        return _applied(tuned, grown, default, options)

    def _counts(self, cells: Cells, filters: Sequence[Body]) -> _Counts:
        key = json.dumps(filters, sort_keys=True)
        counts = self._cached.get(key)
        if counts is None or monotonic() - counts.at > self.counts_expire:
            for oldest in list(self._cached)[: 1 - _MAX_COUNTED_FILTERS]:
                self._cached.pop(oldest, None)
            counts = self._cached[key] = self._count(cells, filters)
        return counts

    def _count(self, cells: Cells, filters: Sequence[Body]) -> _Counts:
        images, by_cell = self.index.sub_code_counts(cells.cells, filters)
        sizes = np.array([by_cell.get(name, 0) for name in cells.names()], dtype=np.int64)
        return _Counts(images, sizes, monotonic())


def _applied(tuned: Tuned, value: int, default: int, options: SearchOptions) -> int:
    """The tuned value for a search like the measured ones, else the larger of it and the default."""
    return value if options.k <= tuned.k and not options.filters else max(value, default)


def default_compared(images: int, cells: int) -> int:
    """How many codes a query compares by default, in an index of that many images and cells."""
    return max(COMPARED_AT_LEAST, images // COMPARED_SHARE, CELLS_AT_LEAST * images // cells)
