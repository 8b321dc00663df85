"""Embedders beside each other: one table of all data sets, and one for each with the figures that a choice needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hashsearch.evaluation.report.comparing import judge
from hashsearch.evaluation.report.files import MARKS, OVERVIEW, write_table
from hashsearch.evaluation.report.sections import Result, named, read_sections
from hashsearch.evaluation.report.tables import NOTHING, Entry, Line, Table, overview
from hashsearch.files import read_json, safe_name
from hashsearch.reporting.words import amount, share

_FIGURES = ("accuracy@1", "accuracy@5", "precision@5", "recall@5", "map@10")
_COLUMNS = (
    *((named(name), "") for name in _FIGURES),
    ("classifier", "top 1"),
    ("extraction", "images/s"),
    ("dims", ""),
)


def tables_of_models(results: Path, embedders: Path) -> str:
    """Markdown of all that was compared, best mAP@10 first; trained embedders also tell what their classifiers named.

    `accuracy@1` is the share of queries whose nearest picture is of their class, `classifier` what a classifier says by
    itself. Raises ConfigError for results that cannot be read.
    """
    sections = read_sections(results)
    parts = ["## All data sets", f"{OVERVIEW} {MARKS}", write_table(overview([*map(judge, sections)]))]
    for section in sections:
        lines = [_line(result, embedders / safe_name(section.data)) for result in section.working]
        sizes = section.task.get("sizes") or {}
        told = f"{sizes.get('base')} pictures searched, {sizes.get('queries')} searched with."
        parts += [f"## {section.data}", told, write_table(Table(_COLUMNS, tuple(lines)))]
        parts += [f"Failed: {result.method}: {result.error}" for result in section.failed]
    return "\n\n".join(parts) + "\n"


def _line(result: Result, embedders: Path) -> Line:
    figures = [result.figure(name) for name in _FIGURES]
    cells = [share(figure.value) if figure else NOTHING for figure in figures]
    manifest = read_json(embedders / result.method / "manifest.json") or {}
    rate, dims = result.number("extract_images_per_second"), result.number("bytes_per_image")
    cells.append(_classifier(result, manifest))
    cells.append(amount(rate) if rate else NOTHING)
    cells.append(f"{dims / 4:.0f}" if dims else NOTHING)  # of four bytes each
    return Line(result.method, result.kind, tuple(Entry(cell) for cell in cells))


def _classifier(result: Result, manifest: Mapping[str, Any]) -> str:
    own = result.number("extra", "classifier_accuracy")
    trained = ((manifest.get("metrics") or {}).get("held_out") or {}).get("top_1")
    found = own if own is not None else trained
    return NOTHING if found is None else share(found)
