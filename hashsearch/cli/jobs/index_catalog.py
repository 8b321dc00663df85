"""Index a catalog: `python -m jobs.index_catalog CATALOG`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch.cli.options import EXIT_REJECTS, notify, with_settings
from hashsearch.services import load_encoder

if TYPE_CHECKING:
    from hashsearch.config import Settings
    from hashsearch.descriptors.words import Vocabulary


@click.command()
@click.argument("catalog", type=click.Path(path_type=Path))
@with_settings("index", "encoder", "es_url", "home")
@click.option(
    "--column", "columns", multiple=True, metavar="ROLE=COLUMN", help="Where id, image, title or category stands."
)
@click.option("--graph", is_flag=True, help="Give the index a graph, for millions of images.")
@click.option(
    "--vocabulary",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also index visual words: a file of jobs.fit_vocabulary. For a new index, then always the same file.",
)
@click.option("--workers", default=4, show_default=True, type=click.IntRange(1, 64), help="Threads that read images.")
@click.option("--rejects", type=click.Path(dir_okay=False, path_type=Path), help="Where rejected entries are listed.")
@click.option("--allow-private", is_flag=True, help="Also fetch images from private network addresses.")
def main(
    settings: Settings,
    catalog: Path,
    columns: tuple[str, ...],
    graph: bool,
    vocabulary: Path | None,
    workers: int,
    rejects: Path | None,
    allow_private: bool,
) -> None:
    """Bring CATALOG into the index: a folder of images, or a CSV, TSV, JSONL or Parquet file, gzipped or not.

    A file has a row for each image, with an id and a path (relative to the file) or address; a title and a category if
    there are some; all other columns become attributes. Images that have not changed since are passed over. A run that
    was killed goes on where it was when it is started again.

    Exit code: 0 all entries are in the index, 3 some were rejected and are listed, 1 the run failed, 2 wrong options.
    """
    from hashsearch.catalog.reading import Catalog
    from hashsearch.elastic.image_index import ImageIndex
    from hashsearch.elastic.maintenance import set_vocabulary
    from hashsearch.elastic.writing import BulkWriter
    from hashsearch.indexing.pipeline import Indexer
    from hashsearch.indexing.runs import index_catalog
    from hashsearch.services import connect_cluster

    source = Catalog(catalog, dict(_role_and_column(text) for text in columns))
    words = _load_vocabulary(vocabulary) if vocabulary else None
    encoder = load_encoder(settings)
    encoder.warm()  # before an index of it is made: the network may be missing
    index = ImageIndex.open_or_create(connect_cluster(settings, notify), settings.index, encoder)
    index = set_vocabulary(index, words.fingerprint if words else None)
    writer = BulkWriter(index.client, index.alias)
    reader = replace(settings.image_reader, allow_private=allow_private)
    indexer = Indexer(encoder, index, writer, reader, workers, words)
    with progress_bar(index.alias) as progress:
        summary, rejects = index_catalog(
            source, indexer, settings.home / "jobs", rejects, graph=graph, progress=progress
        )
    notify(f"{summary}; '{settings.index}' holds {index.count()} images")
    if summary.rejected:
        notify(f"rejected entries: {rejects}")
        sys.exit(EXIT_REJECTS)


@contextmanager
def progress_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """A callback that shows the finished and all images of an index in a progress bar."""
    from tqdm import tqdm

    with tqdm(unit=" images", desc=name) as bar:

        def show(done: int, total: int) -> None:
            bar.n, bar.total = done, total
            bar.refresh()

        yield show


def _load_vocabulary(file: Path) -> Vocabulary:
    from hashsearch.descriptors.words import Vocabulary

    return Vocabulary.load(file)


def _role_and_column(text: str) -> tuple[str, str]:
    role, equals, column = text.partition("=")
    if not equals:
        raise click.BadParameter(f"must be ROLE=COLUMN, got '{text}'", param_hint="--column")
    return role, column
