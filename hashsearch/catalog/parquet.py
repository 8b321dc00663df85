"""Rows of Parquet files. A value that Python cannot hold costs its row at most; binary values are not read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashsearch.catalog.row import BadRow, Damaged, Row, unique_names
from hashsearch.errors import ConfigError

_BATCH = 1024  # rows in memory at a time
_BINARY = ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")


@dataclass(frozen=True)
class _Unreadable:
    reason: str


@dataclass(frozen=True)
class Parquet:
    """A format with typed columns, read with pyarrow."""

    unit: str = "row"

    def columns(self, path: Path) -> list[str]:
        with _open(path) as file:
            return unique_names(file.schema_arrow.names)

    def count(self, path: Path) -> int:
        """Number of rows, from the file's metadata."""
        with _open(path) as file:
            return int(file.metadata.num_rows)

    def rows(self, path: Path, errors: str, columns: Sequence[str] | None) -> Iterator[Row | BadRow]:
        number = 0
        with _open(path) as file:
            unique_names(file.schema_arrow.names)
            for batch in file.iter_batches(_BATCH, columns=_text_leaves(file) if columns is None else columns):
                yield from _rows(batch, number)
                number += batch.num_rows

    def binary_columns(self, path: Path) -> list[str]:
        """Columns that are binary or have binary parts with a value."""
        with _open(path) as file:
            leaves = {leaf: place for place, leaf in enumerate(_leaves(file)) if _is_binary(file, place)}
            filled = [leaf for leaf, place in leaves.items() if _has_values(file, place)]
            names = file.schema_arrow.names
        return [name.strip() for name in names if any(f"{leaf}.".startswith(f"{name}.") for leaf in filled)]


def _rows(batch: Any, before: int) -> Iterator[Row | BadRow]:
    columns = {name.strip(): _values(column) for name, column in zip(batch.schema.names, batch.columns)}
    for place in range(batch.num_rows):
        number = before + place + 1
        values = {name: column[place] for name, column in columns.items()}
        for name, value in values.items():
            if isinstance(value, _Unreadable):
                yield BadRow(number, f"row {number}: the value of column '{name}' cannot be read: {value.reason}")
                break
        else:
            yield Row(number, values)


def _values(column: Any) -> list[Any]:
    try:
        return list(column.to_pylist())
    except Exception:  # one value is enough: pyarrow raises errors of many types
        return [_value(scalar) for scalar in column]


def _value(scalar: Any) -> Any:
    """The value of a scalar; text for one that Python cannot hold, such as a time in nanoseconds."""
    try:
        return scalar.as_py()
    except Exception as error:
        try:
            return scalar.cast("string").as_py()
        except Exception:
            return _Unreadable(str(error))


def _text_leaves(file: Any) -> list[str] | None:
    """All parts of columns that are not binary; None, which reads everything, if there is nothing binary."""
    leaves = _leaves(file)
    kept = [leaf for place, leaf in enumerate(leaves) if not _is_binary(file, place)]
    return None if len(kept) == len(leaves) else kept


def _leaves(file: Any) -> list[str]:
    return [file.schema.column(place).path for place in range(len(file.schema))]


def _is_binary(file: Any, place: int) -> bool:
    column = file.schema.column(place)
    return column.physical_type in _BINARY and column.logical_type.type == "NONE"


def _has_values(file: Any, place: int) -> bool:
    """Whether a column has values; also where the file does not say so."""
    groups = [file.metadata.row_group(group) for group in range(file.metadata.num_row_groups)]
    statistics = [(group.num_rows, group.column(place).statistics) for group in groups]
    return not all(known and known.has_null_count and known.null_count >= rows for rows, known in statistics)


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("Parquet files need pyarrow: pip install 'hashsearch[parquet]'") from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield file
    except pyarrow.ArrowException as error:
        raise Damaged(str(error)) from error
