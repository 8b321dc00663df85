"""Image, id or vector to hits: recall by Hamming distance, re-ranking by exact cosine, in one request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.elastic import queries
from hashsearch.elastic.document import StoredVectors, code_of, described
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.queries import MAX_CANDIDATES
from hashsearch.embedders.bulk import BATCH
from hashsearch.encoder import EncodedQuery, Encoder
from hashsearch.errors import HashsearchError, SearchError
from hashsearch.hashing.bits import Codes, hamming
from hashsearch.hashing.vectors import Vectors
from hashsearch.overlap import batched
from hashsearch.search.explanation import Explanation, explain
from hashsearch.search.hits import FoundImage
from hashsearch.search.planner import Plan, Query, QueryPlanner, SearchOptions
from hashsearch.search.radius import Radius

# What is searched with: the id of an indexed image, an RGB image `(height, width, 3)`, or a vector `(dims,)`.
QueryInput = str | NDArray[Any]


@dataclass(frozen=True)
class Hit(FoundImage):
    """One found image.

    `hamming_rank` is its rank before re-ranking (1 is first, equal distances share a rank); none with a graph.

    `sub_codes` are those it shares with the query, where the strategy asked for some. Without `explain` it has neither,
    and no `hamming`.
    """

    cosine: float
    hamming: int | None
    hamming_rank: int | None
    sub_codes: tuple[str, ...]


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
# Queries of a request, and searches that Elasticsearch works on at a time: best for two cores (benchmarks/batches.py)
TOGETHER, AT_ONCE = 64, 4


class Searcher:
    """Answers queries on one index with the encoder that wrote it."""

    def __init__(self, encoder: Encoder, index: ImageIndex) -> None:
        index.check_encoder(encoder)
        self.encoder = encoder
        self.index = index
        self.recall = QueryPlanner(encoder, index)
        self.radius = Radius(encoder, index)

    def by_image(self, image: NDArray[np.uint8], options: SearchOptions = _DEFAULTS) -> list[Hit]:
        """Hits for an RGB image `(height, width, 3) uint8`, best cosine first."""
        return self.by_vector(self.encoder.embed([image])[0], options)

    def by_id(self, image_id: str, options: SearchOptions = _DEFAULTS) -> list[Hit]:
        """Hits for an indexed image, itself left out; ImageNotFound when it is not there."""
        return self.search(self.stored_query(image_id, self.index.vectors_of(image_id)), options)

    def by_vector(self, vector: Vectors, options: SearchOptions = _DEFAULTS) -> list[Hit]:
        """Hits for an embedding `(dims,)` of any length but zero, best cosine first."""
        return self.search(Query(self.encoder.encode_query(vector)), options)

    def search(self, query: Query, options: SearchOptions = _DEFAULTS) -> list[Hit]:
        """Hits for a query that is encoded already, best cosine first."""
        (hits,) = self._search_all([query], options, AT_ONCE)
        return hits

    def search_many(
        self,
        asked: Iterable[QueryInput],
        options: SearchOptions = _DEFAULTS,
        *,
        together: int = TOGETHER,
        at_once: int = AT_ONCE,
    ) -> Iterator[list[Hit] | HashsearchError]:
        """The hits of each image, vector or id, in order, as `by_image`, `by_vector` and `by_id` give them.

        What cannot be searched with (a zero vector, the id of no image) has its error in its place, returned and not
        raised; what is wrong with all, such as an absent cluster, is raised. The next batch is taken when its first
        answer is, so that there may be any number of queries. `together` of them make a request, of whose searches
        (two a query, if they are explained) Elasticsearch works on `at_once` at a time.
        """
        for batch in batched(asked, BATCH):
            found = self._queries(batch)
            good = [query for query in found if isinstance(query, Query)]
            parts = (self._search_all(part, options, at_once) for part in batched(good, together))
            hits = chain.from_iterable(parts)
            yield from (next(hits) if isinstance(query, Query) else query for query in found)

    def explain(self, asked: QueryInput, image_id: str, options: SearchOptions = _DEFAULTS) -> Explanation:
        """Why the query finds this indexed image, or why it does not; ImageNotFound when it is not there."""
        (query,) = self._queries([asked])
        if isinstance(query, HashsearchError):
            raise query
        return explain(self.index, self.recall.plan(query, options), image_id)

    def within_radius(self, vector: Vectors, radius: int, options: SearchOptions = _DEFAULTS) -> list[Hit]:
        """Every indexed image whose code is within `radius` bits of the query's, nearest first: none is missed.

        Of the options the filters and `min_cosine` hold. SearchError when the radius is not 0 to the code's length, or
        when more images lie within it than one answer holds.
        """
        return self._within(self.encoder.encode_query(vector), radius, options)

    def within_radius_of(self, image_id: str, radius: int, options: SearchOptions = _DEFAULTS) -> list[Hit]:
        """The same for an indexed image, itself left out; ImageNotFound when it is not there."""
        query = self.stored_query(image_id, self.index.vectors_of(image_id))
        return [hit for hit in self._within(query.encoded, radius, options) if hit.id != image_id]

    def stored_query(self, image_id: str, stored: StoredVectors) -> Query:
        """The query by an indexed image, of what is stored of it."""
        return Query(self.encoder.stored_query(stored.rerank_vector, stored.code), image_id)

    def _queries(self, asked: Sequence[QueryInput]) -> list[Query | HashsearchError]:
        """What is asked, encoded, or what is wrong with it; ids are looked up and images embedded all at once."""
        stored = self.index.vectors([one for one in asked if isinstance(one, str)])
        embedded = iter(self._embedded([one for one in asked if _is_image(one)]))
        return [self._query(next(embedded) if _is_image(one) else one, stored) for one in asked]

    def _embedded(self, images: Sequence[Any]) -> list[Vectors | HashsearchError]:
        """Vectors of images; an EmbedderError for an array of another shape."""
        prepared: list[Any] = []
        for image in images:
            try:
                prepared.append(self.encoder.embedder.prepare(image))
            except HashsearchError as error:
                prepared.append(error)
        usable = [one for one in prepared if not isinstance(one, HashsearchError)]
        vectors = iter(self.encoder.embed(usable) if usable else ())
        return [one if isinstance(one, HashsearchError) else next(vectors) for one in prepared]

    def _query(
        self, asked: QueryInput | HashsearchError, stored: Mapping[str, StoredVectors]
    ) -> Query | HashsearchError:
        if isinstance(asked, HashsearchError):
            return asked
        if isinstance(asked, str):
            return self.stored_query(asked, stored[asked]) if asked in stored else self.index.not_found(asked)
        try:
            return Query(self.encoder.encode_query(asked))
        except HashsearchError as error:
            return error

    def _search_all(self, found: Sequence[Query], options: SearchOptions, at_once: int) -> list[list[Hit]]:
        """The hits of each query, of one request."""
        plans = [self.recall.plan(query, options) for query in found]
        requests = [self._requests(plan) for plan in plans]
        answers = iter(self.index.search(*chain.from_iterable(requests), at_once=at_once))
        return [self._hits(plan, list(islice(answers, len(sent)))) for plan, sent in zip(plans, requests)]

    def _requests(self, plan: Plan) -> list[queries.Body]:
        """The search itself, and to explain it the candidates' scores, which a graph does not have."""
        request = plan.reranked(plan.options.k, plan.options.min_cosine)
        if not plan.options.explain:
            return [request]
        recalled = plan.recalled()
        if recalled is None:
            return [queries.explained(request)]
        most = min(MAX_CANDIDATES, plan.candidates * self.index.shards)
        return [queries.explained(request), queries.recalled_scores(recalled, most)]

    def _hits(self, plan: Plan, answers: Sequence[Mapping[str, Any]]) -> list[Hit]:
        found = answers[0]["hits"]["hits"]
        if not plan.options.explain:
            return [_hit(hit) for hit in found]
        distances = self._distances(answers[1]) if len(answers) > 1 else None
        return [self._explained(hit, plan.query.encoded.code, plan.terms, distances) for hit in found]

    def _within(self, query: EncodedQuery, radius: int, options: SearchOptions) -> list[Hit]:
        if not 0 <= radius <= self.encoder.bits:
            raise SearchError(f"radius must be 0 to {self.encoder.bits}, the bits of a code, got {radius}")
        hits = self._inside(query, radius, options.filters, self.radius.clauses(query.code, radius))
        if len(hits) >= MAX_CANDIDATES:
            raise SearchError(f"{MAX_CANDIDATES} or more images lie within radius {radius}: ask for a smaller one")
        if options.min_cosine is not None:  # not in the request, where it would hide that there were too many
            hits = [hit for hit in hits if hit.cosine >= options.min_cosine]
        return sorted(hits, key=lambda hit: (hit.hamming or 0, -hit.cosine, hit.id))

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
    return Hit(cosine=2 * hit["_score"] - 1, hamming=None, hamming_rank=None, sub_codes=(), **described(hit))


def _is_image(asked: QueryInput) -> bool:
    return not isinstance(asked, str) and np.ndim(asked) > 1
