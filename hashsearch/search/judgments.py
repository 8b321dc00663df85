"""Queries whose answers people have told: labelled pairs, or clicks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hashsearch.catalog.rows import RowFile
from hashsearch.errors import EvaluationError


def read_labels(path: Path) -> dict[str, set[str]]:
    """The ids of the relevant images of each query, by the query's id.

    A `.csv` has the columns `query` and `relevant`; a `.jsonl` has objects with both, where `relevant` may be a list.
    EvaluationError names the row that is neither, and a file without any.
    """
    if path.suffix.lower() not in (".csv", ".jsonl"):
        raise EvaluationError(f"labelled queries are a .csv or .jsonl file, got '{path.name}'")
    labels: dict[str, set[str]] = {}
    for place, row in enumerate(RowFile(path, "the file of labelled queries", EvaluationError).valid_rows(), start=1):
        query, relevant = _pair(row.values)
        if not query or not relevant:
            raise EvaluationError(
                f"row {place} of '{path}' must have a 'query' and a 'relevant' id, got {row.values!r:.80}"
            )
        labels.setdefault(query, set()).update(relevant)
    if not labels:
        raise EvaluationError(f"labelled queries must be one at least, and there are none in '{path}'")
    return labels


def _pair(row: dict[str, Any]) -> tuple[str, set[str]]:
    if isinstance(row.get("query"), list | dict):
        return "", set()
    relevant = row.get("relevant")
    several = relevant if isinstance(relevant, list) else [relevant]
    return _text(row.get("query")), {_text(one) for one in several} - {""}


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
