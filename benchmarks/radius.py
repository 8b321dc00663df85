"""All codes within a Hamming radius, by scan and by blocks: `python benchmarks/radius.py VECTORS.npy QUERIES.npy`.

Both files hold embeddings `(n, dims) float32`; the first `count` of VECTORS.npy are indexed. Each radius is searched
with vectors of QUERIES.npy and with indexed ones, in three ways: always by scan, always by blocks, and as hashsearch
chooses. Every answer is compared with numpy; a missing or an extra code ends the benchmark with an error. With --keep
the next run reuses the index.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray

from hashsearch.cli.options import with_settings
from hashsearch.cli.running import notify, run_reporting_errors
from hashsearch.encoder import EmbedderSpec, Encoder
from hashsearch.errors import IndexNotFound, SearchError, StoreError
from hashsearch.hashing.binarizers import make_binarizer
from hashsearch.hashing.bits import Codes, hamming
from hashsearch.hashing.rerank_vectors import RerankVectors
from hashsearch.hashing.sub_codes import make_sub_codes
from hashsearch.hashing.vectors import Vectors

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

    from hashsearch.config import Settings
    from hashsearch.elastic.image_index import ImageIndex
    from hashsearch.search.searcher import Searcher

RADII = (8, 16, 32, 63, 64, 96, 127, 128, 160, 191)
NAME = "radius-benchmark"
_SAMPLE, _BATCH, _WARM_UP = 50_000, 5_000, 5


@dataclass(frozen=True)
class RadiusQuery:
    """A query vector, and the rows and distances of all codes within the largest radius."""

    vector: Vectors
    code: Codes
    rows: NDArray[np.intp]
    distances: NDArray[np.int32]

    @classmethod
    def of(cls, vector: Vectors, encoder: Encoder, codes: Codes, largest: int) -> RadiusQuery:
        """With the exact answer, from numpy over all codes `(n, bits // 8)`."""
        code = encoder.encode_query(vector).code
        distances = hamming(code[np.newaxis], codes)[0]
        rows = np.flatnonzero(distances <= largest)
        return cls(vector, code, rows, distances[rows])

    def inside(self, radius: int) -> set[str]:
        """Ids of all codes within the radius."""
        return set(map(str, self.rows[self.distances <= radius].tolist()))


@click.command()
@click.argument("vectors", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("others", metavar="QUERIES", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--count", default=1_000_000, show_default=True, help="Vectors to index.")
@click.option("--bits", default=1024, show_default=True, help="Bits of a code.")
@click.option("--queries", default=60, show_default=True, help="Queries of each kind.")
@click.option("--radius", "radii", multiple=True, type=int, default=RADII, show_default=True)
@click.option("--keep", is_flag=True, help="Keep the index.")
@with_settings("es_url", "home")
def main(
    settings: Settings,
    vectors: Path,
    others: Path,
    count: int,
    bits: int,
    queries: int,
    radii: Sequence[int],
    keep: bool,
) -> None:
    """Print the latency of each radius by scan, by blocks and as chosen, as Markdown tables."""
    from hashsearch.services import connect_cluster

    base = np.load(vectors, mmap_mode="r")[:count]
    encoder = _fitted(base, bits)
    index = _filled(connect_cluster(settings, notify), encoder, base)
    try:
        codes = np.concatenate([encoder.binarizer.transform(batch) for batch in _batches(base)])
        wanted = queries + _WARM_UP
        rows = np.sort(np.random.default_rng(1).choice(len(base), wanted, replace=False))
        print(f"{len(base)} codes of {bits} bits, shards: {index.shards}, queries of each kind: {queries}")
        for kind, chosen in {"other": np.load(others)[:wanted], "indexed": np.asarray(base[rows])}.items():
            print(f"\nWith {kind} vectors:\n")
            print("| radius | inside | terms | blocks near | scan: p50 (p95) ms | blocks | as chosen | blocks chosen |")
            print("| --- | --- | --- | --- | --- | --- | --- | --- |")
            radius_queries = [RadiusQuery.of(vector, encoder, codes, max(radii)) for vector in chosen]
            for radius in radii:
                print(_measured(encoder, index, radius_queries, radius), flush=True)
    finally:
        if not keep:
            index.client.indices.delete(index=",".join(index.indices))


def _fitted(base: Vectors, bits: int) -> Encoder:
    """An encoder with blocks; the re-rank vectors are small, since little is re-ranked."""
    rows = np.sort(np.random.default_rng(0).choice(len(base), min(_SAMPLE, len(base)), replace=False))
    spec = EmbedderSpec("vectors", base.shape[1], 1, "0" * 64, {})
    binarizer, blocks = make_binarizer("rotation", bits=bits), make_sub_codes("blocks")
    return Encoder.fit(spec, np.asarray(base[rows]), binarizer, blocks, RerankVectors(dims=16))


def _filled(client: Elasticsearch, encoder: Encoder, base: Vectors) -> ImageIndex:
    """The kept index if it has the same encoder and number of vectors, else a new one of one segment."""
    from hashsearch.elastic.document import StoredVectors
    from hashsearch.elastic.image_index import ImageIndex
    from hashsearch.elastic.maintenance import merge
    from hashsearch.elastic.writing import BulkWriter

    try:
        index = ImageIndex.open(client, NAME, encoder)
        if index.count() == len(base):
            return index
        client.indices.delete(index=",".join(index.indices))
    except IndexNotFound:
        pass
    index = ImageIndex.create(client, NAME, encoder)
    writer, began, done = BulkWriter(client, index.alias), time.perf_counter(), 0
    for batch in _batches(base):
        encoded = encoder.encode(batch)
        stored = (StoredVectors.from_encoded(encoded, row) for row in range(len(batch)))
        if failures := writer.write((str(done + row), vectors.fields()) for row, vectors in enumerate(stored)):
            raise StoreError(f"{len(failures)} vectors were rejected; first reason: {failures[0].reason}")
        done += len(batch)
    merge(index)
    notify(f"{done} vectors indexed and merged in {time.perf_counter() - began:.0f} s")
    return index


def _batches(base: Vectors) -> Iterator[Vectors]:
    for start in range(0, len(base), _BATCH):
        yield np.asarray(base[start : start + _BATCH])


def _measured(encoder: Encoder, index: ImageIndex, queries: Sequence[RadiusQuery], radius: int) -> str:
    """A row of the table.

    The three ways take turns, each with a different query: a repeated one would find the caches filled.
    """
    from hashsearch.search.radius import MEASURED, RadiusPlanner
    from hashsearch.search.searcher import Searcher

    never, always = replace(MEASURED, planning=float("inf")), replace(MEASURED, code=1e12, planning=0.0)
    searchers = [Searcher(encoder, index) for _ in range(3)]
    for searcher, costs in zip(searchers, (never, always, MEASURED)):
        searcher.radius_planner = RadiusPlanner(encoder, index, costs)
    seconds = np.empty((len(queries), 3))
    for turn in range(len(queries)):
        for way, searcher in enumerate(searchers):
            query = queries[(turn + way * len(queries) // 3) % len(queries)]
            seconds[turn, way] = _seconds(searcher, query, radius)
        index.client.indices.clear_cache(index=index.alias, query=True)
    times = [f"{np.median(way) * 1e3:.1f} ({np.percentile(way, 95) * 1e3:.1f})" for way in seconds[_WARM_UP:].T]
    used = [searchers[1].radius_planner.prefilter(query.code, radius) for query in queries]
    terms, near = (np.mean([getattr(one, name) for one in used if one]) for name in ("terms", "required"))
    chosen = np.mean([searchers[2].radius_planner.prefilter(query.code, radius) is not None for query in queries])
    inside = np.mean([len(query.inside(radius)) for query in queries])
    return f"| {radius} | {inside:.1f} | {terms:.0f} | {near:.1f} | {' | '.join(times)} | {chosen:.0%} |"


def _seconds(searcher: Searcher, query: RadiusQuery, radius: int) -> float:
    """Seconds of the search; SearchError unless it returns exactly what numpy does."""
    began = time.perf_counter()
    hits = searcher.within_radius(query.vector, radius)
    seconds = time.perf_counter() - began
    inside = query.inside(radius)
    if {hit.id for hit in hits} != inside:
        raise SearchError(
            f"{len(inside)} codes lie within radius {radius}, but the search returned {len(hits)}, not the same"
        )
    return seconds


if __name__ == "__main__":
    run_reporting_errors(main)
