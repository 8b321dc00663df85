"""The table for Spotlight has the types that Spotlight goes by, and is read back as it was written or edited."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from hashsearch.errors import EvaluationError
from hashsearch.evaluation.labelling.tables import read_about, read_table, write_table

LAYOUT = Path(__file__).parents[1] / "recipes" / "spotlight.json"


def row(number: int, **more: Any) -> dict[str, Any]:
    """A picture's row, as an export writes it."""
    values = {"id": f"{number}", "source": f"/shelf/{number}.jpg", "title": None, "category": "tea", "label": "tea"}
    numbers = {"cluster": 1, "certainty": 0.5, "pca_x": 0.1, "pca_y": 0.2, "tsne_x": 3.0, "tsne_y": -4.0}
    return values | numbers | {"embedding": np.full(3, number, np.float32), "thumbnail": b"\xff\xd8\xff"} | more


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    write_table(path, [row(0), row(1, tsne_x=None, tsne_y=None, label="")], {"embedder": "bit-tiny"})
    return path


def test_columns_have_the_types_that_spotlight_goes_by(table: Path) -> None:
    types = {field.name: field.type for field in pyarrow.parquet.read_schema(table)}
    strings = dict.fromkeys(("id", "source", "title", "category", "label"), pyarrow.string())
    numbers = dict.fromkeys(("certainty", "pca_x", "pca_y", "tsne_x", "tsne_y"), pyarrow.float32())
    others = {
        "cluster": pyarrow.int32(),
        "embedding": pyarrow.list_(pyarrow.float32()),
        "thumbnail": pyarrow.binary(),
    }
    assert types == strings | numbers | others


def test_rows_come_back_with_the_requested_columns(table: Path) -> None:
    assert list(read_table(table, ("id", "tsne_x"), ("label", "shelf"))) == [
        {"id": "0", "tsne_x": 3.0, "label": "tea"},
        {"id": "1", "tsne_x": None, "label": ""},
    ]


def test_the_metadata_of_a_table_comes_back(table: Path, tmp_path: Path) -> None:
    assert read_about(table) == {"embedder": "bit-tiny"}
    pyarrow.parquet.write_table(pyarrow.table({"id": ["0"]}), tmp_path / "theirs.parquet")
    assert read_about(tmp_path / "theirs.parquet") == {}


def test_many_rows_are_written_in_groups(tmp_path: Path) -> None:
    path = tmp_path / "many.parquet"
    write_table(path, (row(number) for number in range(2500)), {})
    file = pyarrow.parquet.ParquetFile(path)
    assert (file.metadata.num_rows, file.num_row_groups) == (2500, 3)
    assert [values["id"] for values in read_table(path, ("id",))] == [str(number) for number in range(2500)]


def test_a_failed_write_leaves_no_table(tmp_path: Path) -> None:
    path = tmp_path / "half.parquet"
    with pytest.raises(pyarrow.ArrowException):
        write_table(path, [row(0), row(1, cluster="many")], {})
    assert not path.exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.parquet", "id,label", "cannot be read: .*not a parquet file"),
        ("a.csv", "id,source\n", "lacks label"),
        ("a.csv", "id,label\na\n", "line 2 must have as many fields as the header"),
        ("a.csv", "id,label\n\udcff,b\n", "cannot be read"),
        ("a.xlsx", "", "a .parquet or .csv file, got 'a.xlsx'"),
    ],
)
def test_another_file_or_other_columns_are_refused(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content, errors="surrogateescape")
    with pytest.raises(EvaluationError, match=said):
        list(read_table(tmp_path / name, ("id", "label")))


def test_a_damaged_parquet_file_is_named(table: Path) -> None:
    content = bytearray(table.read_bytes())
    content[4:200] = bytes(196)
    table.write_bytes(content)
    with pytest.raises(EvaluationError, match=r"table\.parquet' cannot be read"):
        list(read_table(table, ("id", "label")))


def test_the_layout_for_spotlight_names_columns_of_the_table(table: Path) -> None:
    named = set(columns_in(json.loads(LAYOUT.read_text())))
    assert {"thumbnail", "label", "cluster", "tsne_x", "pca_y"} <= named <= {*pyarrow.parquet.read_schema(table).names}


def columns_in(layout: Any) -> Iterator[str]:
    """The columns that a layout of Spotlight shows."""
    for key, value in layout.items():
        if key in ("xAxisColumn", "yAxisColumn", "colorBy"):
            yield value
        elif key in ("visibleColumns", "columns") and isinstance(value, list):
            yield from value
        elif key == "config":
            yield from columns_in(value)
        elif key in ("children", "views"):
            for inner in value:
                yield from columns_in(inner)
