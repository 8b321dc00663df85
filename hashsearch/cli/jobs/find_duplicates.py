"""`hashsearch duplicates`: all near-duplicates of an index, in groups."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch.cli.commands import Command
from hashsearch.cli.options import OUTPUT_FOLDER, attribute_option, category_option, values_by_name, with_settings
from hashsearch.cli.progress import Stages
from hashsearch.cli.running import notify
from hashsearch.services import open_index

if TYPE_CHECKING:
    from hashsearch.config import Settings


@click.command(cls=Command)
@with_settings("index", "encoder", "es_url", "home", "image_roots")
@click.option("--out", required=True, type=OUTPUT_FOLDER, help="Folder for the lists and the page.")
@click.option(
    "--cosine",
    default=0.93,
    show_default=True,
    help="Least cosine of two images that are a pair.",
)
@click.option(
    "--keep",
    default="largest",
    show_default=True,
    metavar="RULE",
    help="Which image of a group to keep: largest, oldest, field:NAME (lowest value of that category, title or "
    "attribute) or field:-NAME (highest).",
)
@category_option
@attribute_option
def main(
    settings: Settings,
    out: Path,
    cosine: float,
    keep: str,
    category: tuple[str, ...],
    attributes: tuple[tuple[str, str], ...],
) -> None:
    """Group the near-duplicates of an index.

    One image of each group is chosen to be kept. Every image is compared with every other one by the cosine of their
    stored vectors; a group is a connected component of pairs. groups.csv, groups.jsonl and report.html, with thumbnails
    of images inside --images, go to --out. Nothing is removed from the index.

    An image whose file is missing or changed is kept only if the group has no other; one file under several names or
    ids counts as one. This is checked for local files, not for web addresses.

    Exit code: 0 done, 1 the run failed, 2 wrong options.
    """
    from hashsearch.duplicates.finding import check_cosine, find
    from hashsearch.duplicates.keeping import Keeping
    from hashsearch.duplicates.writing import FILES, write_duplicates
    from hashsearch.elastic.queries import filters
    from hashsearch.errors import SearchError
    from hashsearch.reporting.words import counted
    from hashsearch.search.filtering import FilterChecks

    began = time.perf_counter()
    check_cosine(cosine)
    wanted, keeping = values_by_name(attributes), Keeping.parse(keep)
    _, index = open_index(settings, notify)
    checks, clauses = FilterChecks(index), filters(category, wanted)
    checks.check_names(wanted)
    if note := checks.note(clauses):
        raise SearchError(f"{note}; '{index.alias}' has {counted(index.count(), 'image')}")
    with Stages() as progress:
        groups = find(index.patient(), cosine, keeping, clauses, progress=progress)
    summary = write_duplicates(
        groups,
        out,
        settings.image_roots,
        index=settings.index,
        cosine=cosine,
        rule=keep,
        reader=settings.image_reader,
    )
    for name in FILES:
        click.echo(f"{out / name}  {(out / name).stat().st_size / 1e6:.1f} MB")
    click.echo(f"{summary}; {time.perf_counter() - began:.0f} s")
