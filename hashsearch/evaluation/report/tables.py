"""Tables as values, which the page, Markdown and CSV write in their own ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hashsearch.evaluation.report.comparing import COSTS, QUALITY, Cell, SectionComparison
from hashsearch.evaluation.report.robustness import breaking_point, mean_accuracy, series_of
from hashsearch.evaluation.report.sections import FIRST, MAIN, Result, named
from hashsearch.evaluation.report.words import interval
from hashsearch.reporting.words import amount, chance, gain, share

NOTHING = "-"


@dataclass(frozen=True)
class Entry:
    """One cell: its words, smaller ones below, a mark ("best", "same" or empty) and a number to sort by."""

    text: str
    below: str = ""
    mark: str = ""
    order: float | None = None


@dataclass(frozen=True)
class Line:
    """A method's row."""

    method: str
    kind: str
    entries: tuple[Entry, ...]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Column titles, each with a unit or nothing below it, and rows."""

    columns: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]


def methods_of(standings: Sequence[SectionComparison]) -> list[str]:
    """Every method there is, those that stand best on average first; those that never worked last."""
    places: dict[str, list[float]] = {}
    for standing in standings:
        for result in standing.section.failed:
            places.setdefault(result.method, [])
        for place, result in enumerate(standing.section.working):
            places.setdefault(result.method, []).append(place / len(standing.section.working))
    means = {method: sum(found) / len(found) if found else 2.0 for method, found in places.items()}
    return sorted(means, key=lambda method: (means[method], method))


def overview(standings: Sequence[SectionComparison]) -> Table:
    """A row for each method, a column for each section: average precision, below it the share of right first hits."""
    kinds = {
        result.method: result.kind
        for standing in standings
        for result in (*standing.section.working, *standing.section.failed)
    }
    columns = tuple((standing.section.data, standing.section.name.replace("_", " ")) for standing in standings)
    lines = [
        Line(method, kinds[method], tuple(_overview_entry(standing, method) for standing in standings))
        for method in methods_of(standings)
    ]
    return Table(columns, tuple(lines))


def _overview_entry(standing: SectionComparison, method: str) -> Entry:
    result = standing.section.find(method)
    if result is None:
        failed = any(one.method == method for one in standing.section.failed)
        return Entry("failed" if failed else NOTHING, "" if failed else "not run")
    first = result.figure(FIRST)
    cell = standing.cell(result, MAIN)
    return Entry(_figure(cell), share(first.value) if first else "", cell.mark, _order(cell))


def figures(standing: SectionComparison) -> Table:
    """A section's methods, best first, then those that failed: figures with intervals, tests and costs."""
    baseline = standing.baseline
    columns = [(named(name), "") for name in QUALITY]
    columns.append(("against baseline", "mAP@10"))
    columns += [(cost.name, cost.unit) for cost in COSTS]
    lines = [
        Line(result.method, result.kind, tuple(_entries(standing, result)), "baseline" if result is baseline else "")
        for result in standing.section.working
    ]
    empty = tuple(Entry(NOTHING) for _ in columns)
    lines += [Line(one.method, one.kind, empty, f"failed: {one.error}") for one in standing.section.failed]
    return Table(tuple(columns), tuple(lines))


def _entries(standing: SectionComparison, result: Result) -> list[Entry]:
    entries = [_quality_entry(standing.cell(result, column)) for column in QUALITY]
    against = standing.against.get(result.method)
    if against is None:
        entries.append(Entry(NOTHING))
    else:
        entries.append(Entry(gain(against.difference), chance(against.p_value), order=against.difference))
    for cost in COSTS:
        cell = standing.cell(result, cost.name)
        known = cell.figure is not None
        entries.append(
            Entry(amount(cell.figure.value) if cell.figure else NOTHING, "", cell.mark if known else "", _order(cell))
        )
    return entries


def _quality_entry(cell: Cell) -> Entry:
    return Entry(_figure(cell), interval(cell.figure) if cell.figure else "", cell.mark, _order(cell))


def _figure(cell: Cell) -> str:
    return share(cell.figure.value) if cell.figure else NOTHING


def _order(cell: Cell) -> float | None:
    return cell.figure.value if cell.figure else None


def breaking(standing: SectionComparison) -> Table | None:
    """For each method the strength at which a distortion breaks it, and its mean; None without distortions."""
    series = series_of(standing.section)
    if not series:
        return None
    columns = tuple((one.name, _range(one.strengths)) for one in series)
    lines = [
        Line(result.method, result.kind, tuple(_breaking_entry(result, one) for one in series))
        for result in standing.section.working
    ]
    return Table(columns, tuple(lines))


def _range(strengths: Sequence[str]) -> str:
    return strengths[0] if len(strengths) == 1 else f"{strengths[0]} … {strengths[-1]}"


def _breaking_entry(result: Result, one: Any) -> Entry:
    mean = mean_accuracy(result, one)
    point = breaking_point(result, one)
    mark = "holds" if point == "holds" else ""
    return Entry(point or NOTHING, "" if mean is None else f"{mean:.0%}", mark, mean)


def thresholds(standing: SectionComparison) -> Table:
    """How well a similarity tells relevant hits from others: the area under the ROC, and a threshold."""
    columns = (("ROC area", ""), ("similarity from", "for the precision"), ("precision", "wanted"), ("recall", "there"))
    lines = []
    for result in standing.section.working:
        area = result.number("roc", "auc")
        numbers = [result.number("threshold", name) for name in ("score", "precision", "recall")]
        if area is None and numbers[0] is None:
            continue
        score, precision, recall = numbers
        entries = (
            Entry(NOTHING if area is None else share(area), order=area),
            Entry("none reaches it" if score is None else f"{score:.4g}", order=score),
            Entry(NOTHING if precision is None else share(precision)),
            Entry(NOTHING if recall is None else share(recall), order=recall),
        )
        lines.append(Line(result.method, result.kind, entries))
    return Table(columns, tuple(lines))
