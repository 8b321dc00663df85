"""Elasticsearch's own vector search: exact, HNSW, and quantised with rescoring, as its documentation recommends.

One `dense_vector` field, default m and ef_construction, one shard, one segment, no `_source`; a query is one `knn`
query through elasticsearch-py, with the vector in the shortest digits of float32; only ids are returned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks.ann.methods import Method, Place, Setting, Sizes
from benchmarks.ann.served import BATCH, Document, Server
from hashsearch.errors import StoreError
from hashsearch.hashing.vectors import Vectors

_ALIAS, _INDEX, _FIELD = "peer", "peer-vectors", "vector"
_HEADERS = {"content-type": "application/json", "accept": "application/json"}
_QUANTISED = frozenset({"int8_hnsw", "bbq_hnsw", "bbq_flat"})

# (num_candidates, oversample); Elasticsearch rescores at most 10 times k.
_RESCORED = ((20, 3), (50, 3), (100, 3), (100, 5), (200, 5), (400, 5), (400, 9.9), (800, 9.9))
# (k, num_candidates, oversample): a larger k than the 10 of the benchmark lifts that limit.
_WIDENED = ((30, 400, 9.9), (50, 600, 9.9), (100, 1200, 9.9))

SETTINGS: dict[str, Sequence[Setting]] = {
    "flat": [{}],
    "hnsw": [{"num_candidates": count} for count in (20, 50, 100, 200, 500, 1000)],
    "int8_hnsw": [
        {"num_candidates": count, "oversample": oversample}
        for count, oversample in product((20, 50, 100, 200, 500), (0, 2))
    ],
    "bbq_hnsw": [
        *({"num_candidates": count, "oversample": oversample} for count, oversample in _RESCORED),
        *({"num_candidates": count, "oversample": oversample, "k": k} for k, count, oversample in _WIDENED),
    ],
    # There is no graph: all vectors are compared, so only rescoring matters.
    "bbq_flat": [
        *({"num_candidates": 100, "oversample": oversample} for oversample in (3, 5, 9.9)),
        *({"num_candidates": count, "oversample": oversample, "k": k} for k, count, oversample in _WIDENED),
    ],
}


class ElasticVectors:
    """One kind of `dense_vector` index; `late`: loaded without its graph, which the final merge then builds."""

    def __init__(self, place: Place, name: str, kind: str, late: bool = False) -> None:
        self.name = name
        self.kind = kind
        self.late = late
        self.server = Server(place, _ALIAS)

    def settings(self) -> Sequence[Setting]:
        return SETTINGS[self.kind]

    def build(self, vectors: Vectors) -> Mapping[str, float]:
        self.server.start()
        self.server.client.indices.create(
            index=_INDEX,
            aliases={_ALIAS: {"is_write_index": True}},
            settings={"index.number_of_shards": 1, "index.number_of_replicas": 0},
            mappings=mappings(vectors.shape[1], "bbq_flat" if self.late else self.kind),
        )
        return self.server.load(_documents(vectors), partial(self._finish, vectors.shape[1]))

    def _finish(self, dims: int) -> None:
        if self.late:
            properties = mappings(dims, self.kind)["properties"]
            self.server.client.indices.put_mapping(index=_ALIAS, properties=properties)
        self.server.merge()

    def connect(self) -> None:
        self.client = self.server.new_client()

    def query(self, vector: Vectors, k: int, setting: Setting) -> NDArray[np.int64]:
        body = orjson.dumps(request(vector, k, setting), option=orjson.OPT_SERIALIZE_NUMPY)
        answer: Any = self.client.perform_request("POST", f"/{_ALIAS}/_search", headers=_HEADERS, body=body).body
        if answer["timed_out"] or answer["_shards"]["failed"]:
            raise StoreError(f"some shards failed or timed out: {answer['_shards']}")
        return np.array([int(hit["_id"]) for hit in answer["hits"]["hits"]], dtype=np.int64)

    def sizes(self) -> Sizes:
        disk, vectors = self.server.file_bytes(), self.server.file_bytes(".ve")
        if self.kind not in _QUANTISED:
            return Sizes(disk, vectors, "the whole vector field: the floats, which are searched, and the graph if any")
        (mapping,) = self.server.client.indices.get_mapping(index=_ALIAS).body.values()
        floats = self.server.client.count(index=_ALIAS)["count"] * 4 * mapping["mappings"]["properties"][_FIELD]["dims"]
        return Sizes(disk, vectors - floats, "the vector field less its floats: quantised vectors and the graph if any")

    def restart(self) -> None:
        self.server.restart()

    def close(self) -> None:
        self.server.stop()

    def versions(self) -> Mapping[str, str]:
        return self.server.versions()


def mappings(dims: int, kind: str) -> dict[str, Any]:
    """The index's mappings, for one kind of `index_options`."""
    field = {"type": "dense_vector", "dims": dims, "similarity": "cosine", "index_options": {"type": kind}}
    return {"_source": {"enabled": False}, "dynamic": "strict", "properties": {_FIELD: field}}


def request(vector: Vectors, k: int, setting: Setting) -> dict[str, Any]:
    """The search for the `k` nearest to a vector `(dims,)`."""
    requested = setting.get("k", k)
    candidates = max(requested, setting.get("num_candidates", requested))
    knn = {"field": _FIELD, "query_vector": vector, "k": requested, "num_candidates": candidates}
    if "oversample" in setting:
        knn["rescore_vector"] = {"oversample": setting["oversample"]}
    return {"query": {"knn": knn}, "size": k, "_source": False, "track_total_hits": False}


def _documents(vectors: Vectors) -> Iterator[list[Document]]:
    """Batches of documents; ids are row numbers."""
    for start in range(0, len(vectors), BATCH):
        batch = np.asarray(vectors[start : start + BATCH])
        yield [(str(start + row), {_FIELD: vector}) for row, vector in enumerate(batch)]


MAKERS: dict[str, Callable[[Place], Method]] = {
    "es-float-scan": partial(ElasticVectors, name="es-float-scan", kind="flat"),
    "es-float-hnsw": partial(ElasticVectors, name="es-float-hnsw", kind="hnsw"),
    "es-int8-hnsw": partial(ElasticVectors, name="es-int8-hnsw", kind="int8_hnsw"),
    "es-bbq-hnsw": partial(ElasticVectors, name="es-bbq-hnsw", kind="bbq_hnsw"),
    "es-bbq-hnsw-late": partial(ElasticVectors, name="es-bbq-hnsw-late", kind="bbq_hnsw", late=True),
    "es-bbq-flat": partial(ElasticVectors, name="es-bbq-flat", kind="bbq_flat"),
}
