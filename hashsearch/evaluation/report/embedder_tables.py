"""Embedders beside each other: one table of all data sets, and one for each with the figures that a choice needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hashsearch.evaluation.report.comparing import judge
from hashsearch.evaluation.report.formats import MARKS, OVERVIEW
from hashsearch.evaluation.report.sections import Result, named, read_sections
from hashsearch.evaluation.report.tables import overview
from hashsearch.files import read_json, safe_name
from hashsearch.reporting.tables import NO_VALUE, Table, TableCell, TableRow, markdown_table
from hashsearch.reporting.words import amount, share

_FIGURES = ("accuracy@1", "accuracy@5", "precision@5", "recall@5", "map@10")
_COLUMNS = (
    *((named(name), "") for name in _FIGURES),
    ("classifier", "top 1"),
    ("extraction", "images/s"),
    ("dims", ""),
)


def tables_of_models(results: Path, embedders: Path) -> str:
    """Markdown tables of all results, best mAP@10 first; trained embedders have their classifiers' accuracy too.

    `accuracy@1` is the share of queries whose nearest image is of their class, `classifier` the accuracy of the
    trained classifier. Raises ConfigError for results that cannot be read.
    """
    sections = read_sections(results)
    parts = ["## All data sets", f"{OVERVIEW} {MARKS}", markdown_table(overview([judge(one) for one in sections]))]
    for section in sections:
        rows = [_row(result, embedders / safe_name(section.data)) for result in section.working]
        sizes = section.task.get("sizes") or {}
        about = f"{sizes.get('base')} images searched, {sizes.get('queries')} queries."
        parts += [f"## {section.data}", about, markdown_table(Table(_COLUMNS, tuple(rows)))]
        parts += [f"Failed: {result.method}: {result.error}" for result in section.failed]
    return "\n\n".join(parts) + "\n"


def _row(result: Result, embedders: Path) -> TableRow:
    figures = [result.figure(name) for name in _FIGURES]
    cells = [share(figure.value) if figure else NO_VALUE for figure in figures]
    manifest = read_json(embedders / result.method / "manifest.json") or {}
    rate, size = result.number("extract_images_per_second"), result.number("bytes_per_image")
    cells.append(_classifier(result, manifest))
    cells.append(amount(rate) if rate else NO_VALUE)
    cells.append(f"{size / 4:.0f}" if size else NO_VALUE)  # four bytes each
    return TableRow(result.method, result.kind, tuple(map(TableCell, cells)))


def _classifier(result: Result, manifest: Mapping[str, Any]) -> str:
    measured = result.number("extra", "classifier_accuracy")
    trained = ((manifest.get("metrics") or {}).get("held_out") or {}).get("top_1")
    accuracy = trained if measured is None else measured
    return NO_VALUE if accuracy is None else share(accuracy)
