"""The report for programs and for other documents: Markdown, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from hashsearch.evaluation.report.comparing import COSTS, QUALITY
from hashsearch.evaluation.report.model import ReportModel, SectionReport
from hashsearch.evaluation.report.summary import Statement
from hashsearch.reporting.tables import escaped_markdown, markdown_table, safe_cell

MARKS = (
    "**Bold**: the best of its column. °: not significantly worse than the best (paired randomisation tests over the "
    "queries, Holm-corrected, p ≥ .05); costs are not tested."
)
OVERVIEW = "mAP@10, in parentheses the share of right first hits."
TASKS = (
    "In the tables of the tasks, parentheses hold 95 % intervals (bootstrap over the queries), and p-values of the "
    "difference from the baseline."
)


def markdown(report: ReportModel) -> str:
    """Summary and tables for a document."""
    parts = ["# Comparison", _statements(report.summary), MARKS]
    parts += ["## Overview", OVERVIEW, markdown_table(report.overview), TASKS]
    for section in report.sections:
        parts += _section(section)
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(report: SectionReport) -> list[str]:
    parts = [
        f"## {escaped_markdown(report.section.title)}",
        _statements(report.summary),
        markdown_table(report.figures),
    ]
    if report.breaking:
        parts.append(
            "First strength with fewer than half of the first hits right; in parentheses, the share over all strengths:"
        )
        parts.append(markdown_table(report.breaking))
    if report.section.problems:
        problems = [
            f"- {escaped_markdown(str(problem['picture']))}: {escaped_markdown(str(problem['reason']))}"
            for problem in report.section.problems
        ]
        parts += ["Left out:", "\n".join(problems)]
    return parts


def _statements(statements: Sequence[Statement]) -> str:
    return "\n".join(f"- **{escaped_markdown(about)}**: {escaped_markdown(says)}" for about, says in statements)


def as_csv(report: ReportModel) -> str:
    """A row for each data set, task and method, with every figure, its interval and its mark."""
    heads = ["data", "task", "method", "kind", "error", "baseline", "difference", "p_value"]
    for column in QUALITY:
        heads += [column, f"{column} low", f"{column} high", f"{column} mark"]
    heads += [f"{cost.name} {cost.unit}" for cost in COSTS]
    out = io.StringIO()
    writer = csv.DictWriter(out, heads, lineterminator="\n")
    writer.writeheader()
    for section in report.sections:
        writer.writerows({name: safe_cell(value) for name, value in record.items()} for record in section.records)
    return out.getvalue()


def as_json(report: ReportModel) -> str:
    """The same with the summary's sentences and the groups' figures."""
    content = {
        "about": report.about,
        "summary": [statement._asdict() for statement in report.summary],
        "sections": [_section_object(section) for section in report.sections],
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _section_object(report: SectionReport) -> dict[str, Any]:
    section = report.section
    return {
        "data": section.data,
        "task": section.name,
        "sizes": section.task.get("sizes"),
        "baseline": report.baseline,
        "summary": [statement._asdict() for statement in report.summary],
        "methods": report.records,
        "by_group": {result.method: result.content.get("by_group") for result in section.working},
        "problems": list(section.problems),
        "failures": {result.method: result.content.get("failures") for result in section.working},
        "notes": list(section.notes),
    }
