"""How well naming clusters repairs poor labels: `python benchmarks/label_loop.py FOLDER --out FOLDER`.

Photos in class folders get labels like those of a real catalog: many are missing, some are wrong. Their clusters are
exported and named by a simulated person: a cluster gets the class that most of its most certain pictures show, if a
majority agrees; a picture whose label differs from its cluster's is checked by itself. The labels are then imported and
compared with the folders.
"""

from __future__ import annotations

import csv
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from hashsearch.cli.running import run_reporting_errors

LOOKED_AT = 9  # most certain pictures of a cluster
MUST_SHOW = 6  # of these must show the same class, or the cluster stays unnamed


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="New folder to write to.")
@click.option("--embedder", default="efficientnet-lite0", show_default=True, help="Name of the embedder.")
@click.option("--weights", help="Weights of the embedder.")
@click.option("--clusters", default="kmeans", show_default=True, help="Clustering: kmeans or hdbscan.")
@click.option("--sample", default=2000, show_default=True, help="Photos to use.")
@click.option("--without", default=0.8, show_default=True, help="Share of photos without a label.")
@click.option("--wrong", default=0.1, show_default=True, help="Share of the other labels that are wrong.")
@click.option("--seed", default=0, show_default=True, help="Random seed.")
def main(
    folder: Path,
    out: Path,
    embedder: str,
    weights: str | None,
    clusters: str,
    sample: int,
    without: float,
    wrong: float,
    seed: int,
) -> None:
    """Print the share of correct labels before and after, and how much manual work it took."""
    from hashsearch import embedders
    from hashsearch.catalog.reading import Catalog
    from hashsearch.evaluation.labelling import export as labelling
    from hashsearch.evaluation.labelling import naming
    from hashsearch.evaluation.labelling.clusters import make_clustering

    out.mkdir(parents=True)
    truth = spoil(folder, out / "catalog.csv", sample, without, wrong, random.Random(seed))
    network = embedders.load(embedder, weights)
    table = out / "before.parquet"
    done = labelling.export(
        [Catalog(out / "catalog.csv")], network, make_clustering(clusters, {}), table, seed=seed, progress=int
    )
    click.echo(done)
    named, moved = name(table, done.names, truth)
    rows, given = naming.read_labelled(table), naming.read_names(done.names)
    labels = naming.named(rows, given)
    naming.write_catalog(out / "labels.csv", rows, labels)
    click.echo(naming.changes(rows, labels, given))
    click.echo(f"manual work: {named} of {done.clusters} clusters named, {moved} single pictures checked")
    for when, given_labels in (("before", [row.category for row in rows]), ("after", labels)):
        labelled = sum(bool(label) for label in given_labels)
        right = sum(label == truth[row.id] for row, label in zip(rows, given_labels, strict=True))
        click.echo(
            f"{when}: {labelled / len(rows):.1%} have a label, {right / max(labelled, 1):.1%} of these are correct"
        )


def spoil(
    folder: Path, catalog: Path, sample: int, without: float, wrong: float, rng: random.Random
) -> Mapping[str, str]:
    """Write a catalog with missing and wrong labels; returns the true labels by id."""
    from hashsearch.catalog.reading import Catalog, Entry

    entries = [entry for entry in Catalog(folder) if isinstance(entry, Entry)]
    entries = rng.sample(entries, min(sample, len(entries)))
    classes = sorted({str(entry.category) for entry in entries})
    with catalog.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "path", "category"])
        for entry in entries:
            label = str(entry.category)
            if rng.random() < without:
                label = ""
            elif rng.random() < wrong:
                label = rng.choice([other for other in classes if other != label])
            writer.writerow([entry.id, entry.source, label])
    return {entry.id: str(entry.category) for entry in entries}


def name(table: Path, names: Path, truth: Mapping[str, str]) -> tuple[int, int]:
    """Fill in the names file; returns how many clusters were named and how many single pictures checked."""
    from hashsearch.evaluation.labelling.tables import read_table

    clusters: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in read_table(table, ("id", "cluster", "label", "certainty")):
        clusters[row["cluster"]].append(row)
    given = {number: cluster_name(rows, truth) for number, rows in clusters.items() if number >= 0}
    strays = [
        row["id"]
        for number, rows in clusters.items()
        for row in rows
        if row["label"] and given.get(number) and row["label"] != given[number]
    ]
    with names.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["cluster", "id", "label"])
        writer.writerows((number, "", label) for number, label in sorted(given.items()))
        writer.writerows(("", stray, truth[stray]) for stray in strays)
    return sum(bool(label) for label in given.values()), len(strays)


def cluster_name(rows: Sequence[Mapping[str, Any]], truth: Mapping[str, str]) -> str:
    """The class that most of a cluster's most certain pictures show; "" when too few agree."""
    most_certain = sorted(rows, key=lambda row: -row["certainty"])[:LOOKED_AT]
    label, count = Counter(truth[row["id"]] for row in most_certain).most_common(1)[0]
    return label if count >= min(MUST_SHOW, len(most_certain)) else ""


if __name__ == "__main__":
    run_reporting_errors(main)
