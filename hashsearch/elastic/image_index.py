"""One catalog's index in Elasticsearch: created, opened with its encoder, counted, read and searched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, TypeVar

import numpy as np
import orjson
from elasticsearch import Elasticsearch
from numpy.typing import NDArray

from hashsearch.elastic import document, queries, templates
from hashsearch.elastic.client import store_error, store_errors
from hashsearch.elastic.creation import create_index
from hashsearch.elastic.document import StoredVectors, code_of, rerank_vectors_of
from hashsearch.elastic.newest import newest_first, older_ids, size_of, wider, without_superseded
from hashsearch.elastic.retries import ONCE, PATIENT, RetryPolicy
from hashsearch.elastic.tuned import Tuned
from hashsearch.encoder import Encoder
from hashsearch.errors import (
    ConfigError,
    EncoderMismatch,
    ImageNotFound,
    IndexNotFound,
    RequestTooLarge,
    SearchError,
    StoreError,
    StoreUnavailable,
    VocabularyMismatch,
)
from hashsearch.hashing.bits import Codes
from hashsearch.hashing.rerank_vectors import check_storable
from hashsearch.overlap import batched

Result = TypeVar("Result")
_SEARCH_SECONDS = 10
_IDS_AT_ONCE = 1000  # in one search, so that those of ten indices fit into one response
_PAGE_NUMBERS = 500_000  # vector components in one response, about 12 bytes each
_ELEMENT_TYPES = {"float32": "float", "int8": "byte"}


@dataclass(frozen=True)
class ImageIndex:
    """A catalog's index, open for one encoder. Made by `open`, `create` or `open_or_create`.

    Opening it checks that the encoder wrote it. A search that fails, or that gets hits from an index that joined the
    alias later, checks again.

    An image that several indices behind the alias have counts once, as the newest of them has it: the write index, else
    the index that was created last.

    Attributes
    ----------
    client : Elasticsearch
        The client that all requests go through.
    alias : str
        The alias for reading and writing.
    fingerprint : str
        Fingerprint of the encoder that wrote the index.
    indices, uuids : tuple of str
        Names, newest first, and UUIDs of the indices behind the alias.
    shards : int
        Primary shards of all these indices.
    graph : bool
        Whether an index has a graph over its embeddings.
    dims : int
        Length of a re-rank vector.
    dtype : str
        Type of a re-rank vector, `float32` or `int8`.
    vocabulary : str or None
        Fingerprint of the vocabulary whose words the images have, if any.
    tuned : Tuned or None
        What `hashsearch tune` saved.
    policy : RetryPolicy
        When reads are sent again; by default never. See `patient`.
    """

    client: Elasticsearch
    alias: str
    fingerprint: str
    indices: tuple[str, ...]
    uuids: tuple[str, ...]
    shards: int
    graph: bool
    dims: int
    dtype: str
    vocabulary: str | None
    tuned: Tuned | None
    policy: RetryPolicy = field(default=ONCE, compare=False)

    @classmethod
    def create(cls, client: Elasticsearch, name: str, encoder: Encoder) -> ImageIndex:
        """Create an empty index, named after today, behind the alias of `name`, and install the templates.

        Parameters
        ----------
        client : Elasticsearch
            A client, as `hashsearch.elastic.client.connect` returns it.
        name : str
            The catalog's name: 1 to 100 of a-z, 0-9, '_' and '-'.
        encoder : Encoder
            The encoder that the index is pinned to.

        Returns
        -------
        ImageIndex
            The new index.

        Raises
        ------
        ConfigError
            The name has other characters.
        HashingError
            The encoder's re-rank vectors are longer than Elasticsearch's.
        StoreError
            Elasticsearch refused, for example because the index exists or its disk is full.
        """
        alias = templates.alias_of(name)
        check_storable(encoder.rerank_dims)
        mappings = templates.index_mappings(
            encoder.rerank_dims,
            encoder.bits,
            encoder.fingerprint,
            element_type=_ELEMENT_TYPES[encoder.rerank_vectors.dtype],
        )
        with store_errors(alias):
            templates.install(client)
            dated = templates.dated_index_of(name, date.today(), encoder.fingerprint)
            create_index(client, dated, alias, mappings, {"index": templates.SORTED})
        return cls.open(client, name, encoder)

    @classmethod
    def open(cls, client: Elasticsearch, name: str, encoder: Encoder) -> ImageIndex:
        """Open the index behind the alias of `name`.

        Parameters
        ----------
        client : Elasticsearch
            A client, as `hashsearch.elastic.client.connect` returns it.
        name : str
            The catalog's name.
        encoder : Encoder
            The encoder that wrote the index.

        Returns
        -------
        ImageIndex
            The opened index.

        Raises
        ------
        IndexNotFound
            No index is behind the alias.
        EncoderMismatch
            Another encoder wrote the index.
        VocabularyMismatch
            Indices behind the alias have different vocabularies.
        """
        alias = templates.alias_of(name)
        descriptions = _descriptions(client, alias, encoder.fingerprint)
        settings = [description["settings"]["index"] for description in descriptions.values()]
        embeddings = [
            description["mappings"]["properties"][document.EMBEDDING] for description in descriptions.values()
        ]
        return cls(
            client,
            alias,
            encoder.fingerprint,
            indices=tuple(newest_first(descriptions, alias)),
            uuids=tuple(sorted(setting["uuid"] for setting in settings)),
            shards=sum(int(setting["number_of_shards"]) for setting in settings),
            graph=any(embedding["index_options"]["type"] == templates.GRAPH["type"] for embedding in embeddings),
            dims=encoder.rerank_dims,
            dtype=encoder.rerank_vectors.dtype,
            vocabulary=_vocabulary(descriptions),
            tuned=Tuned.of(descriptions),
        )

    @classmethod
    def open_or_create(cls, client: Elasticsearch, name: str, encoder: Encoder) -> ImageIndex:
        """Open the index behind the alias of `name`, or create it; parameters and errors as for `open` and `create`."""
        try:
            return cls.open(client, name, encoder)
        except IndexNotFound:
            return cls.create(client, name, encoder)

    def patient(self, policy: RetryPolicy = PATIENT) -> ImageIndex:
        """The same index for a long job: reads are sent again while Elasticsearch is overloaded or unreachable."""
        return replace(self, policy=policy)

    def descriptions(self) -> dict[str, Any]:
        """Settings and mappings of each index behind the alias now; EncoderMismatch if another encoder wrote one."""
        return self._read(lambda: _descriptions(self.client, self.alias, self.fingerprint))

    def check_encoder(self, encoder: Encoder) -> None:
        """Raise EncoderMismatch unless the index is open for this encoder."""
        if encoder.fingerprint != self.fingerprint:
            raise EncoderMismatch(self.alias, self.fingerprint, encoder.fingerprint)

    def check_vocabulary(self, vocabulary: str | None) -> None:
        """Raise VocabularyMismatch unless the images have words of the vocabulary with this fingerprint."""
        if vocabulary != self.vocabulary:
            raise VocabularyMismatch(self.alias, self.vocabulary, vocabulary)

    def check_quantizable(self) -> None:
        """Raise ConfigError unless a graph is possible: Elasticsearch quantises only floats of at least 64 dims."""
        if self.dtype != "float32" or self.dims < templates.QUANTISED_FROM:
            raise ConfigError(
                f"a graph needs re-rank vectors of at least {templates.QUANTISED_FROM} float32 dims, "
                f"and those of '{self.alias}' have {self.dims} {self.dtype}"
            )

    def refresh(self) -> None:
        """Make everything written so far visible to searches."""
        self._read(lambda: self.client.indices.refresh(index=self.alias))

    def count(self, clauses: Sequence[queries.Body] = ()) -> int:
        """Number of images visible to searches that match all clauses."""
        body = queries.counted(clauses)
        response = self._read(lambda: self.checked(self.client.count(index=self.alias, **body).body))
        if self._several([response]):
            return sum(map(len, self._pages(clauses, None, queries.MAX_CANDIDATES)))
        return int(response["count"])

    def categories(self, limit: int = 1000) -> dict[str, int]:
        """Number of images in each category, largest first, of the `limit` largest."""
        (response,) = self.search(queries.categories(limit))
        if self._several([response]):
            return self._counted_values(document.CATEGORY, limit)[1]
        return {bucket["key"]: bucket["doc_count"] for bucket in response["aggregations"]["categories"]["buckets"]}

    def sub_code_counts(self, limit: int, clauses: Sequence[queries.Body] = ()) -> tuple[int, dict[str, int]]:
        """Number of images that match the clauses, and of those with each of the `limit` commonest sub-codes."""
        (response,) = self.search(queries.sub_code_counts(limit, clauses))
        if self._several([response]):
            return self._counted_values(document.CODE.terms, limit, clauses)
        buckets = response["aggregations"]["sub_codes"]["buckets"]
        return response["hits"]["total"]["value"], {bucket["key"]: bucket["doc_count"] for bucket in buckets}

    def _counted_values(
        self, field: str, limit: int, clauses: Sequence[queries.Body] = ()
    ) -> tuple[int, dict[str, int]]:
        """Number of images that match the clauses, and of those with each of the `limit` commonest values of a field.

        Aggregations would count an image once for each index that has it.
        """
        images, counts = 0, Counter[str]()
        for hits in self._pages(clauses, field, queries.MAX_CANDIDATES):
            images += len(hits)
            counts.update(value for hit in hits for value in hit.get("fields", {}).get(field, ()))
        commonest = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return images, dict(commonest[:limit])

    def search(self, *bodies: queries.Body, at_once: int | None = None) -> list[dict[str, Any]]:
        """Run one or more searches in one request.

        Parameters
        ----------
        *bodies : dict
            Search bodies, as `hashsearch.elastic.queries` makes them.
        at_once : int, optional
            How many of them Elasticsearch runs at the same time; default: all.

        Returns
        -------
        list of dict
            Elasticsearch's response to each body, in order.

        Raises
        ------
        SearchError
            A body contains what JSON cannot hold.
        StoreUnavailable
            Elasticsearch or one of the shards did not respond in time.
        StoreError
            Elasticsearch refused a search.
        """
        responses = self._search_all(bodies, at_once)
        order = self._several(responses)
        if not order:
            return responses
        responses = self._search_all([wider(body, len(order)) for body in bodies], at_once)
        return [self._current_response(response, body, order) for response, body in zip(responses, bodies)]

    def _search_all(self, bodies: Sequence[queries.Body], at_once: int | None) -> list[dict[str, Any]]:
        searches: list[Any] = []
        for body in bodies:
            searches += [_json({"index": self.alias}), _json({"timeout": f"{_SEARCH_SECONDS}s", **body})]
        concurrent = len(bodies) if at_once is None else at_once

        def send() -> list[dict[str, Any]]:
            responses = self.client.msearch(searches=searches, max_concurrent_searches=concurrent)["responses"]
            return [self.checked(response) for response in responses]

        try:
            return self._read(send)
        except RequestTooLarge:  # a proxy may accept a megabyte, which is ten queries of a wide network
            if len(bodies) < 2:
                raise
            middle = len(bodies) // 2
            return self._search_all(bodies[:middle], at_once) + self._search_all(bodies[middle:], at_once)

    def _read(self, request: Callable[[], Result]) -> Result:
        """The result of a request that changes nothing; it is sent again as the policy says."""

        def send() -> Result:
            with store_errors(self.alias):
                return request()

        return self.policy.call(send)

    def _several(self, responses: Sequence[Mapping[str, Any]]) -> list[str]:
        """The indices behind the alias now, newest first, if there are several; [] for one."""
        shards = {response["_shards"]["total"] for response in responses}
        if len(self.indices) == 1 and shards <= {self.shards} and not any(map(self._unknown, responses)):
            return []
        order = newest_first(self.descriptions(), self.alias)
        return order if len(order) > 1 else []

    def _unknown(self, response: Mapping[str, Any]) -> bool:
        """Whether a response has hits from an index that was not behind the alias when it was opened."""
        return any(hit["_index"] not in self.indices for hit in response.get("hits", {}).get("hits", ()))

    def _current_response(self, response: dict[str, Any], body: queries.Body, order: Sequence[str]) -> dict[str, Any]:
        hits = self._current(response["hits"]["hits"], order)[: size_of(body)]
        return {**response, "hits": {**response["hits"], "hits": hits}}

    def _current(self, hits: list[dict[str, Any]], order: Sequence[str]) -> list[dict[str, Any]]:
        """The hits that no newer index supersedes; `order` has the indices, newest first."""
        newer: list[dict[str, Any]] = []
        for ids in batched(older_ids(hits, order), _IDS_AT_ONCE):
            body = {"query": queries.ids(ids), "size": queries.MAX_CANDIDATES, "_source": False}
            newer += self._search_page({**body, "index": ",".join(order[:-1])})["hits"]["hits"]
        return without_superseded(hits, newer, order)

    def _search_page(self, body: queries.Body) -> dict[str, Any]:
        return self._read(lambda: self.checked(self.client.search(**body).body))

    def record(self, image_id: str) -> dict[str, Any]:
        """The stored fields of one image without its vectors; ImageNotFound if no search can find it."""
        records = self.records([image_id])
        if image_id not in records:
            raise self.not_found(image_id)
        return records[image_id]

    def records(self, image_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The stored fields of images without their vectors, by id; ids that no search can find are left out."""
        return {hit["_id"]: hit["_source"] for hit in self._by_ids(image_ids, document.RECORD)}

    def vectors_of(self, image_id: str) -> StoredVectors:
        """The stored vectors of one image; ImageNotFound if no search can find it."""
        vectors = self.vectors([image_id])
        if image_id not in vectors:
            raise self.not_found(image_id)
        return vectors[image_id]

    def vectors(self, image_ids: Sequence[str]) -> dict[str, StoredVectors]:
        """The stored vectors of images, by id; ids that no search can find are left out."""
        hits = self._by_ids(image_ids, {"_source": False, **document.VECTORS})
        return {hit["_id"]: StoredVectors.from_hit(hit, self.dtype) for hit in hits if document.has_vectors(hit)}

    def _by_ids(self, image_ids: Sequence[str], returned: queries.Body) -> list[dict[str, Any]]:
        searchable = [image_id for image_id in image_ids if image_id]  # Elasticsearch refuses to search for an empty id
        bodies = [
            {"query": queries.ids(some), "size": len(some), **returned} for some in batched(searchable, _IDS_AT_ONCE)
        ]
        responses = self.search(*bodies) if bodies else []
        return [hit for response in responses for hit in response["hits"]["hits"]]

    def not_found(self, image_id: str) -> ImageNotFound:
        """The error for an id that no search can find."""
        return ImageNotFound(f"no image with id '{image_id}' in '{self.alias}'")

    def sample(self, count: int, category: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
        """The records of `count` random images, of these categories if any, by id."""
        (response,) = self.search({**queries.sample(count, queries.filters(category, {})), **document.RECORD})
        return {hit["_id"]: hit["_source"] for hit in response["hits"]["hits"]}

    def sampled_codes(self, count: int, field: str = document.CODE.code) -> tuple[int, Codes]:
        """Number of images that have a code, and the codes `(n, bits // 8) uint8` of at most `count` random ones.

        Without such images the codes are `(0, 0)`.
        """
        (response,) = self.search(queries.sampled_codes(count, field))
        codes = [code_of(hit, field) for hit in response["hits"]["hits"]]
        sampled = np.stack(codes) if codes else np.empty((0, 0), np.uint8)
        return int(response["hits"]["total"]["value"]), sampled

    def ids(self) -> Iterator[list[str]]:
        """Ids of all images, in pages, as of one moment."""
        for hits in self._pages([], None, queries.MAX_CANDIDATES):
            yield [hit["_id"] for hit in hits]

    def codes(self, clauses: Sequence[queries.Body]) -> Iterator[tuple[list[str], Codes]]:
        """Ids and codes `(n, bits // 8) uint8` of all images that match the clauses, in pages, as of one moment."""
        for hits in self._pages_with(clauses, document.CODE.code, queries.MAX_CANDIDATES):
            yield [hit["_id"] for hit in hits], np.stack([code_of(hit) for hit in hits])

    def rerank_vectors(self, clauses: Sequence[queries.Body]) -> Iterator[tuple[list[str], NDArray[Any]]]:
        """Ids and re-rank vectors `(n, dims) float32 | int8` of the same images, in pages of a few megabytes."""
        size = min(queries.MAX_CANDIDATES, max(1, _PAGE_NUMBERS // self.dims))
        for hits in self._pages_with(clauses, document.EMBEDDING, size):
            yield [hit["_id"] for hit in hits], rerank_vectors_of(hits, self.dtype)

    def _pages_with(self, clauses: Sequence[queries.Body], field: str, size: int) -> Iterator[list[dict[str, Any]]]:
        """All hits that have a field, with that field."""
        for hits in self._pages(clauses, field, size):
            if complete := [hit for hit in hits if field in hit.get("fields", {})]:
                yield complete

    def _pages(self, clauses: Sequence[queries.Body], field: str | None, size: int) -> Iterator[list[dict[str, Any]]]:
        """All hits with one field, or none, in index order, as of one moment."""
        pit = self._read(
            lambda: self.client.open_point_in_time(index=self.alias, keep_alive=queries.KEPT_BETWEEN_PAGES)["id"]
        )
        try:
            after, order = None, None
            while True:
                response = self._search_page(queries.page(clauses, pit, after, field, size))
                hits = response["hits"]["hits"]
                if not hits:
                    return
                after, pit = hits[-1]["sort"], response["pit_id"]
                order = self._several([response]) if order is None else order
                if current := self._current(hits, order) if order else hits:
                    yield current
        finally:
            with suppress(StoreError), store_errors(self.alias):  # it ends by itself, and must not hide an error
                self.client.close_point_in_time(id=pit)

    def checked(self, response: Mapping[str, Any]) -> dict[str, Any]:
        """The response, if it has no error, all shards responded in time, and the encoder is still the same.

        An index of another encoder may be the reason for an error: its vectors have another length.
        """
        if "error" in response:
            self._check_indices()
            raise store_error(self.alias, response["status"], response["error"])
        if response.get("timed_out"):
            raise StoreUnavailable(f"a search of '{self.alias}' timed out after {_SEARCH_SECONDS} s")
        shards = response["_shards"]
        if shards["successful"] < shards["total"]:
            self._check_indices()
            raise StoreUnavailable(
                f"only {shards['successful']} of {shards['total']} shards of '{self.alias}' responded"
            )
        if self._unknown(response):
            self._check_indices()
        return dict(response)

    def _check_indices(self) -> None:
        """Raise EncoderMismatch if an index behind the alias was written with another encoder."""
        _descriptions(self.client, self.alias, self.fingerprint)


def _descriptions(client: Elasticsearch, alias: str, fingerprint: str) -> dict[str, Any]:
    with store_errors(alias):
        descriptions: dict[str, Any] = client.indices.get(index=alias).body
    for index, description in descriptions.items():
        written_with = description["mappings"].get("_meta", {}).get("encoder", "none")
        if written_with != fingerprint:
            raise EncoderMismatch(index, written_with, fingerprint)
    return descriptions


def _vocabulary(descriptions: Mapping[str, Any]) -> str | None:
    """Fingerprint of the vocabulary that all indices share; VocabularyMismatch when they differ."""
    metas = {index: description["mappings"]["_meta"] for index, description in descriptions.items()}
    pinned: dict[str, str | None] = {index: meta.get("vocabulary") for index, meta in metas.items()}
    first = next(iter(pinned.values()))
    for index, vocabulary in pinned.items():
        if vocabulary != first:
            raise VocabularyMismatch(index, vocabulary, first)
    return first


def _json(body: Mapping[str, Any]) -> bytes:
    """One line of a request. The client would write a float32 as a double, twice as long."""
    try:
        return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError as error:
        raise SearchError(f"a query must consist of UTF-8 text and 64-bit numbers: {error}") from error
