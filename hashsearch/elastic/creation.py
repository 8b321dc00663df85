"""A new index in Elasticsearch, of which the disk may be full."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from elasticsearch import ApiError, Elasticsearch, TransportError

from hashsearch.errors import StoreError

_SHARD_SECONDS = 15  # below the client's own time limit, so that the reason can be asked for


def create_index(
    client: Elasticsearch, name: str, alias: str, mappings: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    """Create an index as the alias's write index. If its shards get no place, delete it and raise StoreError."""
    created = client.indices.create(
        index=name,
        aliases={alias: {"is_write_index": True}},
        mappings=mappings,
        settings=settings,
        timeout=f"{_SHARD_SECONDS}s",
    ).body
    if created["shards_acknowledged"]:
        return
    reason = "no node takes its shards"
    with suppress(ApiError, TransportError):
        reason = unallocated(client.cluster.allocation_explain(index=name, shard=0, primary=True).body)
    with suppress(ApiError, TransportError):  # an index without shards would fail every search
        client.indices.delete(index=name)
    raise StoreError(f"the index '{name}' cannot be created: {reason}")


def unallocated(explanation: Mapping[str, Any]) -> str:
    """Why a shard has no place, from Elasticsearch's explanation: the disk is full, or another rule."""
    decisions = [
        decider
        for node in explanation.get("node_allocation_decisions", ())
        for decider in node.get("deciders", ())
        if decider.get("decision") == "NO"
    ]
    for decider in decisions:
        if decider["decider"] == "disk_threshold":
            return f"the disk of Elasticsearch is full: {decider['explanation']}"
    if decisions:
        return f"no node takes its shards: {decisions[0]['explanation']}"
    return f"no node takes its shards: {explanation.get('allocate_explanation', 'no reason given')}"
