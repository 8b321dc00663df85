"""The rows of a table file: CSV, TSV, JSON lines or Parquet, gzipped or not. All such files are read here."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from hashsearch.errors import CatalogError, ConfigError, HashsearchError

ENDINGS = ".csv, .tsv, .jsonl, .ndjson (or those with .gz) or .parquet"
_PARQUET_BATCH = 1024  # rows in memory at a time


@dataclass(frozen=True)
class Row:
    """Values by column. `number` counts lines from 1, in Parquet files rows from 1; a row begins at its line."""

    number: int
    values: dict[str, Any]


@dataclass(frozen=True)
class BadRow:
    """A row that breaks the rule in `reason`, which also names its line."""

    number: int
    reason: str


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

    def columns(self) -> list[str]:
        """The names in the header; for JSON lines the names in the first object. [] for an empty file."""
        with self._reporting():
            return self._format.columns(self.path)

    def header(self) -> list[str] | None:
        """The names of the columns that all rows have; None for JSON lines, whose objects may differ."""
        return None if isinstance(self._format, _JsonLines) else self.columns()

    def rows(self) -> Iterator[Row | BadRow]:
        """All rows in order. Bytes that are not UTF-8 become lone surrogates."""
        with self._reporting():
            yield from self._format.rows(self.path, "surrogateescape", None)

    def valid_rows(self, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """All rows in order, with only these columns if given; an error at the first bad row or byte."""
        with self._reporting():
            for row in self._format.rows(self.path, "strict", columns):
                if isinstance(row, BadRow):
                    raise _Damaged(row.reason)
                yield row if columns is None else Row(row.number, {name: row.values.get(name) for name in columns})

    def lists(self) -> Iterator[tuple[int, list[str]]]:
        """The number and the fields, without surrounding spaces, of each line of a CSV file that has no header."""
        with self._reporting(), _open_text(self.path, "strict") as lines:
            for number, fields in _records(csv.reader(lines, skipinitialspace=True)):
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
        except (OSError, EOFError, zlib.error, _Damaged) as error:
            raise self._unreadable(str(error)) from error
        except UnicodeDecodeError as error:
            raise self._unreadable(f"it must be UTF-8 text, got byte 0x{error.object[error.start]:02x}") from error

    def _unreadable(self, reason: str) -> HashsearchError:
        return self.error(f"{self.what} '{self.path}' cannot be read: {reason}")


class _Damaged(Exception):
    """A file that does not follow its format, and where."""


class _Format(Protocol):
    @property
    def unit(self) -> str: ...

    def columns(self, path: Path) -> list[str]: ...

    def rows(self, path: Path, errors: str, columns: Sequence[str] | None) -> Iterator[Row | BadRow]:
        """`errors` is how to decode bytes that are not UTF-8; with `columns`, others need not be read."""


@dataclass(frozen=True)
class _Delimited:
    delimiter: str
    unit: str = "line"

    def columns(self, path: Path) -> list[str]:
        with _open_text(path, "surrogateescape") as lines:
            return next(self._records(lines), (1, []))[1]

    def rows(self, path: Path, errors: str, columns: Sequence[str] | None) -> Iterator[Row | BadRow]:
        with _open_text(path, errors) as lines:
            records = self._records(lines)
            _, header = next(records, (1, []))
            for number, fields in records:
                if len(fields) == len(header):
                    yield Row(number, dict(zip(header, fields)))
                else:
                    rule = f"must have as many fields as the header, which has {len(header)}"
                    yield BadRow(number, f"line {number} {rule}, got {len(fields)}")

    def _records(self, lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
        return _records(csv.reader(lines, delimiter=self.delimiter))


@dataclass(frozen=True)
class _JsonLines:
    unit: str = "line"

    def columns(self, path: Path) -> list[str]:
        rows = self.rows(path, "surrogateescape", None)
        return next((list(row.values) for row in rows if isinstance(row, Row)), [])

    def rows(self, path: Path, errors: str, columns: Sequence[str] | None) -> Iterator[Row | BadRow]:
        with _open_text(path, errors) as lines:
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


@dataclass(frozen=True)
class _Parquet:
    unit: str = "row"

    def columns(self, path: Path) -> list[str]:
        with _open_parquet(path) as file:
            return list(file.schema_arrow.names)

    def rows(self, path: Path, errors: str, columns: Sequence[str] | None) -> Iterator[Row | BadRow]:
        number = 0
        with _open_parquet(path) as file:
            for batch in file.iter_batches(batch_size=_PARQUET_BATCH, columns=columns):
                for values in batch.to_pylist():
                    yield Row(number := number + 1, values)


_TEXT_FORMATS: dict[str, _Format] = {
    ".csv": _Delimited(","),
    ".tsv": _Delimited("\t"),
    ".jsonl": _JsonLines(),
    ".ndjson": _JsonLines(),
}
_FORMATS: dict[str, _Format] = {
    **_TEXT_FORMATS,
    **{f"{ending}.gz": format_ for ending, format_ in _TEXT_FORMATS.items()},
    ".parquet": _Parquet(),
}


def format_of(path: Path) -> _Format | None:
    """The format of a file by its name's ending, None for any other ending."""
    name = path.name.lower()
    return next((format_ for ending, format_ in _FORMATS.items() if name.endswith(ending)), None)


def _open_text(path: Path, errors: str) -> IO[str]:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors=errors, newline="")
    return path.open(encoding="utf-8-sig", errors=errors, newline="")


def _records(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """The line at which each record of a csv.reader begins, and its fields; blank lines are skipped."""
    number = 1
    try:
        for fields in reader:
            if fields:
                yield number, fields
            number = reader.line_num + 1
    except csv.Error as error:
        raise _Damaged(f"line {number}: {error}") from error


@contextmanager
def _open_parquet(path: Path) -> Iterator[Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("Parquet files need pyarrow: pip install 'hashsearch[parquet]'") from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield file
    except pyarrow.ArrowException as error:
        raise _Damaged(str(error)) from error
