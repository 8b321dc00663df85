"""Relevance judgments: which images people found relevant to a query, from labelled pairs or clicks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hashsearch.catalog.rows import RowFile
from hashsearch.errors import EvaluationError


def read_judgments(path: Path) -> dict[str, set[str]]:
    """The ids of the relevant images of each query, by the query's id.

    A `.csv` file has the columns `query` and `relevant`; a `.jsonl` file has objects with both, where `relevant` may be
    a list. EvaluationError for another file type, for a row without both (which it names) and for a file without rows.
    """
    if path.suffix.lower() not in (".csv", ".jsonl"):
        raise EvaluationError(f"relevance judgments must be a .csv or .jsonl file, got '{path.name}'")
    judgments: dict[str, set[str]] = {}
    rows = RowFile(path, "the file of relevance judgments", EvaluationError).valid_rows()
    for number, row in enumerate(rows, start=1):
        query, relevant = _pair(row.values)
        if not query or not relevant:
            raise EvaluationError(
                f"row {number} of '{path}' must have a 'query' and a 'relevant' id, got {row.values!r:.80}"
            )
        judgments.setdefault(query, set()).update(relevant)
    if not judgments:
        raise EvaluationError(f"relevance judgments must have at least one row, and there are none in '{path}'")
    return judgments


def _pair(row: dict[str, Any]) -> tuple[str, set[str]]:
    """The query's id and the relevant ids of a row, empty where it has none."""
    if isinstance(row.get("query"), list | dict):
        return "", set()
    relevant = row.get("relevant")
    ids = relevant if isinstance(relevant, list) else [relevant]
    return _text(row.get("query")), {_text(image_id) for image_id in ids} - {""}


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
