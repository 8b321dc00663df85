"""Points on a plane: labels beside points, the front of the best ones, and maps of many dots coloured by class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.reporting.svg import Point, element, text
from hashsearch.reporting.words import shorten

MAP_SIDE = 380  # of a map
_COLOURED = 10  # classes that a map tells apart by colour
_LETTER = 6.9  # width of a letter of a name

Box = tuple[float, float, float, float]  # left, top, right, bottom


def pareto_front(points: Iterable[Point]) -> list[Point]:
    """The points of a drawing that no other beats by being both further left and higher, from left to right."""
    front: list[Point] = []
    for point in sorted(points):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front


def point_labels(labels: Sequence[tuple[str, Point, str]], bounds: Box) -> str:
    """Names (each with its point and its class) beside points where there is room; those that come first go first."""
    taken = [(x - 6, y - 6, x + 6, y + 6) for _, (x, y), _ in labels]
    parts = []
    for name, (x, y), look in labels:
        shown = shorten(name, 30)
        long = _LETTER * len(shown)
        for left, down in _beside(x, long):
            box = (left, y + down - 10, left + long, y + down + 3)
            if _inside(box, bounds) and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                parts.append(text(left, y + down, shown, class_=look))
                break
    return "".join(parts)


def _beside(x: float, long: float) -> tuple[Point, ...]:
    """Where a name of this length may begin, and how far below its point: right, left, above, below, at corners."""
    return (x + 9, 4), (x - 9 - long, 4), (x - long / 2, -10), (x - long / 2, 18), (x + 7, 16), (x + 7, -9)


def _inside(box: Box, bounds: Box) -> bool:
    return box[0] > bounds[0] and box[1] > bounds[1] and box[2] < bounds[2] and box[3] < bounds[3]


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def class_map(points: NDArray[Any], labels: Sequence[str]) -> str:
    """Points `(n, 2)` as dots on `MAP_SIDE x MAP_SIDE`: the largest classes in colour and with their names."""
    coloured, labelled = largest_classes(labels), np.array(labels)
    low, high = np.quantile(points, 0.005, axis=0), np.quantile(points, 0.995, axis=0)
    places = 12 + (np.clip(points, low, high) - low) / np.maximum(high - low, 1e-9) * (MAP_SIDE - 24)
    places[:, 1] = MAP_SIDE - places[:, 1]
    parts = [_dots(places[~np.isin(labelled, coloured)], "dots other")]
    parts += [_dots(places[labelled == label], f"dots colour-{at}") for at, label in enumerate(coloured)]
    parts.append(_class_names({label: np.median(places[labelled == label], axis=0) for label in coloured}))
    return "".join(parts)


def largest_classes(labels: Iterable[str]) -> list[str]:
    """The classes that a map colours: the ten with the most points, of those with a name."""
    counts = Counter(label for label in labels if label)
    return [label for label, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_COLOURED]]


def _class_names(middles: Mapping[str, NDArray[Any]]) -> str:
    """The classes' names in the middle of their dots, moved up or down where they would cover each other."""
    taken: list[tuple[float, float, float]] = []
    parts = []
    for at, (label, (x, y)) in enumerate(middles.items()):
        name = shorten(label, 18)
        half = 3.7 * len(name)
        across = min(max(float(x), half), MAP_SIDE - half)
        for step in (0, 13, -13, 26, -26, 39, -39, 52, -52):
            if all(abs(y + step - down) > 12 or abs(across - place) > half + wide for place, down, wide in taken):
                break
        taken.append((across, float(y) + step, half))
        parts.append(text(across, float(y) + step, name, class_=f"place middle colour-{at}"))
    return "".join(parts)


def _dots(places: NDArray[Any], look: str) -> str:
    """Points as one path of round dots: many cost little."""
    if not len(places):
        return ""
    return element("path", d="".join(f"M{x:.0f} {y:.0f}h0" for x, y in places), class_=look)
