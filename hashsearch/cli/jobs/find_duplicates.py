"""All near-duplicates of an index: `python -m jobs.find_duplicates --index NAME --out FOLDER`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch.cli.options import with_settings

if TYPE_CHECKING:
    from hashsearch.config import Settings


@click.command()
@with_settings("index", "encoder", "es_url", "home", "image_roots")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where the lists go.")
@click.option("--cosine", default=0.98, show_default=True, help="How alike two images must be to be a pair.")
@click.option(
    "--keep",
    default="largest",
    show_default=True,
    metavar="RULE",
    help="The image of a group that stays: largest, oldest, field:NAME (the lowest value of the category, title or "
    "attribute of that name) or field:-NAME (the highest).",
)
@click.option("--category", multiple=True, help="Only images of this category; may be repeated.")
@click.option("--attribute", "attributes", multiple=True, metavar="NAME=VALUE", help="Only images with it; repeatable.")
def main(
    settings: Settings,
    out: Path,
    cosine: float,
    keep: str,
    category: tuple[str, ...],
    attributes: tuple[str, ...],
) -> None:
    """Group the images of an index that are nearly the same, and choose one of each group to keep.

    Every image is compared with every other one by the cosine of their stored vectors; a group is what hangs together
    by pairs. groups.csv, groups.jsonl and report.html, with thumbnails of pictures inside --images, go to --out.
    Nothing is removed from the index.

    Exit code: 0 done, 1 the run failed, 2 wrong options.
    """
    from hashsearch.cli.options import attributes_of
    from hashsearch.duplicates.finding import find
    from hashsearch.duplicates.keeping import Keeping
    from hashsearch.duplicates.writing import FILES, write_duplicates
    from hashsearch.elastic.queries import filters
    from hashsearch.services import open_index

    began = time.perf_counter()
    clauses, keeping = filters(category, attributes_of(attributes)), Keeping.parse(keep)
    _, index = open_index(settings)
    found = find(index, cosine, keeping, clauses)
    summary = write_duplicates(found, out, settings.image_roots, index=settings.index, cosine=cosine, rule=keep)
    for name in FILES:
        click.echo(f"{out / name}  {(out / name).stat().st_size / 1e6:.1f} MB")
    click.echo(f"{summary}; {time.perf_counter() - began:.0f} s")
