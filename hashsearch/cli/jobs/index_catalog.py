"""`hashsearch index`: bring a catalog into an index."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch.cli.commands import Command
from hashsearch.cli.options import FILE, OUTPUT_FILE, Pair, with_settings
from hashsearch.cli.progress import Stages
from hashsearch.cli.running import EXIT_REJECTS, notify
from hashsearch.services import open_indexer

if TYPE_CHECKING:
    from hashsearch.config import Settings
    from hashsearch.descriptors.words import Vocabulary


@click.command(cls=Command)
@click.argument("catalog", type=click.Path(path_type=Path))
@with_settings("index", "encoder", "es_url", "home", "allow_private")
@click.option(
    "--column",
    "columns",
    multiple=True,
    type=Pair("ROLE=COLUMN"),
    help="Column that holds the id, image, title or category, as title=label; repeatable.",
)
@click.option("--graph", is_flag=True, help="Build a graph over the vectors, for millions of images.")
@click.option(
    "--vocabulary",
    type=FILE,
    help="Also index visual words: a file from `hashsearch fit-vocabulary`, the same for all runs of an index.",
)
@click.option("--workers", default=4, show_default=True, type=click.IntRange(1, 64), help="Threads that read images.")
@click.option(
    "--rejects",
    "rejects_file",
    type=OUTPUT_FILE,
    help="File that lists the rejected entries.  [default: rejects.jsonl in the index's folder of --home]",
)
def main(
    settings: Settings,
    catalog: Path,
    columns: tuple[tuple[str, str], ...],
    graph: bool,
    vocabulary: Path | None,
    workers: int,
    rejects_file: Path | None,
) -> None:
    """Index the images of CATALOG.

    CATALOG is a folder of images, or a CSV, TSV, JSONL or Parquet file, gzipped or not. A file has a row for each
    image, with an id and a path (relative to the file) or address, and optionally a title and a category; all other
    columns become attributes. Unchanged images are skipped. A run that was killed resumes when it is started again.

    Exit code: 0 all entries are in the index, 3 some were rejected and are listed, 1 the run failed, 2 wrong options.
    """
    from hashsearch.catalog.reading import Catalog

    source = Catalog(catalog, dict(columns))
    source.check()
    words = _load_vocabulary(vocabulary) if vocabulary else None
    from hashsearch.indexing.runs import index_catalog

    indexer = open_indexer(settings, notify, vocabulary=words, workers=workers)
    with Stages() as progress:
        summary, rejects = index_catalog(
            source, indexer, settings.home / "jobs", rejects_file, graph=graph, progress=progress
        )
    notify(f"{summary}; '{settings.index}' holds {indexer.index.count()} images")
    if summary.rejected:
        notify(f"rejected entries: {rejects}")
        sys.exit(EXIT_REJECTS)


def _load_vocabulary(file: Path) -> Vocabulary:
    from hashsearch.descriptors.words import Vocabulary

    return Vocabulary.load(file)
