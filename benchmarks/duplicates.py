"""Time and memory of finding all near-duplicates of an index: `python benchmarks/duplicates.py VECTORS.npy`.

VECTORS.npy holds embeddings `(n, dims) float32`. The first `count` are indexed; one in fifty is replaced by a noisy
copy of another, so that there are duplicates. A separate process does the indexing, so that the peak memory is that of
the search alone. The pairs are then compared with those that numpy finds by brute force.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray

from hashsearch.cli.options import with_settings
from hashsearch.cli.running import notify, run_reporting_errors
from hashsearch.encoder import EmbedderSpec, Encoder
from hashsearch.errors import StoreError
from hashsearch.hashing.binarizers import make_binarizer
from hashsearch.hashing.sub_codes import make_sub_codes
from hashsearch.hashing.vectors import Vectors, normalised

if TYPE_CHECKING:
    from hashsearch.config import Settings

NAME = "duplicates-benchmark"
_SAMPLE, _BATCH, _BLOCK = 20_000, 5_000, 2_048
_COPIED = 50
_NOISE = 0.1  # norm of the noise; a copy's cosine to its original is about .995


@click.command()
@click.argument("vectors", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--count", default=100_000, show_default=True, help="Vectors to index.")
@click.option("--cosine", default=0.98, show_default=True, help="Lowest cosine of a pair.")
@click.option(
    "--check/--no-check", default=True, show_default=True, help="Compare the pairs with those of brute force."
)
@with_settings("es_url", "home")
def main(settings: Settings, vectors: Path, count: int, cosine: float, check: bool) -> None:
    """Print the number of pairs and groups, the time, the peak memory and the recall of pairs."""
    from hashsearch.duplicates.finding import find, read_vectors
    from hashsearch.duplicates.pairs import directions, similar_pairs
    from hashsearch.elastic.image_index import ImageIndex
    from hashsearch.services import connect_cluster

    with tempfile.TemporaryDirectory() as folder:
        filling = get_context("spawn").Process(target=_fill, args=(settings, vectors, count, Path(folder) / "encoder"))
        filling.start()
        filling.join()
        if filling.exitcode:
            raise StoreError(f"indexing the vectors failed with exit code {filling.exitcode}")
        index = ImageIndex.open(connect_cluster(settings, notify), NAME, Encoder.load(Path(folder) / "encoder"))
    try:
        began = time.perf_counter()
        result = find(index, cosine)
        compared = time.perf_counter()
        groups = sum(1 for _ in result.groups)
        grouped = time.perf_counter()
        click.echo(
            f"{result.images} images of {index.dims} {index.dtype} dims, cosine {cosine:g}: {result.pairs} pairs, "
            f"{groups} groups; {compared - began:.1f} s to read and compare, {grouped - compared:.1f} s to group; "
            f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
        )
        if check:
            _, spool = read_vectors(index, [])
            began = time.perf_counter()
            pairs = np.concatenate([np.stack(batch, axis=1) for batch in similar_pairs(spool, cosine)])
            compared = time.perf_counter()
            true = _all_pairs(directions(spool, np.arange(len(spool))), cosine)
            checked = time.perf_counter()
            ours, theirs = (set(map(tuple, rows.tolist())) for rows in (pairs, true))
            click.echo(
                f"comparing took {compared - began:.1f} s, brute force {checked - compared:.1f} s; recall of its "
                f"{len(theirs)} pairs: {len(ours & theirs) / max(len(theirs), 1):.6f}; {len(ours - theirs)} extra pairs"
            )
    finally:
        index.client.indices.delete(index=",".join(index.indices))


def _fill(settings: Settings, vectors: Path, count: int, folder: Path) -> None:
    """Index the vectors and copies as one segment, and save the encoder in the folder."""
    from hashsearch.elastic.document import StoredVectors
    from hashsearch.elastic.image_index import ImageIndex
    from hashsearch.elastic.maintenance import merge
    from hashsearch.elastic.writing import BulkWriter
    from hashsearch.services import connect_cluster

    base = np.load(vectors, mmap_mode="r")[:count]
    rows = np.sort(np.random.default_rng(0).choice(len(base), min(_SAMPLE, len(base)), replace=False))
    spec = EmbedderSpec("vectors", base.shape[1], 1, "0" * 64, {})
    binarizer, cells = make_binarizer("rotation", bits=1024), make_sub_codes("cells", cells=min(1024, len(rows)))
    encoder = Encoder.fit(spec, np.asarray(base[rows]), binarizer, cells)
    encoder.save(folder)
    index = ImageIndex.create(connect_cluster(settings, notify), NAME, encoder)
    writer, done = BulkWriter(index.client, index.alias), 0
    for batch in _with_copies(base):
        encoded = encoder.encode(batch)
        stored = (StoredVectors.from_encoded(encoded, row) for row in range(len(batch)))
        if failures := writer.write((str(done + row), vectors.fields()) for row, vectors in enumerate(stored)):
            raise StoreError(f"{len(failures)} vectors were rejected; first reason: {failures[0].reason}")
        done += len(batch)
    merge(index)


def _with_copies(base: Vectors) -> Iterator[Vectors]:
    generator = np.random.default_rng(1)
    for start in range(0, len(base), _BATCH):
        batch = normalised(np.asarray(base[start : start + _BATCH]))
        copies = np.arange(0, len(batch), _COPIED)
        originals = np.asarray(base[np.sort(generator.integers(len(base), size=len(copies)))])
        noise = generator.standard_normal(originals.shape) * (_NOISE / np.sqrt(base.shape[1]))
        batch[copies] = normalised(originals) + noise
        yield batch


def _all_pairs(vectors: Vectors, cosine: float) -> NDArray[np.int64]:
    """Pairs of rows, `(pairs, 2)`, of unit vectors whose dot product is at least `cosine`; lower row first."""
    pairs = []
    for row in range(0, len(vectors), _BLOCK):
        for column in range(row, len(vectors), _BLOCK):
            near = vectors[row : row + _BLOCK] @ vectors[column : column + _BLOCK].T >= cosine
            firsts, seconds = np.nonzero(np.triu(near, 1) if row == column else near)
            pairs.append(np.stack([row + firsts, column + seconds], axis=1))
    return np.concatenate(pairs)


if __name__ == "__main__":
    run_reporting_errors(main)
