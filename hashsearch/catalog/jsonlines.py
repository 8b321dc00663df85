"""Rows of JSON lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hashsearch.catalog.row import BadRow, Row
from hashsearch.catalog.text import open_text


@dataclass(frozen=True)
class JsonLines:
    """A format without header: each object has its own names."""

    unit: str = "line"

    def columns(self, path: Path) -> list[str]:
        rows = self.rows(path, "surrogateescape", None)
        return next((list(row.values) for row in rows if isinstance(row, Row)), [])

    def rows(self, path: Path, errors: str, columns: Sequence[str] | None) -> Iterator[Row | BadRow]:
        with open_text(path, errors) as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield self._row(number, line)

    @staticmethod
    def _row(number: int, line: str) -> Row | BadRow:
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            return BadRow(number, f"line {number} must be a JSON object: {error}")
        if isinstance(values, dict):
            return Row(number, values)
        return BadRow(number, f"line {number} must be a JSON object, got {line.strip()[:40]}")
