"""The report for programs and for other documents: Markdown, CSV, JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from hashsearch.evaluation.report import tables
from hashsearch.evaluation.report.comparing import COSTS, QUALITY, SectionComparison
from hashsearch.evaluation.report.summary import Line, summarise, summarise_all
from hashsearch.evaluation.report.tables import Entry, Table
from hashsearch.reporting.tables import _escaped, harmless

MARKS = (
    "**Bold**: the best of its column. °: the best is not significantly better (paired randomisation tests over the "
    "queries, corrected for their number by Holm, p ≥ .05)."
)
OVERVIEW = "mAP@10, in parentheses the share of right first hits."


def markdown(standings: Sequence[SectionComparison]) -> str:
    """Summary and tables for a document."""
    parts = ["# Comparison", _lines(summarise_all(standings))]
    parts.append(f"{MARKS} In parentheses: 95 % intervals by bootstrap over the queries.")
    parts += ["## Overview", OVERVIEW, write_table(tables.overview(standings))]
    for standing in standings:
        parts += [
            f"## {_escaped(standing.section.title)}",
            _lines(summarise(standing)),
            write_table(tables.figures(standing)),
        ]
        if broken := tables.breaking(standing):
            parts.append(
                "The strength at which fewer than half of the first hits are right, and the share over all strengths:"
            )
            parts.append(write_table(broken))
        if standing.section.problems:
            parts.append("Left out:")
            problems = [
                f"- {_escaped(str(one['picture']))}: {_escaped(str(one['reason']))}"
                for one in standing.section.problems
            ]
            parts.append("\n".join(problems))
    return "\n\n".join(part for part in parts if part) + "\n"


def _lines(lines: Sequence[Line]) -> str:
    return "\n".join(f"- **{_escaped(line.about)}**: {_escaped(line.says)}" for line in lines)


def write_table(table: Table) -> str:
    """A table in Markdown."""
    heads = ["method", *(f"{title} {unit}".strip() for title, unit in table.columns)]
    rows = [heads, ["---"] * len(heads)]
    for line in table.lines:
        name = line.method if not line.note else f"{line.method} ({line.note})"
        rows.append([name, *(_entry(entry) for entry in line.entries)])
    written = [" | ".join(cell if cell == "---" else _escaped(cell, bold=True) for cell in row) for row in rows]
    return "\n".join(f"| {row} |" for row in written)


def _entry(entry: Entry) -> str:
    text = f"**{entry.text}**" if entry.mark == "best" else entry.text + ("°" if entry.mark == "same" else "")
    return f"{text} ({entry.below})" if entry.below else text


def table_of_all(standings: Sequence[SectionComparison]) -> str:
    """CSV: a row for each data set, task and method, with every figure, its interval and its mark."""
    heads = ["data", "task", "method", "kind", "error", "baseline", "difference", "p_value"]
    for column in QUALITY:
        heads += [column, f"{column} low", f"{column} high", f"{column} mark"]
    heads += [f"{cost.name} {cost.unit}" for cost in COSTS]
    out = io.StringIO()
    writer = csv.DictWriter(out, heads, lineterminator="\n")
    writer.writeheader()
    for standing in standings:
        writer.writerows({name: harmless(value) for name, value in row.items()} for row in _csv_rows(standing))
    return out.getvalue()


def _csv_rows(standing: SectionComparison) -> list[dict[str, Any]]:
    section = standing.section
    rows = []
    for result in (*section.working, *section.failed):
        row: dict[str, Any] = {"data": section.data, "task": section.name, "method": result.method, "kind": result.kind}
        row |= {"error": result.error or "", "baseline": standing.baseline.method if standing.baseline else ""}
        if against := standing.against.get(result.method):
            row |= {"difference": round(against.difference, 6), "p_value": round(against.p_value, 6)}
        for column in QUALITY:
            cell = standing.cells.get((result.method, column))
            if cell and cell.figure:
                ends = {f"{column} low": cell.figure.low, f"{column} high": cell.figure.high}
                row |= {column: cell.figure.value, **ends, f"{column} mark": cell.mark}
        row |= {f"{cost.name} {cost.unit}": result.number(*cost.where) for cost in COSTS}
        rows.append(row)
    return rows


def everything(standings: Sequence[SectionComparison]) -> dict[str, Any]:
    """The same for JSON, with the summary's sentences and the groups' figures."""
    return {
        "summary": [line._asdict() for line in summarise_all(standings)],
        "sections": [
            {
                "data": standing.section.data,
                "task": standing.section.name,
                "sizes": standing.section.task.get("sizes"),
                "baseline": standing.baseline.method if standing.baseline else None,
                "summary": [line._asdict() for line in summarise(standing)],
                "methods": _csv_rows(standing),
                "by_group": {one.method: one.content.get("by_group") for one in standing.section.working},
                "problems": list(standing.section.problems),
                "failures": {one.method: one.content.get("failures") for one in standing.section.working},
                "notes": list(standing.section.notes),
            }
            for standing in standings
        ],
    }
