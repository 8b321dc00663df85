"""Charts of one method: which classes it confuses, how similar its right and wrong hits are, a map of the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hashsearch.evaluation.report.sections import Result, Section
from hashsearch.hashing.nearest import top_k
from hashsearch.reporting.axes import Scale, axes, widened
from hashsearch.reporting.scatter import MAP_SIDE, class_map
from hashsearch.reporting.svg import drawing, element, path, text, title
from hashsearch.reporting.words import shorten

OTHERS = "(others)"  # classes that judging counts together
PROJECTIONS = {"pca": "PCA", "tsne": "t-SNE"}


def confusion(found: Mapping[str, Any]) -> str:
    """The class of the query (rows) against that of the first hit (columns); a row's shades are shares of it."""
    labels, counts = [str(label) for label in found["labels"]], np.asarray(found["counts"], float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(14.0, min(34.0, 420 / len(labels)))
    left, top = 130.0, 16.0
    parts = []
    for row, label in enumerate(labels):
        middle = top + (row + 0.5) * side
        parts.append(text(left - 6, middle + 3.5, shorten(label, 20), class_="tick end"))
        parts += [
            _cell(
                left + column * side, top + row * side, side, shares[row, column], f"{label} → {other}", row == column
            )
            for column, other in enumerate(labels)
        ]
    bottom = top + len(labels) * side
    for column, label in enumerate(labels):
        x = left + (column + 0.5) * side + 3
        turn = f"rotate(-55 {x:.1f} {bottom + 12:.1f})"
        parts.append(text(x, bottom + 12, shorten(label, 20), class_="tick end", transform=turn))
    width = max(640.0, left + len(labels) * side + 10)  # as wide as other charts, so that letters are as large
    height = bottom + 24 + 4.6 * min(20, max(map(len, labels)))
    return drawing(width, height, "".join(parts), "class of the query, class of the first hit")


def _cell(x: float, y: float, side: float, share: float, names: str, right: bool) -> str:
    if share == 0 and not right:
        return ""
    look = "other" if OTHERS in names else "right" if right else "wrong"
    square = element(
        "rect",
        title(f"{names}: {share:.0%}"),
        x=x + 0.5,
        y=y + 0.5,
        width=side - 1,
        height=side - 1,
        class_=f"cell {look}",
        fill_opacity=f"{0.08 + 0.82 * share:.2f}",
    )
    if side < 24 or share < 0.005:
        return square
    return square + text(x + side / 2, y + side / 2 + 3.5, f"{100 * share:.0f}", class_="count middle")


def confused(found: Mapping[str, Any], limit: int = 12) -> list[tuple[str, str, int, int]]:
    """The classes confused most often: of the query, of its first hit, how many of how many queries."""
    labels, counts = found["labels"], np.asarray(found["counts"])
    totals = counts.sum(axis=1)
    known = np.array([label != OTHERS for label in labels])
    wrong = np.where(np.eye(len(labels), dtype=bool) | ~np.outer(known, known), 0, counts)
    pairs = [divmod(int(at), len(labels)) for at in top_k(wrong.ravel(), limit)]
    return [
        (labels[row], labels[column], int(wrong[row, column]), int(totals[row]))
        for row, column in pairs
        if wrong[row, column]
    ]


def similarities(result: Result) -> str:
    """Shares of the relevant and of the other hits by similarity, and the threshold for the required precision."""
    found = result.content["histogram"]
    edges = np.asarray(found["edges"], float)
    width, height = 250, 170
    shares = {name: _shares(found[name]) for name in ("irrelevant", "relevant")}
    x = Scale(*widened(edges[0], edges[-1]), 34, width - 10)
    y = Scale(0, max(0.01, *(float(share.max()) for share in shares.values())) * 1.08, height - 38, 24)
    parts = [axes(x, y, "similarity", "")]
    for name, share in shares.items():
        steps = [(x(edge), y(value)) for at, value in enumerate(share) for edge in edges[at : at + 2]]
        outline = [(x(edges[0]), y(0)), *steps, (x(edges[-1]), y(0))]
        parts.append(element("path", title(f"{name} hits"), d=path(outline), class_=f"hits {name}"))
    score = result.number("threshold", "score")
    if score is not None and edges[0] <= score <= edges[-1]:
        parts.append(element("path", d=path([(x(score), y.start), (x(score), y.end)]), class_="threshold"))
        parts.append(text(x(score), y.end - 3, f"{score:.3g}", class_="tick middle"))
    return drawing(width, height, "".join(parts), f"similarities of relevant and other hits of {result.method}")


def _shares(counts: Sequence[int]) -> np.ndarray:
    values = np.asarray(counts, float)
    shares: np.ndarray = values / max(values.sum(), 1)
    return shares


def landscape(section: Section, result: Result, name: str) -> str:
    """The method's map `name` ("pca", "tsne") of base images; the largest classes are coloured."""
    found = result.content["map"]
    labels = [str(section.base[row]["label"]) for row in found["rows"]]
    content = class_map(np.asarray(found[name], float), labels)
    return drawing(MAP_SIDE, MAP_SIDE, content, f"{PROJECTIONS[name]} of {result.method}, coloured by class")
