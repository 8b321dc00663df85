"""Indices that tests make on a real Elasticsearch, and take away again."""

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
    """A name that no index has; what is made under it is removed."""
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
        seen = {"uri": f"/{row:04}.jpg", "sha256": f"{row:064x}", "phash": f"{row:016x}"}
        yield (
            f"{row:04}",
            {**seen, **(texts[row] if texts else {}), **StoredVectors.from_encoded(encoded, row).fields()},
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
    """A new index that holds the vectors, findable."""
    index = ImageIndex.create(client, name, encoder)
    assert BulkWriter(client, index.alias).write(documents_of(encoder, vectors, texts)) == []
    index.refresh()
    return add_graph(index) if graph else index


def older(client: Elasticsearch, name: str, encoder: Encoder, without: Sequence[str]) -> ImageIndex:
    """A new, empty index as it was made before there were some fields."""
    mappings = index_mappings(encoder.dims, encoder.bits, encoder.fingerprint)
    there = {name: field for name, field in fields().items() if name not in without} | mappings["properties"]
    excluded = {"excludes": ["code", "sub_codes", "embedding", "phash"]}
    mappings = {**mappings, "dynamic": "strict", "_source": excluded, "properties": there}
    alias = alias_of(name)  # the index's own name is one that no template is for
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
