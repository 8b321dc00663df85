"""Temporary indices: named with a prefix and the run's id, measured, and deleted at the end of the run."""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

from elasticsearch import Elasticsearch
from elasticsearch.exceptions import GeneralAvailabilityWarning

from hashsearch.elastic.client import store_errors
from hashsearch.elastic.writing import BulkWriter, WriteFailure
from hashsearch.errors import StoreUnavailable

ABANDONED_AFTER = 3 * 24 * 3600.0  # seconds; no run keeps a temporary index for so long


class Scratch:
    """Unused index names on one cluster, and the indices created with them.

    Runs with the same prefix, also on other machines, do not touch each other's indices.
    """

    def __init__(self, client: Elasticsearch, prefix: str) -> None:
        self.client = client
        self._prefix = f"{prefix}-{uuid.uuid4().hex[:8]}"
        self._numbers = count()

    @classmethod
    @contextmanager
    def clearing(
        cls, client: Elasticsearch, prefix: str, abandoned_after: float = ABANDONED_AFTER
    ) -> Iterator[Scratch]:
        """A scratch that deletes its indices at the end, and those that killed runs left behind `abandoned_after` s."""
        scratch = cls(client, prefix)
        scratch._remove_abandoned(prefix, abandoned_after)
        try:
            yield scratch
        finally:
            scratch.remove(f"{scratch._prefix}-*")

    def name(self) -> str:
        """An unused name; an index or alias created with it must contain it in its own name."""
        return f"{self._prefix}-{next(self._numbers):04}"

    def create(self, name: str, fields: Mapping[str, Any]) -> None:
        """Create an index of one shard with these fields and without `_source`, behind the name as its alias."""
        mappings = {"dynamic": "strict", "_source": {"enabled": False}, "properties": dict(fields)}
        settings = {"number_of_shards": 1, "number_of_replicas": 0}
        with store_errors(name):
            self.client.indices.create(index=f"{name}-only", aliases={name: {}}, mappings=mappings, settings=settings)

    def write(self, name: str, documents: Iterable[tuple[str, Mapping[str, Any]]]) -> list[WriteFailure]:
        """Write documents and merge them into one segment; returns the refused ones."""
        refused = BulkWriter(self.client, name).write(documents)
        with store_errors(name):
            self.client.indices.forcemerge(index=name, max_num_segments=1)
            self.client.indices.refresh(index=name)
        return refused

    def search(self, name: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The hits of a search; StoreUnavailable when a shard did not respond in time."""
        with store_errors(name):
            response = self.client.search(index=name, body=dict(body)).body
        if response["timed_out"] or response["_shards"]["failed"]:
            raise StoreUnavailable(f"all shards of '{name}' must respond, but some did not or timed out")
        hits: list[dict[str, Any]] = response["hits"]["hits"]
        return hits

    def bytes(self, name: str) -> int:
        """Bytes on disk of the fields of all indices created with a name.

        The temporary copy of each document that Elasticsearch keeps for the recovery of other nodes does not count.
        """
        with store_errors(name), warnings.catch_warnings():
            warnings.simplefilter("ignore", GeneralAvailabilityWarning)  # a preview since 7.15 without an alternative
            usages = self.client.indices.disk_usage(index=f"*{name}*", run_expensive_tasks=True).body
        return sum(_lasting(usage) for index, usage in usages.items() if index != "_shards")

    def remove(self, name: str) -> None:
        """Delete all indices created with a name."""
        with store_errors(name):
            self._delete(list(self.client.indices.get(index=f"*{name}*", expand_wildcards="all")))

    def _remove_abandoned(self, prefix: str, age: float) -> None:
        """Delete the indices of other runs with the prefix that were created more than `age` seconds ago."""
        with store_errors(prefix):
            indices = self.client.indices.get(index=f"*{prefix}-*", expand_wildcards="all").body
            created = {name: int(index["settings"]["index"]["creation_date"]) / 1000 for name, index in indices.items()}
            self._delete([name for name, at in created.items() if time.time() - at > age])

    def _delete(self, indices: list[str]) -> None:
        if indices:
            self.client.indices.delete(index=",".join(indices), ignore_unavailable=True)


def _lasting(usage: Mapping[str, Any]) -> int:
    """Bytes of an index's fields, from its disk usage."""
    recovery = usage["fields"].get("_recovery_source", {}).get("total_in_bytes", 0)
    return int(usage["all_fields"]["total_in_bytes"] - recovery)
