"""A catalog's index on a real node: created, opened with its encoder, read completely or not at all."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from elasticsearch import Elasticsearch
from support.faults import (
    Fault,
    FaultProxy,
    answers,
    cuts_the_reply,
    halves_the_json,
    loses_the_reply,
    passes,
    refuses_over,
    rewrites,
)
from support.indices import documents_of, filled, fresh_index_name
from support.vectors import clustered, toy_encoder, toy_spec

from hashsearch.elastic import queries, templates
from hashsearch.elastic.client import connect
from hashsearch.elastic.creation import unallocated
from hashsearch.elastic.document import StoredVectors
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.maintenance import remove_images
from hashsearch.elastic.retries import RetryPolicy
from hashsearch.elastic.writing import BulkWriter
from hashsearch.encoder import Encoder
from hashsearch.errors import (
    ConfigError,
    EncoderMismatch,
    HashingError,
    ImageNotFound,
    IndexNotFound,
    RequestTooLarge,
    StoreError,
    StoreUnavailable,
)
from hashsearch.hashing.rerank_vectors import RerankVectors

VECTORS = clustered(30, 64)
ENCODER = toy_encoder(VECTORS, bits=16)
OTHER = toy_encoder(VECTORS, bits=32)
TEXTS: list[dict[str, Any]] = [
    {"title": f"Mug {row}", "category": "pens" if row % 3 else "mugs", "attributes": {"row": row}} for row in range(30)
]


@pytest.fixture(scope="module")
def index(client: Elasticsearch) -> Iterator[ImageIndex]:
    with fresh_index_name(client) as name:
        yield filled(client, name, ENCODER, VECTORS, TEXTS)


def name_of(index: ImageIndex) -> str:
    return index.alias.removeprefix("hashsearch-")


class TestCreate:
    def test_a_new_index_of_today_behind_its_alias(self, client: Elasticsearch, fresh_name: str) -> None:
        index = ImageIndex.create(client, fresh_name, ENCODER)
        dated = templates.dated_index_of(fresh_name, date.today(), ENCODER.fingerprint)
        assert client.indices.get_alias(name=index.alias).body == {
            dated: {"aliases": {index.alias: {"is_write_index": True}}}
        }
        assert (index.count(), index.shards, index.graph) == (0, 1, False)
        assert index == ImageIndex.open(client, fresh_name, ENCODER)

    def test_an_index_is_not_created_twice(self, client: Elasticsearch, index: ImageIndex) -> None:
        with pytest.raises(StoreError, match="resource_already_exists"):
            ImageIndex.create(client, name_of(index), ENCODER)
        assert index.count() == 30

    def test_an_invalid_name_is_refused(self, client: Elasticsearch) -> None:
        with pytest.raises(ConfigError, match="got 'Wrong'"):
            ImageIndex.create(client, "Wrong", ENCODER)


class TestOpen:
    def test_a_missing_index_is_named(self, client: Elasticsearch, fresh_name: str) -> None:
        with pytest.raises(IndexNotFound, match=f"there is no index 'hashsearch-{fresh_name}'"):
            ImageIndex.open(client, fresh_name, ENCODER)
        assert not client.indices.exists(index=f"hashsearch-{fresh_name}")

    def test_another_encoder_is_refused_and_both_are_named(self, client: Elasticsearch, index: ImageIndex) -> None:
        with pytest.raises(EncoderMismatch) as raised:
            ImageIndex.open(client, name_of(index), OTHER)
        assert (raised.value.indexed_with, raised.value.encoder) == (ENCODER.fingerprint, OTHER.fingerprint)
        assert raised.value.index == templates.dated_index_of(name_of(index), date.today(), ENCODER.fingerprint)

    def test_an_index_of_another_program_is_refused(self, client: Elasticsearch, fresh_name: str) -> None:
        client.indices.create(index=f"hashsearch-{fresh_name}")
        with pytest.raises(EncoderMismatch, match="written with encoder none"):
            ImageIndex.open(client, fresh_name, ENCODER)

    def test_one_of_several_that_another_encoder_wrote_is_refused(self, client: Elasticsearch, fresh_name: str) -> None:
        ImageIndex.create(client, fresh_name, ENCODER)
        client.indices.create(
            index=templates.dated_index_of(fresh_name, date(2020, 1, 1), OTHER.fingerprint),
            aliases={f"hashsearch-{fresh_name}": {}},
            mappings=templates.index_mappings(8, 32, OTHER.fingerprint),
        )
        with pytest.raises(EncoderMismatch, match=r"2020\.01\.01"):
            ImageIndex.open(client, fresh_name, ENCODER)

    def test_an_open_index_that_another_encoder_replaced_is_refused(
        self, client: Elasticsearch, fresh_name: str
    ) -> None:
        """It has the same alias and the same lengths; only the encoder differs."""
        index = filled(client, fresh_name, ENCODER, VECTORS, TEXTS)
        client.indices.delete(index=",".join(index.indices))
        filled(client, fresh_name, OTHER, VECTORS, TEXTS)
        with pytest.raises(EncoderMismatch) as raised:
            index.sample(1)
        assert (raised.value.indexed_with, raised.value.encoder) == (OTHER.fingerprint, ENCODER.fingerprint)

    def test_an_open_index_that_the_same_encoder_joined_is_read(self, client: Elasticsearch, fresh_name: str) -> None:
        index = ImageIndex.create(client, fresh_name, ENCODER)
        dated = templates.dated_index_of(fresh_name, date(2020, 1, 1), ENCODER.fingerprint)
        mappings = templates.index_mappings(ENCODER.dims, ENCODER.bits, ENCODER.fingerprint)
        client.indices.create(index=dated, aliases={index.alias: {}}, mappings=mappings)
        client.index(index=dated, id="elsewhere", document={"title": "older"}, refresh=True)
        assert index.record("elsewhere") == {"title": "older"}

    def test_an_index_serves_only_the_encoder_it_was_opened_with(self, index: ImageIndex) -> None:
        index.check_encoder(ENCODER)
        with pytest.raises(EncoderMismatch, match=f"{ENCODER.fingerprint} .* {OTHER.fingerprint}"):
            index.check_encoder(OTHER)

    def test_open_or_create(self, client: Elasticsearch, fresh_name: str) -> None:
        made = ImageIndex.open_or_create(client, fresh_name, ENCODER)
        assert ImageIndex.open_or_create(client, fresh_name, ENCODER) == made
        with pytest.raises(EncoderMismatch):
            ImageIndex.open_or_create(client, fresh_name, OTHER)


class TestRead:
    def test_records_have_the_stored_fields_without_vectors(self, index: ImageIndex) -> None:
        found = index.records(["0001", "0003", "missing"])
        assert found.keys() == {"0001", "0003"}
        assert found["0001"] == index.record("0001")
        assert found["0001"] == {"uri": "/0001.jpg", "sha256": f"{1:064x}", **TEXTS[1]}, "and no vectors"
        assert index.records([]) == {}

    def test_vectors_are_read_as_they_were_written(self, index: ImageIndex) -> None:
        ids = [f"{row:04}" for row in range(30)]
        found = index.vectors([*ids, "missing"])
        assert sorted(found) == ids
        stored = np.stack([found[image_id].rerank_vector for image_id in ids])
        encoded = ENCODER.encode(VECTORS)
        assert stored.dtype == np.float32
        assert (stored == encoded.rerank_vectors).all()
        assert (np.stack([found[image_id].code for image_id in ids]) == encoded.codes).all()
        assert [set(found[image_id].sub_codes) for image_id in ids] == list(map(set, encoded.sub_codes.tolist()))
        assert found["0029"].phash == f"{29:016x}"
        assert (index.vectors_of("0007").rerank_vector == found["0007"].rerank_vector).all()

    @pytest.mark.parametrize("dims", [None, 5])
    def test_vectors_of_bytes_are_read_as_they_were_written(
        self, client: Elasticsearch, fresh_name: str, dims: int | None
    ) -> None:
        encoder = toy_encoder(VECTORS, bits=16, rerank_vectors=RerankVectors(dims, "int8"))
        index = filled(client, fresh_name, encoder, VECTORS)
        found = index.vectors([f"{row:04}" for row in range(30)])
        stored = np.stack([found[f"{row:04}"].rerank_vector for row in range(30)])
        assert stored.shape == (30, dims or 64)
        assert stored.dtype == np.int8
        assert (stored == encoder.encode(VECTORS).rerank_vectors).all()

    def test_what_was_read_can_be_written_again(self, index: ImageIndex) -> None:
        fields = index.vectors_of("0007").fields()
        encoded = StoredVectors.from_encoded(ENCODER.encode(VECTORS), 7).fields()
        assert fields.pop("phash") == f"{7:016x}"
        assert fields.pop("phash_blocks") == ["b00:0000", "b01:0000", "b02:0000", "b03:0007"]
        assert (fields.pop("embedding") == encoded.pop("embedding")).all()
        assert fields == {"code": encoded["code"], "sub_codes": sorted(encoded["sub_codes"])}

    def test_sampled_codes(self, client: Elasticsearch, fresh_name: str) -> None:
        index = filled(client, fresh_name, ENCODER, VECTORS, TEXTS)
        codes = sorted(map(bytes, ENCODER.encode(VECTORS).codes))
        count, sampled = index.sampled_codes(100)
        assert (count, sorted(map(bytes, sampled))) == (30, codes)
        client.index(index=index.alias, id="elsewhere", document={"title": "without a code"}, refresh=True)
        count, sampled = index.sampled_codes(7)
        assert (count, sampled.shape) == (30, (7, 2))
        assert sampled.dtype == np.uint8
        assert set(map(bytes, sampled)) <= set(codes)

    def test_a_missing_image_is_named(self, index: ImageIndex) -> None:
        for read in (index.record, index.vectors_of):
            with pytest.raises(ImageNotFound, match=f"no image with id 'missing' in '{index.alias}'"):
                read("missing")

    @pytest.mark.parametrize("image_id", ["", "a/b", "../x", "é", "%2e", "*", '"', "x" * 600, "\0"])
    def test_any_id_can_be_looked_up(self, index: ImageIndex, image_id: str) -> None:
        with pytest.raises(ImageNotFound):
            index.record(image_id)

    def test_codes_of_all_images(self, index: ImageIndex) -> None:
        found = [(ids, codes) for ids, codes in index.codes([])]
        assert len(found) == 1
        assert sorted(found[0][0]) == [f"{row:04}" for row in range(30)]
        expected = ENCODER.encode(VECTORS).codes[[int(image_id) for image_id in found[0][0]]]
        assert (found[0][1] == expected).all()

    def test_codes_of_some_images(self, index: ImageIndex) -> None:
        ids = [image_id for page, _ in index.codes(queries.filters(["mugs"], {})) for image_id in page]
        assert sorted(ids) == [f"{row:04}" for row in range(0, 30, 3)]
        assert list(index.codes(queries.filters(["none"], {}))) == []

    def test_re_rank_vectors_of_all_images(self, index: ImageIndex) -> None:
        ((ids, vectors),) = index.rerank_vectors([])
        assert sorted(ids) == [f"{row:04}" for row in range(30)]
        expected = ENCODER.encode(VECTORS).rerank_vectors[[int(image_id) for image_id in ids]]
        assert vectors.dtype == np.float32
        assert vectors == pytest.approx(expected, abs=1e-6)

    def test_re_rank_vectors_of_some_images(self, index: ImageIndex) -> None:
        ids = [image_id for page, _ in index.rerank_vectors(queries.filters(["mugs"], {})) for image_id in page]
        assert sorted(ids) == [f"{row:04}" for row in range(0, 30, 3)]
        assert index.count(queries.filters(["mugs"], {})) == 10

    def test_categories_largest_first(self, index: ImageIndex) -> None:
        assert list(index.categories().items()) == [("pens", 20), ("mugs", 10)]
        assert index.categories(1) == {"pens": 20}

    def test_how_many_images_each_sub_code_has(self, index: ImageIndex) -> None:
        """An image that was written again counts once."""
        terms, counts = np.unique(ENCODER.encode(VECTORS).sub_codes, return_counts=True)
        expected = dict(zip(terms.tolist(), counts.tolist()))
        assert index.sub_code_counts(len(terms)) == (len(VECTORS), expected)
        assert BulkWriter(index.client, index.alias).write(documents_of(ENCODER, VECTORS[:9], TEXTS)) == []
        index.refresh()
        assert index.sub_code_counts(len(terms)) == (len(VECTORS), expected)
        _, most = index.sub_code_counts(3)
        assert sorted(most.values()) == sorted(expected.values())[-3:]

    def test_how_many_images_each_sub_code_has_under_a_filter(self, index: ImageIndex) -> None:
        terms, counts = np.unique(ENCODER.encode(VECTORS[::3]).sub_codes, return_counts=True)
        found = index.sub_code_counts(100, queries.filters(["mugs"], {}))
        assert found == (10, dict(zip(terms.tolist(), counts.tolist())))

    def test_a_sample_has_different_images(self, index: ImageIndex) -> None:
        some = index.sample(5)
        assert len(some) == 5
        assert all(record == index.record(image_id) for image_id, record in some.items())
        assert len(index.sample(100)) == 30


ReadIndex = Callable[[ImageIndex], object]
READS: dict[str, ReadIndex] = {
    "search": lambda index: index.search({"query": {"match_all": {}}}),
    "records": lambda index: index.records(["0001"]),
    "vectors": lambda index: index.vectors(["0001"]),
    "codes": lambda index: list(index.codes([])),
    "rerank_vectors": lambda index: list(index.rerank_vectors([])),
    "count": lambda index: index.count(),
    "categories": lambda index: index.categories(),
    "sub_code_counts": lambda index: index.sub_code_counts(10),
    "refresh": lambda index: index.refresh(),
}


class TestGone:
    @pytest.mark.parametrize("read", READS)
    def test_a_deleted_index_is_an_error_of_every_read(self, client: Elasticsearch, fresh_name: str, read: str) -> None:
        index = ImageIndex.create(client, fresh_name, ENCODER)
        client.indices.delete(index=templates.dated_index_of(fresh_name, date.today(), ENCODER.fingerprint))
        with pytest.raises(IndexNotFound, match=f"there is no index '{index.alias}'"):
            READS[read](index)

    @pytest.mark.parametrize("read", READS)
    def test_an_unreachable_node_is_an_error_of_every_read(self, index: ImageIndex, read: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with connect(f"http://127.0.0.1:{port}") as client, pytest.raises(StoreUnavailable, match="does not answer"):
            READS[read](replace(index, client=client))

    @pytest.mark.parametrize("read", sorted(READS.keys() - {"refresh"}))
    def test_a_missing_shard_is_an_error_of_every_read(self, client: Elasticsearch, fresh_name: str, read: str) -> None:
        """A partial response is refused."""
        index = two_shards_one_of_them_missing(client, fresh_name)
        with pytest.raises(StoreUnavailable):
            READS[read](index)


def two_shards_one_of_them_missing(client: Elasticsearch, name: str) -> ImageIndex:
    """One node may have only one of them."""
    client.indices.create(
        index=f"hashsearch-{name}-2020.01.01",
        aliases={f"hashsearch-{name}": {}},
        mappings=templates.index_mappings(8, 16, ENCODER.fingerprint),
        settings={"number_of_shards": 2, "routing.allocation.total_shards_per_node": 1},
        wait_for_active_shards=0,
    )
    client.cluster.health(index=f"hashsearch-{name}", wait_for_no_initializing_shards=True)
    return ImageIndex.open(client, name, ENCODER)


def second_fails(answer: Any) -> None:
    answer["responses"][-1]["_shards"].update(total=2, successful=1, failed=1)


def second_times_out(answer: Any) -> None:
    answer["responses"][-1]["timed_out"] = True


def first_is_silent(answer: Any) -> None:
    answer["responses"][0]["_shards"].update(total=2, successful=1, failed=0)


def is_refused(status: int, kind: str) -> Callable[[Any], None]:
    def change(answer: Any) -> None:
        answer["responses"][0] = {"status": status, "error": {"type": kind, "reason": "made by the test"}}

    return change


BODY: queries.Body = {"query": {"match_all": {}}}


class TestResponses:
    """Each search of a request is checked."""

    @pytest.fixture
    def proxied(self, node: SimpleNamespace, index: ImageIndex) -> Iterator[tuple[FaultProxy, ImageIndex]]:
        proxy = FaultProxy(node.url, "_msearch")
        with connect(proxy.url) as client:
            yield proxy, replace(index, client=client)
        proxy.stop()

    def test_complete_responses_keep_their_order(self, proxied: tuple[FaultProxy, ImageIndex]) -> None:
        first, second = proxied[1].search({"size": 3, **BODY}, {"size": 0, **BODY})
        assert (len(first["hits"]["hits"]), len(second["hits"]["hits"])) == (3, 0)

    @pytest.mark.parametrize(
        "fault",
        [
            rewrites(second_fails),
            rewrites(second_times_out),
            rewrites(first_is_silent),
            rewrites(is_refused(429, "es_rejected_execution_exception")),
            rewrites(is_refused(503, "search_phase_execution_exception")),
            rewrites(is_refused(504, "timeout_exception")),
            answers(429),
            answers(503),
            cuts_the_reply,
            halves_the_json,
        ],
    )
    def test_partial_responses_are_refused(self, proxied: tuple[FaultProxy, ImageIndex], fault: Fault) -> None:
        proxy, index = proxied
        proxy.plan(fault)
        with pytest.raises(StoreUnavailable):
            index.search(BODY, BODY)
        assert len(index.search(BODY, BODY)) == 2

    def test_a_request_that_a_proxy_refuses_as_too_large_is_halved(
        self, proxied: tuple[FaultProxy, ImageIndex]
    ) -> None:
        proxy, index = proxied
        sizes = [3, 0, 1, 2, 4]
        proxy.plan(*[refuses_over(300)] * 20)
        responses = index.search(*({"size": size, **BODY} for size in sizes))
        assert [len(response["hits"]["hits"]) for response in responses] == sizes
        with pytest.raises(RequestTooLarge, match="a server that is not Elasticsearch answered 413"):
            index.search({"query": queries.ids(["x" * 500])}, BODY)

    def test_a_refused_search_is_an_error(self, proxied: tuple[FaultProxy, ImageIndex]) -> None:
        with pytest.raises(StoreError, match=r"answered 400 for '.*max_result_window|too large") as raised:
            proxied[1].search({"size": 10_001, **BODY})
        assert not isinstance(raised.value, StoreUnavailable)


class TestConnect:
    @pytest.mark.parametrize("url", ["localhost:9200", "http://localhost", "http://es:99999", "", "es"])
    def test_an_invalid_address_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigError, match="address must be like http://localhost:9200, got"):
            connect(url)


class TestSeveralIndices:
    """An alias with two indices: the newest has the last word on every image, and no image counts twice."""

    @pytest.fixture(params=["write index", "last created"])
    def two(self, request: pytest.FixtureRequest, client: Elasticsearch, fresh_name: str) -> ImageIndex:
        """Ids 0 to 19 are in the older index, 10 to 29 in the newer one, where they have other vectors and titles."""
        is_written = request.param == "write index"
        names = [f"hashsearch-{fresh_name}-2020", f"hashsearch-{fresh_name}-2021"]
        mappings = templates.index_mappings(ENCODER.dims, ENCODER.bits, ENCODER.fingerprint)
        for name in reversed(names) if is_written else names:
            alias = {"is_write_index": True} if is_written and name == names[1] else {}
            client.indices.create(index=name, aliases={f"hashsearch-{fresh_name}": alias}, mappings=mappings)
        older = [{"title": f"Old {row}", "category": "old"} for row in range(30)]
        newer = [{"title": f"New {row}", "category": "new"} for row in range(30)]
        for name, texts, vectors, rows in (
            (names[0], older, VECTORS, range(20)),
            (names[1], newer, VECTORS[::-1].copy(), range(10, 30)),
        ):
            for row, (image_id, fields) in enumerate(documents_of(ENCODER, vectors, texts)):
                if row in rows:
                    client.index(index=name, id=image_id, document=fields)
        client.indices.refresh(index=f"hashsearch-{fresh_name}")
        return ImageIndex.open(client, fresh_name, ENCODER)

    IDS = tuple(f"{row:04}" for row in range(30))
    NEW = IDS[10:]

    def test_records_are_those_of_the_newest_index(self, two: ImageIndex) -> None:
        records = two.records(self.IDS)
        assert sorted(records) == list(self.IDS)
        assert {image_id for image_id, record in records.items() if record["category"] == "new"} == set(self.NEW)

    def test_vectors_are_those_of_the_newest_index(self, two: ImageIndex) -> None:
        expected = np.concatenate([VECTORS[:10], VECTORS[::-1][10:]])
        stored = two.vectors(self.IDS)
        assert (
            np.stack([stored[key].rerank_vector for key in self.IDS]) == ENCODER.encode(expected).rerank_vectors
        ).all()

    def test_pages_have_each_image_once(self, two: ImageIndex) -> None:
        assert sorted(image_id for ids, _ in two.rerank_vectors([]) for image_id in ids) == list(self.IDS)
        assert sorted(image_id for ids, _ in two.codes([]) for image_id in ids) == list(self.IDS)
        assert sorted(image_id for ids in two.ids() for image_id in ids) == list(self.IDS)
        expected = dict(zip(self.IDS, ENCODER.encode(np.concatenate([VECTORS[:10], VECTORS[::-1][10:]])).codes))
        assert all(
            (code == expected[image_id]).all() for ids, codes in two.codes([]) for image_id, code in zip(ids, codes)
        )

    def test_counts_have_each_image_once(self, two: ImageIndex) -> None:
        assert two.count() == 30
        assert two.count(queries.filters(["old"], {})) == 10
        assert two.categories() == {"new": 20, "old": 10}
        images, terms = two.sub_code_counts(1000)
        blocks = ENCODER.encode(VECTORS).sub_codes.shape[1]
        assert (images, sum(terms.values())) == (30, 30 * blocks)

    @pytest.mark.parametrize("row", [0, 5, 15, 19])
    def test_a_search_has_no_superseded_vector(self, two: ImageIndex, row: int) -> None:
        """The newer vector of an image is far from its older one."""
        query = ENCODER.encode_query(VECTORS[row])
        (response,) = two.search(queries.rerank(query, [], 5, 30, None))
        hits = {hit["_id"]: hit for hit in response["hits"]["hits"]}
        assert len(hits) == len(response["hits"]["hits"]) == 5
        assert all(hits[image_id]["_source"]["category"] == "new" for image_id in hits if image_id in self.NEW)
        nearest = response["hits"]["hits"][0]
        assert nearest["_id"] == (f"{row:04}" if row < 10 else f"{29 - row:04}")
        assert nearest["_score"] == pytest.approx(1.0, abs=1e-5)

    def test_an_index_that_joins_later_is_the_newest(self, client: Elasticsearch, fresh_name: str) -> None:
        """Also for a search that finds nothing in it."""
        index = filled(client, fresh_name, ENCODER, VECTORS, TEXTS)
        mappings = templates.index_mappings(ENCODER.dims, ENCODER.bits, ENCODER.fingerprint)
        client.indices.put_alias(index=index.indices[0], name=index.alias, is_write_index=False)
        client.indices.create(index=f"{index.indices[0]}-2", aliases={index.alias: {}}, mappings=mappings)
        _, fields = list(documents_of(ENCODER, VECTORS[::-1].copy(), [{"title": "moved"}] * 30))[3]
        client.index(index=f"{index.indices[0]}-2", id="0003", document=fields, refresh=True)
        assert index.record("0003")["title"] == "moved"
        assert index.count() == 30
        (response,) = index.search(queries.rerank(ENCODER.encode_query(VECTORS[3]), [], 1, 30, None))
        assert [hit["_id"] for hit in response["hits"]["hits"]] != ["0003"]

    def test_removed_images_are_removed_from_all_indices(self, two: ImageIndex) -> None:
        assert remove_images(two, [*self.IDS[5:15], "unknown"]) == 15
        two.refresh()
        assert two.count() == 20

    def test_an_index_of_another_encoder_is_named_until_it_leaves_the_alias(
        self, client: Elasticsearch, fresh_name: str
    ) -> None:
        """Its codes have another length, so searches fail in its shards only."""
        index = filled(client, fresh_name, ENCODER, VECTORS, TEXTS)
        search = queries.rerank(ENCODER.encode_query(VECTORS[0]), [queries.recall("0000", 9, [])], 3, 9, None)
        foreign = templates.dated_index_of(fresh_name, date(2020, 1, 1), OTHER.fingerprint)
        mappings = templates.index_mappings(8, 32, OTHER.fingerprint)
        client.indices.create(index=foreign, aliases={index.alias: {}}, mappings=mappings)
        for _ in range(2):
            with pytest.raises(EncoderMismatch) as raised:
                index.search(search)
            assert raised.value.index == foreign
        client.indices.delete_alias(index=foreign, name=index.alias)
        assert len(index.search(search)[0]["hits"]["hits"]) == 3


class TestPatience:
    """Reads of long jobs are sent again, as writes are."""

    @pytest.mark.parametrize(
        "fault", [answers(429), answers(503), loses_the_reply, cuts_the_reply, rewrites(second_times_out)]
    )
    @pytest.mark.parametrize("read", ["records", "vectors"])
    def test_a_failed_lookup_is_sent_again(
        self, node: SimpleNamespace, index: ImageIndex, fault: Fault, read: str
    ) -> None:
        proxy = FaultProxy(node.url, "_msearch")
        proxy.plan(fault, fault)
        with connect(proxy.url) as client:
            patient = replace(index, client=client).patient(RetryPolicy(2, 0.001))
            assert len(getattr(patient, read)(["0001", "0002"])) == 2
            proxy.plan(*[answers(429)] * 3)
            with pytest.raises(StoreUnavailable):
                getattr(patient, read)(["0001", "0002"])
        proxy.stop()

    def test_a_failed_page_is_sent_again(self, node: SimpleNamespace, index: ImageIndex) -> None:
        proxy = FaultProxy(node.url, "_search")
        with connect(proxy.url) as client:
            proxy.plan(answers(429), answers(503))
            patient = replace(index, client=client).patient(RetryPolicy(2, 0.001))
            assert sum(len(ids) for ids, _ in patient.codes([])) == 30
        proxy.stop()

    def test_the_end_of_a_point_in_time_hides_no_error(self, node: SimpleNamespace, index: ImageIndex) -> None:
        proxy = FaultProxy(node.url, "_pit")
        with connect(proxy.url) as client:
            through = replace(index, client=client)
            proxy.plan(passes, answers(500, "close failed"))
            pages = through.codes([])
            assert isinstance(pages, Generator)
            next(pages)
            with pytest.raises(ZeroDivisionError):
                pages.throw(ZeroDivisionError)
            proxy.plan(passes, answers(500, "close failed"))
            assert sum(len(ids) for ids, _ in through.codes([])) == 30
        proxy.stop()

    def test_a_search_that_timed_out_is_reported_as_such(self, node: SimpleNamespace, index: ImageIndex) -> None:
        proxy = FaultProxy(node.url, "_msearch")
        proxy.plan(rewrites(second_times_out))
        with (
            connect(proxy.url) as client,
            pytest.raises(StoreUnavailable, match=f"^a search of '{index.alias}' timed out after 10 s$"),
        ):
            replace(index, client=client).search(BODY)
        proxy.stop()

    def test_a_document_without_vectors_is_left_out(self, client: Elasticsearch, index: ImageIndex) -> None:
        client.index(index=index.alias, id="bare", document={"title": "bare"}, refresh=True)
        try:
            assert index.vectors(["bare", "0001"]).keys() == {"0001"}
            assert sum(len(ids) for ids, _ in index.codes([])) == 30
            assert sum(len(ids) for ids, _ in index.rerank_vectors([])) == 30
            assert sum(map(len, index.ids())) == 31
        finally:
            client.delete(index=index.alias, id="bare", refresh=True)


class TestNoPlace:
    """A new index whose shards no node takes, as the server explains it."""

    EXPLANATION: ClassVar[dict[str, Any]] = {
        "can_allocate": "no",
        "allocate_explanation": "cannot allocate",
        "node_allocation_decisions": [
            {
                "deciders": [
                    {"decider": "max_retry", "decision": "YES", "explanation": "fine"},
                    {"decider": "disk_threshold", "decision": "NO", "explanation": "the node is above the watermark"},
                ]
            }
        ],
    }

    def test_a_full_disk_is_named(self) -> None:
        assert unallocated(self.EXPLANATION) == "the disk of Elasticsearch is full: the node is above the watermark"

    def test_another_reason_is_quoted(self) -> None:
        other = {"deciders": [{"decider": "filter", "decision": "NO", "explanation": "no node matches"}]}
        assert unallocated({"node_allocation_decisions": [other]}) == "no node takes its shards: no node matches"
        assert unallocated({"allocate_explanation": "wait"}) == "no node takes its shards: wait"
        assert unallocated({}) == "no node takes its shards: no reason given"

    def test_an_index_without_a_place_is_deleted_again(
        self, client: Elasticsearch, node: SimpleNamespace, fresh_name: str
    ) -> None:
        dated = templates.dated_index_of(fresh_name, date.today(), ENCODER.fingerprint)
        proxy = FaultProxy(node.url, dated)

        def unacknowledged(answer: Any) -> None:
            answer["shards_acknowledged"] = False

        proxy.plan(rewrites(unacknowledged))
        with connect(proxy.url) as through, pytest.raises(StoreError, match=f"the index '{dated}' cannot be created: "):
            ImageIndex.create(through, fresh_name, ENCODER)
        proxy.stop()
        assert not client.indices.exists(index=dated)

    def test_too_long_vectors_are_refused_before_anything_is_created(
        self, client: Elasticsearch, fresh_name: str
    ) -> None:
        long = Encoder(toy_spec(6144), ENCODER.binarizer, ENCODER.sub_codes)
        with pytest.raises(
            HashingError, match=r"at most 4096 dims, .* got 6144: fit the encoder with --rerank-dims 2048"
        ):
            ImageIndex.create(client, fresh_name, long)


class TestForeignAnswers:
    @pytest.mark.parametrize("status", [403, 413, 500])
    def test_an_answer_that_is_not_elasticsearchs_is_quoted_shortly(
        self, node: SimpleNamespace, index: ImageIndex, status: int
    ) -> None:
        proxy = FaultProxy(node.url, "_msearch")
        page = (
            b"<html><head><title>x</title></head><body><h1>Not today</h1><p>" + b"nginx " * 100 + b"</p></body></html>"
        )
        proxy.plan(lambda exchange: exchange.reply(status, page, headers={"Content-Type": "text/html"}))
        with connect(proxy.url) as client, pytest.raises(StoreError) as raised:
            replace(index, client=client).search(BODY)
        proxy.stop()
        start = f"a server that is not Elasticsearch answered {status} for '{index.alias}': 'Not today nginx nginx"
        assert str(raised.value).startswith(start)
        assert len(str(raised.value)) < 280

    def test_a_full_disk_is_not_retried(self, node: SimpleNamespace, index: ImageIndex) -> None:
        proxy = FaultProxy(node.url, "_msearch")
        reason = "index [i] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, ...]"
        error = {"error": {"type": "cluster_block_exception", "reason": reason}, "status": 429}
        proxy.plan(lambda exchange: exchange.reply(429, json.dumps(error).encode()))
        with (
            connect(proxy.url) as client,
            pytest.raises(StoreError, match="the disk of Elasticsearch is full") as raised,
        ):
            replace(index, client=client).search(BODY)
        proxy.stop()
        assert not isinstance(raised.value, StoreUnavailable)
