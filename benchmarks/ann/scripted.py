"""An index on OpenSearch whose codes are scored by a script: the common part of those peers, and their query bodies.

In the peers' favour, exact cosine is computed in the client, from a memory map of the floats. This costs the server
nothing and needs no request; Painless can only read floats by decoding them byte by byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ann.methods import Place, Setting, Sizes, bytes_of, drop_pages
from benchmarks.ann.opensearch import OpenSearch, OpenSearchNode
from benchmarks.ann.stored import Floats, Learned, restore_learned, save_learned, timed
from hashsearch.errors import SearchError
from hashsearch.hashing.binarizers import Binarizer
from hashsearch.hashing.bits import Codes
from hashsearch.hashing.vectors import Vectors

INDEX = "images"
MOST_HITS = 10_000  # OpenSearch's limit of hits per request
CHUNK = 10_000  # vectors encoded at a time

Body = dict[str, Any]
Rows = NDArray[np.int64]


class Scripted:
    """Base: codes as `long` fields `r0`, `r1`, ..., sub-codes as keywords, the row of a vector as a number.

    Subclasses set `binarizer`, fit it and the sub-codes in `_fit`, and implement `settings` and `query`.
    """

    name = ""
    binarizer: Binarizer
    client: OpenSearch

    def __init__(self, place: Place) -> None:
        self.place = place
        self.floats = Floats(place.folder / "vectors.npy")
        self.node = OpenSearchNode(place.folder, "opensearch", heap=place.heap, server_folder=place.server_folder)

    def build(self, vectors: Vectors) -> Mapping[str, float]:
        """Fit, copy the floats, start the node, index, merge; returns the seconds of each step but the start."""
        seconds: dict[str, float] = {}
        with timed(seconds, "fit"):
            self._fit(vectors)
            save_learned(self.place.folder / "learned.npz", **self._learned())
        with timed(seconds, "floats"):
            self.floats.write(vectors)
        self.node.start()
        self.connect()
        with timed(seconds, "bulk"):
            source = {"enabled": False, "recovery_source_enabled": False}
            self._create(INDEX, {**self._mapping(), **self._code_fields()}, source)
            self.client.bulk(INDEX, self._documents(vectors))
        with timed(seconds, "merge"):
            self._merge(INDEX)
        return seconds

    def connect(self) -> None:
        """Open a connection."""
        self.client = OpenSearch(self.node.url)

    def restart(self) -> None:
        """Stop the node, drop its files from the page cache, start it again."""
        self.node.stop()
        self.floats.unmap()
        drop_pages(self.place.folder)
        self.restore()
        self.node.start()
        self.connect()

    def restore(self) -> None:
        """Load what an earlier build learned."""
        restore_learned(self.place.folder / "learned.npz", **self._learned())

    def close(self) -> None:
        """Stop the node."""
        self.node.stop()

    def sizes(self) -> Sizes:
        """The server's data and the floats on disk; codes and postings in memory."""
        stats = self.client.ask("GET", f"/{INDEX}/_stats/segments?include_segment_file_sizes=true")
        files = stats["_all"]["primaries"]["segments"]["file_sizes"]
        codes = len(self.floats.vectors) * self.binarizer.bits // 8
        postings = files.get("doc", {}).get("size_in_bytes", 0)
        disk = bytes_of(self.node.folder / "data") + self.floats.path.stat().st_size
        return Sizes(disk, codes + postings, "codes and the sub-codes' postings, without the terms' dictionary")

    def versions(self) -> Mapping[str, str]:
        """Versions of OpenSearch and its JVM."""
        answer = self.client.ask("GET", "/_nodes/jvm?filter_path=nodes.*.version,nodes.*.jvm.version")
        (node,) = answer["nodes"].values()
        return {"opensearch": node["version"], "jvm": node["jvm"]["version"]}

    def _fit(self, vectors: Vectors) -> None:
        """Learn the binarizer and the sub-codes."""
        raise NotImplementedError

    def _mapping(self) -> Body:
        """The sub-codes' fields."""
        raise NotImplementedError

    def _columns(self, vectors: Vectors, codes: Codes) -> dict[str, list[Any]]:
        """The sub-codes of some vectors, by field."""
        raise NotImplementedError

    def _learned(self) -> dict[str, Learned]:
        """The learned parts to save and restore."""
        return {"binarizer": self.binarizer}

    def _code_fields(self) -> Body:
        longs = {f"r{number}": {"type": "long", "index": False} for number in range(self.binarizer.bits // 64)}
        return longs | {"row": {"type": "integer", "index": False}}

    def _create(self, index: str, fields: Body, source: Body) -> None:
        settings = {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": -1, "compound_format": False}
        mappings = {"dynamic": "strict", "_source": source, "properties": fields}
        self.client.ask("PUT", f"/{index}", {"settings": settings, "mappings": mappings})

    def _merge(self, index: str) -> None:
        for step in ("_refresh", "_forcemerge?max_num_segments=1", "_flush", "_refresh"):
            self.client.ask("POST", f"/{index}/{step}")

    def _documents(self, vectors: Vectors) -> Iterator[Body]:
        for start in range(0, len(vectors), CHUNK):
            chunk = np.asarray(vectors[start : start + CHUNK])
            codes = self.binarizer.transform(chunk)
            columns: dict[str, Iterable[Any]] = {"row": range(start, start + len(chunk))}
            columns |= {f"r{number}": column for number, column in enumerate(as_longs(codes).T.tolist())}
            columns |= self._columns(chunk, codes)
            for values in zip(*columns.values()):
                yield dict(zip(columns, values))

    def _rows(self, query: Body, size: int) -> Rows:
        """Rows of the `size` best."""
        if not 1 <= size <= MOST_HITS:
            raise SearchError(f"OpenSearch returns 1 to {MOST_HITS} hits per request, got {size}")
        body = {"query": query, "size": size, "track_total_hits": False, "_source": False}
        body |= {"stored_fields": "_none_", "docvalue_fields": ["row"]}
        answer = self.client.ask("POST", f"/{INDEX}/_search?filter_path=hits.hits.fields.row", body)
        hits = answer.get("hits", {}).get("hits", ())
        return np.array([hit["fields"]["row"][0] for hit in hits], dtype=np.int64)

    def _ordered(self, vector: Vectors, k: int, setting: Setting, nearest: Callable[[int], Rows]) -> Rows:
        """The k nearest by Hamming distance, or the k best by cosine among the `candidates` nearest."""
        if setting["order"] == "hamming":
            return nearest(k)
        return self.floats.nearest(vector, nearest(max(k, setting["candidates"])), k)


def as_longs(codes: Codes) -> NDArray[np.int64]:
    """Codes as Java's signed 64-bit numbers: `(n, bits // 8) uint8 -> (n, bits // 64) int64`."""
    return codes.view(">i8").astype(np.int64)


def unscored(clause: Body) -> Body:
    """A filter clause that scores every document 0."""
    return {"constant_score": {"boost": 0, "filter": clause}}


def any_of(clauses: list[Body]) -> Body:
    """A clause that matches when at least one of these does."""
    return {"bool": {"minimum_should_match": 1, "should": clauses}}


def summed_scripts(filtered: Body, longs: NDArray[np.int64]) -> Body:
    """Score = equal bits, as in ElasticHash: the sum of a stored script over the `long`s of the code."""
    functions = [
        {"script_score": {"script": {"id": "hd64", "params": {"field": f"r{number}", "subcode": value}}}, "weight": 1}
        for number, value in enumerate(longs.tolist())
    ]
    return {"function_score": {"query": filtered, "functions": functions, "boost_mode": "sum", "score_mode": "sum"}}


def one_script(filtered: Body, longs: NDArray[np.int64], radius: int | None = None) -> Body:
    """Score = equal bits, by one script over all `long`s of the code; documents outside the radius are dropped."""
    flips = "+".join(f"Long.bitCount(params.q{number}^doc['r{number}'].value)" for number in range(len(longs)))
    params = {f"q{number}": value for number, value in enumerate(longs.tolist())}
    script = {"source": f"{64 * len(longs)}-({flips})", "params": params}
    scored: Body = {"query": filtered, "script_score": {"script": script}, "boost_mode": "replace"}
    if radius is not None:
        scored["min_score"] = 64 * len(longs) - radius
    return {"function_score": scored}
