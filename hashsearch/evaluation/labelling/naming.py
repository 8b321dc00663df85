"""Labels that a person gave, in the table of `hashsearch.evaluation.labelling` or beside it, to a catalog.

The catalog has the label as its category: training, indexing and comparisons read it as any other.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hashsearch.errors import EvaluationError
from hashsearch.evaluation.labelling.tables import read_table


@dataclass(frozen=True)
class Labelled:
    """A picture of the table; "" where something is not told. `category` is the label it had before."""

    id: str
    source: str
    label: str
    category: str = ""
    title: str = ""
    cluster: str = ""


@dataclass(frozen=True)
class Names:
    """Labels of whole clusters, by their numbers, and of single pictures, by their ids."""

    clusters: Mapping[str, str] = field(default_factory=dict)
    pictures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Changes:
    """What became of the labels: how many are new, moved, removed and kept, how many pictures have none.

    `unknown` are the ids and clusters of `Names` that the table lacks, `alone` the classes of one picture.
    """

    new: int
    moved: int
    removed: int
    kept: int
    empty: int
    classes: int
    unknown: tuple[str, ...]
    alone: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.classes} classes; labels: {self.new} new, {self.moved} moved, {self.removed} removed, "
            f"{self.kept} kept; {self.empty} pictures without"
        )


def read_labelled(path: Path) -> list[Labelled]:
    """The rows of a `.parquet` or `.csv` table with the columns id, source and label.

    EvaluationError for a file that is no such table, for a row without id or source, and for an id that comes twice.
    """
    rows: dict[str, Labelled] = {}
    for place, told in enumerate(read_table(path, ("id", "source", "label"), ("category", "title", "cluster")), 1):
        row = Labelled(**{name: _text(value) for name, value in told.items()})
        if not row.id or not row.source:
            raise EvaluationError(f"row {place} of '{path}' must have an id and a source, got {told!r:.200}")
        if row.id in rows:
            raise EvaluationError(f"an id may stand in '{path}' once, but row {place} has '{row.id}' again")
        rows[row.id] = row
    if not rows:
        raise EvaluationError(f"a table must have a row, and '{path}' has none")
    return list(rows.values())


def read_names(path: Path) -> Names:
    """Names from a `.csv` (or `.parquet`) with the column label and one or both of cluster and id.

    A row names a cluster or a picture. A cluster without label is not named yet, a picture without loses its own.
    EvaluationError for a row that names neither or both, and for two labels for one.
    """
    clusters: dict[str, str] = {}
    pictures: dict[str, str] = {}
    for place, told in enumerate(read_table(path, ("label",), ("cluster", "id")), 1):
        row = {name: _text(value) for name, value in told.items()}
        cluster, picture, label = row.get("cluster", ""), row.get("id", ""), row["label"]
        if bool(cluster) == bool(picture):
            raise EvaluationError(f"row {place} of '{path}' must name a cluster or an id, one of them, got {told}")
        if cluster and not label:
            continue
        given = clusters if cluster else pictures
        if given.setdefault(cluster or picture, label) != label:
            raise EvaluationError(f"row {place} of '{path}' gives '{cluster or picture}' a second label, '{label}'")
    return Names(clusters, pictures)


def _text(value: Any) -> str:
    """Without blanks around it; a whole number as such, also where a program made 3.0 of it; None and NaN are ""."""
    if value is None or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def named(rows: Sequence[Labelled], names: Names) -> list[str]:
    """The label of each row: the picture's own among the names, else that in the table, else its cluster's."""
    return [names.pictures.get(row.id, row.label or names.clusters.get(row.cluster, "")) for row in rows]


def changes(rows: Sequence[Labelled], labels: Sequence[str], names: Names) -> Changes:
    """What the labels change, against the categories that the rows had."""
    kinds = Counter(_kind(row.category, label) for row, label in zip(rows, labels, strict=True))
    sizes = Counter(label for label in labels if label)
    ids, numbers = {row.id for row in rows}, {row.cluster for row in rows}
    unknown = (
        *(f"cluster {number}" for number in names.clusters if number not in numbers),
        *(f"id {name}" for name in names.pictures if name not in ids),
    )
    alone = tuple(sorted(label for label, count in sizes.items() if count == 1))
    told = {kind: kinds[kind] for kind in ("new", "moved", "removed", "kept")}
    return Changes(**told, empty=labels.count(""), classes=len(sizes), unknown=unknown, alone=alone)


def _kind(before: str, after: str) -> str:
    if before == after:
        return "kept" if after else "still without"
    if not before:
        return "new"
    return "moved" if after else "removed"


def write_catalog(path: Path, rows: Iterable[Labelled], labels: Iterable[str]) -> None:
    """A catalog as CSV: id, path, title, and the label as category, empty where there is none.

    EvaluationError for a path that exists, or does not end in `.csv`, by which a catalog is known.
    """
    if path.suffix != ".csv" or path.exists():
        raise EvaluationError(f"the labels must go to a new .csv file, got '{path}'{' which exists' * path.exists()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "path", "title", "category"])
        writer.writerows((row.id, row.source, row.title, label) for row, label in zip(rows, labels, strict=True))
