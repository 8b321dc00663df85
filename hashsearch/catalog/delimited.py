"""Rows of delimited text: CSV, whose delimiter is recognised, and TSV, where quotation marks are ordinary characters.

Nothing is guessed about quotation marks. Text after a closing one makes a bad row. A field that begins with one, goes
on over lines and does not end with one before a delimiter makes the file unreadable, since it may hold other rows.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from hashsearch.catalog.row import BadRow, Damaged, Row, unique_names
from hashsearch.catalog.text import open_text

MAX_FIELD = 1 << 24  # characters; the csv module's own limit of 131,072 is less than some descriptions have
_DELIMITERS = ",;\t|"
_SAMPLE = 20  # lines that show the delimiter
_END = "unexpected end of data"  # the csv module's message for a quotation mark that is never closed


@dataclass(frozen=True)
class Dialect:
    """How a file delimits fields: `padded` if blanks follow the delimiters, `skipped` lines come before the header."""

    delimiter: str = ","
    quoted: bool = True
    padded: bool = False
    skipped: int = 0


@dataclass(frozen=True)
class Delimited:
    """A format with a header line; without `delimiter` it is recognised."""

    delimiter: str | None = None
    unit: str = "line"

    def columns(self, path: Path) -> list[str]:
        with open_text(path, "surrogateescape") as lines:
            return self._table(lines)[0]

    def rows(self, path: Path, errors: str, columns: Sequence[str] | None) -> Iterator[Row | BadRow]:
        with open_text(path, errors) as lines:
            header, rows = self._table(lines)
            for number, fields in rows:
                if isinstance(fields, str):
                    yield BadRow(number, f"line {number} {fields}")
                elif len(fields) == len(header):
                    yield Row(number, dict(zip(header, fields)))
                else:
                    rule = f"must have as many fields as the header, which has {len(header)}"
                    yield BadRow(number, f"line {number} {rule}, got {len(fields)}")

    def _table(self, lines: Iterable[str]) -> tuple[list[str], Iterator[tuple[int, list[str] | str]]]:
        """The names in the header, and the rows behind it as `records` returns them."""
        csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD))
        lines = iter(lines)
        sample = list(islice(lines, _SAMPLE))
        rows = records(chain(sample, lines), _dialect(sample, self.delimiter))
        number, header = next(rows, (1, []))
        if isinstance(header, str):
            raise Damaged(f"line {number} {header}")
        return unique_names(header), rows


def records(lines: Iterable[str], dialect: Dialect) -> Iterator[tuple[int, list[str] | str]]:
    """The line at which each record begins and its fields, or the rule that it breaks; blank lines are skipped.

    Damaged for a quotation mark that is not closed where a field ends.
    """
    reader = csv.reader(
        islice(lines, dialect.skipped, None),
        delimiter=dialect.delimiter,
        quoting=csv.QUOTE_MINIMAL if dialect.quoted else csv.QUOTE_NONE,
        skipinitialspace=dialect.padded,
        strict=True,
    )
    first = 1
    while True:
        number = first + dialect.skipped
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if reader.line_num > first or str(error) == _END:
                rule = "a quotation mark opens a field that is not closed by one before a delimiter or line end"
                raise Damaged(f"line {number}: {rule}") from error
            yield number, _rule(error)
        else:
            if fields:
                yield number, fields
        first = reader.line_num + 1


def _rule(error: csv.Error) -> str:
    if "expected after" in str(error):
        return 'must have nothing between a closing quotation mark and the next delimiter; write "" for one in a text'
    if "field limit" in str(error):
        return f"may have at most {MAX_FIELD} characters in a field"
    return f"must be delimited text: {error}"


def _dialect(sample: list[str], delimiter: str | None) -> Dialect:
    """The dialect of a file that begins with these lines."""
    if match := re.fullmatch(r"sep=([,;\t|])\s*", sample[0]) if sample else None:  # a line that Excel reads and writes
        return Dialect(match[1], skipped=1)
    header = next((line for line in sample if line.strip()), "")
    if delimiter:
        return Dialect(delimiter, quoted=header.startswith('"'))
    plain = re.sub(r'"[^"]*"', "", header)  # delimiters in quoted names do not count
    present = [mark for mark in _DELIMITERS if mark in plain]
    best = max(present, key=lambda mark: _fit(sample, mark), default=",")
    return Dialect(best, padded=bool(re.search(f"{re.escape(best)} ", plain)))


def _fit(sample: list[str], delimiter: str) -> tuple[float, int]:
    """The share of the records that have as many fields as the header with this delimiter, and their number."""
    try:
        counts = [len(fields) for fields in csv.reader(sample, delimiter=delimiter) if fields]
    except csv.Error:  # a field over the limit
        return 0.0, 0
    if len(sample) == _SAMPLE and len(counts) > 1:
        counts.pop()  # it may go on after the sample
    return counts.count(counts[0]) / len(counts), counts[0]
