"""How well near-duplicates find each other: `python benchmarks/near_duplicates.py --index NAME`.

For a catalog with the columns `design` and `variant`, like the generated demo catalog. For each variant: the share of
its pictures whose nearest other picture has the same design, and the share that has one among the three nearest.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import click
import numpy as np

from hashsearch.cli.options import with_settings
from hashsearch.cli.running import notify, run_reporting_errors
from hashsearch.services import open_searcher

if TYPE_CHECKING:
    from hashsearch.config import Settings


@click.command()
@with_settings("index", "encoder", "es_url", "home")
def main(settings: Settings) -> None:
    """Print a line for each variant."""
    from hashsearch.search.searcher import SearchOptions

    searcher = open_searcher(settings, notify)
    index = searcher.index
    matches: dict[str, list[list[bool]]] = defaultdict(list)
    for image_id in sorted(image_id for page, _ in index.codes([]) for image_id in page):
        attributes = index.record(image_id)["attributes"]
        hits = searcher.by_id(image_id, SearchOptions(k=3, explain=False))
        matches[attributes["variant"]].append([hit.attributes["design"] == attributes["design"] for hit in hits])
    click.echo("variant        pictures  same design first  among three")
    for variant, same in sorted(matches.items()):
        first, three = np.array(same)[:, 0].mean(), np.array(same).any(axis=1).mean()
        click.echo(f"{variant:14s} {len(same):8d}  {first:17.1%}  {three:11.1%}")


if __name__ == "__main__":
    run_reporting_errors(main)
