"""Overhead of indexing: `python benchmarks/pipeline.py FOLDER --embedder NAME [--weights FILE]`.

Part 1, images per second: the network alone, on images already decoded and resized in memory, against the whole of
`index_catalog` on the same files; alternating, best of `rounds`. Part 2, documents per second from ready vectors:
encoding and writing as `index_catalog` does, against plain `_bulk` requests with the same serialised bodies and the
same number of connections.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
import orjson

from hashsearch.cli.options import with_settings
from hashsearch.cli.running import notify, run_reporting_errors

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

    from hashsearch.config import Settings
    from hashsearch.elastic.image_index import ImageIndex
    from hashsearch.encoder import Encoder

BATCH = 128


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@with_settings("es_url", "home")
@click.option("--embedder", default="efficientnet-lite0", show_default=True)
@click.option("--weights")
@click.option("--images", default=3000, show_default=True, help="Most images to use of the folder.")
@click.option("--documents", default=20_000, show_default=True, help="Documents in part 2.")
@click.option("--rounds", default=3, show_default=True)
def main(
    settings: Settings, folder: Path, embedder: str, weights: str | None, images: int, documents: int, rounds: int
) -> None:
    """Print the throughput of both parts."""
    from hashsearch.catalog.reading import Catalog
    from hashsearch.catalog.sampling import sample_sources
    from hashsearch.embedders import load
    from hashsearch.embedders.bulk import embed_sources
    from hashsearch.encoder import EmbedderSpec, Encoder
    from hashsearch.hashing.binarizers import make_binarizer
    from hashsearch.hashing.sub_codes import make_sub_codes
    from hashsearch.images.decoding import decode
    from hashsearch.services import connect_cluster

    network = load(embedder, weights, trained=settings.embedders, fetched=settings.weights)
    sources = sample_sources([Catalog(folder)], images, seed=0)
    vectors = np.concatenate([batch.vectors for batch in embed_sources(network, sources)])
    encoder = Encoder.fit(EmbedderSpec.of(network), vectors, make_binarizer("rotation"), make_sub_codes("cells"))
    prepared = [network.prepare(decode(Path(source).read_bytes())) for source in sources]
    client = connect_cluster(settings, notify)
    bare, whole = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        network.embed(prepared)
        bare.append(len(prepared) / (time.perf_counter() - began))
        whole.append(index_files(client, encoder, sources))
    click.echo(f"{embedder}, {len(sources)} images, best of {rounds}")
    click.echo(f"network alone   {max(bare):7.1f} images/s  {np.round(bare, 1)}")
    share = max(whole) / max(bare)
    click.echo(f"index_catalog   {max(whole):7.1f} images/s  {np.round(whole, 1)}  = {share:.1%} of the network")
    ready = np.resize(vectors, (documents, encoder.dims))
    plain, ours = [], []
    for _ in range(rounds):
        plain.append(plain_bulk(client, encoder, ready))
        ours.append(encode_and_write(client, encoder, ready))
    click.echo(f"{documents} ready vectors of {encoder.dims} dims, {encoder.bits} bits")
    click.echo(f"plain _bulk     {max(plain):7.0f} documents/s  {np.round(plain)}")
    share = max(ours) / max(plain)
    click.echo(f"encode + write  {max(ours):7.0f} documents/s  {np.round(ours)}  = {share:.1%} of plain _bulk")


def fresh_index(client: Elasticsearch, encoder: Encoder) -> ImageIndex:
    """A new, empty index."""
    from hashsearch.elastic.image_index import ImageIndex

    return ImageIndex.create(client, f"bench-{uuid.uuid4().hex[:8]}", encoder)


def drop(index: ImageIndex) -> None:
    """Delete an index."""
    index.client.indices.delete(index=",".join(index.client.indices.get(index=index.alias).body))


def index_files(client: Elasticsearch, encoder: Encoder, sources: list[str]) -> float:
    """Images per second of the whole job on these files, until all are searchable."""
    from hashsearch.catalog.reading import Catalog
    from hashsearch.elastic.writing import BulkWriter
    from hashsearch.indexing.pipeline import Indexer
    from hashsearch.indexing.runs import index_catalog

    index = fresh_index(client, encoder)
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "catalog.jsonl"
        listing.write_bytes(b"".join(orjson.dumps({"id": source, "path": source}) + b"\n" for source in sources))
        indexer = Indexer(encoder, index, BulkWriter(client, index.alias))
        began = time.perf_counter()
        index_catalog(Catalog(listing), indexer, Path(folder))
        seconds = time.perf_counter() - began
    drop(index)
    return len(sources) / seconds


def plain_bulk(client: Elasticsearch, encoder: Encoder, vectors: np.ndarray) -> float:
    """Documents per second of `_bulk` with ready bodies."""
    from hashsearch.indexing.pipeline import WRITERS

    bodies = [
        [
            orjson.dumps({"index": {"_id": image_id}}) + b"\n" + orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)
            for image_id, fields in documents_of(encoder, vectors[start : start + BATCH], start)
        ]
        for start in range(0, len(vectors), BATCH)
    ]
    index = fresh_index(client, encoder)
    began = time.perf_counter()
    with ThreadPoolExecutor(WRITERS) as pool:
        answers = list(pool.map(lambda body: client.bulk(index=index.alias, operations=body), bodies))
    index.refresh()
    seconds = time.perf_counter() - began
    assert not any(answer["errors"] for answer in answers)
    drop(index)
    return len(vectors) / seconds


def encode_and_write(client: Elasticsearch, encoder: Encoder, vectors: np.ndarray) -> float:
    """Documents per second of encoding and writing."""
    from threadpoolctl import threadpool_limits

    from hashsearch.elastic.writing import BulkWriter
    from hashsearch.indexing.pipeline import WRITERS, WRITTEN_AHEAD
    from hashsearch.overlap import prefetch

    index = fresh_index(client, encoder)
    writer = BulkWriter(client, index.alias)
    began = time.perf_counter()
    with ThreadPoolExecutor(WRITERS) as pool, threadpool_limits(1, "blas"):
        batches = prefetch(
            range(0, len(vectors), BATCH),
            lambda start: pool.submit(writer.write, documents_of(encoder, vectors[start : start + BATCH], start)),
            WRITTEN_AHEAD,
        )
        failures = [batch.result() for batch in batches]
    index.refresh()
    seconds = time.perf_counter() - began
    assert not any(failures)
    drop(index)
    return len(vectors) / seconds


def documents_of(encoder: Encoder, vectors: np.ndarray, start: int) -> list[tuple[str, dict[str, object]]]:
    """Documents of a batch of vectors."""
    from hashsearch.elastic.document import StoredVectors

    encoded = encoder.encode(vectors)
    stored = [StoredVectors.from_encoded(encoded, row).fields() for row in range(len(vectors))]
    return [
        (f"image-{row}", {**fields, "uri": f"image-{row}.jpg", "phash": "00" * 8})
        for row, fields in enumerate(stored, start)
    ]


if __name__ == "__main__":
    run_reporting_errors(main)
