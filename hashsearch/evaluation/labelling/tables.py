"""The table that Renumics Spotlight shows: a Parquet file with a row for each picture.

Spotlight (1.8) goes by the values: a list of numbers as long in every row is an embedding, bytes that begin as a JPEG
are a picture, and so is a path where there is one. Strings are plain, not dictionaries, for what a person writes into
`label` need not have been there before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hashsearch.catalog.rows import RowFile
from hashsearch.errors import ConfigError, EvaluationError
from hashsearch.overlap import batched

_ROWS = 1000  # of a row group: what is in memory at a time
_ABOUT = b"hashsearch"
_STRINGS = ("id", "source", "title", "category", "label")
_NUMBERS = ("certainty", "pca_x", "pca_y", "tsne_x", "tsne_y")


def write_table(path: Path, rows: Iterable[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Write rows to a Parquet file, as they come; `about` is kept as JSON in its head. It is there when it is whole.

    A row has `id`, `source`, `title`, `category`, `label` (strings), `cluster` (a whole number), `certainty`, `pca_x`,
    `pca_y`, `tsne_x`, `tsne_y` (numbers), `embedding (dims,) float32` and `thumbnail` (bytes). None is no value.
    """
    arrow = _arrow()
    schema = arrow.schema(
        [
            *((name, arrow.string()) for name in _STRINGS),
            ("cluster", arrow.int32()),
            *((name, arrow.float32()) for name in _NUMBERS),
            ("embedding", arrow.list_(arrow.float32())),
            ("thumbnail", arrow.binary()),
        ],
        metadata={_ABOUT: json.dumps(about).encode()},
    )
    draft = path.with_suffix(".new")
    with arrow.parquet.ParquetWriter(draft, schema) as writer:
        for batch in batched(rows, _ROWS):
            writer.write_table(arrow.Table.from_pylist(batch, schema))
    draft.replace(path)


def read_table(path: Path, needed: Sequence[str], wanted: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """The rows of a `.parquet` or `.csv` table with these columns; `wanted` ones need not be there.

    EvaluationError for a file that is no such table, or lacks a column that is needed.
    """
    if path.suffix.lower() not in (".parquet", ".csv"):
        raise EvaluationError(f"a table is a .parquet or .csv file, got '{path.name}'")
    file = RowFile(path, "the table", EvaluationError)
    for row in file.valid_rows(_columns(path, file.columns(), needed, wanted)):
        yield row.values


def read_about(path: Path) -> dict[str, Any]:
    """What `write_table` was told about a Parquet file, {} where another program wrote it without."""
    with _opened(path) as file:
        found = json.loads((file.schema_arrow.metadata or {}).get(_ABOUT, b"{}"))
    return dict(found)


def _columns(path: Path, there: Sequence[str], needed: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Those asked for that are there; EvaluationError where a needed one is not."""
    if missing := [name for name in needed if name not in there]:
        raise EvaluationError(
            f"the table '{path}' must have the columns {', '.join(needed)}, and lacks {', '.join(missing)}"
        )
    return [*needed, *(name for name in wanted if name in there)]


def _opened(path: Path) -> Any:
    arrow = _arrow()
    try:
        return arrow.parquet.ParquetFile(path)
    except (arrow.ArrowException, OSError) as error:
        raise EvaluationError(f"the table '{path}' must be a Parquet file: {error}") from error


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("label tables need pyarrow: pip install 'hashsearch[label]'") from error
    return pyarrow
