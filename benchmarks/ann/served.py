"""The common part of methods on Elasticsearch: a node each, bulk loading, merging, sizes, cold starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks.ann.methods import Place, drop_pages
from hashsearch.errors import ConfigError, StoreError
from hashsearch.node.node import LocalNode
from hashsearch.overlap import prefetch

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

    from hashsearch.elastic.writing import WriteFailure

OLDEST_JAVA = 21  # the first with Elasticsearch's native SIMD code
BATCH = 500  # documents of a bulk request
_WRITERS, _AHEAD = 2, 4  # concurrent bulk requests, and prepared ones
_MERGE_SECONDS = 4 * 3600
# Usual settings for loading an index that is not searched meanwhile. Compound files would hide the size of vectors.
_LOADING = {"index.refresh_interval": "-1", "index.compound_format": False}

POSTINGS = (".doc", ".tim", ".tip", ".tmd")  # file extensions of the inverted index

Document = tuple[str, Mapping[str, Any]]


class Server:
    """A local Elasticsearch node in the method's folder, with one index behind the alias `alias`."""

    def __init__(self, place: Place, alias: str) -> None:
        self.place = place
        self.alias = alias
        self.node = LocalNode(place.folder, heap=place.heap, server_folder=place.server_folder)

    def start(self) -> None:
        """Start the node; ConfigError when its Java is too old for a fair comparison."""
        self.url = self.node.start().url or ""
        self.client = self.new_client()
        if int(self.versions()["jvm"].split(".")[0]) < OLDEST_JAVA:
            self.stop()
            raise ConfigError(f"the benchmark needs a JDK of at least {OLDEST_JAVA}, got {self.versions()['jvm']}")

    def stop(self) -> None:
        """Stop the node."""
        self.node.stop()

    def restart(self) -> None:
        """Stop the node, drop its files from the page cache, and start it until the index is searchable."""
        self.node.stop()
        drop_pages(self.node.folder / "data")
        self.start()

    def new_client(self) -> Elasticsearch:
        """A client with one connection."""
        from hashsearch.elastic.client import connect

        return connect(self.url, connections=1)

    def load(self, batches: Iterator[list[Document]], merge: Callable[[], object] | None = None) -> dict[str, float]:
        """Write all batches into the index and merge it into one segment; returns the seconds of each part.

        `idle` is a wait of up to half a minute without work: Elasticsearch keeps a copy of each document
        (`_recovery_source`) until its retention lease has advanced past it, and only a later merge drops it.
        """
        self.client.indices.put_settings(index=self.alias, settings=_LOADING)
        began = time.perf_counter()
        self._write(batches)
        self.client.options(request_timeout=_MERGE_SECONDS).indices.flush(index=self.alias, force=True)
        written = time.perf_counter()
        self._await_lease()
        waited = time.perf_counter()
        (merge or self.merge)()
        merged = time.perf_counter()
        return {"bulk": written - began, "idle": waited - written, "merge": merged - waited}

    def merge(self) -> None:
        """Merge the index into one segment and refresh it."""
        patient = self.client.options(request_timeout=_MERGE_SECONDS)
        patient.indices.forcemerge(index=self.alias, max_num_segments=1)
        patient.indices.flush(index=self.alias)
        patient.indices.refresh(index=self.alias)

    def _write(self, batches: Iterator[list[Document]]) -> None:
        from hashsearch.elastic.client import connect
        from hashsearch.elastic.writing import BulkWriter

        with connect(self.url, connections=_WRITERS) as client, ThreadPoolExecutor(_WRITERS, "write") as pool:
            writer = BulkWriter(client, self.alias, max_documents=BATCH, max_bytes=20 * 2**20)
            last: list[Document] = []
            for failures in prefetch(_all_but(last, batches), lambda b: pool.submit(writer.write, b), _AHEAD):
                _require_none(failures.result())
            # The last batch gets its own segment: a merge would leave a single segment as it is.
            client.options(request_timeout=_MERGE_SECONDS).indices.refresh(index=self.alias)
            _require_none(writer.write(last))

    def _await_lease(self) -> None:
        for _ in range(120):
            (stats,) = self.client.indices.stats(index=self.alias, level="shards").body["indices"].values()
            copies = [copy for shard in stats["shards"].values() for copy in shard]
            if all(
                lease["retaining_seq_no"] > copy["seq_no"]["max_seq_no"]
                for copy in copies
                for lease in copy["retention_leases"]["leases"]
            ):
                return
            time.sleep(0.5)
        raise StoreError(f"the retention leases of '{self.alias}' must advance within a minute of a flush")

    def file_bytes(self, *kinds: str) -> int:
        """Bytes of the index's files whose names contain one of `kinds`; of all files without `kinds`.

        `_disk_usage` reports them by field, but takes many minutes for a million vectors.
        """
        files = (self.node.folder / "data" / "indices").glob("*/*/index/*")
        return sum(file.stat().st_size for file in files if not kinds or any(kind in file.name for kind in kinds))

    def versions(self) -> dict[str, str]:
        """Versions of the server and its JVM."""
        (node,) = self.client.nodes.info(metric="jvm").body["nodes"].values()
        return {"elasticsearch": node["version"], "jvm": node["jvm"]["version"]}


def _all_but(last: list[Document], batches: Iterator[list[Document]]) -> Iterator[list[Document]]:
    """All batches but the last one, which is stored in `last`."""
    for batch in batches:
        if last:
            yield last.copy()
        last[:] = batch


def _require_none(failures: list[WriteFailure]) -> None:
    if failures:
        raise StoreError(f"{len(failures)} documents were rejected; first reason: {failures[0].reason}")
