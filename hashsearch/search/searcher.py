"""Images, ids or vectors to hits: recall by Hamming distance and re-ranking by exact cosine, in one request."""

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
from hashsearch.search.filtering import FilterChecks
from hashsearch.search.hits import FoundImage
from hashsearch.search.planner import QueryPlan, QueryPlanner, SearchOptions, SearchQuery
from hashsearch.search.radius import RadiusPlanner
from hashsearch.threads import calm

__all__ = ["AT_ONCE", "TOGETHER", "Hit", "QueryInput", "SearchOptions", "Searcher", "as_table"]

# The id of an indexed image, an RGB image `(height, width, 3)`, or a vector `(dims,)`.
QueryInput = str | NDArray[Any]


@dataclass(frozen=True)
class Hit(FoundImage):
    """One hit: the image's stored fields, and how near it is to the query.

    Attributes
    ----------
    id : str
    uri : str or None
        Path or URL that the image was indexed from.
    title, category : str or None
    attributes : mapping of str to Any
    width, height : int or None
        Pixels of the original.
    cosine : float
        Exact cosine of the stored vectors, -1 to 1.
    hamming : int or None
        Number of bits in which the codes differ; None without `explain`.
    hamming_rank : int or None
        Rank before re-ranking, from 1; equal distances share a rank. None without `explain` and with a graph.
    sub_codes : tuple of str
        Sub-codes that the image shares with the query; empty without `explain` and unless the strategy is "sub_codes".
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
_FIRST_SIZE = 1000  # images within a radius to ask for first
# Queries per request, and searches that Elasticsearch runs in parallel: best on two cores (benchmarks/batches.py).
TOGETHER, AT_ONCE = 64, 4


class Searcher:
    """Searches one index, with the encoder that the index was written with.

    From the first one on, BLAS uses one thread in this process, except when an encoder is fitted.

    Parameters
    ----------
    encoder : Encoder
        Encodes the queries.
    index : ImageIndex
        The index to search.

    Raises
    ------
    EncoderMismatch
        If the index was written with another encoder.
    """

    def __init__(self, encoder: Encoder, index: ImageIndex) -> None:
        index.check_encoder(encoder)
        calm()
        self.encoder = encoder
        self.index = index
        self.planner = QueryPlanner(encoder, index)
        self.radius_planner = RadiusPlanner(encoder, index)
        self.filter_checks = FilterChecks(index)

    def by_image(self, image: NDArray[np.uint8], options: SearchOptions = _DEFAULTS) -> list[Hit]:
        """Search with an image.

        Parameters
        ----------
        image : array of shape (height, width, 3), uint8
            RGB image of any size.
        options : SearchOptions

        Returns
        -------
        list of Hit
            At most `options.k` hits, best cosine first.

        Raises
        ------
        EmbedderError
            If the array has another shape or dtype.
        EncoderError, HashingError
            If the image's embedding is zero, not finite or outside the PCA subspace.
        SearchError
            If the options do not fit the index, or a filter names an attribute that no image has.
        StoreError
            If the index does not exist or Elasticsearch does not answer.
        """
        self.check_filters(options)
        return self.by_vector(self.encoder.embed([image])[0], options)

    def by_id(self, image_id: str, options: SearchOptions = _DEFAULTS) -> list[Hit]:
        """Search with an indexed image, which is left out of the hits.

        Parameters
        ----------
        image_id : str
        options : SearchOptions

        Returns
        -------
        list of Hit
            At most `options.k` hits, best cosine first.

        Raises
        ------
        ImageNotFound
            If the index has no image with that id.
        SearchError, StoreError
            As for `by_image`.
        """
        return self.search(self.stored_query(image_id, self.index.vectors_of(image_id)), options)

    def by_vector(self, vector: Vectors, options: SearchOptions = _DEFAULTS) -> list[Hit]:
        """Search with an embedding.

        Parameters
        ----------
        vector : array of shape (dims,), float32
            Embedding by the encoder's network, of any length but zero.
        options : SearchOptions

        Returns
        -------
        list of Hit
            At most `options.k` hits, best cosine first.

        Raises
        ------
        EncoderError, HashingError
            If the vector is zero, not finite, outside the PCA subspace or of another shape.
        SearchError, StoreError
            As for `by_image`.
        """
        return self.search(SearchQuery(self.encoder.encode_query(vector)), options)

    def search(self, query: SearchQuery, options: SearchOptions = _DEFAULTS) -> list[Hit]:
        """Hits for an encoded query, best cosine first."""
        self.check_filters(options)
        (hits,) = self._search_all([query], options, AT_ONCE)
        return hits

    def search_many(
        self,
        inputs: Iterable[QueryInput],
        options: SearchOptions = _DEFAULTS,
        *,
        together: int = TOGETHER,
        at_once: int = AT_ONCE,
    ) -> Iterator[list[Hit] | HashsearchError]:
        """Search with many images, vectors or ids; faster than one by one.

        Parameters
        ----------
        inputs : iterable of str, image or vector
            Ids of indexed images, RGB images `(height, width, 3) uint8` and vectors `(dims,)`, in any mixture and
            number; read in batches as the results are taken.
        options : SearchOptions
        together : int
            Queries per request to Elasticsearch.
        at_once : int
            Searches of a request that Elasticsearch runs in parallel; an explained query takes two.

        Yields
        ------
        list of Hit or HashsearchError
            For each input, in order, the hits that `by_image`, `by_vector` or `by_id` returns, or the error that it
            raises for an input that cannot be used (a zero vector, an unknown id).

        Raises
        ------
        SearchError, StoreError
            For errors that concern all inputs.
        """
        self.check_filters(options)
        for batch in batched(inputs, BATCH):
            queries_or_errors = self._queries(batch)
            usable = [query for query in queries_or_errors if isinstance(query, SearchQuery)]
            parts = (self._search_all(part, options, at_once) for part in batched(usable, together))
            hits = chain.from_iterable(parts)
            yield from (next(hits) if isinstance(query, SearchQuery) else query for query in queries_or_errors)

    def explain(self, query: QueryInput, image_id: str, options: SearchOptions = _DEFAULTS) -> Explanation:
        """Why a query finds an indexed image or does not.

        Parameters
        ----------
        query : str, image or vector
            As for `search_many`.
        image_id : str
            The indexed image to explain.
        options : SearchOptions

        Returns
        -------
        Explanation

        Raises
        ------
        ImageNotFound
            If the index has no image with that id.
        HashsearchError
            If the query cannot be used, as for `by_image`, `by_id` and `by_vector`.
        """
        self.check_filters(options)
        (encoded,) = self._queries([query])
        if isinstance(encoded, HashsearchError):
            raise encoded
        return explain(self.index, self.planner.plan(encoded, options), image_id)

    def within_radius(self, vector: Vectors, radius: int, options: SearchOptions = _DEFAULTS) -> list[Hit]:
        """All indexed images whose code is within a Hamming radius of the query's; none is missed.

        Parameters
        ----------
        vector : array of shape (dims,), float32
            Embedding by the encoder's network, of any length but zero.
        radius : int
            Maximum number of differing bits, 0 to the length of a code.
        options : SearchOptions
            Only the filters and `min_cosine` apply.

        Returns
        -------
        list of Hit
            Sorted by Hamming distance, then by cosine.

        Raises
        ------
        SearchError
            If the radius is out of range, or 10,000 or more images are within it.
        EncoderError, HashingError, StoreError
            As for `by_vector`.
        """
        return self._within(self.encoder.encode_query(vector), radius, options)

    def within_radius_of(self, image_id: str, radius: int, options: SearchOptions = _DEFAULTS) -> list[Hit]:
        """The same as `within_radius` for an indexed image, which is left out of the hits.

        Raises
        ------
        ImageNotFound
            If the index has no image with that id.
        """
        query = self.stored_query(image_id, self.index.vectors_of(image_id))
        return [hit for hit in self._within(query.encoded, radius, options) if hit.id != image_id]

    def check_filters(self, options: SearchOptions) -> None:
        """Raise SearchError for a filter by an attribute that no image has; every search checks this first."""
        self.filter_checks.check_names(options.attributes)

    def note(self, hits: Sequence[Hit], options: SearchOptions) -> str | None:
        """What to say with these hits of a search: that no image passes the filters, or None."""
        return None if hits else self.filter_checks.note(options.filters)

    def stored_query(self, image_id: str, stored: StoredVectors) -> SearchQuery:
        """The query for an indexed image, from its stored vectors."""
        return SearchQuery(self.encoder.stored_query(stored.rerank_vector, stored.code), image_id)

    def _queries(self, inputs: Sequence[QueryInput]) -> list[SearchQuery | HashsearchError]:
        """The encoded queries, an error for each input that cannot be used; one look-up for all ids, one embedding."""
        stored = self.index.vectors([value for value in inputs if isinstance(value, str)])
        embedded = iter(self._embedded([value for value in inputs if _is_image(value)]))
        return [self._query(next(embedded) if _is_image(value) else value, stored) for value in inputs]

    def _embedded(self, images: Sequence[Any]) -> list[Vectors | HashsearchError]:
        """Vectors of images; an EmbedderError for an array of another shape."""
        prepared: list[Any] = []
        for image in images:
            try:
                prepared.append(self.encoder.embedder.prepare(image))
            except HashsearchError as error:
                prepared.append(error)
        usable = [image for image in prepared if not isinstance(image, HashsearchError)]
        vectors = iter(self.encoder.embed(usable) if usable else ())
        return [image if isinstance(image, HashsearchError) else next(vectors) for image in prepared]

    def _query(
        self, value: QueryInput | HashsearchError, stored: Mapping[str, StoredVectors]
    ) -> SearchQuery | HashsearchError:
        if isinstance(value, HashsearchError):
            return value
        if isinstance(value, str):
            return self.stored_query(value, stored[value]) if value in stored else self.index.not_found(value)
        try:
            return SearchQuery(self.encoder.encode_query(value))
        except HashsearchError as error:
            return error

    def _search_all(self, batch: Sequence[SearchQuery], options: SearchOptions, at_once: int) -> list[list[Hit]]:
        """The hits of each query, by one request."""
        plans = [self.planner.plan(query, options) for query in batch]
        bodies = [self._bodies(plan) for plan in plans]
        answers = iter(self.index.search(*chain.from_iterable(bodies), at_once=at_once))
        return [self._hits(plan, list(islice(answers, len(sent)))) for plan, sent in zip(plans, bodies)]

    def _bodies(self, plan: QueryPlan) -> list[queries.Body]:
        """The search, and to explain its hits another one for the scores of all candidates; a graph has none."""
        body = plan.rerank_body(plan.options.k, plan.options.min_cosine)
        if not plan.options.explain:
            return [body]
        recall = plan.recall_clause()
        if recall is None:
            return [queries.explained(body)]
        size = min(MAX_CANDIDATES, plan.candidates * self.index.shards)
        return [queries.explained(body), queries.recalled_scores(recall, size)]

    def _hits(self, plan: QueryPlan, answers: Sequence[Mapping[str, Any]]) -> list[Hit]:
        hits = answers[0]["hits"]["hits"]
        if not plan.options.explain:
            return [_hit(hit) for hit in hits]
        distances = self._distances(answers[1]) if len(answers) > 1 else None
        return [self._explained(hit, plan.query.encoded.code, plan.terms, distances) for hit in hits]

    def _within(self, query: EncodedQuery, radius: int, options: SearchOptions) -> list[Hit]:
        if not 0 <= radius <= self.encoder.bits:
            raise SearchError(f"radius must be 0 to {self.encoder.bits}, the bits of a code, got {radius}")
        self.check_filters(options)
        hits = self._inside(query, radius, options.filters, self.radius_planner.clauses(query.code, radius))
        if len(hits) >= MAX_CANDIDATES:
            raise SearchError(f"{MAX_CANDIDATES} or more images are within radius {radius}: use a smaller radius")
        if options.min_cosine is not None:  # not in the request, where it would hide that there are too many
            hits = [hit for hit in hits if hit.cosine >= options.min_cosine]
        return sorted(hits, key=lambda hit: (hit.hamming or 0, -hit.cosine, hit.id))

    def _inside(
        self, query: EncodedQuery, radius: int, filters: list[queries.Body], prefilter: list[queries.Body]
    ) -> list[Hit]:
        """All images within the radius, or MAX_CANDIDATES of them."""
        code = query.code.tobytes().hex()
        # Sorting takes a quarter of a scan's time if it returns 10,000 images. Few images pass a prefilter.
        for size in (MAX_CANDIDATES,) if prefilter else (_FIRST_SIZE, MAX_CANDIDATES):
            hits = self._reranked(query, queries.within(code, radius, size, filters + prefilter))
            if len(hits) < size:
                break
        return hits

    def _reranked(self, query: EncodedQuery, within: queries.Body) -> list[Hit]:
        body = queries.rerank(query, [within], MAX_CANDIDATES, MAX_CANDIDATES, None)
        (answer,) = self.index.search(queries.explained(body))
        return [self._explained(hit, query.code, [], None) for hit in answer["hits"]["hits"]]

    def _distances(self, answer: Mapping[str, Any]) -> NDArray[np.int64]:
        """Hamming distances of all candidates, ascending, from their scores `(bits - hamming) / bits`."""
        scores = np.array([hit["_score"] for hit in answer["hits"]["hits"]])
        distances: NDArray[np.int64] = np.rint((1 - scores) * self.encoder.bits).astype(np.int64)
        return distances

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


def _is_image(value: QueryInput) -> bool:
    return not isinstance(value, str) and np.ndim(value) > 1
