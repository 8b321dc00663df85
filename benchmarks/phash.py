"""Latency of search by perceptual hash: `python benchmarks/phash.py FOLDER...`, folders of pictures.

Indexes the hashes of the pictures and searches with some of them, by scan and by blocks. Every radius search is
compared with numpy; a missing or an extra image ends the benchmark with an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hashsearch.cli.options import with_settings
from hashsearch.cli.running import notify, run_reporting_errors
from hashsearch.descriptors.phash import STORED
from hashsearch.encoder import EmbedderSpec, Encoder
from hashsearch.errors import ImageError, SearchError
from hashsearch.hashing.binarizers import make_binarizer
from hashsearch.hashing.bits import Codes, hamming
from hashsearch.hashing.sub_codes import make_sub_codes
from hashsearch.images.decoding import decode

if TYPE_CHECKING:
    from hashsearch.config import Settings
    from hashsearch.elastic.image_index import ImageIndex
    from hashsearch.search.by_phash import PerceptualSearcher

NAME = "phash-benchmark"
_PICTURES = (".jpg", ".jpeg", ".png")
_WARM_UP, _TURNS = 5, 3


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--queries", default=100, show_default=True, help="Pictures to search with.")
@click.option("--radius", "radii", multiple=True, type=int, default=(4, 8, 12, 16), show_default=True)
@with_settings("es_url", "home")
def main(settings: Settings, folders: Sequence[Path], queries: int, radii: Sequence[int]) -> None:
    """Print the latency of each kind of query in milliseconds, as a Markdown table."""
    from hashsearch.search.by_phash import PerceptualSearcher
    from hashsearch.search.radius import MEASURED

    files = sorted(file for folder in folders for file in folder.rglob("*") if file.suffix.lower() in _PICTURES)
    with ProcessPoolExecutor() as pool:
        hashes = list(tqdm(pool.map(_hashed, files, chunksize=64), total=len(files), unit=" images"))
    usable = [file for file, code in zip(files, hashes, strict=True) if code is not None]
    codes = np.array([code for code in hashes if code is not None])
    chosen = np.random.default_rng(0).choice(len(usable), queries + _WARM_UP, replace=False)
    pictures = [decode(usable[row].read_bytes()) for row in chosen]
    hashing = _milliseconds(STORED.hash, [[picture] for picture in pictures])
    print(f"{len(codes)} images, {queries} queries; ms to hash one, p50 (p95): {hashing}")
    print(f"its eight variants: {_milliseconds(STORED.variants, pictures)}\n")
    print(
        "| query | hits, turned | scan: p50 (p95) ms | blocks | eight variants by scan | blocks |\n"
        + "| --- " * 6
        + "|"
    )
    with _indexed(settings, codes) as index:
        ways = [
            PerceptualSearcher(index, replace(MEASURED, planning=float("inf"))),
            PerceptualSearcher(index, replace(MEASURED, code=1e12, planning=0.0)),
        ]
        print(_nearest(ways[0], pictures))
        for radius in radii:
            print(_within(ways, pictures, codes, radius), flush=True)


def _hashed(file: Path) -> Codes | None:
    try:
        code: Codes = STORED.hash([decode(file.read_bytes())])[0]
    except ImageError:
        return None
    return code


@contextmanager
def _indexed(settings: Settings, codes: Codes) -> Iterator[ImageIndex]:
    """An index of the hashes as one segment, with random vectors; ids are row numbers."""
    from hashsearch.elastic.document import StoredVectors, hash_fields
    from hashsearch.elastic.image_index import ImageIndex
    from hashsearch.elastic.maintenance import merge
    from hashsearch.elastic.writing import BulkWriter
    from hashsearch.services import connect_cluster

    vectors = np.random.default_rng(0).standard_normal((len(codes), 16)).astype(np.float32)
    spec = EmbedderSpec("none", 16, 1, "0" * 64, {})
    encoder = Encoder.fit(spec, vectors[:1000], make_binarizer("rotation", bits=16), make_sub_codes("blocks"))
    index = ImageIndex.create(connect_cluster(settings, notify), NAME, encoder)
    try:
        encoded = encoder.encode(vectors)
        stored = (StoredVectors.from_encoded(encoded, row).fields() for row in range(len(codes)))
        documents = ((str(row), {**fields, **hash_fields(codes[row])}) for row, fields in enumerate(stored))
        BulkWriter(index.client, index.alias).write(documents)
        merge(index)
        yield index
    finally:
        index.client.indices.delete(index=",".join(index.indices))


def _nearest(searcher: PerceptualSearcher, pictures: Sequence[NDArray[np.uint8]]) -> str:
    upright = _milliseconds(partial(searcher.by_image, k=10), pictures)
    turned = _milliseconds(partial(searcher.by_image, k=10, turned=True), pictures)
    return f"| 10 nearest | 10 | {upright} | | {turned} | |"


def _within(
    ways: Sequence[PerceptualSearcher], pictures: Sequence[NDArray[np.uint8]], codes: Codes, radius: int
) -> str:
    columns = []
    for turned, searcher in product((False, True), ways):
        columns.append(_milliseconds(partial(searcher.within_radius, radius=radius, turned=turned), pictures))
        counts = [_checked(searcher, picture, codes, radius, turned) for picture in pictures]
    return f"| radius {radius} | {np.mean(counts):.1f} | {' | '.join(columns)} |"


def _checked(searcher: PerceptualSearcher, picture: NDArray[np.uint8], codes: Codes, radius: int, turned: bool) -> int:
    """How many images lie within the radius; SearchError if the search returns any other set."""
    variants = STORED.variants(picture) if turned else STORED.hash([picture])
    inside = np.flatnonzero(hamming(variants, codes).min(axis=0) <= radius)
    hits = {int(hit.id) for hit in searcher.within_radius(picture, radius, turned=turned)}
    if hits != set(inside.tolist()):
        raise SearchError(
            f"{len(inside)} hashes lie within radius {radius}, but the search returned {len(hits)}, not the same"
        )
    return len(inside)


def _milliseconds(search: Callable[[Any], object], inputs: Sequence[object]) -> str:
    """Median and 95th percentile of each call's fastest of three runs; the warm-up calls are left out."""
    taken = np.empty((_TURNS, len(inputs)))
    for turn, (row, value) in product(range(_TURNS), enumerate(inputs)):
        began = time.perf_counter()
        search(value)
        taken[turn, row] = time.perf_counter() - began
    milliseconds = taken.min(axis=0)[_WARM_UP:] * 1e3
    return f"{np.median(milliseconds):.1f} ({np.percentile(milliseconds, 95):.1f})"


if __name__ == "__main__":
    run_reporting_errors(main)
