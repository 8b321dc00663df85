"""Indices that tests create on a real Elasticsearch and delete again."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from elasticsearch import Elasticsearch

from hashsearch.elastic.document import StoredVectors
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.maintenance import add_graph
from hashsearch.elastic.templates import alias_of, fields, index_mappings
from hashsearch.elastic.writing import BulkWriter
from hashsearch.encoder import Encoder
from hashsearch.hashing.vectors import Vectors


@contextmanager
def fresh_index_name(client: Elasticsearch) -> Iterator[str]:
    """An unused name; indices created with it are deleted."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    made = list(client.indices.get(index=f"{alias_of(name)}*", expand_wildcards="all"))
    if made:
        client.indices.delete(index=",".join(made))


def documents_of(
    encoder: Encoder, vectors: Vectors, texts: Sequence[dict[str, Any]] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Documents `0000`, `0001`, ... of vectors, with further fields if given."""
    encoded = encoder.encode(vectors)
    for row in range(len(vectors)):
        facts = {"uri": f"/{row:04}.jpg", "sha256": f"{row:064x}", "phash": f"{row:016x}"}
        yield (
            f"{row:04}",
            {**facts, **(texts[row] if texts else {}), **StoredVectors.from_encoded(encoded, row).fields()},
        )


def filled(
    client: Elasticsearch,
    name: str,
    encoder: Encoder,
    vectors: Vectors,
    texts: Sequence[dict[str, Any]] | None = None,
    *,
    graph: bool = False,
) -> ImageIndex:
    """A new index with the vectors, visible to searches."""
    index = ImageIndex.create(client, name, encoder)
    assert BulkWriter(client, index.alias).write(documents_of(encoder, vectors, texts)) == []
    index.refresh()
    return add_graph(index) if graph else index


def older(client: Elasticsearch, name: str, encoder: Encoder, without: Sequence[str]) -> ImageIndex:
    """A new, empty index of a version without these fields."""
    mappings = index_mappings(encoder.dims, encoder.bits, encoder.fingerprint)
    properties = {name: field for name, field in fields().items() if name not in without} | mappings["properties"]
    excluded = {"excludes": ["code", "sub_codes", "embedding", "phash"]}
    mappings = {**mappings, "dynamic": "strict", "_source": excluded, "properties": properties}
    alias = alias_of(name)  # no template matches the index's own name
    client.indices.create(index=f"older-{alias}", aliases={alias: {"is_write_index": True}}, mappings=mappings)
    return ImageIndex.open(client, name, encoder)


@contextmanager
def filled_both_ways(
    client: Elasticsearch, encoders: Mapping[str, Encoder], vectors: Vectors
) -> Iterator[dict[str, ImageIndex]]:
    """An index of the vectors for each encoder, under its key, and one with a graph, under `KEY-graph`."""
    with fresh_index_name(client) as name:
        made = {}
        for key, encoder in encoders.items():
            made[key] = filled(client, f"{name}-{key}", encoder, vectors)
            made[f"{key}-graph"] = filled(client, f"{name}-{key}-graph", encoder, vectors, graph=True)
        yield made
