"""Name the clusters of a catalog: `python -m jobs.label_clusters export CATALOG... --out TABLE.parquet`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch.cli.options import (
    EXIT_REJECTS,
    catalogs_argument,
    embedder_options,
    notify,
    with_settings,
)

if TYPE_CHECKING:
    from hashsearch.config import Settings

FILE = click.Path(dir_okay=False, path_type=Path)
THERE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def main() -> None:
    """Ground truth that gets better: clusters of pictures to be named by a person, and the labels that come of it."""


@main.command()
@catalogs_argument
@click.option("--out", required=True, type=FILE, help="A new .parquet file; its .names.csv goes beside it.")
@embedder_options
@click.option("--clusters", default="kmeans", show_default=True, help="How they are found: kmeans or hdbscan.")
@click.option("--count", type=int, help="How many, with kmeans.  [default: the root of half the pictures, at most 100]")
@click.option("--smallest", type=int, help="Pictures of the smallest cluster, with hdbscan.  [default: 5]")
@click.option("--sample", type=click.IntRange(4), help="Pictures to take at most.  [default: all]")
@click.option(
    "--tsne",
    default=5000,
    show_default=True,
    type=click.IntRange(4),
    help="Pictures that get coordinates by t-SNE at most; the others have those by PCA.",
)
@click.option("--seed", default=0, show_default=True, help="Of the samples, the clusters and the coordinates.")
@with_settings("home")
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
    """Write the pictures of the CATALOGs with embeddings, maps and clusters, for `spotlight TABLE.parquet`.

    A CATALOG is what `jobs.index_catalog` takes; its categories are the labels so far.

    Exit code: 0 all pictures are there, 3 some were left out and are told, 1 the run failed, 2 wrong options.
    """
    from tqdm import tqdm

    from hashsearch import embedders
    from hashsearch.catalog.reading import Catalog
    from hashsearch.evaluation.labelling import export as labelling
    from hashsearch.evaluation.labelling.clusters import make_clustering

    given = {name: value for name, value in (("count", count), ("smallest", smallest)) if value is not None}
    clustering = make_clustering(clusters, given)
    labelling.check_free(out)
    network = embedders.load(embedder, weights, trained=settings.embedders)
    with tqdm(unit=" images") as bar:
        done = labelling.export(
            [Catalog(path) for path in catalogs],
            network,
            clustering,
            out,
            sample=sample,
            most_placed=tsne,
            seed=seed,
            progress=bar.update,
        )
    for problem in done.problems:
        notify(f"left out {problem}")
    click.echo(done)
    sys.exit(EXIT_REJECTS if done.problems else 0)


@main.command("import")
@click.argument("table", type=THERE)
@click.option("--names", type=THERE, help="A .csv that names clusters (cluster, label) or moves pictures (id, label).")
@click.option("--out", required=True, type=FILE, help="A new .csv: a catalog with the labels as categories.")
def import_(table: Path, names: Path | None, out: Path) -> None:
    """Read labels back from TABLE, a .parquet or .csv with the columns id, source and label.

    A picture's label is what the names say of its id, else its label in the TABLE, else the name of its cluster.

    Exit code: 0 all names are used, 3 some fit no picture or cluster and are told, 1 the run failed, 2 wrong options.
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
@click.argument("before", type=THERE)
@click.argument("after", type=THERE)
@click.option("--out", required=True, type=FILE, help="An .svg file to write.")
def plot(before: Path, after: Path, out: Path) -> None:
    """Draw the t-SNE maps of two exported tables side by side, coloured by the labels of AFTER.

    Pictures are those with a label that are on both maps; the figures are of searches among them.
    """
    from hashsearch.evaluation.labelling.pair import draw_pair, read_pair

    pair = read_pair(before, after)
    out.write_text(draw_pair(*pair), encoding="utf-8")
    for mapped in pair:
        click.echo(mapped)
