"""What search by perceptual hash costs: `python benchmarks/phash.py FOLDER...`, folders of pictures.

Their hashes are indexed, some pictures are asked with, each by scan and by blocks. Every answer within a radius
is compared with numpy's: one that misses an image, or has one too many, ends the benchmark.
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

from hashsearch.cli.options import notify, run_reporting_errors, with_settings
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
@click.option("--queries", default=100, show_default=True, help="Pictures to ask with.")
@click.option("--radius", "radii", multiple=True, type=int, default=(4, 8, 12, 16), show_default=True)
@with_settings("es_url", "home")
def main(settings: Settings, folders: Sequence[Path], queries: int, radii: Sequence[int]) -> None:
    """Print milliseconds of each kind of query as a table in Markdown."""
    from hashsearch.search.by_phash import PerceptualSearcher
    from hashsearch.search.radius import MEASURED

    files = sorted(file for folder in folders for file in folder.rglob("*") if file.suffix.lower() in _PICTURES)
    with ProcessPoolExecutor() as pool:
        found = list(tqdm(pool.map(_hashed, files, chunksize=64), total=len(files), unit=" images"))
    usable = [file for file, code in zip(files, found, strict=True) if code is not None]
    codes = np.array([code for code in found if code is not None])
    chosen = np.random.default_rng(0).choice(len(usable), queries + _WARM_UP, replace=False)
    pictures = [decode(usable[row].read_bytes()) for row in chosen]
    print(f"{len(codes)} images, {queries} queries; to hash one: {_each(STORED.hash, [[one] for one in pictures])}")
    print(f"its eight variants: {_each(STORED.variants, pictures)}\n")
    print(
        "| query | found, turned | scan: p50 (p95) ms | blocks | eight variants by scan | blocks |\n"
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
        return STORED.hash([decode(file.read_bytes())])[0]
    except ImageError:
        return None


@contextmanager
def _indexed(settings: Settings, codes: Codes) -> Iterator[ImageIndex]:
    """An index of the hashes, one segment, of vectors that mean nothing; images are named by their row."""
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
    upright = _each(partial(searcher.by_image, k=10), pictures)
    return f"| 10 nearest | 10 | {upright} | | {_each(partial(searcher.by_image, k=10, turned=True), pictures)} | |"


def _within(
    ways: Sequence[PerceptualSearcher], pictures: Sequence[NDArray[np.uint8]], codes: Codes, radius: int
) -> str:
    columns = []
    for turned, searcher in product((False, True), ways):
        columns.append(_each(partial(searcher.within_radius, radius=radius, turned=turned), pictures))
        counts = [_checked(searcher, picture, codes, radius, turned) for picture in pictures]
    return f"| radius {radius} | {np.mean(counts):.1f} | {' | '.join(columns)} |"


def _checked(searcher: PerceptualSearcher, picture: NDArray[np.uint8], codes: Codes, radius: int, turned: bool) -> int:
    """How many images lie within the radius; SearchError unless the search finds just these."""
    asked = STORED.variants(picture) if turned else STORED.hash([picture])
    inside = np.flatnonzero(hamming(asked, codes).min(axis=0) <= radius)
    found = {int(hit.id) for hit in searcher.within_radius(picture, radius, turned=turned)}
    if found != set(inside.tolist()):
        raise SearchError(f"within radius {radius} lie {len(inside)} hashes, the search found {len(found)} others")
    return len(inside)


def _each(answer: Callable[[Any], object], asked: Sequence[object]) -> str:
    """Milliseconds of each call, the fastest of three, the first ones left out: the median and the 95th percentile."""
    taken = np.empty((_TURNS, len(asked)))
    for turn, (row, one) in product(range(_TURNS), enumerate(asked)):
        began = time.perf_counter()
        answer(one)
        taken[turn, row] = time.perf_counter() - began
    milliseconds = taken.min(axis=0)[_WARM_UP:] * 1e3
    return f"{np.median(milliseconds):.1f} ({np.percentile(milliseconds, 95):.1f})"


if __name__ == "__main__":
    run_reporting_errors(main)
