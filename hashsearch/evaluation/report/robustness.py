"""How far methods stand distortions: a small chart for each distortion, and a table of where they break."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hashsearch.evaluation.report.curves import dashes, line
from hashsearch.evaluation.report.sections import FIRST, MAIN, Result, Section
from hashsearch.reporting.svg import Scale, axes, drawing, marker

HOLDS = 0.5


@dataclass(frozen=True)
class Series:
    """A distortion with its strengths in the order given, and the groups of queries that have them."""

    name: str
    strengths: tuple[str, ...]
    groups: tuple[str, ...]


def series_of(section: Section) -> list[Series]:
    """The distortions of the queries, in the order they come in."""
    found: dict[str, dict[str, str]] = {}
    for query in section.queries:
        if made := query.get("distortion"):
            found.setdefault(str(made["name"]), {}).setdefault(_strength(made["strength"]), str(query["group"]))
    return [Series(name, tuple(groups), tuple(groups.values())) for name, groups in found.items()]


def _strength(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def accuracy(result: Result, group: str) -> float | None:
    """The share of a group's queries whose first hit is right; the average precision where that was not measured."""
    first = result.number("by_group", group, FIRST)
    return result.number("by_group", group, MAIN) if first is None else first


def chart(series: Series, results: Sequence[Result]) -> str:
    """One distortion: strength in the order given, and each method's share of right first hits."""
    width, height = 250, 190
    x = Scale(-0.3, len(series.strengths) - 0.7, 34, width - 10)
    y = Scale(0, 1.02, height - 40, 24)
    every = 1 + len(series.strengths) // 8
    marks = [(at, words) for at, words in enumerate(series.strengths) if at % every == 0]
    parts = [axes(x, y, series.name, "first hit right", marks)]
    lines = dashes(results)
    alone = len(series.strengths) == 1
    for place, result in reversed(list(enumerate(results))):
        aside = (place - (len(results) - 1) / 2) * 0.06 if alone else 0  # beside each other, not on top of each other
        known = [(at, accuracy(result, group)) for at, group in enumerate(series.groups)]
        points = [(x(at + aside), y(value)) for at, value in known if value is not None]
        if points:
            parts.append(line(result, points, lines[result.method], result.method))
            parts += [marker(result.kind, *point, size=2.6) for point in points]
    return drawing(width, height, "".join(parts), f"share of right first hits by strength of {series.name}")


def breaking_point(result: Result, series: Series) -> str:
    """The first strength with fewer than half of the first hits right; "holds" without one, "" where unmeasured."""
    values = [accuracy(result, group) for group in series.groups]
    if all(value is None for value in values):
        return ""
    broken = (words for words, value in zip(series.strengths, values) if value is not None and value < HOLDS)
    return next(broken, "holds")


def mean_accuracy(result: Result, series: Series) -> float | None:
    """Over the strengths of a distortion."""
    known = [value for group in series.groups if (value := accuracy(result, group)) is not None]
    return sum(known) / len(known) if known else None
