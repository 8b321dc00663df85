"""The tables of a comparison, which the page, Markdown and CSV write in their own ways."""

from __future__ import annotations

from collections.abc import Sequence

from hashsearch.evaluation.report.comparing import COSTS, QUALITY, MarkedEstimate, SectionComparison
from hashsearch.evaluation.report.robustness import DistortionSeries, breaking_point, mean_accuracy
from hashsearch.evaluation.report.sections import FIRST, MAIN, Estimate, Result, named
from hashsearch.reporting.tables import NO_VALUE, Table, TableCell, TableRow
from hashsearch.reporting.words import amount, chance, gain, share


def interval(estimate: Estimate) -> str:
    """.910-.941, empty where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{share(estimate.low)}-{share(estimate.high)}"


def methods_of(comparisons: Sequence[SectionComparison]) -> list[str]:
    """Every method, those with the best mean rank first and those that never worked last."""
    ranks: dict[str, list[float]] = {}
    for comparison in comparisons:
        for result in comparison.section.failed:
            ranks.setdefault(result.method, [])
        for rank, result in enumerate(comparison.section.working):
            ranks.setdefault(result.method, []).append(rank / len(comparison.section.working))
    means = {method: sum(own) / len(own) if own else 2.0 for method, own in ranks.items()}
    return sorted(means, key=lambda method: (means[method], method))


def overview(comparisons: Sequence[SectionComparison]) -> Table:
    """A row for each method, a column for each section: average precision, below it the share of right first hits."""
    kinds = {result.method: result.kind for comparison in comparisons for result in comparison.section.results}
    columns = tuple((comparison.section.data, comparison.section.name.replace("_", " ")) for comparison in comparisons)
    rows = [
        TableRow(method, kinds[method], tuple(_overview_cell(comparison, method) for comparison in comparisons))
        for method in methods_of(comparisons)
    ]
    return Table(columns, tuple(rows))


def _overview_cell(comparison: SectionComparison, method: str) -> TableCell:
    result = comparison.section.find(method)
    if result is None:
        failed = any(other.method == method for other in comparison.section.failed)
        return TableCell("failed" if failed else NO_VALUE, "" if failed else "not run")
    first = result.figure(FIRST)
    value = comparison.value(result, MAIN)
    return TableCell(_text(value), share(first.value) if first else "", value.mark, _order(value))


def figures(comparison: SectionComparison) -> Table:
    """A section's methods, best first, then those that failed: figures with intervals, tests and costs."""
    columns = [(named(name), "") for name in QUALITY]
    columns.append(("against baseline", "mAP@10"))
    columns += [(cost.name, cost.unit) for cost in COSTS]
    notes = {comparison.baseline: "baseline"}
    rows = [
        TableRow(result.method, result.kind, tuple(_cells(comparison, result)), notes.get(result, ""))
        for result in comparison.section.working
    ]
    empty = tuple(TableCell(NO_VALUE) for _ in columns)
    rows += [
        TableRow(result.method, result.kind, empty, f"failed: {result.error}") for result in comparison.section.failed
    ]
    return Table(tuple(columns), tuple(rows))


def _cells(comparison: SectionComparison, result: Result) -> list[TableCell]:
    cells = [_quality_cell(comparison.value(result, column)) for column in QUALITY]
    against = comparison.against.get(result.method)
    if against is None:
        cells.append(TableCell(NO_VALUE))
    else:
        cells.append(TableCell(gain(against.difference), chance(against.p_value), order=against.difference))
    for cost in COSTS:
        value = comparison.value(result, cost.name)
        text = amount(value.estimate.value) if value.estimate else NO_VALUE
        cells.append(TableCell(text, mark=value.mark, order=_order(value)))
    return cells


def _quality_cell(value: MarkedEstimate) -> TableCell:
    return TableCell(_text(value), interval(value.estimate) if value.estimate else "", value.mark, _order(value))


def _text(value: MarkedEstimate) -> str:
    return share(value.estimate.value) if value.estimate else NO_VALUE


def _order(value: MarkedEstimate) -> float | None:
    return value.estimate.value if value.estimate else None


def breaking(comparison: SectionComparison) -> Table | None:
    """For each method the strength at which a distortion breaks it, and its mean; None without distortions."""
    if not comparison.distortions:
        return None
    columns = tuple((series.name, _range(series.strengths)) for series in comparison.distortions)
    rows = [
        TableRow(result.method, result.kind, tuple(_breaking_cell(result, series) for series in comparison.distortions))
        for result in comparison.section.working
    ]
    return Table(columns, tuple(rows))


def _range(strengths: Sequence[str]) -> str:
    return strengths[0] if len(strengths) == 1 else f"{strengths[0]} … {strengths[-1]}"


def _breaking_cell(result: Result, series: DistortionSeries) -> TableCell:
    mean = mean_accuracy(result, series)
    point = breaking_point(result, series)
    mark = "holds" if point == "holds" else ""
    return TableCell(point or NO_VALUE, "" if mean is None else f"{mean:.0%}", mark, mean)


def thresholds(comparison: SectionComparison) -> Table:
    """How well a similarity separates relevant hits from others: the area under the ROC curve, and a threshold."""
    columns = (("ROC area", ""), ("threshold", "similarity"), ("precision", "required"), ("recall", "at threshold"))
    rows = []
    for result in comparison.section.working:
        area = result.number("roc", "auc")
        score, precision, recall = (result.number("threshold", name) for name in ("score", "precision", "recall"))
        if area is None and score is None:
            continue
        cells = (
            TableCell(NO_VALUE if area is None else share(area), order=area),
            TableCell("not reached" if score is None else f"{score:.4g}", order=score),
            TableCell(NO_VALUE if precision is None else share(precision)),
            TableCell(NO_VALUE if recall is None else share(recall), order=recall),
        )
        rows.append(TableRow(result.method, result.kind, cells))
    return Table(columns, tuple(rows))
