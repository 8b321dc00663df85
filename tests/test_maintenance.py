"""Changes to a whole index on a real node: fields, words, tuning, merging and the graph."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from support.faults import FaultProxy, answers
from support.indices import documents_of, filled, older
from support.vectors import clustered, toy_encoder

from hashsearch.elastic import templates
from hashsearch.elastic.client import connect
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.maintenance import add_fields, add_graph, merge, save_tuning, set_vocabulary
from hashsearch.elastic.retries import RetryPolicy
from hashsearch.elastic.tuned import Tuned
from hashsearch.elastic.writing import BulkWriter
from hashsearch.errors import ConfigError
from hashsearch.hashing.rerank_vectors import RerankVectors
from hashsearch.hashing.vectors import Vectors

VECTORS = clustered(30, 64)
ENCODER = toy_encoder(VECTORS, bits=16)
TEXTS: list[dict[str, Any]] = [
    {"title": f"Mug {row}", "category": "pens" if row % 3 else "mugs", "attributes": {"row": row}} for row in range(30)
]


def name_of(index: ImageIndex) -> str:
    return index.alias.removeprefix("hashsearch-")


class TestFields:
    def test_an_older_index_gets_the_fields_that_it_lacks(self, client: Elasticsearch, fresh_name: str) -> None:
        index = older(client, fresh_name, ENCODER, ["phash_blocks"])
        document = dict(documents_of(ENCODER, VECTORS))["0007"]
        client.index(index=index.alias, id="old", document=document, refresh=True)
        document |= index.vectors_of("old").fields()
        writer = BulkWriter(client, index.alias)
        assert "strict_dynamic_mapping" in writer.write([("new", document)])[0].reason
        for _ in range(2):  # again: nothing changes
            add_fields(index)
            assert writer.write([("new", document)]) == []
        index.refresh()
        assert index.record("new") == index.record("old"), "searched fields are not in records"
        assert index.sample(2) == index.records(["new", "old"])
        (found,) = index.search({"query": {"term": {"phash_blocks": "b03:0007"}}})
        assert [hit["_id"] for hit in found["hits"]["hits"]] == ["new"]


MANY = clustered(3000, 64)
IN_CELLS = toy_encoder(MANY, 80, "cells", cells=30)


@pytest.mark.parametrize("kind", ["_flush", "_forcemerge", "_refresh", "_mapping"])
def test_a_failed_request_of_a_long_job_is_sent_again(
    node: SimpleNamespace, client: Elasticsearch, fresh_name: str, kind: str
) -> None:
    proxy = FaultProxy(node.url, kind)
    proxy.plan(answers(429), answers(503))
    index = filled(client, fresh_name, ENCODER, VECTORS, TEXTS)
    with connect(proxy.url) as through:
        patient = replace(index, client=through).patient(RetryPolicy(2, 0.001))
        merge(patient)
        save_tuning(patient, None)
    assert not proxy.planned
    assert segments(index) == [1]
    proxy.stop()


def segments(index: ImageIndex) -> list[int]:
    """How many segments each shard has."""
    described = index.client.indices.segments(index=index.alias)["indices"].values()
    return [len(copies[0]["segments"]) for each in described for copies in each["shards"].values()]


def compared(index: ImageIndex, query: Vectors) -> int:
    """How many embeddings Elasticsearch compares for a query."""
    knn = {"field": "embedding", "query_vector": query.tolist(), "k": 5, "num_candidates": 20}
    answer = index.client.search(index=index.alias, knn=knn, size=1, profile=True)
    walks = [walk for shard in answer["profile"]["shards"] for walk in shard["dfs"]["knn"]]
    return sum(walk["vector_operations_count"] for walk in walks)


def everything(index: ImageIndex) -> dict[str, Any]:
    """Records and vectors of all images."""
    ids = [image_id for page, _ in index.codes([]) for image_id in page]
    return {image_id: (record, read_back(index, image_id)) for image_id, record in index.records(ids).items()}


def read_back(index: ImageIndex, image_id: str) -> Any:
    fields = index.vectors_of(image_id).fields()
    return {**fields, "embedding": fields["embedding"].tolist()}


@pytest.fixture(params=[1, 2], ids=["one-shard", "two-shards"])
def in_parts(request: pytest.FixtureRequest, client: Elasticsearch, fresh_name: str) -> ImageIndex:
    """An index of several segments a shard."""
    templates.install(client)
    client.indices.create(
        index=templates.dated_index_of(fresh_name, date.today(), IN_CELLS.fingerprint),
        aliases={templates.alias_of(fresh_name): {"is_write_index": True}},
        mappings=templates.index_mappings(64, 80, IN_CELLS.fingerprint),
        settings={"index": {**templates.SORTED, "number_of_shards": request.param}},
    )
    index = ImageIndex.open(client, fresh_name, IN_CELLS)
    documents = list(documents_of(IN_CELLS, MANY))
    for start in range(0, len(MANY), 1000):
        assert BulkWriter(client, index.alias).write(documents[start : start + 1000]) == []
        index.refresh()
    assert min(segments(index)) > 1
    return index


class TestMerge:
    def test_merging_leaves_one_segment_per_shard_and_all_documents(self, in_parts: ImageIndex) -> None:
        merge(in_parts)
        assert segments(in_parts) == [1] * in_parts.shards
        assert in_parts.count() == len(MANY)
        assert in_parts.vectors_of("0007").code.tolist() == IN_CELLS.encode(MANY[7:8]).codes[0].tolist()

    def test_an_empty_index_can_be_merged_and_get_a_graph(self, client: Elasticsearch, fresh_name: str) -> None:
        index = ImageIndex.create(client, fresh_name, ENCODER)
        merge(index)
        assert add_graph(index).count() == 0

    def test_images_of_a_cell_lie_together(self, client: Elasticsearch, fresh_name: str) -> None:
        index = filled(client, fresh_name, IN_CELLS, MANY)
        merge(index)
        answer = client.search(index=index.alias, size=len(MANY), sort="_doc", source=False)
        rows = [int(hit["_id"]) for hit in answer["hits"]["hits"]]
        assert sorted(rows) == list(range(len(MANY)))
        cells = IN_CELLS.encode(MANY).sub_codes[rows, 0].tolist()
        assert cells == sorted(cells)
        assert len(set(cells)) > 20


class TestGraph:
    @pytest.mark.parametrize("merged", [False, True])
    def test_a_graph_is_built_over_any_segments(self, in_parts: ImageIndex, merged: bool) -> None:
        """A merge skips shards of one segment."""
        if merged:
            merge(in_parts)
        assert compared(in_parts, MANY[0]) == len(MANY)
        index = add_graph(in_parts)
        assert segments(index) == [1] * index.shards
        assert index == ImageIndex.open(index.client, name_of(index), IN_CELLS)
        assert index.graph and not in_parts.graph
        for query in MANY[:20]:
            assert 20 <= compared(index, query) < len(MANY) / 2
        assert add_graph(index) == index

    @pytest.mark.parametrize(("dims", "dtype"), [(64, "int8"), (29, "float32")])
    def test_vectors_that_cannot_be_quantised_get_no_graph(
        self, client: Elasticsearch, fresh_name: str, dims: int, dtype: str
    ) -> None:
        encoder = toy_encoder(VECTORS, rerank_vectors=RerankVectors(None if dims == 64 else 29, dtype))
        index = ImageIndex.create(client, fresh_name, encoder)
        with pytest.raises(ConfigError, match="a graph needs re-rank vectors of at least 64 float32 dims"):
            add_graph(index)
        assert not ImageIndex.open(client, fresh_name, encoder).graph

    def test_a_graph_changes_no_document(self, client: Elasticsearch, fresh_name: str) -> None:
        index = filled(client, fresh_name, ENCODER, VECTORS, TEXTS)
        merge(index)
        before = everything(index)
        assert len(before) == len(VECTORS)
        assert everything(add_graph(index)) == before

    def test_later_documents_are_in_the_graph(self, client: Elasticsearch, fresh_name: str) -> None:
        index = add_graph(ImageIndex.create(client, fresh_name, IN_CELLS))
        assert BulkWriter(client, index.alias).write(documents_of(IN_CELLS, MANY)) == []
        merge(index)
        assert compared(index, MANY[0]) < len(MANY) / 2


TUNED = Tuned("scan", 40, None, None, 10, 0.99, 0.995, 30, "2026-01-01T00:00:00+00:00")


class TestTuned:
    """Tuned values belong to the indices behind the alias, and to no new one."""

    def test_tuning_is_saved_and_removed(self, client: Elasticsearch, fresh_name: str) -> None:
        index = set_vocabulary(ImageIndex.create(client, fresh_name, ENCODER), "abc")
        assert index.tuned is None
        tuned = save_tuning(index, TUNED)
        assert tuned == replace(index, tuned=TUNED) == ImageIndex.open(client, fresh_name, ENCODER)
        again = replace(TUNED, candidates=50)
        assert save_tuning(tuned, again).tuned == again == ImageIndex.open(client, fresh_name, ENCODER).tuned
        assert ImageIndex.open(client, fresh_name, ENCODER).vocabulary == "abc"
        assert save_tuning(tuned, None) == index == ImageIndex.open(client, fresh_name, ENCODER)

    def test_a_vocabulary_keeps_the_tuning(self, client: Elasticsearch, fresh_name: str) -> None:
        set_vocabulary(save_tuning(ImageIndex.create(client, fresh_name, ENCODER), TUNED), "abc")
        assert ImageIndex.open(client, fresh_name, ENCODER).tuned == TUNED

    def test_tuning_counts_only_if_all_indices_behind_the_alias_have_it(
        self, client: Elasticsearch, fresh_name: str
    ) -> None:
        index = save_tuning(ImageIndex.create(client, fresh_name, ENCODER), TUNED)
        dated = templates.dated_index_of(fresh_name, date(2020, 1, 1), ENCODER.fingerprint)
        mappings = templates.index_mappings(ENCODER.dims, ENCODER.bits, ENCODER.fingerprint)
        client.indices.create(index=dated, aliases={index.alias: {}}, mappings=mappings)
        both = ImageIndex.open(client, fresh_name, ENCODER)
        assert both.tuned is None
        assert save_tuning(both, TUNED) == ImageIndex.open(client, fresh_name, ENCODER)

    def test_a_new_graph_removes_the_tuning(self, client: Elasticsearch, fresh_name: str) -> None:
        graphed = add_graph(save_tuning(ImageIndex.create(client, fresh_name, ENCODER), TUNED))
        assert graphed.tuned is ImageIndex.open(client, fresh_name, ENCODER).tuned is None
        assert add_graph(save_tuning(graphed, TUNED)) == ImageIndex.open(client, fresh_name, ENCODER)
        assert ImageIndex.open(client, fresh_name, ENCODER).tuned == TUNED

    def test_tuning_of_another_version_is_ignored(self, client: Elasticsearch, fresh_name: str) -> None:
        index = ImageIndex.create(client, fresh_name, ENCODER)
        meta = {"encoder": ENCODER.fingerprint, "search": {"strategy": "scan"}}
        client.indices.put_mapping(index=index.indices[0], meta=meta)
        assert ImageIndex.open(client, fresh_name, ENCODER).tuned is None
