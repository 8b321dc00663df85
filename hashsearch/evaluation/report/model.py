"""The report as a value: everything that its four forms show, computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hashsearch.evaluation.report import tables
from hashsearch.evaluation.report.comparing import COSTS, QUALITY, SectionComparison
from hashsearch.evaluation.report.sections import Result, Section
from hashsearch.evaluation.report.summary import Statement, summarise, summarise_all
from hashsearch.reporting.tables import Table
from hashsearch.reporting.words import counted

Record = dict[str, Any]


@dataclass(frozen=True, eq=False)
class SectionReport:
    """One section: its comparison, in words, as tables and as flat records of every method for CSV and JSON.

    `breaking` is None without distortions.
    """

    comparison: SectionComparison
    summary: list[Statement]
    figures: Table
    breaking: Table | None
    thresholds: Table
    records: list[Record]

    @property
    def section(self) -> Section:
        return self.comparison.section

    @property
    def baseline(self) -> str | None:
        """The name of the method that the others are compared with."""
        return self.comparison.baseline.method if self.comparison.baseline else None


@dataclass(frozen=True, eq=False)
class ReportModel:
    """All sections, what holds over them in words, and the table of all methods.

    `about` has `command`, how the report was made, `at`, when, and `results`, from which folder.
    """

    about: Mapping[str, Any]
    title: str
    summary: list[Statement]
    overview: Table
    sections: list[SectionReport]

    @property
    def results(self) -> list[Result]:
        """The results of all methods in all sections."""
        return [result for report in self.sections for result in report.section.results]


def report_model(comparisons: Sequence[SectionComparison], about: Mapping[str, Any]) -> ReportModel:
    """The report of judged sections."""
    overview = tables.overview(comparisons)
    data = {comparison.section.data for comparison in comparisons}
    return ReportModel(
        about=about,
        title=f"{counted(len(overview.rows), 'method')} compared on {counted(len(data), 'data set')}",
        summary=summarise_all(comparisons),
        overview=overview,
        sections=[_section_report(comparison) for comparison in comparisons],
    )


def _section_report(comparison: SectionComparison) -> SectionReport:
    return SectionReport(
        comparison=comparison,
        summary=summarise(comparison),
        figures=tables.figures(comparison),
        breaking=tables.breaking(comparison),
        thresholds=tables.thresholds(comparison),
        records=[_record(comparison, result) for result in comparison.section.results],
    )


def _record(comparison: SectionComparison, result: Result) -> Record:
    section = comparison.section
    record: Record = {"data": section.data, "task": section.name, "method": result.method, "kind": result.kind}
    record |= {"error": result.error or "", "baseline": comparison.baseline.method if comparison.baseline else ""}
    if against := comparison.against.get(result.method):
        record |= {"difference": round(against.difference, 6), "p_value": round(against.p_value, 6)}
    for column in QUALITY:
        value = comparison.values.get((result.method, column))
        if value and value.estimate:
            ends = {f"{column} low": value.estimate.low, f"{column} high": value.estimate.high}
            record |= {column: value.estimate.value, **ends, f"{column} mark": value.mark}
    return record | {f"{cost.name} {cost.unit}": result.number(*cost.where) for cost in COSTS}
