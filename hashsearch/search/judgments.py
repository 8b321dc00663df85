"""Queries whose answers people have told: labelled pairs, or clicks."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hashsearch.errors import EvaluationError


def read_labels(path: Path) -> dict[str, set[str]]:
    """The ids of the relevant images of each query, by the query's id.

    A `.csv` has the columns `query` and `relevant`; a `.jsonl` has objects with both, where `relevant` may be a list.
    EvaluationError names the row that is neither, and a file without any.
    """
    rows = {".csv": _csv_rows, ".jsonl": _json_rows}.get(path.suffix.lower())
    if rows is None:
        raise EvaluationError(f"labelled queries are a .csv or .jsonl file, got '{path.name}'")
    labels: dict[str, set[str]] = {}
    for place, row in enumerate(_read(path, rows), start=1):
        query, relevant = _pair(row)
        if not query or not relevant:
            raise EvaluationError(f"row {place} of '{path}' must have a 'query' and a 'relevant' id, got {row!r:.80}")
        labels.setdefault(query, set()).update(relevant)
    if not labels:
        raise EvaluationError(f"labelled queries must be one at least, and there are none in '{path}'")
    return labels


def _read(path: Path, rows: Any) -> list[Any]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return list(rows(lines))
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise EvaluationError(f"labelled queries in '{path}' cannot be read: {error}") from error


def _csv_rows(lines: Any) -> Iterator[Any]:
    yield from csv.DictReader(lines)


def _json_rows(lines: Any) -> Iterator[Any]:
    yield from (json.loads(line) for line in lines if line.strip())


def _pair(row: Any) -> tuple[str, set[str]]:
    if not isinstance(row, dict) or isinstance(row.get("query"), list | dict):
        return "", set()
    relevant = row.get("relevant")
    several = relevant if isinstance(relevant, list) else [relevant]
    return _text(row.get("query")), {_text(one) for one in several} - {""}


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
