"""`hashsearch search`: an image or an id, how to search, and the hits as lines or JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hashsearch.options import as_json, load_encoder, say, with_settings

if TYPE_CHECKING:
    from hashsearch.config import Settings
    from hashsearch.search import Searcher


def open_searcher(settings: Settings) -> Searcher:
    """A searcher of the settings' index, with its encoder."""
    from hashsearch.index.cluster import connect_cluster
    from hashsearch.index.store import ImageIndex
    from hashsearch.search import Searcher

    encoder = load_encoder(settings)
    return Searcher(encoder, ImageIndex.open(connect_cluster(settings, say), settings.index, encoder))


@click.command()
@click.argument("image", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--id", "image_id", help="Search with an indexed image instead.")
@with_settings("index", "encoder", "es_url", "home")
@click.option("-k", default=10, show_default=True, help="Hits wanted.")
@click.option("--candidates", default=500, show_default=True, help="Codes recalled, to be re-ranked by cosine.")
@click.option(
    "--strategy",
    help="scan, sub_codes or graph.  [default: graph where the index has one; else scan, but sub_codes above 50,000 "
    "images if they are cells]",
)
@click.option(
    "--compared",
    type=int,
    help="Codes compared at most, with cells.  [default: a 40th of the index, 10,000 and 16 average cells at least]",
)
@click.option("--probes", type=int, help="Sub-codes asked for of each block, with blocks.  [default: 16]")
@click.option("--category", multiple=True, help="Only images of this category; may be repeated.")
@click.option("--attribute", "attributes", multiple=True, metavar="NAME=VALUE", help="Only images with it; repeatable.")
@click.option("--min-cosine", type=float, help="Only hits at least this similar.")
@click.option(
    "--radius", type=int, help="All images whose code differs in at most this many bits, instead of the k best."
)
@click.option("--crop", help="Part of the image: left,top,right,bottom in pixels, or as fractions (0.1,0,0.9,1.0).")
@as_json
def search(
    settings: Settings,
    image: Path | None,
    image_id: str | None,
    category: tuple[str, ...],
    attributes: tuple[str, ...],
    radius: int | None,
    crop: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Find the indexed images nearest to IMAGE."""
    from hashsearch.search import SearchOptions, as_table

    if (image is None) == (image_id is None):
        raise click.UsageError("give either IMAGE or --id")
    chosen = SearchOptions(category=category, attributes=_attributes(attributes), **options)
    searcher = open_searcher(settings)
    if image_id is not None:
        by_id, within = searcher.by_id, searcher.within_radius_of
        hits = by_id(image_id, chosen) if radius is None else within(image_id, radius, chosen)
    else:
        vector = _embed_file(searcher, image, crop, settings)
        hits = searcher.by_vector(vector, chosen) if radius is None else searcher.within_radius(vector, radius, chosen)
    click.echo(json.dumps([hit.as_dict() for hit in hits]) if as_json else as_table(hits))


def _embed_file(searcher: Searcher, image: Path | None, box: str | None, settings: Settings) -> Any:
    from hashsearch.embedding import read_source
    from hashsearch.images import crop, decode

    pixels = decode(read_source(str(image), settings.limits), settings.limits)
    if box is not None:
        try:
            sides = [float(side) if "." in side else int(side) for side in box.split(",")]
        except ValueError as error:
            raise click.BadParameter(f"must be four numbers, got '{box}'", param_hint="--crop") from error
        pixels = crop(pixels, sides)
    return searcher.encoder.embed([pixels])[0]


def _attributes(pairs: tuple[str, ...]) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"must be NAME=VALUE, got '{pair}'", param_hint="--attribute")
        wanted.setdefault(name, []).append(value)
    return wanted
