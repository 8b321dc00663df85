"""Labels that a person gave, in the exported table or in the list beside it, become a catalog.

Its category is the label, so training, indexing and comparisons read it like any other catalog.
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
from hashsearch.files import atomic_file


@dataclass(frozen=True)
class Labelled:
    """An image of the table; "" where a value is unknown. `category` is the label it had before."""

    id: str
    source: str
    label: str
    category: str = ""
    title: str = ""
    cluster: str = ""


@dataclass(frozen=True)
class Names:
    """Labels of whole clusters by number, and of single images by id."""

    clusters: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelChanges:
    """How many labels are new, moved, removed and kept, and how many images have none (`empty`).

    `unknown` are the ids and clusters of `Names` that the table lacks, `alone` the classes of one image.
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
            f"{self.kept} kept; {self.empty} images without"
        )


def read_labelled(path: Path) -> list[Labelled]:
    """The rows of a `.parquet` or `.csv` table with the columns id, source and label.

    EvaluationError for another file or other columns, for a row without id or source, and for a repeated id.
    """
    rows: dict[str, Labelled] = {}
    for number, values in enumerate(read_table(path, ("id", "source", "label"), ("category", "title", "cluster")), 1):
        row = Labelled(**{name: _text(value) for name, value in values.items()})
        if not row.id or not row.source:
            raise EvaluationError(f"row {number} of '{path}' must have an id and a source, got {values!r:.200}")
        if row.id in rows:
            raise EvaluationError(f"ids must be unique, and row {number} of '{path}' repeats '{row.id}'")
        rows[row.id] = row
    if not rows:
        raise EvaluationError(f"the table '{path}' has no rows")
    return list(rows.values())


def read_names(path: Path) -> Names:
    """Names from a `.csv` (or `.parquet`) with the column label and one or both of cluster and id.

    A row is for a cluster or an image. A cluster without a label is not named yet; an image without one loses its own.
    EvaluationError for a row with neither or both, and for a cluster or image with two labels.
    """
    clusters: dict[str, str] = {}
    images: dict[str, str] = {}
    for number, values in enumerate(read_table(path, ("label",), ("cluster", "id")), 1):
        row = {name: _text(value) for name, value in values.items()}
        cluster, image_id, label = row.get("cluster", ""), row.get("id", ""), row["label"]
        if bool(cluster) == bool(image_id):
            raise EvaluationError(f"row {number} of '{path}' must have either a cluster or an id, got {values}")
        if cluster and not label:
            continue
        labels = clusters if cluster else images
        if labels.setdefault(cluster or image_id, label) != label:
            raise EvaluationError(f"row {number} of '{path}' gives '{cluster or image_id}' a second label, '{label}'")
    return Names(clusters, images)


def _text(value: Any) -> str:
    """The value as text without surrounding blanks; 3.0 is "3", None and NaN are ""."""
    if value is None or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def named(rows: Sequence[Labelled], names: Names) -> list[str]:
    """The label of each row: by its id in the names, else that in the table, else the name of its cluster."""
    return [names.images.get(row.id, row.label or names.clusters.get(row.cluster, "")) for row in rows]


def changes(rows: Sequence[Labelled], labels: Sequence[str], names: Names) -> LabelChanges:
    """How the labels differ from the categories of the rows."""
    kinds = Counter(_kind(row.category, label) for row, label in zip(rows, labels, strict=True))
    sizes = Counter(label for label in labels if label)
    ids, numbers = {row.id for row in rows}, {row.cluster for row in rows}
    unknown = (
        *(f"cluster {number}" for number in names.clusters if number not in numbers),
        *(f"id {name}" for name in names.images if name not in ids),
    )
    alone = tuple(sorted(label for label, count in sizes.items() if count == 1))
    counts = {kind: kinds[kind] for kind in ("new", "moved", "removed", "kept")}
    return LabelChanges(**counts, empty=labels.count(""), classes=len(sizes), unknown=unknown, alone=alone)


def _kind(before: str, after: str) -> str:
    if before == after:
        return "kept" if after else "still without"
    if not before:
        return "new"
    return "moved" if after else "removed"


def write_catalog(path: Path, rows: Iterable[Labelled], labels: Iterable[str]) -> None:
    """Write a catalog as CSV: id, path, title, and the label as category, empty where there is none.

    EvaluationError for a path that exists or does not end in `.csv`.
    """
    if path.suffix != ".csv" or path.exists():
        raise EvaluationError(f"the labels must go to a new .csv file, got '{path}'{' which exists' * path.exists()}")
    with atomic_file(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "path", "title", "category"])
        writer.writerows((row.id, row.source, row.title, label) for row, label in zip(rows, labels, strict=True))
