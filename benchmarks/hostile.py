"""Indexing a catalog with hostile pictures: `python -m benchmarks.hostile FOLDER`, with a folder of photos.

Prints images per second of a catalog of photos alone, and of the same photos with hostile pictures in between (those of
`bad_images.py` that are refused, repeated), alternating; how many were rejected; and the memory of the job and its
decoder processes after each tenth of the second kind of run.
"""

from __future__ import annotations

import itertools
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
import orjson

from benchmarks.bad_images import COSTLY, DAMAGED
from benchmarks.pipeline import drop, fresh_index
from hashsearch.cli.options import with_settings
from hashsearch.cli.running import notify, run_reporting_errors
from hashsearch.errors import ImageError
from hashsearch.images.sources import DEFAULT_READER

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

    from hashsearch.config import Settings
    from hashsearch.encoder import Encoder


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@with_settings("es_url", "home")
@click.option("--images", default=2000, show_default=True, help="All images of the catalog with hostile ones.")
@click.option("--hostile", default=200, show_default=True, help="Hostile ones among them.")
@click.option("--rounds", default=3, show_default=True)
def main(settings: Settings, folder: Path, images: int, hostile: int, rounds: int) -> None:
    """Print throughput, rejects and memory."""
    from hashsearch.catalog.reading import Catalog
    from hashsearch.catalog.sampling import sample_sources
    from hashsearch.encoder import Encoder
    from hashsearch.services import connect_cluster

    photos = sample_sources([Catalog(folder)], images - hostile, seed=0)
    encoder, client = Encoder.bundled(), connect_cluster(settings, notify)
    encoder.warm()
    with tempfile.TemporaryDirectory() as scratch:
        bad = list(itertools.islice(itertools.cycle(write_refused(Path(scratch))), hostile))
        mixed = np.array([*photos, *bad])[np.random.default_rng(0).permutation(len(photos) + hostile)].tolist()
        alone, among = [], []
        for _ in range(rounds):
            alone.append(len(photos) / index_sources(client, encoder, photos, 0)[0])
            seconds, memory = index_sources(client, encoder, mixed, hostile)
            among.append(len(photos) / seconds)
            click.echo(f"{hostile} rejected; memory after each tenth, MB: {' '.join(map(str, memory))}")
    click.echo(f"photos alone          {max(alone):6.1f} photos/s  {np.round(alone, 1)}")
    click.echo(f"among hostile images  {max(among):6.1f} photos/s  {np.round(among, 1)}")


def write_refused(folder: Path) -> list[str]:
    """Paths of the pictures of the corpus that are refused."""
    paths = []
    for number, make in enumerate({**COSTLY, **DAMAGED}.values()):
        path = folder / f"bad-{number}"
        path.write_bytes(make())
        try:
            DEFAULT_READER.pixels(str(path))
        except ImageError:
            paths.append(str(path))
    return paths


def index_sources(client: Elasticsearch, encoder: Encoder, sources: list[str], rejects: int) -> tuple[float, list[int]]:
    """Seconds of the whole job, and megabytes in use after each tenth."""
    from hashsearch.catalog.reading import Catalog
    from hashsearch.elastic.writing import BulkWriter
    from hashsearch.indexing.pipeline import Indexer
    from hashsearch.indexing.runs import index_catalog

    index = fresh_index(client, encoder)
    memory: dict[int, int] = {}

    def look(stage: str, done: int, total: int) -> None:
        memory.setdefault(10 * done // total, megabytes())

    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "catalog.jsonl"
        rows = ({"id": str(number), "path": source} for number, source in enumerate(sources))
        listing.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        indexer = Indexer(encoder, index, BulkWriter(client, index.alias))
        began = time.perf_counter()
        summary, _ = index_catalog(Catalog(listing), indexer, Path(folder), progress=look)
        seconds = time.perf_counter() - began
    drop(index)
    if (summary.indexed, summary.rejected) != (len(sources) - rejects, rejects):
        raise click.ClickException(f"{rejects} of {len(sources)} images should be rejected: {summary}")
    return seconds, list(memory.values())


def megabytes() -> int:
    """Memory of this process and its children."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[status.parent] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    mine = [folder for folder, parent in parents.items() if parent == int(Path("/proc/self").resolve().name)]
    pages = sum(int((folder / "statm").read_text().split()[1]) for folder in [*mine, Path("/proc/self")])
    return pages * resource.getpagesize() // 1_000_000


if __name__ == "__main__":
    run_reporting_errors(main)
