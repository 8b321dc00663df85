"""Image, id or vector to hits: recall by Hamming distance, re-ranking by exact cosine, in one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.encoder import EncodedQuery, Encoder
from hashsearch.errors import SearchError
from hashsearch.hashing.bits import Codes, Vectors, hamming
from hashsearch.hashing.sub_codes import Blocks
from hashsearch.index import queries
from hashsearch.index.queries import MAX_CANDIDATES
from hashsearch.index.store import ImageIndex, code_of

STRATEGIES = ("scan", "sub_codes", "graph")


@dataclass(frozen=True)
class SearchOptions:
    """How to search. SearchError names the option that is outside its range.

    `strategy`: `scan` compares every code, `sub_codes` only those that share a sub-code with the query, `graph` walks
    the graph of an index made with one; None takes `graph` where there is one, else `scan`.
    `candidates` are recalled by Hamming distance (of each shard) and re-ranked by exact cosine.
    `probes`: sub-codes asked for (of each block, with blocks). `explain`: also tell each hit's rank before re-ranking.
    """

    k: int = 10
    candidates: int = 500
    strategy: str | None = None
    probes: int = 16
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
        if self.min_cosine is not None and not -1 <= self.min_cosine <= 1:
            raise SearchError(f"min_cosine must be -1 to 1, got {self.min_cosine}")


@dataclass(frozen=True)
class Hit:
    """One found image. `hamming_rank` is its rank before re-ranking (1 is first, equal distances share a rank).

    `sub_codes` are those it shares with the query, where the strategy asked for some.
    """

    id: str
    cosine: float
    hamming: int
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
        rank = f"#{hit.hamming_rank}" if hit.hamming_rank else ""
        lines.append(f"{hit.cosine:6.4f}  {hit.hamming:7d} {rank:>5}  {hit.id}  {hit.title or ''}".rstrip())
    return "\n".join(lines)


_DEFAULTS = SearchOptions()
_MOST_TERMS = 65_536  # Elasticsearch's limit for one terms clause


class Searcher:
    """Answers queries on one index with the encoder that wrote it."""

    def __init__(self, encoder: Encoder, index: ImageIndex) -> None:
        index.require(encoder)
        self.encoder = encoder
        self.index = index

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
        clauses = queries.filters(options.category, options.attributes)
        if self.index.graph:  # its knn is approximate, so the codes are compared here
            inside = queries.ids(self._walk(query.code, radius, clauses))
        else:
            inside = queries.within(query.code.tobytes().hex(), radius, clauses)
        (answer,) = self.index.search(queries.rerank(query, inside, MAX_CANDIDATES, MAX_CANDIDATES, None))
        hits = [self._hit(hit, query.code, [], None) for hit in answer["hits"]["hits"]]
        if len(hits) >= MAX_CANDIDATES:
            raise SearchError(f"{MAX_CANDIDATES} or more images lie within radius {radius}: ask for a smaller one")
        if options.min_cosine is not None:  # not in the request, where it would hide that there were too many
            hits = [hit for hit in hits if hit.cosine >= options.min_cosine]
        return sorted(hits, key=lambda hit: (hit.hamming, -hit.cosine, hit.id))

    def _search(self, query: EncodedQuery, options: SearchOptions, clauses: list[queries.Body]) -> list[Hit]:
        clauses = clauses + queries.filters(options.category, options.attributes)
        terms = self._terms(query, options)
        if terms:
            clauses.append(queries.sub_codes(terms))
        recalled = queries.recall(query.code.tobytes().hex(), options.candidates, clauses)
        bodies = [queries.rerank(query, recalled, options.k, options.candidates, options.min_cosine)]
        if options.explain:
            most = min(MAX_CANDIDATES, options.candidates * self.index.shards)
            bodies.append(queries.recalled_scores(recalled, most))
        found, *before = self.index.search(*bodies)
        distances = self._distances(before[0]) if before else None
        return [self._hit(hit, query.code, terms, distances) for hit in found["hits"]["hits"]]

    def _terms(self, query: EncodedQuery, options: SearchOptions) -> list[str]:
        strategy = options.strategy or ("graph" if self.index.graph else "scan")
        if strategy == "sub_codes":
            terms = self.encoder.sub_codes.query_terms(query.embedding, query.code, query.margins, options.probes)
            if len(terms) > _MOST_TERMS:
                raise SearchError(f"probes may come to {_MOST_TERMS} sub-codes, {options.probes} are {len(terms)}")
            return terms
        if (strategy == "graph") != self.index.graph:
            made = "with a graph" if self.index.graph else "without a graph"
            raise SearchError(f"strategy '{strategy}' does not fit '{self.index.alias}', which was made {made}")
        return []

    def _walk(self, code: Codes, radius: int, clauses: list[queries.Body]) -> list[str]:
        """Ids of all images within the radius, by comparing codes here; blocks spare those that cannot be."""
        blocks = self.encoder.sub_codes
        if isinstance(blocks, Blocks) and blocks.neighbour_count(radius) <= _MOST_TERMS:
            clauses = [*clauses, queries.sub_codes(blocks.neighbours(code, radius))]
        inside: list[str] = []
        for image_ids, codes in self.index.codes(clauses):
            near = np.flatnonzero(hamming(code[np.newaxis], codes)[0] <= radius)
            inside += [image_ids[row] for row in near]
        return inside[:MAX_CANDIDATES]

    def _distances(self, answer: Mapping[str, Any]) -> NDArray[np.int64]:
        """Hamming distances of all candidates, ascending, from their scores `(bits - hamming) / bits`."""
        scores = np.array([hit["_score"] for hit in answer["hits"]["hits"]])
        return np.rint((1 - scores) * self.encoder.bits).astype(np.int64)

    def _hit(
        self, hit: Mapping[str, Any], code: Codes, terms: Sequence[str], distances: NDArray[np.int64] | None
    ) -> Hit:
        source, fields = hit["_source"], hit["fields"]
        distance = int(hamming(code[np.newaxis], code_of(hit)[np.newaxis])[0, 0])
        rank = None if distances is None else int(np.searchsorted(distances, distance)) + 1
        return Hit(
            id=hit["_id"],
            cosine=2 * hit["_score"] - 1,
            hamming=distance,
            hamming_rank=rank,
            sub_codes=tuple(sorted(set(terms) & set(fields.get("sub_codes", ())))) if terms else (),
            uri=source.get("uri"),
            title=source.get("title"),
            category=source.get("category"),
            attributes=source.get("attributes", {}),
            width=source.get("width"),
            height=source.get("height"),
        )
