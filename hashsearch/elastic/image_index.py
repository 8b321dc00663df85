"""One catalog's index in Elasticsearch: made, opened under the right encoder, read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import orjson
from elasticsearch import Elasticsearch
from numpy.typing import NDArray

from hashsearch.descriptors.phash import stored_hash
from hashsearch.elastic import queries, templates
from hashsearch.elastic.client import store_error, store_errors
from hashsearch.elastic.tuned import Tuned
from hashsearch.encoder import Encoder, stored_fields
from hashsearch.errors import (
    ConfigError,
    EncoderMismatch,
    ImageNotFound,
    IndexNotFound,
    SearchError,
    StoreUnavailable,
    VocabularyMismatch,
)
from hashsearch.hashing.bits import Codes

_WHOLE_ANSWER_SECONDS = 10
_MERGED_WITHIN_SECONDS = 6 * 3600
_PAGE_NUMBERS = 500_000  # of vectors in one answer, some 12 bytes each
_ELEMENT_TYPES = {"float32": "float", "int8": "byte"}
_VECTORS: queries.Body = {"docvalue_fields": ["embedding", "code", "sub_codes", "phash"], "stored_fields": ["words"]}
# Indices that were given a field later keep it in their source.
_DESCRIBED = {"_source": {"excludes": ["phash_blocks", "words"]}}


@dataclass(frozen=True)
class StoredVectors:
    """What is searched of an image.

    Its re-rank vector `(rerank_dims,) float32 | int8`, code `(bits // 8,)`, sub-codes, perceptual hash in hex, visual
    words with blanks between.
    """

    rerank_vector: NDArray[Any]
    code: Codes
    sub_codes: tuple[str, ...]
    phash: str | None
    words: str | None

    @classmethod
    def of(cls, hit: Mapping[str, Any], dtype: str) -> StoredVectors:
        """From a hit with these fields; `dtype` is the re-rank vector's."""
        fields = hit["fields"]
        phash = _bytes(fields["phash"]).tobytes().hex() if "phash" in fields else None
        vector, words = np.array(fields["embedding"][0], dtype), fields.get("words", (None,))[0]
        return cls(vector, code_of(hit), tuple(fields["sub_codes"]), phash, words)

    def fields(self) -> dict[str, Any]:
        """The fields of a document that says the same."""
        hashed = stored_hash(np.frombuffer(bytes.fromhex(self.phash), np.uint8)) if self.phash else {}
        words = {} if self.words is None else {"words": self.words}
        return {**stored_fields(self.rerank_vector, self.code, self.sub_codes), **hashed, **words}


