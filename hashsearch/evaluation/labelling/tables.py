"""The table that Renumics Spotlight shows: a Parquet file with a row for each image.

Spotlight (1.8) infers types from values: lists of numbers of equal length are embeddings, bytes that start like a JPEG
are images, and so are paths of existing files. Strings are not dictionary-encoded, because a person may write new ones
into `label`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hashsearch.catalog.rows import RowFile
from hashsearch.errors import ConfigError, EvaluationError
from hashsearch.files import atomic_file
from hashsearch.overlap import batched

_ROWS = 1000  # of a row group; so many are in memory at a time
_ABOUT = b"hashsearch"
_STRINGS = ("id", "source", "title", "category", "label")
_NUMBERS = ("certainty", "pca_x", "pca_y", "tsne_x", "tsne_y")


def write_table(path: Path, rows: Iterable[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Write rows to a Parquet file, atomically; `about` is stored as JSON in its metadata.

    A row has `id`, `source`, `title`, `category`, `label` (strings), `cluster` (an integer), `certainty`, `pca_x`,
    `pca_y`, `tsne_x`, `tsne_y` (numbers), `embedding (dims,) float32` and `thumbnail` (bytes). A value may be None.
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
    with atomic_file(path) as file, arrow.parquet.ParquetWriter(file, schema) as writer:
        for batch in batched(rows, _ROWS):
            writer.write_table(arrow.Table.from_pylist(batch, schema))


def read_table(path: Path, needed: Sequence[str], wanted: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """The rows of a `.parquet` or `.csv` table, with the `needed` columns and those of the `wanted` ones that it has.

    EvaluationError for another file, or one that lacks a needed column.
    """
    if path.suffix.lower() not in (".parquet", ".csv"):
        raise EvaluationError(f"the table must be a .parquet or .csv file, got '{path.name}'")
    file = RowFile(path, "the table", EvaluationError)
    for row in file.valid_rows(_columns(path, file.columns(), needed, wanted)):
        yield row.values


def read_about(path: Path) -> dict[str, Any]:
    """The `about` that `write_table` stored in a Parquet file, {} if another program wrote the file."""
    with _opened(path) as file:
        return dict(json.loads((file.schema_arrow.metadata or {}).get(_ABOUT, b"{}")))


def _columns(path: Path, present: Sequence[str], needed: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """All needed columns and the wanted ones that are present; EvaluationError if a needed one is missing."""
    if missing := [name for name in needed if name not in present]:
        raise EvaluationError(
            f"the table '{path}' must have the columns {', '.join(needed)}, and lacks {', '.join(missing)}"
        )
    return [*needed, *(name for name in wanted if name in present)]


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
