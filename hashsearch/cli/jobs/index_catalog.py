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
    from hashsearch.catalog.reading import Catalog
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
@click.option("--allow-empty", is_flag=True, help="Accept a catalog without images, which is refused otherwise.")
@click.option("--remove-missing", is_flag=True, help="Remove images from the index that are not in CATALOG.")
@click.option(
    "--accept-changes",
    is_flag=True,
    help="Let a CATALOG that was never indexed replace the pictures of another one, and --remove-missing remove 20 or "
    "more images that are over 10 % of the index.",
)
@click.option("--dry-run", is_flag=True, help="Only print what would happen, and write nothing.")
def main(
    settings: Settings,
    catalog: Path,
    columns: tuple[tuple[str, str], ...],
    graph: bool,
    vocabulary: Path | None,
    workers: int,
    rejects_file: Path | None,
    allow_empty: bool,
    remove_missing: bool,
    accept_changes: bool,
    dry_run: bool,
) -> None:
    """Index the images of CATALOG.

    CATALOG is a folder of images, or a CSV, TSV, JSONL or Parquet file, gzipped or not. A file has a row for each
    image, with an id and a path (relative to the file) or address, and optionally a title and a category; all other
    columns become attributes. Without an id column the path is the id. Unchanged images are skipped. A run that was
    killed resumes when it is started again.

    Exit code: 0 all entries are in the index, 3 some were rejected and are listed, 5 changes need --accept-changes, 1
    the run failed, 2 wrong options. With --dry-run it is the code that the run would have.
    """
    from hashsearch.catalog.reading import Catalog

    source = Catalog(catalog, dict(columns))
    source.check(allow_empty)  # before a cluster and a network are needed
    if rejects_file:
        _check_rejects(rejects_file)
    _report(source)
    if dry_run:
        sys.exit(_preview(settings, source, workers, remove_missing, accept_changes, allow_empty))
    words = _load_vocabulary(vocabulary) if vocabulary else None
    from hashsearch.indexing.runs import index_catalog

    indexer = open_indexer(settings, notify, vocabulary=words, workers=workers)
    with Stages() as progress:
        summary, rejects = index_catalog(
            source,
            indexer,
            settings.home / "jobs",
            rejects_file,
            graph=graph,
            remove=remove_missing,
            accept_changes=accept_changes,
            allow_empty=allow_empty,
            progress=progress,
        )
    notify(f"{summary}; '{settings.index}' holds {indexer.index.count()} images")
    if summary.removed:
        notify(f"{summary.removed} images that are not in this catalog were removed from the index")
    elif summary.missing:
        notify(f"{summary.missing} images in the index are not in this catalog; --remove-missing removes them")
    if summary.rejected:
        notify(f"rejected entries: {rejects}")
        sys.exit(EXIT_REJECTS)


def _report(catalog: Catalog) -> None:
    """Say what of a catalog is not indexed, though nothing is wrong with it."""
    if catalog.passed_over:
        notify(str(catalog.passed_over))
    if catalog.left_out:
        notify(f"binary columns left out: {', '.join(catalog.left_out)}")


def _check_rejects(file: Path) -> None:
    from hashsearch.indexing.rejects import check_rejects_file

    check_rejects_file(file)


def _preview(
    settings: Settings,
    source: Catalog,
    workers: int,
    remove_missing: bool,
    accept_changes: bool,
    allow_empty: bool,
) -> int:
    """Report what a run would do; returns its exit code."""
    from hashsearch.errors import IndexNotFound
    from hashsearch.indexing.preview import preview_catalog
    from hashsearch.services import load_encoder, open_index

    try:
        encoder, index = open_index(settings, notify)
    except IndexNotFound:
        encoder, index = load_encoder(settings), None
    with Stages() as progress:
        summary = preview_catalog(
            source,
            encoder,
            index,
            settings.home / "jobs",
            remove_missing=remove_missing,
            accept_changes=accept_changes,
            allow_empty=allow_empty,
            reader=settings.image_reader,
            workers=workers,
            progress=progress,
        )
    notify(f"dry run, nothing was written: {summary}")
    would = "would be removed" if remove_missing else "are not in this catalog"
    notify(f"{summary.missing} images in the index {would}")
    return EXIT_REJECTS if summary.rejected else 0


def _load_vocabulary(file: Path) -> Vocabulary:
    from hashsearch.descriptors.words import Vocabulary

    return Vocabulary.load(file)