@dataclass(frozen=True)
class ImageIndex:
    """A catalog's index, opened by `open` or `create`, which prove that it was written with the encoder given.

    A search that meets an index put behind the alias since then has it proven again.
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

    @classmethod
    def create(cls, client: Elasticsearch, name: str, encoder: Encoder) -> ImageIndex:
        """A new, empty index of today behind the alias of `name`, with the templates installed."""
        alias = templates.alias_of(name)
        mappings = templates.index_mappings(
            encoder.rerank_dims,
            encoder.bits,
            encoder.fingerprint,
            element_type=_ELEMENT_TYPES[encoder.rerank_vectors.dtype],
        )
        with store_errors(alias):
            templates.install(client)
            client.indices.create(
                index=templates.dated_index_of(name, date.today(), encoder.fingerprint),
                aliases={alias: {"is_write_index": True}},
                mappings=mappings,
                settings={"index": templates.SORTED},
            )
        return cls.open(client, name, encoder)

    @classmethod
    def open(cls, client: Elasticsearch, name: str, encoder: Encoder) -> ImageIndex:
        """The index behind the alias of `name`; IndexNotFound, or EncoderMismatch when another encoder wrote it."""
        alias = templates.alias_of(name)
        behind = _behind(client, alias, encoder.fingerprint)
        settings = [description["settings"]["index"] for description in behind.values()]
        embeddings = [description["mappings"]["properties"]["embedding"] for description in behind.values()]
        return cls(
            client,
            alias,
            encoder.fingerprint,
            indices=tuple(behind),
            uuids=tuple(sorted(setting["uuid"] for setting in settings)),
            shards=sum(int(setting["number_of_shards"]) for setting in settings),
            graph=any(embedding["index_options"]["type"] == templates.GRAPH["type"] for embedding in embeddings),
            dims=encoder.rerank_dims,
            dtype=encoder.rerank_vectors.dtype,
            vocabulary=_vocabulary(behind),
            tuned=Tuned.of(behind),
        )

    @classmethod
    def open_or_create(cls, client: Elasticsearch, name: str, encoder: Encoder) -> ImageIndex:
        """The index behind the alias of `name`, made if there is none."""
        try:
            return cls.open(client, name, encoder)
        except IndexNotFound:
            return cls.create(client, name, encoder)

    def check_encoder(self, encoder: Encoder) -> None:
        """EncoderMismatch unless it was opened with this encoder."""
        if encoder.fingerprint != self.fingerprint:
            raise EncoderMismatch(self.alias, self.fingerprint, encoder.fingerprint)

    def check_quantizable(self) -> None:
        """ConfigError unless a graph is possible: Elasticsearch quantises floats only, of 64 dims or more."""
        if self.dtype != "float32" or self.dims < templates.QUANTISED_FROM:
            raise ConfigError(
                f"a graph needs re-rank vectors of at least {templates.QUANTISED_FROM} float32 dims, "
                f"and those of '{self.alias}' have {self.dims} {self.dtype}"
            )

    def add_fields(self) -> None:
        """Give an index made by an older version the fields that it lacks and this version writes."""
        known = templates.fields()
        for index, description in _behind(self.client, self.alias, self.fingerprint).items():
            lacking = known.keys() - description["mappings"]["properties"].keys()
            if lacking:
                with store_errors(self.alias):
                    self.client.indices.put_mapping(index=index, properties={name: known[name] for name in lacking})

    def with_vocabulary(self, vocabulary: str | None) -> ImageIndex:
        """The same index, whose images have words of the vocabulary with this fingerprint; with None, no words.

        An empty index takes any. VocabularyMismatch when images in it have other words, or have none.
        """
        if vocabulary == self.vocabulary:
            return self
        self.refresh()
        if vocabulary is None or self.count():
            raise VocabularyMismatch(self.alias, self.vocabulary, vocabulary)
        self.add_fields()
        self._remember("vocabulary", vocabulary)
        return replace(self, vocabulary=vocabulary)

    def save_tuning(self, tuned: Tuned | None) -> ImageIndex:
        """The same index, searched as tuned from now on where nothing else is asked; with None, as if never tuned."""
        self._remember("search", tuned and asdict(tuned))
        return replace(self, tuned=tuned)

    def _remember(self, name: str, value: Any) -> None:
        """Put a value, or nothing for None, under a name of each index's `_meta`, and leave the others there."""
        for index, description in _behind(self.client, self.alias, self.fingerprint).items():
            meta = {**description["mappings"]["_meta"], name: value}
            with store_errors(self.alias):
                self.client.indices.put_mapping(
                    index=index, meta={known: kept for known, kept in meta.items() if kept is not None}
                )

    def check_vocabulary(self, vocabulary: str | None) -> None:
        """VocabularyMismatch unless its images have words of the vocabulary with this fingerprint."""
        if vocabulary != self.vocabulary:
            raise VocabularyMismatch(self.alias, self.vocabulary, vocabulary)

    def count(self, clauses: Sequence[queries.Body] = ()) -> int:
        """Images that a search can find now, of those that the clauses let through."""
        with store_errors(self.alias):
            answer = self.client.count(index=self.alias, **queries.counted(clauses)).body
        return int(self._whole(answer)["count"])

    def refresh(self) -> None:
        """Make everything written so far findable."""
        with store_errors(self.alias):
            self.client.indices.refresh(index=self.alias)

    def merge(self, segments: int = 1) -> None:
        """Make at most so many segments of each shard; returns when that is done, after hours perhaps."""
        patient = self.client.options(request_timeout=_MERGED_WITHIN_SECONDS)
        with store_errors(self.alias):
            patient.indices.flush(index=self.alias)
            patient.indices.forcemerge(index=self.alias, max_num_segments=segments)
            patient.indices.refresh(index=self.alias)

    def with_graph(self) -> ImageIndex:
        """The same index with a graph over its quantised embeddings, and one over those written from now on.

        Merging builds it: for an index just filled that takes half as long as a graph that grew with the index. What
        an index was tuned to before it had one is forgotten.
        """
        self.add_fields()
        self.check_quantizable()
        before = self if self.graph else self.save_tuning(None)
        for index, description in _behind(self.client, self.alias, self.fingerprint).items():
            embedding = {**description["mappings"]["properties"]["embedding"], "index_options": templates.GRAPH}
            with store_errors(self.alias):
                self.client.indices.put_mapping(index=index, properties={"embedding": embedding})
            self._unmerge(index)
        self.merge()
        return replace(before, graph=True)

    def _unmerge(self, index: str) -> None:
        """Write an image as it is in each shard that is one segment already: merging would leave it alone."""
        with store_errors(self.alias):
            shards = self.client.indices.segments(index=index)["indices"][index]["shards"]
        for shard, copies in shards.items():
            if len(copies[0]["segments"]) != 1:
                continue
            body: queries.Body = {"size": 1, "seq_no_primary_term": True, "_source": True, **_VECTORS}
            with store_errors(self.alias):
                answer = self.client.search(index=index, preference=f"_shards:{shard}", body=body).body
                for hit in self._whole(answer)["hits"]["hits"]:
                    document = {**hit["_source"], **StoredVectors.of(hit, self.dtype).fields()}
                    unchanged = {"if_seq_no": hit["_seq_no"], "if_primary_term": hit["_primary_term"]}
                    self.client.index(index=index, id=hit["_id"], document=document, **unchanged)

    def search(self, *bodies: queries.Body, at_once: int | None = None) -> list[dict[str, Any]]:
        """Answers to one or more searches in one request; StoreUnavailable if a shard is missing.

        Elasticsearch works on `at_once` of them at a time, by default on all. SearchError when a body holds what JSON
        does not.
        """
        searches: list[Any] = []
        for body in bodies:
            searches += [_json({"index": self.alias}), _json({"timeout": f"{_WHOLE_ANSWER_SECONDS}s", **body})]
        most = len(bodies) if at_once is None else at_once
        with store_errors(self.alias):
            answers = self.client.msearch(searches=searches, max_concurrent_searches=most)["responses"]
        return [self._whole(answer) for answer in answers]

    def record(self, image_id: str) -> dict[str, Any]:
        """What is stored of one image, vectors aside; ImageNotFound when no search finds it."""
        found = self.records([image_id])
        if image_id not in found:
            raise self.not_found(image_id)
        return found[image_id]

    def records(self, image_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What is stored of those of the images that a search can find, vectors aside, by id."""
        return {hit["_id"]: hit["_source"] for hit in self._by_ids(image_ids, _DESCRIBED)}

    def vectors_of(self, image_id: str) -> StoredVectors:
        """What is searched of one image; ImageNotFound when no search finds it."""
        found = self.vectors([image_id])
        if image_id not in found:
            raise self.not_found(image_id)
        return found[image_id]

    def vectors(self, image_ids: Sequence[str]) -> dict[str, StoredVectors]:
        """What is searched of those of the images that a search can find, by id."""
        wanted = {"_source": False, **_VECTORS}
        return {hit["_id"]: StoredVectors.of(hit, self.dtype) for hit in self._by_ids(image_ids, wanted)}

    def _by_ids(self, image_ids: Sequence[str], wanted: queries.Body) -> list[dict[str, Any]]:
        asked = [image_id for image_id in image_ids if image_id]  # Elasticsearch refuses to look for an empty one
        if not asked:
            return []
        (answer,) = self.search({"query": queries.ids(asked), "size": len(asked), **wanted})
        hits: list[dict[str, Any]] = answer["hits"]["hits"]
        return hits

    def not_found(self, image_id: str) -> ImageNotFound:
        """The error of looking for an image that no search finds."""
        return ImageNotFound(f"no image with id '{image_id}' in '{self.alias}'")

    def categories(self, most: int = 1000) -> dict[str, int]:
        """How many images each category has, largest first, of the `most` largest."""
        (answer,) = self.search(queries.categories(most))
        return {bucket["key"]: bucket["doc_count"] for bucket in answer["aggregations"]["categories"]["buckets"]}

    def sub_code_counts(self, most: int, clauses: Sequence[queries.Body] = ()) -> tuple[int, dict[str, int]]:
        """How many images the clauses let through, and how many of them each sub-code has, of the `most` largest."""
        (answer,) = self.search(queries.sub_code_counts(most, clauses))
        buckets = answer["aggregations"]["sub_codes"]["buckets"]
        return answer["hits"]["total"]["value"], {bucket["key"]: bucket["doc_count"] for bucket in buckets}

    def sample(self, count: int, category: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
        """What is stored of `count` images picked at random, of these categories if any, vectors aside, by id."""
        (answer,) = self.search({**queries.sample(count, queries.filters(category, {})), **_DESCRIBED})
        return {hit["_id"]: hit["_source"] for hit in answer["hits"]["hits"]}

    def sampled_codes(self, count: int, field: str = queries.CODE.code) -> tuple[int, Codes]:
        """How many codes a search can find now, and those `(n, bits // 8)` of at most `count` images at random."""
        (answer,) = self.search(queries.sampled_codes(count, field))
        codes = [code_of(hit, field) for hit in answer["hits"]["hits"]]
        return int(answer["hits"]["total"]["value"]), np.array(codes, np.uint8)

    def codes(self, clauses: Sequence[queries.Body]) -> Iterator[tuple[list[str], Codes]]:
        """Ids and codes of every image that the clauses let through, in pages, as of one moment."""
        for hits in self._pages(clauses, "code", queries.MAX_CANDIDATES):
            yield [hit["_id"] for hit in hits], np.stack([code_of(hit) for hit in hits])

    def rerank_vectors(self, clauses: Sequence[queries.Body]) -> Iterator[tuple[list[str], NDArray[Any]]]:
        """Ids and re-rank vectors `(n, dims) float32 | int8` of the same, likewise, in pages of some megabytes."""
        size = min(queries.MAX_CANDIDATES, max(1, _PAGE_NUMBERS // self.dims))
        for hits in self._pages(clauses, "embedding", size):
            vectors = np.array([hit["fields"]["embedding"][0] for hit in hits], self.dtype)
            yield [hit["_id"] for hit in hits], vectors

    def _pages(self, clauses: Sequence[queries.Body], field: str, size: int) -> Iterator[list[dict[str, Any]]]:
        """Hits with one field, of one moment, in index order."""
        with store_errors(self.alias):
            pit = self.client.open_point_in_time(index=self.alias, keep_alive="1m")["id"]
        try:
            after = None
            while True:
                with store_errors(self.alias):
                    answer = self.client.search(**queries.page(clauses, pit, after, field, size)).body
                hits = self._whole(answer)["hits"]["hits"]
                if not hits:
                    return
                yield hits
                after, pit = hits[-1]["sort"], answer["pit_id"]
        finally:
            with store_errors(self.alias):
                self.client.close_point_in_time(id=pit)

    def _whole(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        if "error" in answer:
            raise store_error(self.alias, answer["status"], answer["error"])
        shards = answer["_shards"]
        if answer.get("timed_out") or shards["successful"] < shards["total"]:
            raise StoreUnavailable(
                f"only {shards['successful']} of {shards['total']} shards of '{self.alias}' answered "
                f"within {_WHOLE_ANSWER_SECONDS} s"
            )
        if {hit["_index"] for hit in answer.get("hits", {}).get("hits", ())} - set(self.indices):
            _behind(self.client, self.alias, self.fingerprint)
        return dict(answer)


def _behind(client: Elasticsearch, alias: str, fingerprint: str) -> dict[str, Any]:
    """The indices behind an alias; EncoderMismatch when another encoder wrote one of them."""
    with store_errors(alias):
        behind: dict[str, Any] = client.indices.get(index=alias).body
    for index, description in behind.items():
        written_with = description["mappings"].get("_meta", {}).get("encoder", "none")
        if written_with != fingerprint:
            raise EncoderMismatch(index, written_with, fingerprint)
    return behind


def _vocabulary(behind: Mapping[str, Any]) -> str | None:
    """The fingerprint of the vocabulary of indices; VocabularyMismatch when they have several."""
    pinned = {index: description["mappings"]["_meta"].get("vocabulary") for index, description in behind.items()}
    first = next(iter(pinned.values()))
    for index, vocabulary in pinned.items():
        if vocabulary != first:
            raise VocabularyMismatch(index, vocabulary, first)
    return first


def code_of(hit: Mapping[str, Any], field: str = queries.CODE.code) -> Codes:
    """The code `(bits // 8,) uint8` of a hit."""
    return _bytes(hit["fields"][field])


def _json(body: Mapping[str, Any]) -> bytes:
    """A line of a request. Left to the client, a float32 would be written as a double, twice as long."""
    try:
        return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError as error:
        raise SearchError(f"a query must be made of UTF-8 text and 64-bit numbers: {error}") from error


def _bytes(field: Sequence[Sequence[int]]) -> Codes:
    """A bit vector's bytes, which Elasticsearch gives as signed numbers."""
    return np.array(field[0], dtype=np.int8).view(np.uint8)
