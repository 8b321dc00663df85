"""Bulk writing that loses nothing: it retries while Elasticsearch is overloaded and lists the refused documents."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from elasticsearch import Elasticsearch

from hashsearch.elastic.client import store_errors
from hashsearch.elastic.retries import PATIENT, RetryPolicy
from hashsearch.errors import IndexNotFound, RequestTooLarge, StoreError, StoreUnavailable

# All errors that a single document can cause under our strict mapping; before 8.8 the first had the second's name. Any
# other error (a closed index, an alias without a write index, a missing privilege) concerns every document.
_DOCUMENT_FAULTS = ("document_parsing_exception", "mapper_parsing_exception", "strict_dynamic_mapping_exception")


_QUOTED = 500  # characters of a reason, which may have a whole value of the document


@dataclass(frozen=True)
class WriteFailure:
    """A document that Elasticsearch refuses for good."""

    id: str
    reason: str


@dataclass
class _Limit:
    """The bytes of a request that are known to be accepted, if larger ones were refused."""

    bytes: int = sys.maxsize


@dataclass(frozen=True)
class BulkWriter:
    """Writes whole documents with their own ids through an alias; writing them again changes nothing.

    Safe to share between threads. `max_documents` and `max_bytes` limit one request; one that is refused as too large
    is halved, and later requests are as small. An overloaded or unreachable cluster is retried as `RetryPolicy` says.
    """

    client: Elasticsearch
    alias: str
    max_documents: int = 500
    max_bytes: int = 5 * 2**20
    retries: int = PATIENT.retries
    base_delay: float = PATIENT.base_delay
    max_delay: float = PATIENT.max_delay
    _limit: _Limit = field(default_factory=_Limit, compare=False, repr=False)

    @property
    def policy(self) -> RetryPolicy:
        """When requests are sent again; also for the reads of a run that writes."""
        return RetryPolicy(self.retries, self.base_delay, self.max_delay)

    def write(self, documents: Iterable[tuple[str, Mapping[str, Any]]]) -> list[WriteFailure]:
        """Write (id, fields) pairs; returns the refused ones once all others are confirmed.

        StoreUnavailable when the cluster stays unreachable or overloaded, IndexNotFound when the alias was deleted,
        StoreError when the index accepts no documents, for example because its disk is full.
        """
        failures: list[WriteFailure] = []
        for chunk in self._chunks(documents):
            failures += self._write_chunk(chunk)
        return failures

    def _chunks(self, documents: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[dict[str, bytes]]:
        chunk: dict[str, bytes] = {}
        size = 0
        for image_id, fields in documents:
            limit = min(self.max_bytes, self._limit.bytes)
            line = (
                orjson.dumps({"index": {"_id": image_id}})
                + b"\n"
                + orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)
                + b"\n"
            )
            if chunk and (len(chunk) == self.max_documents or size + len(line) > limit):
                yield chunk
                chunk, size = {}, 0
            chunk[image_id] = line
            size += len(line)
        if chunk:
            yield chunk

    def _write_chunk(self, chunk: dict[str, bytes]) -> list[WriteFailure]:
        failures: list[WriteFailure] = []
        for _ in self.policy.attempts():
            try:
                items = self._send(chunk)
            except RequestTooLarge as error:
                return failures + self._write_halves(chunk, error)
            except StoreUnavailable as error:
                cause: object = error
                continue
            refused, again = self._sort(items)
            failures += refused
            if not again:
                return failures
            chunk = {image_id: chunk[image_id] for image_id in again}
            cause = next(iter(again.values()))
        raise StoreUnavailable(
            f"{len(chunk)} documents for '{self.alias}' were not accepted in {self.retries + 1} attempts: {cause}"
        )

    def _write_halves(self, chunk: dict[str, bytes], error: RequestTooLarge) -> list[WriteFailure]:
        """Write a chunk that is too large for one request in two; a document that is too large alone is refused."""
        size, lines = sum(map(len, chunk.values())), list(chunk.items())
        if len(lines) == 1:
            return [WriteFailure(lines[0][0], f"its document of {size:,} bytes is too large: {error}")]
        self._limit.bytes = min(self._limit.bytes, max(1, size // 2))
        middle = len(lines) // 2
        return self._write_chunk(dict(lines[:middle])) + self._write_chunk(dict(lines[middle:]))

    def _send(self, chunk: dict[str, bytes]) -> list[dict[str, Any]]:
        lines: list[Any] = list(chunk.values())
        with store_errors(self.alias):
            response = self.client.bulk(index=self.alias, operations=lines, require_alias=True)
        return [item["index"] for item in response["items"]]

    def _sort(self, items: list[dict[str, Any]]) -> tuple[list[WriteFailure], dict[str, str]]:
        """The refused documents, and the reason for each id that must be sent again."""
        refused: list[WriteFailure] = []
        again: dict[str, str] = {}
        for item in items:
            if "error" not in item:
                continue
            kind, reason = item["error"]["type"], f"{item['error']['type']}: {item['error']['reason'][:_QUOTED]}"
            if kind in _DOCUMENT_FAULTS:
                refused.append(WriteFailure(item["_id"], reason))
            elif kind == "index_not_found_exception":
                raise IndexNotFound(f"the alias '{self.alias}' was deleted during writing: {reason}")
            elif kind == "cluster_block_exception":
                raise StoreError(f"'{self.alias}' is blocked for writing, often because a disk is full: {reason}")
            elif item["status"] == 429 or item["status"] >= 500:
                again[item["_id"]] = reason
            else:
                raise StoreError(f"'{self.alias}' accepts no documents; first refused: '{item['_id']}': {reason}")
        return refused, again
