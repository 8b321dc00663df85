"""Images that are stored in a column of a Parquet file, as Hugging Face's data sets are: `FILE.parquet#ROW/COLUMN`."""

from __future__ import annotations

import re
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

from hashsearch.errors import Unreadable

_ADDRESS = re.compile(r"(.+\.parquet)#([1-9]\d*)/(.+)", re.IGNORECASE | re.DOTALL)
_lock = threading.Lock()


def embedded_source(file: Path, row: int, column: str) -> str:
    """The address of the image in a row, counted from 1, of a Parquet file."""
    return f"{file}#{row}/{column}"


def is_embedded(source: str) -> bool:
    """Whether a source is the address of an image in a Parquet file."""
    return _ADDRESS.fullmatch(source) is not None


def read_embedded(source: str) -> bytes:
    """The bytes of the image at an address; Unreadable if there are none.

    Reads the whole row group of the row, and keeps the last two, so that rows in order are read once.
    """
    address = _ADDRESS.fullmatch(source)
    assert address is not None
    file, row, column = address[1], int(address[2]) - 1, address[3]
    if not Path(file).is_file():  # a pipe would be waited for
        raise Unreadable(f"an image must be in a regular file, and '{file}' is none")
    try:
        with _lock:  # threads that want the same row group read it once
            image = _value(file, Path(file).stat().st_mtime_ns, row, column)
    except Exception as error:  # pyarrow raises errors of many types
        raise Unreadable(f"the image in the Parquet file cannot be read: {error}") from error
    data = image.get("bytes") if isinstance(image, dict) else image
    if not isinstance(data, bytes):
        raise Unreadable(f"row {row + 1} has no image in column '{column}'")
    return data


def _value(file: str, modified: int, row: int, column: str) -> Any:
    for group, rows in enumerate(_group_sizes(file, modified)):
        if row < rows:
            return _row_group(file, modified, group, column)[row].as_py()
        row -= rows
    raise ValueError("the file has fewer rows")


@lru_cache(maxsize=16)
def _group_sizes(file: str, modified: int) -> list[int]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(file) as parquet:
        return [parquet.metadata.row_group(group).num_rows for group in range(parquet.metadata.num_row_groups)]


@lru_cache(maxsize=2)
def _row_group(file: str, modified: int, group: int, column: str) -> Any:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(file) as parquet:
        return parquet.read_row_group(group, columns=[column]).column(0)
