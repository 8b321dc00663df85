"""The rows of table files: the same rows from every format, and errors that name file, line and rule."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hashsearch.catalog.delimited import MAX_FIELD
from hashsearch.catalog.row import BadRow, Row
from hashsearch.catalog.rows import RowFile
from hashsearch.errors import CatalogError, EvaluationError

Write = Callable[[str, str | bytes], RowFile]

VALUES = [{"id": "1", "title": "Red mug"}, {"id": "2", "title": "A blue,\nlarge mug"}]
CSV = 'id,title\n1,Red mug\n2,"A blue,\nlarge mug"\n'
JSONL = "".join(json.dumps(values) + "\n" for values in VALUES)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file, gzipped if its name ends in .gz, and opens it."""

    def row_file(name: str, content: str | bytes) -> RowFile:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return RowFile(tmp_path / name)

    return row_file


def as_labels(file: RowFile) -> RowFile:
    return RowFile(file.path, "the labels", EvaluationError)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.csv", CSV),
        ("c.csv.gz", CSV),
        ("C.CSV", "\ufeff" + CSV),
        ("tabs.csv", CSV.replace(",", "\t").replace("blue\t", "blue,")),
        ("c.jsonl", JSONL),
        ("c.ndjson.gz", JSONL),
    ],
)
def test_every_text_format_gives_the_same_rows(write: Write, name: str, content: str) -> None:
    file = write(name, content)
    assert [row.values for row in file.rows() if isinstance(row, Row)] == VALUES
    assert [row.values for row in file.valid_rows()] == VALUES
    assert [row.values for row in file.valid_rows(["title"])] == [{"title": row["title"]} for row in VALUES]
    assert (file.columns(), file.unit) == (["id", "title"], "line")


def test_a_parquet_file_gives_the_same_rows(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="Parquet files need pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(arrow.Table.from_pylist(VALUES), tmp_path / "c.parquet")
    file = RowFile(tmp_path / "c.parquet")
    assert list(file.rows()) == [Row(1, VALUES[0]), Row(2, VALUES[1])]
    assert [row.values for row in file.valid_rows(["id"])] == [{"id": "1"}, {"id": "2"}]
    assert (file.columns(), file.unit) == (["id", "title"], "row")


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("c.csv", 'id,title\n1,a\n\n2,"b\nb"\n3,c\n', [2, 4, 6]),
        ("c.csv", "\nid,title\r\n1,a\r\n2,b\r\n", [3, 4]),
        ("c.jsonl", '{"id": 1}\n\n{"id": 2}', [1, 3]),
    ],
)
def test_rows_are_numbered_by_the_line_where_they_begin(
    write: Write, name: str, content: str, lines: list[int]
) -> None:
    assert [row.number for row in write(name, content).rows()] == lines


@pytest.mark.parametrize(
    ("name", "content", "bad"),
    [
        ("c.csv", "id,title\n1\n2,b\n", BadRow(2, "line 2 must have as many fields as the header, which has 2, got 1")),
        ("c.tsv", "id\n1\n\n2\t3\n", BadRow(4, "line 4 must have as many fields as the header, which has 1, got 2")),
        ("c.jsonl", "\n[1]\n", BadRow(2, "line 2 must be a JSON object, got [1]")),
    ],
)
def test_a_bad_row_names_its_line_and_the_rule(write: Write, name: str, content: str, bad: BadRow) -> None:
    file = write(name, content)
    assert [row for row in file.rows() if isinstance(row, BadRow)] == [bad]
    with pytest.raises(EvaluationError) as refused:
        list(as_labels(file).valid_rows())
    assert str(refused.value) == f"the labels '{file.path}' cannot be read: {bad.reason}"


def test_a_line_that_is_not_json_is_a_bad_row(write: Write) -> None:
    first, second = write("c.jsonl", '{"id": \n{"id": 2}').rows()
    assert isinstance(first, BadRow) and first.reason.startswith("line 1 must be a JSON object: ")
    assert second == Row(2, {"id": 2})


def test_bytes_that_are_not_utf8_become_surrogates_or_an_error(write: Write) -> None:
    file = write("c.csv", b"id,title\n1,caf\xe9\n")
    assert list(file.rows()) == [Row(2, {"id": "1", "title": "caf\udce9"})]
    with pytest.raises(CatalogError, match=r"catalog '.*c\.csv' cannot be read: it must be UTF-8 text, got byte 0xe9$"):
        list(file.valid_rows())


def test_a_field_that_is_too_long_is_a_bad_row(write: Write) -> None:
    file = write("c.csv", "id,title\n1,a\n2," + "x" * (MAX_FIELD + 1) + "\n3," + "x" * 140_000 + "\n")
    first, second, third = file.rows()
    assert (first, second) == (
        Row(2, {"id": "1", "title": "a"}),
        BadRow(3, "line 3 may have at most 16777216 characters in a field"),
    )
    assert third == Row(4, {"id": "3", "title": "x" * 140_000}), "the csv module's own limit is 131,072"


@pytest.mark.parametrize("read", [RowFile.columns, lambda file: list(file.rows())])
def test_a_file_that_is_missing_or_of_another_format_is_an_error(read: Any, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"cannot be read: .*No such file"):
        read(RowFile(tmp_path / "gone.csv"))
    (tmp_path / "c.xlsx").write_bytes(b"")
    with pytest.raises(EvaluationError, match=r"labels '.*c\.xlsx' cannot be read: its name must end in \.csv, "):
        read(as_labels(RowFile(tmp_path / "c.xlsx")))


@pytest.mark.parametrize("name", ["c.csv", "c.tsv", "c.jsonl"])
def test_an_empty_file_has_no_columns_and_no_rows(write: Write, name: str) -> None:
    file = write(name, "")
    assert (file.columns(), list(file.rows())) == ([], [])


def test_lists_are_the_fields_of_a_file_without_header(write: Write) -> None:
    file = write("list.txt", '\ufeffa/1.jpg, 0, "x, y"\n\nb.jpg ,1\n')
    assert list(file.lists()) == [(1, ["a/1.jpg", "0", "x, y"]), (3, ["b.jpg", "1"])]
