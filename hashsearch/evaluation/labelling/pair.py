"""Two exported tables of the same images: their maps side by side in one SVG file, and the figures of both."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import EvaluationError
from hashsearch.evaluation.labelling.tables import read_about, read_table
from hashsearch.evaluation.metrics import ranking as metrics
from hashsearch.hashing.vectors import Vectors, normalised
from hashsearch.reporting.scatter import MAP_SIDE, class_map
from hashsearch.reporting.svg import drawing_file, element, text

_K = 10
_GAP, _HEAD = 24, 52
_FEWEST = 4


@dataclass(frozen=True, eq=False)
class Mapped:
    """Labelled images as embedded by one network: `points (n, 2)` by t-SNE, `vectors (n, dims)`."""

    network: str
    labels: NDArray[np.str_]
    points: NDArray[np.float64]
    vectors: Vectors

    @cached_property
    def average_precision(self) -> float:
        """Mean average precision at 10: every image that shares its label searches among all others."""
        counts = np.array([self._sizes[label] for label in self.labels.tolist()]) - 1
        queries = counts > 0
        return float(metrics.average_precision(self._hits[queries], _K, counts[queries]).mean())

    @cached_property
    def first_right(self) -> float:
        """The share of the same searches whose first hit has the label."""
        queries = [self._sizes[label] > 1 for label in self.labels.tolist()]
        return float(metrics.hit_rate(self._hits[queries], 1).mean())

    @cached_property
    def _sizes(self) -> Counter[str]:
        return Counter(self.labels.tolist())

    @cached_property
    def _hits(self) -> metrics.Relevant:
        directions = normalised(self.vectors)
        return metrics.rank_same_class(directions, self.labels, min(_K, len(directions) - 1))

    @property
    def figures(self) -> str:
        """Both figures in words."""
        return f"mAP@10 {self.average_precision:.3f}, first hit right {self.first_right:.1%}"

    def __str__(self) -> str:
        return f"{self.network}: {self.figures}"


def read_pair(before: Path, after: Path) -> tuple[Mapped, Mapped]:
    """The images with t-SNE coordinates in both tables, with the labels of the second.

    EvaluationError for files that `export` did not write, for fewer than four such images, and if no two share a label.
    """
    first, second = _read(before), _read(after)
    ids = [name for name in first if name in second and second[name][0]]
    labels = np.array([second[name][0] for name in ids])
    if len(ids) < _FEWEST or len(set(labels.tolist())) == len(ids):
        raise EvaluationError(
            f"two tables must share at least four labelled images with t-SNE coordinates, two of them with one label, "
            f"but '{before}' and '{after}' share {len(ids)}"
        )
    sides = ((before, first), (after, second))
    mapped = (
        Mapped(
            str(read_about(path).get("embedder", path.stem)),
            labels,
            np.array([rows[name][1] for name in ids], np.float64),
            np.stack([rows[name][2] for name in ids]),
        )
        for path, rows in sides
    )
    return next(mapped), next(mapped)


def _read(path: Path) -> dict[str, tuple[str, tuple[float, float], NDArray[np.float32]]]:
    """Label, coordinates and vector by id, of each image on the map."""
    return {
        row["id"]: (row["label"] or "", (row["tsne_x"], row["tsne_y"]), np.asarray(row["embedding"], np.float32))
        for row in read_table(path, ("id", "label", "tsne_x", "tsne_y", "embedding"))
        if row["tsne_x"] is not None
    }


def draw_pair(before: Mapped, after: Mapped) -> str:
    """Both maps as an SVG file; the most frequent labels have the same colours in both."""
    parts = []
    for at, mapped in enumerate((before, after)):
        left = _GAP + at * (MAP_SIDE + _GAP)
        parts.append(text(left, 24, mapped.network, class_="heading"))
        parts.append(text(left, 42, mapped.figures, class_="subheading"))
        dots = class_map(mapped.points, mapped.labels.tolist())
        parts.append(element("g", dots, transform=f"translate({left} {_HEAD})"))
    label = f"t-SNE of {len(before.labels)} images, {before.network} beside {after.network}"
    return drawing_file(2 * MAP_SIDE + 3 * _GAP, MAP_SIDE + _HEAD + _GAP, "".join(parts), label)
