"""The rows of a table file: CSV, TSV, JSON lines or Parquet, gzipped or not. All such files are read here."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hashsearch.catalog.delimited import Delimited, Dialect, records
from hashsearch.catalog.jsonlines import JsonLines
from hashsearch.catalog.parquet import Parquet
from hashsearch.catalog.row import BadRow, Damaged, Row
from hashsearch.catalog.text import open_text
from hashsearch.errors import CatalogError, HashsearchError

ENDINGS = ".csv, .tsv, .jsonl, .ndjson (or those with .gz) or .parquet"


@dataclass(frozen=True)
class RowFile:
    """A file of rows, by its name's ending. `error` is raised with the message "`what` 'PATH' cannot be read: ..."."""

    path: Path
    what: str = "catalog"
    error: type[HashsearchError] = CatalogError

    @property
    def unit(self) -> str:
        """What the numbers of rows count: "line" or "row"."""
        return self._format.unit

    @property
    def has_header(self) -> bool:
        """Whether all rows have the same columns; the objects of JSON lines may differ."""
        return not isinstance(self._format, JsonLines)

    def columns(self) -> list[str]:
        """The names in the header; for JSON lines the names in the first object. [] for an empty file."""
        with self._reporting():
            return self._format.columns(self.path)

    def binary_columns(self) -> list[str]:
        """The columns with binary values, which only Parquet has and which `rows` leaves out."""
        with self._reporting():
            return self._format.binary_columns(self.path) if isinstance(self._format, Parquet) else []

    def count(self) -> int:
        """Number of rows, bad ones included."""
        with self._reporting():
            if isinstance(self._format, Parquet):
                return self._format.count(self.path)
        return sum(1 for _ in self.rows())

    def rows(self) -> Iterator[Row | BadRow]:
        """All rows in order. Bytes that are not UTF-8 become lone surrogates."""
        with self._reporting():
            yield from self._format.rows(self.path, "surrogateescape", None)

    def valid_rows(self, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """All rows in order, with only these columns if given; an error at the first bad row or byte."""
        with self._reporting():
            for row in self._format.rows(self.path, "strict", columns):
                if isinstance(row, BadRow):
                    raise Damaged(row.reason)
                yield row if columns is None else Row(row.number, {name: row.values.get(name) for name in columns})

    def lists(self) -> Iterator[tuple[int, list[str]]]:
        """The number and the fields, without surrounding spaces, of each line of a CSV file that has no header."""
        with self._reporting(), open_text(self.path, "strict") as lines:
            for number, fields in records(lines, Dialect(padded=True)):
                if isinstance(fields, str):
                    raise Damaged(f"line {number} {fields}")
                yield number, [field.strip() for field in fields]

    @property
    def _format(self) -> _Format:
        if (format_ := format_of(self.path)) is None:
            raise self._unreadable(f"its name must end in {ENDINGS}")
        return format_

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, zlib.error, Damaged) as error:
            raise self._unreadable(getattr(error, "strerror", None) or str(error)) from error
        except UnicodeDecodeError as error:
            encoding = "UTF-8" if error.encoding.startswith("utf-8") else error.encoding.upper()
            byte = f"byte 0x{error.object[error.start]:02x}"
            raise self._unreadable(f"it must be {encoding} text, got {byte}") from error

    def _unreadable(self, reason: str) -> HashsearchError:
        return self.error(f"{self.what} '{self.path}' cannot be read: {reason}")


class _Format(Protocol):
    @property
    def unit(self) -> str: ...

    def columns(self, path: Path) -> list[str]: ...

    def rows(self, path: Path, errors: str, columns: Sequence[str] | None) -> Iterator[Row | BadRow]:
        """`errors` is how to decode bytes that are not UTF-8; with `columns`, others need not be read."""


_TEXT_FORMATS: dict[str, _Format] = {
    ".csv": Delimited(),
    ".tsv": Delimited("\t"),
    ".jsonl": JsonLines(),
    ".ndjson": JsonLines(),
}
_FORMATS: dict[str, _Format] = {
    **_TEXT_FORMATS,
    **{f"{ending}.gz": format_ for ending, format_ in _TEXT_FORMATS.items()},
    ".parquet": Parquet(),
}


def format_of(path: Path) -> _Format | None:
    """The format of a file by its name's ending, None for any other ending."""
    name = path.name.lower()
    return next((format_ for ending, format_ in _FORMATS.items() if name.endswith(ending)), None)
