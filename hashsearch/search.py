"""Image, id or vector to hits: recall by Hamming distance, re-ranking by exact cosine, in one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.encoder import EncodedQuery, Encoder
from hashsearch.errors import SearchError
from hashsearch.hashing.bits import Codes, Vectors, hamming
from hashsearch.index import queries
from hashsearch.index.queries import MAX_CANDIDATES
from hashsearch.index.store import ImageIndex, code_of
from hashsearch.radius import Radius
from hashsearch.recall import STRATEGIES, Recall


@dataclass(frozen=True)
class SearchOptions:
    """How to search. SearchError names the option that is outside its range.

    `strategy`: `scan` compares every code, `sub_codes` only those that share a sub-code with the query, `graph` walks
    the graph over the quantised vectors of an index that has one; None takes what is best for the index.
    `candidates` are recalled (of each shard) by Hamming distance, with `graph` by the quantised vectors, and re-ranked
    by exact cosine.
    `compared`: how many codes `sub_codes` may compare, with cells; `probes`: how many sub-codes of each block it asks
    for, with blocks.
    `explain`: also tell each hit's code, sub-codes and rank before re-ranking.
    """

    k: int = 10
    candidates: int = 500
    strategy: str | None = None
    compared: int | None = None
    probes: int | None = None
    category: Sequence[str] = ()
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    min_cosine: float | None = None
    explain: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.candidates <= MAX_CANDIDATES:
            raise SearchError(f"candidates must be 1 to {MAX_CANDIDATES}, got {self.candidates}")
        if not 1 <= self.k <= self.candidates:
            raise SearchError(f"k must be 1 to the number of candidates, {self.candidates}, got {self.k}")
        if self.strategy is not None and self.strategy not in STRATEGIES:
            raise SearchError(f"strategy must be one of {', '.join(STRATEGIES)}, got '{self.strategy}'")
        if self.compared is not None and self.compared < 1:
            raise SearchError(f"compared must be at least 1, got {self.compared}")
        if self.min_cosine is not None and not -1 <= self.min_cosine <= 1:
            raise SearchError(f"min_cosine must be -1 to 1, got {self.min_cosine}")


@dataclass(frozen=True)
class Hit:
    """One found image.

    `hamming_rank` is its rank before re-ranking (1 is first, equal distances share a rank); none with a graph.

    `sub_codes` are those it shares with the query, where the strategy asked for some. Without `explain` it has neither,
    and no `hamming`.
    """

    id: str
    cosine: float
    hamming: int | None
    hamming_rank: int | None
    sub_codes: tuple[str, ...]
    uri: str | None
    title: str | None
    category: str | None
    attributes: Mapping[str, Any]
    width: int | None
    height: int | None

    def as_dict(self) -> dict[str, Any]:
        """The hit as JSON holds it."""
        return asdict(self)


def as_table(hits: Sequence[Hit]) -> str:
    """Hits as lines for a terminal: cosine, Hamming distance, rank before re-ranking, id, title."""
    lines = ["cosine  hamming   was  id"]
    for hit in hits:
        hamming = "" if hit.hamming is None else hit.hamming
        rank = f"#{hit.hamming_rank}" if hit.hamming_rank else ""
        lines.append(f"{hit.cosine:6.4f}  {hamming:>7} {rank:>5}  {hit.id}  {hit.title or ''}".rstrip())
    return "\n".join(lines)


_DEFAULTS = SearchOptions()
_FIRST_KEPT = 1000  # of the images within a radius


class Searcher:
    """Answers queries on one index with the encoder that wrote it."""

    def __init__(self, encoder: Encoder, index: ImageIndex) -> None:
        index.require(encoder)
        self.encoder = encoder
        self.index = index
        self.recall = Recall(encoder, index)
        self.radius = Radius(encoder, index)

    def by_image(self, image: NDArray[np.uint8], options: SearchOptions = _DEFAULTS) -> list[Hit]:
        """Hits for an RGB image `(height, width, 3) uint8`, best cosine first."""
        return self.by_vector(self.encoder.embed([image])[0], options)

    def by_id(self, image_id: str, options: SearchOptions = _DEFAULTS) -> list[Hit]:
        """Hits for an indexed image, itself left out; ImageNotFound when it is not there."""
        others = queries.none_of(queries.ids([image_id]))
        return self._search(self._stored_query(image_id), options, [others])

    def by_vector(self, vector: Vectors, options: SearchOptions = _DEFAULTS) -> list[Hit]:
        """Hits for an embedding `(dims,)` of any length but zero, best cosine first."""
        return self._search(self.encoder.encode_query(vector), options, [])

    def within_radius(self, vector: Vectors, radius: int, options: SearchOptions = _DEFAULTS) -> list[Hit]:
        """Every indexed image whose code is within `radius` bits of the query's, nearest first: none is missed.

        Of the options the filters and `min_cosine` hold. SearchError when the radius is not 0 to the code's length, or
        when more images lie within it than one answer holds.
        """
        return self._within(self.encoder.encode_query(vector), radius, options)

    def within_radius_of(self, image_id: str, radius: int, options: SearchOptions = _DEFAULTS) -> list[Hit]:
        """The same for an indexed image, itself left out; ImageNotFound when it is not there."""
        hits = self._within(self._stored_query(image_id), radius, options)
        return [hit for hit in hits if hit.id != image_id]

    def _stored_query(self, image_id: str) -> EncodedQuery:
        stored = self.index.vectors_of(image_id)
        return self.encoder.stored_query(stored.rerank_vector, stored.code)

    def _within(self, query: EncodedQuery, radius: int, options: SearchOptions) -> list[Hit]:
        if not 0 <= radius <= self.encoder.bits:
            raise SearchError(f"radius must be 0 to {self.encoder.bits}, the bits of a code, got {radius}")
        filters = queries.filters(options.category, options.attributes)
        hits = self._inside(query, radius, filters, self.radius.clauses(query.code, radius))
        if len(hits) >= MAX_CANDIDATES:
            raise SearchError(f"{MAX_CANDIDATES} or more images lie within radius {radius}: ask for a smaller one")
        if options.min_cosine is not None:  # not in the request, where it would hide that there were too many
            hits = [hit for hit in hits if hit.cosine >= options.min_cosine]
        return sorted(hits, key=lambda hit: (hit.hamming or 0, -hit.cosine, hit.id))

    def _search(self, query: EncodedQuery, options: SearchOptions, clauses: list[queries.Body]) -> list[Hit]:
        filters = queries.filters(options.category, options.attributes)
        clauses = clauses + filters
        strategy, terms = self.recall.strategy(options.strategy, filters), []
        if strategy == "sub_codes":
            terms = self.recall.terms(query, options.probes, options.compared, filters)
            clauses.append(queries.sub_codes(terms))
        if strategy != "graph":
            clauses = [queries.recall(query.code.tobytes().hex(), options.candidates, clauses)]
        request = queries.rerank(query, clauses, options.k, options.candidates, options.min_cosine)
        if not options.explain:
            (found,) = self.index.search(request)
            return [_hit(hit) for hit in found["hits"]["hits"]]
        requests = [queries.explained(request)]
        if strategy != "graph":
            most = min(MAX_CANDIDATES, options.candidates * self.index.shards)
            requests.append(queries.recalled_scores(clauses[0], most))
        found, *scored = self.index.search(*requests)
        distances = self._distances(scored[0]) if scored else None
        return [self._explained(hit, query.code, terms, distances) for hit in found["hits"]["hits"]]

    def _inside(
        self, query: EncodedQuery, radius: int, filters: list[queries.Body], sieve: list[queries.Body]
    ) -> list[Hit]:
        """All images within the radius, or MAX_CANDIDATES; the sieve holds for each of them."""
        code = query.code.tobytes().hex()
        # Keeping the nearest in order is a quarter of a scan's time if so many are kept. A sieve lets few through.
        for most in (MAX_CANDIDATES,) if sieve else (_FIRST_KEPT, MAX_CANDIDATES):
            hits = self._reranked(query, queries.within(code, radius, most, filters + sieve))
            if len(hits) < most:
                break
        return hits

    def _reranked(self, query: EncodedQuery, inside: queries.Body) -> list[Hit]:
        request = queries.rerank(query, [inside], MAX_CANDIDATES, MAX_CANDIDATES, None)
        (answer,) = self.index.search(queries.explained(request))
        return [self._explained(hit, query.code, [], None) for hit in answer["hits"]["hits"]]

    def _distances(self, answer: Mapping[str, Any]) -> NDArray[np.int64]:
        """Hamming distances of all candidates, ascending, from their scores `(bits - hamming) / bits`."""
        scores = np.array([hit["_score"] for hit in answer["hits"]["hits"]])
        return np.rint((1 - scores) * self.encoder.bits).astype(np.int64)

    def _explained(
        self, hit: Mapping[str, Any], code: Codes, terms: Sequence[str], distances: NDArray[np.int64] | None
    ) -> Hit:
        distance = int(hamming(code[np.newaxis], code_of(hit)[np.newaxis])[0, 0])
        return replace(
            _hit(hit),
            hamming=distance,
            hamming_rank=None if distances is None else int(np.searchsorted(distances, distance)) + 1,
            sub_codes=tuple(sorted(set(terms) & set(hit["fields"].get("sub_codes", ())))) if terms else (),
        )


def _hit(hit: Mapping[str, Any]) -> Hit:
    return Hit(
        id=hit["_id"],
        cosine=2 * hit["_score"] - 1,
        hamming=None,
        hamming_rank=None,
        sub_codes=(),
        **described(hit),
    )


def described(hit: Mapping[str, Any]) -> dict[str, Any]:
    """What a hit tells of its image, whatever was searched by."""
    source = hit["_source"]
    told = {name: source.get(name) for name in ("uri", "title", "category", "width", "height")}
    return {**told, "attributes": source.get("attributes", {})}
