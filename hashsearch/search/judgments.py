"""Relevance judgments: which images people found relevant to a query, from labelled pairs or clicks."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hashsearch.errors import EvaluationError


def read_judgments(path: Path) -> dict[str, set[str]]:
    """The ids of the relevant images of each query, by the query's id.

    A `.csv` file has the columns `query` and `relevant`; a `.jsonl` file has objects with both, where `relevant` may be
    a list. EvaluationError for another file type, for a row without both (which it names) and for a file without rows.
    """
    rows = {".csv": _csv_rows, ".jsonl": _json_rows}.get(path.suffix.lower())
    if rows is None:
        raise EvaluationError(f"relevance judgments must be a .csv or .jsonl file, got '{path.name}'")
    judgments: dict[str, set[str]] = {}
    for number, row in enumerate(_read(path, rows), start=1):
        query, relevant = _pair(row)
        if not query or not relevant:
            raise EvaluationError(f"row {number} of '{path}' must have a 'query' and a 'relevant' id, got {row!r:.80}")
        judgments.setdefault(query, set()).update(relevant)
    if not judgments:
        raise EvaluationError(f"relevance judgments must have at least one row, and there are none in '{path}'")
    return judgments


def _read(path: Path, rows: Any) -> list[Any]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return list(rows(lines))
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise EvaluationError(f"relevance judgments in '{path}' cannot be read: {error}") from error


def _csv_rows(lines: Any) -> Iterator[Any]:
    yield from csv.DictReader(lines)


def _json_rows(lines: Any) -> Iterator[Any]:
    yield from (json.loads(line) for line in lines if line.strip())


def _pair(row: Any) -> tuple[str, set[str]]:
    """The query's id and the relevant ids of a row, empty where it has none."""
    if not isinstance(row, dict) or isinstance(row.get("query"), list | dict):
        return "", set()
    relevant = row.get("relevant")
    ids = relevant if isinstance(relevant, list) else [relevant]
    return _text(row.get("query")), {_text(image_id) for image_id in ids} - {""}


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
