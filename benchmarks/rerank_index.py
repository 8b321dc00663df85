"""Indices with smaller re-rank vectors: `python benchmarks/rerank_index.py VECTORS.npy --count 20000`.

VECTORS.npy holds embeddings `(n, dims) float32`. For each setting an index is built, queried, measured and deleted:
bytes per image on disk, build time, recall@10 against the full float cosine, latency of queries by vector and by id.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from hashsearch.cli.options import with_settings
from hashsearch.cli.running import notify, run_reporting_errors
from hashsearch.encoder import EmbedderSpec, Encoder
from hashsearch.hashing.binarizers import make_binarizer
from hashsearch.hashing.rerank_vectors import RerankVectors
from hashsearch.hashing.sub_codes import make_sub_codes
from hashsearch.hashing.vectors import Vectors, normalised
from hashsearch.search.planner import SearchOptions
from hashsearch.search.searcher import Hit, Searcher

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

    from hashsearch.config import Settings

K, NAME = 10, "rerank-benchmark"
SETTINGS: tuple[tuple[int | None, str], ...] = (
    (None, "float32"),
    (None, "int8"),
    (512, "float32"),
    (512, "int8"),
    (256, "float32"),
    (256, "int8"),
    (128, "int8"),
)


@click.command()
@click.argument("vectors", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--count", default=20_000, show_default=True, help="Vectors to index and to fit the encoder on.")
@click.option("--queries", default=500, show_default=True, help="Held-out vectors to search with.")
@with_settings("es_url", "home")
def main(settings: Settings, vectors: Path, count: int, queries: int) -> None:
    """Print size, recall and latency of indices with smaller re-rank vectors, as a Markdown table."""
    from hashsearch.services import connect_cluster

    client = connect_cluster(settings, notify)
    rows = np.random.default_rng(0).permutation(len(np.load(vectors, mmap_mode="r")))[: count + queries]
    chosen = np.load(vectors)[rows]
    chosen = normalised(chosen)
    base, query_vectors = chosen[queries:], chosen[:queries]
    truth = query_vectors @ base.T
    print(
        f"{len(base)} x {base.shape[1]}, one shard and segment; {len(query_vectors)} queries, 500 candidates, by scan\n"
    )
    print("| stored | disk bytes per image | of these the vector | build s | recall@10 | p50 ms by vector | by id |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    hashes, terms = make_binarizer("rotation"), make_sub_codes("cells")
    spec = EmbedderSpec("any", base.shape[1], 0, "", {})
    for dims, dtype in SETTINGS:
        encoder = Encoder.fit(spec, base, hashes, terms, RerankVectors(dims, dtype))
        print(_measured(client, encoder, base, query_vectors, truth), flush=True)


def _measured(client: Elasticsearch, encoder: Encoder, base: Vectors, query_vectors: Vectors, truth: Vectors) -> str:
    from hashsearch.elastic.document import StoredVectors
    from hashsearch.elastic.image_index import ImageIndex
    from hashsearch.elastic.writing import BulkWriter

    index = ImageIndex.create(client, NAME, encoder)
    try:
        began = time.perf_counter()
        for start in range(0, len(base), 1000):
            encoded = encoder.encode(base[start : start + 1000])
            stored = (StoredVectors.from_encoded(encoded, row) for row in range(len(encoded.codes)))
            documents = ((str(start + row), vectors.fields()) for row, vectors in enumerate(stored))
            assert BulkWriter(client, index.alias).write(documents) == []
        client.indices.forcemerge(index=index.alias, max_num_segments=1)
        index.refresh()
        built = time.perf_counter() - began
        on_disk = client.indices.disk_usage(index=index.alias, run_expensive_tasks=True)[index.indices[0]]
        sizes = {name: field["total_in_bytes"] / len(base) for name, field in on_disk["fields"].items()}
        sizes.pop("_recovery_source", None)  # dropped by a later merge
        searcher, options = Searcher(encoder, index), SearchOptions(k=K, strategy="scan", explain=False)
        answers, by_vector = _timed(lambda row: searcher.by_vector(query_vectors[row], options), len(query_vectors))
        _, by_id = _timed(lambda row: searcher.by_id(str(row), options), len(query_vectors))
    finally:
        client.indices.delete(index=index.indices[0])
    return (
        f"| {encoder.rerank_dims} {encoder.rerank_vectors.dtype} | {sum(sizes.values()):.0f} | "
        f"{sizes['embedding']:.0f} | {built:.1f} | {_recall(truth, answers):.4f} | {by_vector:.1f} | {by_id:.1f} |"
    )


def _timed(search: Callable[[int], list[Hit]], count: int) -> tuple[list[list[Hit]], float]:
    """Answers and the median latency in milliseconds; a fifth of the queries run first as warm-up."""
    answers, seconds = [], []
    for row in (*range(count // 5), *range(count)):
        began = time.perf_counter()
        answers.append(search(row))
        seconds.append(time.perf_counter() - began)
    return answers[-count:], float(np.median(seconds[-count:])) * 1e3


def _recall(truth: Vectors, answers: list[list[Hit]]) -> float:
    """The share of hits whose full cosine reaches that of the exact K-th neighbour, less 1e-6."""
    least = np.partition(truth, -K, axis=1)[:, -K] - 1e-6
    return float(np.mean([truth[row, int(hit.id)] >= least[row] for row, hits in enumerate(answers) for hit in hits]))


if __name__ == "__main__":
    run_reporting_errors(main)
