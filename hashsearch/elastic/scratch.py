"""Indices for a while: named after one prefix, measured, and taken away again whatever happened."""

from __future__ import annotations

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


class Scratch:
    """Fresh names for indices on one cluster, and what becomes of the indices made under them."""

    def __init__(self, client: Elasticsearch, prefix: str) -> None:
        self.client = client
        self._prefix = prefix
        self._numbers = count()

    @classmethod
    @contextmanager
    def clearing(cls, client: Elasticsearch, prefix: str) -> Iterator[Scratch]:
        """A scratch whose indices are removed at both ends: before, those that a killed run left under the prefix."""
        scratch = cls(client, prefix)
        scratch.remove(f"{prefix}-*")
        try:
            yield scratch
        finally:
            scratch.remove(f"{prefix}-*")

    def name(self) -> str:
        """A name that no index has; what is made under it, behind an alias or not, has it within its own."""
        return f"{self._prefix}-{next(self._numbers):04}"

    def create(self, name: str, fields: Mapping[str, Any]) -> None:
        """Make an index of one shard with these fields, behind the name as its alias; what comes is not returned."""
        mappings = {"dynamic": "strict", "_source": {"enabled": False}, "properties": dict(fields)}
        alone = {"number_of_shards": 1, "number_of_replicas": 0}
        with store_errors(name):
            self.client.indices.create(index=f"{name}-only", aliases={name: {}}, mappings=mappings, settings=alone)

    def write(self, name: str, documents: Iterable[tuple[str, Mapping[str, Any]]]) -> list[WriteFailure]:
        """Write documents and merge them into one segment; returns those refused."""
        refused = BulkWriter(self.client, name).write(documents)
        with store_errors(name):
            self.client.indices.forcemerge(index=name, max_num_segments=1)
            self.client.indices.refresh(index=name)
        return refused

    def search(self, name: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The hits of a search; StoreUnavailable when not the whole index answered."""
        with store_errors(name):
            answer = self.client.search(index=name, body=dict(body)).body
        if answer["timed_out"] or answer["_shards"]["failed"]:
            raise StoreUnavailable(f"the whole of '{name}' must answer, but a part of it did not")
        hits: list[dict[str, Any]] = answer["hits"]["hits"]
        return hits

    def bytes(self, name: str) -> int:
        """What the fields of the indices made under a name take on disk.

        Without the copy of each document that Elasticsearch keeps for a while in case another node has to recover it.
        """
        with store_errors(name), warnings.catch_warnings():
            warnings.simplefilter("ignore", GeneralAvailabilityWarning)  # a preview since 7.15, and nothing else tells
            told = self.client.indices.disk_usage(index=f"*{name}*", run_expensive_tasks=True).body
        return sum(_lasting(usage) for index, usage in told.items() if index != "_shards")

    def remove(self, name: str) -> None:
        """Delete the indices made under a name."""
        with store_errors(name):
            made = list(self.client.indices.get(index=f"*{name}*", expand_wildcards="all"))
            if made:
                self.client.indices.delete(index=",".join(made))


def _lasting(usage: Mapping[str, Any]) -> int:
    """Bytes of an index's fields, by its disk usage."""
    recovery = usage["fields"].get("_recovery_source", {}).get("total_in_bytes", 0)
    return int(usage["all_fields"]["total_in_bytes"] - recovery)
