"""`hashsearch label`: name clusters of a catalog's images instead of single images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch.cli.commands import Group
from hashsearch.cli.options import (
    EXISTING_FILE,
    OUTPUT_FILE,
    OutputPath,
    catalogs_argument,
    embedder_options,
    with_settings,
)
from hashsearch.cli.progress import Progress
from hashsearch.cli.running import EXIT_REJECTS, notify

if TYPE_CHECKING:
    from hashsearch.config import Settings


@click.group(cls=Group)
def main() -> None:
    """Name clusters of images, and turn the names into labels."""


@main.command()
@catalogs_argument
@click.option("--out", required=True, type=OUTPUT_FILE, help="New .parquet file; its .names.csv goes beside it.")
@embedder_options
@click.option("--clusters", default="kmeans", show_default=True, help="Clustering method: kmeans or hdbscan.")
@click.option(
    "--count",
    type=int,
    help="Number of clusters, with kmeans.  [default: the square root of half the images, at most 100]",
)
@click.option("--smallest", type=int, help="Images of the smallest cluster, with hdbscan.  [default: 5]")
@click.option("--sample", type=click.IntRange(4), help="Images to take at most.  [default: all]")
@click.option(
    "--tsne",
    default=5000,
    show_default=True,
    type=click.IntRange(4),
    help="Images mapped by t-SNE at most; the others are mapped by PCA only.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the samples, the clusters and the maps.")
@with_settings("home", "allow_private")
def export(
    settings: Settings,
    catalogs: tuple[Path, ...],
    out: Path,
    embedder: str,
    weights: str | None,
    clusters: str,
    count: int | None,
    smallest: int | None,
    sample: int | None,
    tsne: int,
    seed: int,
) -> None:
    """Write a table of images with clusters to be named.

    It has embeddings and maps too, for `spotlight TABLE.parquet`. A CATALOG is what `hashsearch index` takes; its
    categories are the labels so far.

    Exit code: 0 all images are in the table, 3 some were left out and are listed, 1 the run failed, 2 wrong options.
    """
    from hashsearch import embedders
    from hashsearch.catalog.reading import Catalog
    from hashsearch.evaluation.labelling import export as labelling
    from hashsearch.evaluation.labelling.clusters import make_clustering

    given = {name: value for name, value in (("count", count), ("smallest", smallest)) if value is not None}
    clustering = make_clustering(clusters, given)
    labelling.check_free(out)
    embedders.check(embedder, weights, trained=settings.embedders, fetched=settings.weights)
    sources = [Catalog(path) for path in catalogs]
    for source in sources:
        source.check()
    network = embedders.load(embedder, weights, trained=settings.embedders, fetched=settings.weights)
    with Progress("embed", "images") as progress:
        exported = labelling.export(
            sources,
            network,
            clustering,
            out,
            sample=sample,
            most_placed=tsne,
            seed=seed,
            reader=settings.image_reader,
            progress=progress.update,
        )
    for problem in exported.problems:
        notify(f"left out {problem}")
    click.echo(exported)
    sys.exit(EXIT_REJECTS if exported.problems else 0)


@main.command("import")
@click.argument("table", type=EXISTING_FILE)
@click.option(
    "--names", type=EXISTING_FILE, help="A .csv that names clusters (cluster, label) or moves images (id, label)."
)
@click.option("--out", required=True, type=OUTPUT_FILE, help="New .csv: a catalog with the labels as categories.")
def import_(table: Path, names: Path | None, out: Path) -> None:
    """Read labels back from TABLE.

    TABLE is a .parquet or .csv with the columns id, source and label. An image's label is its id's in the names, else
    its label in TABLE, else the name of its cluster.

    Exit code: 0 all names are used, 3 some fit no image or cluster and are listed, 1 the run failed, 2 wrong options.
    """
    from hashsearch.evaluation.labelling import naming

    rows = naming.read_labelled(table)
    given = naming.read_names(names) if names else naming.Names()
    labels = naming.named(rows, given)
    naming.write_catalog(out, rows, labels)
    changes = naming.changes(rows, labels, given)
    for name in changes.unknown:
        notify(f"not in {table}: {name}")
    for label in changes.alone:
        notify(f"only one picture: {label}")
    click.echo(f"{out}: {changes}")
    sys.exit(EXIT_REJECTS if changes.unknown else 0)


@main.command()
@click.argument("before", type=EXISTING_FILE)
@click.argument("after", type=EXISTING_FILE)
@click.option("--out", required=True, type=OutputPath(".svg", dir_okay=False), help="The .svg file to write.")
def plot(before: Path, after: Path, out: Path) -> None:
    """Draw the t-SNE maps of two tables side by side.

    They are coloured by the labels of AFTER. Only labelled images on both maps are drawn; the figures are of searches
    among them.
    """
    from hashsearch.evaluation.labelling.pair import draw_pair, read_pair

    pair = read_pair(before, after)
    out.write_text(draw_pair(*pair), encoding="utf-8")
    for mapped in pair:
        click.echo(mapped)
