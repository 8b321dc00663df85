"""Bulk writing to a real node through a faulty proxy: nothing is lost or written twice, and every refusal is listed."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from threading import Timer
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from elasticsearch import Elasticsearch
from support.faults import (
    Fault,
    FaultProxy,
    answers,
    answers_html,
    cuts_the_reply,
    halves_the_json,
    loses_the_reply,
    loses_the_request,
    overloads_items,
    passes,
    refuses_over,
)
from support.indices import documents_of
from support.vectors import clustered, toy_encoder

from hashsearch.elastic.client import connect
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.writing import BulkWriter
from hashsearch.errors import IndexNotFound, StoreError, StoreUnavailable

VECTORS = clustered(20, 8)
ENCODER = toy_encoder(VECTORS, bits=16)
DOCUMENTS = dict(documents_of(ENCODER, VECTORS))
IDS = list(DOCUMENTS)


@pytest.fixture
def proxy(node: SimpleNamespace) -> Iterator[FaultProxy]:
    proxy = FaultProxy(node.url)
    yield proxy
    proxy.stop()


@pytest.fixture
def index(client: Elasticsearch, fresh_name: str) -> ImageIndex:
    return ImageIndex.create(client, fresh_name, ENCODER)


@pytest.fixture
def writer(proxy: FaultProxy, index: ImageIndex) -> Iterator[BulkWriter]:
    with connect(proxy.url) as client:
        yield BulkWriter(client, index.alias, retries=3, base_delay=0.001, max_delay=0.002)


def stored_ids(index: ImageIndex) -> list[str]:
    index.refresh()
    assert index.count() == len(index.records(IDS)), "no other documents"
    return sorted(index.records(IDS))


class TestWhole:
    def test_everything_is_written(self, writer: BulkWriter, index: ImageIndex, proxy: FaultProxy) -> None:
        assert writer.write(DOCUMENTS.items()) == []
        assert stored_ids(index) == IDS
        assert proxy.sent == [IDS]
        assert index.record("0003")["uri"] == "/0003.jpg"
        assert np.allclose(index.vectors_of("0003").rerank_vector, DOCUMENTS["0003"]["embedding"], atol=1e-7)

    def test_without_documents_there_is_no_request(self, writer: BulkWriter, proxy: FaultProxy) -> None:
        assert writer.write([]) == []
        assert proxy.sent == []

    def test_requests_have_at_most_max_documents(
        self, writer: BulkWriter, index: ImageIndex, proxy: FaultProxy
    ) -> None:
        few = BulkWriter(writer.client, writer.alias, max_documents=7)
        assert few.write(iter(DOCUMENTS.items())) == []
        assert [len(ids) for ids in proxy.sent] == [7, 7, 6]
        assert stored_ids(index) == IDS

    def test_requests_have_at_most_max_bytes(self, writer: BulkWriter, index: ImageIndex, proxy: FaultProxy) -> None:
        small = BulkWriter(writer.client, writer.alias, max_bytes=1000)
        assert small.write(DOCUMENTS.items()) == []
        assert stored_ids(index) == IDS
        assert 3 < len(proxy.sent) < 20
        tiny = BulkWriter(writer.client, writer.alias, max_bytes=1)
        proxy.sent.clear()
        assert tiny.write(DOCUMENTS.items()) == []
        assert proxy.sent == [[image_id] for image_id in IDS], "at least one at a time"

    def test_writing_again_changes_nothing(self, writer: BulkWriter, index: ImageIndex) -> None:
        for _ in range(2):
            assert writer.write(DOCUMENTS.items()) == []
        assert stored_ids(index) == IDS

    def test_a_document_is_replaced_whole(self, writer: BulkWriter, index: ImageIndex) -> None:
        writer.write([("0000", {**DOCUMENTS["0000"], "title": "old", "category": "mugs"})])
        writer.write([("0000", {**DOCUMENTS["0000"], "title": "new"})])
        index.refresh()
        assert index.record("0000")["title"] == "new"
        assert "category" not in index.record("0000")

    def test_the_last_document_of_an_id_wins(self, writer: BulkWriter, index: ImageIndex) -> None:
        titles = [("0000", {**DOCUMENTS["0000"], "title": title}) for title in ("first", "last")]
        assert writer.write(titles) == []
        assert stored_ids(index) == ["0000"]
        assert index.record("0000")["title"] == "last"


class TestOverload:
    @pytest.mark.parametrize(
        "fault",
        [
            answers(429),
            answers(429, "circuit_breaking_exception"),
            answers(502),
            answers(503, "cluster_block_exception"),
            answers(504),
            answers_html(503),
            loses_the_request,
            loses_the_reply,
            cuts_the_reply,
            halves_the_json,
        ],
    )
    def test_a_request_that_fails_is_sent_again(
        self, writer: BulkWriter, index: ImageIndex, proxy: FaultProxy, fault: Fault
    ) -> None:
        proxy.plan(fault, fault)
        assert writer.write(DOCUMENTS.items()) == []
        assert proxy.sent == [IDS, IDS, IDS]
        assert stored_ids(index) == IDS

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_only_rejected_documents_are_sent_again(
        self, writer: BulkWriter, index: ImageIndex, proxy: FaultProxy, status: int
    ) -> None:
        proxy.plan(overloads_items(status, "0003", "0004", "0019"), overloads_items(status, "0004"))
        assert writer.write(DOCUMENTS.items()) == []
        assert proxy.sent == [IDS, ["0003", "0004", "0019"], ["0004"]]
        assert stored_ids(index) == IDS

    def test_different_faults_after_each_other(self, writer: BulkWriter, index: ImageIndex, proxy: FaultProxy) -> None:
        proxy.plan(answers(503), loses_the_reply, overloads_items(429, "0001", "0002"))
        assert writer.write(DOCUMENTS.items()) == []
        assert proxy.sent == [IDS, IDS, IDS, ["0001", "0002"]]
        assert stored_ids(index) == IDS

    def test_each_request_has_its_own_retries(self, writer: BulkWriter, index: ImageIndex, proxy: FaultProxy) -> None:
        few = BulkWriter(writer.client, writer.alias, max_documents=10, retries=2, base_delay=0.001)
        proxy.plan(answers(429), answers(429), passes, answers(429), answers(429))
        assert few.write(DOCUMENTS.items()) == []
        assert stored_ids(index) == IDS

    def test_a_node_that_comes_back_gets_everything(self, index: ImageIndex, proxy: FaultProxy) -> None:
        proxy.stop()
        back = Timer(0.5, proxy.start)
        back.start()
        with connect(proxy.url) as client:
            patient = BulkWriter(client, index.alias, retries=100, base_delay=0.02, max_delay=0.05)
            assert patient.write(DOCUMENTS.items()) == []
        back.join()
        assert stored_ids(index) == IDS

    def test_retries_end(self, writer: BulkWriter, index: ImageIndex, proxy: FaultProxy) -> None:
        proxy.plan(*[answers(429)] * 4)
        with pytest.raises(StoreUnavailable, match=r"20 documents for '.*' were not accepted in 4 attempts: .*429"):
            writer.write(DOCUMENTS.items())
        assert len(proxy.sent) == 4
        assert stored_ids(index) == []

    def test_retries_of_single_documents_end(self, writer: BulkWriter, index: ImageIndex, proxy: FaultProxy) -> None:
        proxy.plan(*[overloads_items(429, "0007")] * 4)
        with pytest.raises(
            StoreUnavailable, match=r"1 documents for '.*' were not accepted in 4 attempts: es_rejected"
        ):
            writer.write(DOCUMENTS.items())
        assert stored_ids(index) == [image_id for image_id in IDS if image_id != "0007"]

    def test_retries_of_an_unreachable_node_end(self, index: ImageIndex) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with (
            connect(f"http://127.0.0.1:{port}") as client,
            pytest.raises(StoreUnavailable, match="not accepted in 3 attempts"),
        ):
            BulkWriter(client, index.alias, retries=2, base_delay=0.001).write(DOCUMENTS.items())

    def test_retries_are_delayed(self, writer: BulkWriter, proxy: FaultProxy) -> None:
        """Each delay is random, up to a limit that doubles up to `max_delay`; here the limit is always `max_delay`."""
        proxy.plan(*[answers(429)] * 9)
        slow = BulkWriter(writer.client, writer.alias, retries=8, base_delay=0.1, max_delay=0.1)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            slow.write(DOCUMENTS.items())
        assert time.monotonic() - began > 0.1, "eight delays of 0.05 at the mean"


BAD: dict[str, dict[str, Any]] = {
    "0001": {**DOCUMENTS["0001"], "colour": "red"},
    "0004": {**DOCUMENTS["0004"], "embedding": np.ones(9, np.float32)},
    "0006": {**DOCUMENTS["0006"], "code": "abcdef"},
    "0009": {**DOCUMENTS["0009"], "width": "wide"},
    "0011": {**DOCUMENTS["0011"], "embedding": np.zeros(8, np.float32)},
    "0012": {**DOCUMENTS["0012"], "indexed_at": "yesterday"},
    "0014": {**DOCUMENTS["0014"], "attributes": {"a\0b": "null"}},
    "0016": {**DOCUMENTS["0016"], "attributes": {"long": {"key" * 20_000: "x"}}},
}


class TestPoison:
    """A refused document stops no others and is listed."""

    def test_refused_documents_are_listed_and_the_others_are_written(
        self, writer: BulkWriter, index: ImageIndex, proxy: FaultProxy
    ) -> None:
        failures = {failure.id: failure.reason for failure in writer.write({**DOCUMENTS, **BAD}.items())}
        assert failures.keys() == BAD.keys()
        assert "strict_dynamic_mapping_exception" in failures["0001"]
        assert "more dimensions than defined" in failures["0004"]
        assert "colour" in failures["0001"]
        assert stored_ids(index) == [image_id for image_id in IDS if image_id not in BAD]
        assert len(proxy.sent) == 1, "refused documents are not sent again"

    def test_refused_documents_of_every_request_are_listed(self, writer: BulkWriter, index: ImageIndex) -> None:
        few = replace(writer, max_documents=6)
        failures = few.write({**DOCUMENTS, **BAD}.items())
        assert [failure.id for failure in failures] == sorted(BAD)
        assert stored_ids(index) == [image_id for image_id in IDS if image_id not in BAD]

    def test_refused_documents_are_listed_when_others_are_sent_again(
        self, writer: BulkWriter, index: ImageIndex, proxy: FaultProxy
    ) -> None:
        proxy.plan(overloads_items(429, "0002", "0004"))
        failures = writer.write({**DOCUMENTS, "0004": BAD["0004"], "0009": BAD["0009"]}.items())
        assert sorted(failure.id for failure in failures) == ["0004", "0009"]
        assert proxy.sent == [IDS, ["0002", "0004"]]
        assert stored_ids(index) == [image_id for image_id in IDS if image_id not in ("0004", "0009")]


class TestIndexGone:
    def test_a_missing_alias_is_not_created(
        self, client: Elasticsearch, index: ImageIndex, writer: BulkWriter, proxy: FaultProxy
    ) -> None:
        """Also on a cluster that creates indices with guessed types on writing, which is the default."""
        client.indices.delete(index=",".join(client.indices.get(index=index.alias)))
        client.cluster.put_settings(persistent={"action.auto_create_index": index.alias})
        try:
            with pytest.raises(IndexNotFound, match=f"'{index.alias}'"):
                writer.write(DOCUMENTS.items())
        finally:
            client.cluster.put_settings(persistent={"action.auto_create_index": None})
        assert not client.indices.exists(index=index.alias)
        assert len(proxy.sent) == 1

    @pytest.mark.parametrize("block", ["read_only", "read_only_allow_delete", "write"])
    def test_a_blocked_index_is_not_retried(
        self, client: Elasticsearch, index: ImageIndex, writer: BulkWriter, proxy: FaultProxy, block: str
    ) -> None:
        """The second is set when a disk is full, with status 429; retrying does not help."""
        client.indices.put_settings(index=index.alias, settings={f"index.blocks.{block}": True})
        try:
            with pytest.raises(StoreError, match="is blocked for writing") as raised:
                writer.write(DOCUMENTS.items())
        finally:
            client.indices.put_settings(index=index.alias, settings={f"index.blocks.{block}": None})
        assert not isinstance(raised.value, StoreUnavailable)
        assert len(proxy.sent) == 1
        assert writer.write(DOCUMENTS.items()) == []
        assert stored_ids(index) == IDS

    def test_a_closed_index_is_an_error_and_not_a_refusal_of_documents(
        self, client: Elasticsearch, index: ImageIndex, writer: BulkWriter
    ) -> None:
        client.indices.close(index=index.alias)
        with pytest.raises(StoreError, match="closed"):
            writer.write(DOCUMENTS.items())

    def test_an_alias_without_a_write_index_is_an_error_and_not_a_refusal_of_documents(
        self, client: Elasticsearch, index: ImageIndex, writer: BulkWriter
    ) -> None:
        (name,) = client.indices.get(index=index.alias)
        client.indices.put_alias(index=name, name=index.alias, is_write_index=False)
        with pytest.raises(StoreError, match="write index"):
            writer.write(DOCUMENTS.items())

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_other_errors_are_not_retried(self, writer: BulkWriter, proxy: FaultProxy, status: int) -> None:
        proxy.plan(answers(status, "security_exception"))
        with pytest.raises(StoreError, match=f"answered {status}") as raised:
            writer.write(DOCUMENTS.items())
        assert not isinstance(raised.value, StoreUnavailable)
        assert len(proxy.sent) == 1

    def test_missing_privileges_are_an_error_and_not_a_refusal_of_documents(
        self, writer: BulkWriter, proxy: FaultProxy
    ) -> None:
        proxy.plan(overloads_items(403, *IDS, kind="security_exception"))
        with pytest.raises(StoreError, match="security_exception"):
            writer.write(DOCUMENTS.items())


class TestTooLarge:
    LIMIT = 1500  # of about 500 bytes a document

    def test_a_refused_request_is_halved_until_it_passes(
        self, writer: BulkWriter, index: ImageIndex, proxy: FaultProxy
    ) -> None:
        proxy.plan(*[refuses_over(self.LIMIT)] * 100)
        assert writer.write(DOCUMENTS.items()) == []
        assert stored_ids(index) == IDS

    def test_later_requests_are_as_small_as_those_that_passed(
        self, writer: BulkWriter, index: ImageIndex, proxy: FaultProxy
    ) -> None:
        proxy.plan(*[refuses_over(self.LIMIT)] * 100)
        assert writer.write(DOCUMENTS.items()) == []
        first = len(proxy.sent)
        assert writer.write(DOCUMENTS.items()) == []
        assert max(map(len, proxy.sent[first:])) * 2 <= len(IDS)
        assert len(proxy.sent) - first < first, "the limit is not looked for again"

    def test_a_document_that_is_too_large_alone_is_refused_and_the_others_are_written(
        self, writer: BulkWriter, index: ImageIndex, proxy: FaultProxy
    ) -> None:
        proxy.plan(*[refuses_over(self.LIMIT)] * 100)
        large = {**DOCUMENTS["0007"], "title": "x" * 5000}
        (failure,) = writer.write({**DOCUMENTS, "0007": large}.items())
        assert failure.id == "0007"
        assert re.fullmatch(
            r"its document of 5,\d\d\d bytes is too large: a server that is not Elasticsearch answered 413 for "
            r"'hashsearch-.*': 'Service Unavailable'",
            failure.reason,
        )
        assert stored_ids(index) == [image_id for image_id in IDS if image_id != "0007"]

    def test_elasticsearchs_own_refusal_is_halved_too(
        self, writer: BulkWriter, index: ImageIndex, proxy: FaultProxy
    ) -> None:
        proxy.plan(answers(413, "content_too_long_exception"))
        assert writer.write(DOCUMENTS.items()) == []
        assert proxy.sent == [IDS, IDS[:10], IDS[10:]]
        assert stored_ids(index) == IDS
