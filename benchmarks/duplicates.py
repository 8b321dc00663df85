"""All near-duplicates of an index, timed and checked: `python benchmarks/duplicates.py VECTORS.npy`.

The file holds embeddings `(n, dims) float32`. The first `count` of them are indexed as a catalog is; one in fifty is a
copy of another one with some noise, so that there is something to find. Another process does that, so that the peak
memory is what finding took. Then all pairs are compared with those that numpy finds by plain multiplication.
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

from hashsearch.cli.options import notify, run_reporting_errors, with_settings
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
_NOISE = 0.1  # its length; a copy's cosine to its original is about .995


@click.command()
@click.argument("vectors", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--count", default=100_000, show_default=True, help="Vectors to index.")
@click.option("--cosine", default=0.98, show_default=True, help="How alike a pair is.")
@click.option("--check/--no-check", default=True, show_default=True, help="Compare with all pairs as numpy finds them.")
@with_settings("es_url", "home")
def main(settings: Settings, vectors: Path, count: int, cosine: float, check: bool) -> None:
    """Print pairs, groups, seconds, peak memory and the recall of pairs."""
    from hashsearch.duplicates.finding import find, read_vectors
    from hashsearch.duplicates.pairs import directions, similar_pairs
    from hashsearch.elastic.image_index import ImageIndex
    from hashsearch.services import connect_cluster

    with tempfile.TemporaryDirectory() as folder:
        filling = get_context("spawn").Process(target=_fill, args=(settings, vectors, count, Path(folder) / "encoder"))
        filling.start()
        filling.join()
        if filling.exitcode:
            raise StoreError(f"the index must be filled, and that ended with exit code {filling.exitcode}")
        index = ImageIndex.open(connect_cluster(settings, notify), NAME, Encoder.load(Path(folder) / "encoder"))
    try:
        began = time.perf_counter()
        found = find(index, cosine)
        compared = time.perf_counter()
        groups = sum(1 for _ in found.groups)
        told = time.perf_counter()
        click.echo(
            f"{found.images} images of {index.dims} {index.dtype} dims, cosine {cosine:g}: {found.pairs} pairs, "
            f"{groups} groups; {compared - began:.1f} s to read and compare, {told - compared:.1f} s to tell; "
            f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
        )
        if check:
            _, spool = read_vectors(index, [])
            began = time.perf_counter()
            pairs = np.concatenate([np.stack(batch, axis=1) for batch in similar_pairs(spool, cosine)])
            compared = time.perf_counter()
            true = _all_pairs(directions(spool, np.arange(len(spool))), cosine)
            told = time.perf_counter()
            ours, theirs = (set(map(tuple, one.tolist())) for one in (pairs, true))
            click.echo(
                f"to compare {compared - began:.1f} s, with numpy alone {told - compared:.1f} s; of its {len(theirs)} "
                f"pairs {len(ours & theirs) / max(len(theirs), 1):.6f} found, {len(ours - theirs)} others"
            )
    finally:
        index.client.indices.delete(index=",".join(index.indices))


def _fill(settings: Settings, vectors: Path, count: int, folder: Path) -> None:
    """Make an index of one segment with the vectors and their copies, and save its encoder in the folder."""
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
            raise StoreError(f"every vector must be taken, {len(failures)} were not, the first: {failures[0].reason}")
        done += len(batch)
    merge(index)


def _with_copies(base: Vectors) -> Iterator[Vectors]:
    generator = np.random.default_rng(1)
    for start in range(0, len(base), _BATCH):
        batch = normalised(np.asarray(base[start : start + _BATCH]), base.shape[1])
        copies = np.arange(0, len(batch), _COPIED)
        originals = np.asarray(base[np.sort(generator.integers(len(base), size=len(copies)))])
        noise = generator.standard_normal(originals.shape) * (_NOISE / np.sqrt(base.shape[1]))
        batch[copies] = normalised(originals, base.shape[1]) + noise
        yield batch


def _all_pairs(vectors: Vectors, cosine: float) -> NDArray[np.int64]:
    """Rows `(pairs, 2)` of vectors of length 1 whose scalar product reaches the cosine, lower row first."""
    found = []
    for row in range(0, len(vectors), _BLOCK):
        for column in range(row, len(vectors), _BLOCK):
            near = vectors[row : row + _BLOCK] @ vectors[column : column + _BLOCK].T >= cosine
            firsts, seconds = np.nonzero(np.triu(near, 1) if row == column else near)
            found.append(np.stack([row + firsts, column + seconds], axis=1))
    return np.concatenate(found)


if __name__ == "__main__":
    run_reporting_errors(main)
