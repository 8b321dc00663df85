"""A document: the mapping has its fields and no others, and what is written comes back the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from elasticsearch import Elasticsearch
from support.vectors import clustered, toy_encoder

from hashsearch.catalog.reading import Entry
from hashsearch.elastic import document, queries, templates
from hashsearch.elastic.document import StoredVectors
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.writing import BulkWriter
from hashsearch.hashing.rerank_vectors import RerankVectors

VECTORS = clustered(30, 64)
ENCODER = toy_encoder(VECTORS, bits=16)
ENTRY = Entry("a", "/a.jpg", "Mug", "mugs", {"colour": "red", "size": {"width": 3}})
PHASH, WORDS = "0123456789abcdef", "w1 w2 w1"
NOON = datetime(2026, 1, 2, 13, 0, 0, 5, timezone(timedelta(hours=1)))


def mappings() -> Any:
    return templates.template("hashsearch-mappings")["template"]["mappings"]


class TestMapping:
    def test_it_has_the_fields_of_a_document_and_no_others(self) -> None:
        assert set(mappings()["properties"]) == set(document.FIELDS)
        assert len(set(document.FIELDS)) == len(document.FIELDS)

    def test_what_is_searched_is_excluded_from_the_source(self) -> None:
        assert set(mappings()["_source"]["excludes"]) == set(document.SEARCHED)

    def test_a_whole_document_has_every_field(self) -> None:
        assert made().keys() == set(document.FIELDS)

    def test_what_a_search_returns_are_fields_that_it_can_return(self) -> None:
        """Fields outside of `_source` have doc values or are stored."""
        fields = mappings()["properties"]
        assert set(document.SHOWN) <= fields.keys() - set(document.SEARCHED)
        assert set(document.VECTORS["docvalue_fields"]) | {document.PHASH.terms} | {
            name for name, field in fields.items() if field.get("store")
        } == set(document.SEARCHED)
        assert document.VECTORS["stored_fields"] == [name for name, field in fields.items() if field.get("store")]

    def test_codes_are_bit_vectors_and_terms_are_keywords(self) -> None:
        fields = mappings()["properties"]
        for kind in (document.CODE, document.PHASH):
            assert fields[kind.code]["element_type"] == "bit"
            assert fields[kind.terms] == {"type": "keyword"}


def made(row: int = 0) -> document.Fields:
    """A document of the entry, an image, and one of the vectors."""
    image = np.zeros((20, 30, 3), np.uint8)
    vectors = replace(StoredVectors.from_encoded(ENCODER.encode(VECTORS), row), phash=PHASH, words=WORDS)
    image_fields = document.image_fields(image, "0" * 64)
    return document.whole_document(NOON, document.metadata_fields(ENTRY), image_fields, vectors.fields())


class TestFields:
    def test_of_an_encoded_image(self) -> None:
        encoded = ENCODER.encode(VECTORS[:3])
        fields = StoredVectors.from_encoded(encoded, 1).fields()
        assert fields.keys() == {"embedding", "code", "sub_codes"}
        assert (fields["embedding"] == encoded.rerank_vectors[1]).all()
        assert bytes.fromhex(fields["code"]) == encoded.codes[1].tobytes()
        assert fields["sub_codes"] == list(encoded.sub_codes[1])
        assert all(type(term) is str for term in fields["sub_codes"])

    def test_a_re_rank_vector_of_bytes_is_written_in_hex(self) -> None:
        encoder = toy_encoder(VECTORS, bits=16, rerank_vectors=RerankVectors(dtype="int8"))
        encoded = encoder.encode(VECTORS[:1])
        assert StoredVectors.from_encoded(encoded, 0).fields()["embedding"] == encoded.rerank_vectors[0].tobytes().hex()

    def test_of_a_perceptual_hash(self) -> None:
        code = np.array([0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF], dtype=np.uint8)
        blocks = ["b00:0123", "b01:4567", "b02:89ab", "b03:cdef"]
        assert document.hash_fields(code) == {"phash": "0123456789abcdef", "phash_blocks": blocks}

    def test_of_an_entry(self) -> None:
        assert document.metadata_fields(ENTRY) == {
            "uri": "/a.jpg",
            "title": "Mug",
            "category": "mugs",
            "attributes": {"colour": "red", "size": {"width": 3}},
        }
        assert document.metadata_fields(Entry("a", "/a.jpg")) == {"uri": "/a.jpg"}

    def test_of_an_image_and_its_time(self) -> None:
        fields = made()
        assert (fields["width"], fields["height"], fields["sha256"]) == (30, 20, "0" * 64)
        assert fields["indexed_at"] == "2026-01-02T12:00:00+00:00"
        assert document.stored_image_fields(fields) == {"width": 30, "height": 20, "sha256": "0" * 64}

    @pytest.mark.parametrize(
        ("change", "same"),
        [({}, True), ({"width": 7}, True), ({"title": "Cup"}, False), ({"attributes": None}, False)],
    )
    def test_metadata_is_compared_and_nothing_else(self, change: dict[str, Any], same: bool) -> None:
        assert document.same_metadata({**made(), **change}, document.metadata_fields(ENTRY)) == same

    def test_an_attribute_is_a_field_of_its_own(self) -> None:
        assert document.attribute("size.width") == "attributes.size.width"


class TestRoundTrip:
    @pytest.fixture
    def index(self, client: Elasticsearch, fresh_name: str) -> ImageIndex:
        index = ImageIndex.create(client, fresh_name, ENCODER)
        assert BulkWriter(client, index.alias).write([("a", made(7)), ("b", {"title": "bare"})]) == []
        index.refresh()
        return index

    def search(self, index: ImageIndex, image_id: str, returned: document.Fields) -> dict[str, Any]:
        (response,) = index.search({"query": queries.ids([image_id]), **returned})
        (hit,) = response["hits"]["hits"]
        return dict(hit)

    def test_the_whole_document(self, index: ImageIndex) -> None:
        stored = document.stored_document(self.search(index, "a", document.WHOLE), "float32")
        written = made(7)
        assert (stored.pop("embedding") == written.pop("embedding")).all()
        assert sorted(stored.pop("sub_codes")) == sorted(written.pop("sub_codes"))
        assert stored == written

    def test_the_record_has_all_but_what_is_searched(self, index: ImageIndex) -> None:
        expected = {name: value for name, value in made(7).items() if name not in document.SEARCHED}
        assert self.search(index, "a", document.RECORD)["_source"] == expected

    def test_the_vectors(self, index: ImageIndex) -> None:
        vectors = StoredVectors.from_hit(self.search(index, "a", document.VECTORS), "float32")
        assert (vectors.phash, vectors.words) == (PHASH, WORDS)
        assert (vectors.code == ENCODER.encode(VECTORS).codes[7]).all()

    def test_a_hit(self, index: ImageIndex) -> None:
        assert document.described(self.search(index, "a", {"_source": list(document.SHOWN)})) == {
            "id": "a",
            **document.metadata_fields(ENTRY),
            "width": 30,
            "height": 20,
        }

    def test_a_hit_of_an_image_without_metadata(self, index: ImageIndex) -> None:
        hit = document.described(self.search(index, "b", {"_source": list(document.SHOWN)}))
        assert hit == {
            "id": "b",
            "uri": None,
            "title": "bare",
            "category": None,
            "attributes": {},
            "width": None,
            "height": None,
        }
