"""How far methods withstand distortions: the share of right first hits by strength, and where a method breaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hashsearch.evaluation.report.sections import FIRST, MAIN, Result, Section

HOLDS = 0.5


@dataclass(frozen=True)
class DistortionSeries:
    """A distortion with its strengths in the order given, and the groups of queries that have them."""

    name: str
    strengths: tuple[str, ...]
    groups: tuple[str, ...]


def series_of(section: Section) -> list[DistortionSeries]:
    """The distortions of the queries, in the order they come in."""
    strengths: dict[str, dict[str, str]] = {}
    for query in section.queries:
        if distortion := query.get("distortion"):
            groups = strengths.setdefault(str(distortion["name"]), {})
            groups.setdefault(_strength(distortion["strength"]), str(query["group"]))
    return [DistortionSeries(name, tuple(groups), tuple(groups.values())) for name, groups in strengths.items()]


def _strength(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def accuracy(result: Result, group: str) -> float | None:
    """The share of a group's queries whose first hit is right; the average precision where that was not measured."""
    first = result.number("by_group", group, FIRST)
    return result.number("by_group", group, MAIN) if first is None else first


def breaking_point(result: Result, series: DistortionSeries) -> str:
    """The first strength with fewer than half of the first hits right; "holds" without one, "" where unmeasured."""
    values = [accuracy(result, group) for group in series.groups]
    if all(value is None for value in values):
        return ""
    broken = (words for words, value in zip(series.strengths, values) if value is not None and value < HOLDS)
    return next(broken, "holds")


def mean_accuracy(result: Result, series: DistortionSeries) -> float | None:
    """Over the strengths of a distortion."""
    known = [value for group in series.groups if (value := accuracy(result, group)) is not None]
    return sum(known) / len(known) if known else None
