"""Delimited text as it comes: delimiters, quotation marks, encodings, line ends, and what breaks them."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import tempfile
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hashsearch.catalog.reading import BadEntry, Catalog, Entry
from hashsearch.catalog.row import BadRow, Row
from hashsearch.catalog.rows import RowFile
from hashsearch.catalog.text import encoding_of
from hashsearch.errors import CatalogError

ENCODINGS = {
    "utf-8": b"",
    "utf-8-sig": b"",
    "utf-16": b"",
    "utf-16-le": b"",
    "utf-16-be": b"",
    "utf-16-be with BOM": codecs.BOM_UTF16_BE,
    "utf-32": b"",
}
letters = st.text(st.sampled_from("ab ,;|'\"\té漢\n\r#=.-"), max_size=12)


def encoded(text: str, encoding: str) -> bytes:
    return ENCODINGS[encoding] + text.encode(encoding.removesuffix(" with BOM"))


def rows_of(name: str, data: bytes) -> list[Row | BadRow]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        return list(RowFile(path).rows())


def entries(folder: Path, name: str, data: bytes) -> list[Entry | BadEntry]:
    (folder / name).write_bytes(data)
    return list(Catalog(folder / name))


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
@pytest.mark.parametrize("text", ["id,path\n", "id", "id,path,Größe,😀\n" + "1,a.jpg,ß,\n" * 20, "漢id,path\n1,漢\n"])
def test_an_encoding_is_recognised_by_the_first_bytes(encoding: str, text: str) -> None:
    data = encoded(text, encoding)
    assert data.decode(encoding_of(data[:64])).removeprefix("\ufeff") == text


def test_a_byte_order_mark_without_text_of_its_encoding_is_none() -> None:
    assert encoding_of(b"\xff\xfe\0") == "utf-8-sig"


@settings(deadline=None)
@given(
    table=st.lists(st.tuples(letters, letters, letters), max_size=30),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(sorted(ENCODINGS)),
    zipped=st.booleans(),
)
@example([("1", "a;b;c", "x"), ("2", "a;b;c", "x")], ",", csv.QUOTE_MINIMAL, "\n", "utf-8", False)
def test_csv_of_every_dialect_and_encoding_gives_the_same_rows(
    table: list[tuple[str, ...]], delimiter: str, quoting: Literal[0, 1], line_end: str, encoding: str, zipped: bool
) -> None:
    if quoting == csv.QUOTE_MINIMAL:  # Python 3.12 and older do not quote all line ends
        table = [tuple(re.sub("[\r\n]", " ", field) for field in row) for row in table]
    out = io.StringIO(newline="")
    header = ("id", "path", "a text; long, and | odd")
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=line_end).writerows([header, *table])
    data = encoded(out.getvalue(), encoding)
    rows = rows_of(*(("c.csv.gz", gzip.compress(data, 0)) if zipped else ("c.csv", data)))
    assert [tuple(row.values.values()) for row in rows if isinstance(row, Row)] == table
    assert len(rows) == len(table)


@settings(deadline=None)
@given(
    table=st.lists(st.tuples(*[st.text(st.sampled_from("ab ,;|'\"é漢"), min_size=1, max_size=9)] * 3), max_size=30),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(sorted(ENCODINGS)),
)
def test_tsv_has_no_quoting(table: list[tuple[str, ...]], line_end: str, encoding: str) -> None:
    text = line_end.join("\t".join(fields) for fields in [("id", "path", "title"), *table])
    rows = rows_of("c.tsv", encoded(text, encoding))
    assert [tuple(row.values.values()) for row in rows if isinstance(row, Row)] == table
    assert len(rows) == len(table)


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from('a,"\n'), max_size=8), max_size=12), st.sampled_from(["c.csv", "c.tsv"]))
def test_no_line_is_swallowed_without_an_error(lines: list[str], name: str) -> None:
    """Each line is a row, a bad row, or blank; lines inside of one row are so since its quotation marks are closed."""
    data = "\n".join(["id", *lines]).encode()
    try:
        rows = rows_of(name, data)
    except CatalogError as error:
        assert "a quotation mark opens a field that is not closed" in str(error)
        return
    numbers = {row.number for row in rows}
    text = data.decode().split("\n")
    for number in range(2, len(text) + 1):
        if number not in numbers and text[number - 1]:
            start = max((begun for begun in numbers if begun < number), default=None)
            assert start is not None and '"' in text[start - 1]


class TestQuotationMarks:
    @pytest.mark.parametrize("rest", ["", "4,d.jpg,plain\n", '4,d.jpg,"quoted"\n', '4,d.jpg,the "best"\n'])
    def test_one_that_is_not_closed_is_an_error_with_its_line(self, tmp_path: Path, rest: str) -> None:
        text = f'id,path,title\n1,a.jpg,"two\nlines"\n2,b.jpg,"open\n3,c.jpg,plain\n{rest}'
        with pytest.raises(CatalogError, match="cannot be read: line 4: a quotation mark opens a field"):
            entries(tmp_path, "c.csv", text.encode())

    def test_text_behind_a_closing_one_costs_its_row_only(self, tmp_path: Path) -> None:
        first, second, third = entries(tmp_path, "c.csv", b'id,path,t\n1,a,x\n2,b,"Best" mug\n3,c,5" pipe\n')
        assert isinstance(first, Entry)
        assert isinstance(second, BadEntry) and second.reason.startswith("line 3 must have nothing between a closing")
        assert isinstance(third, Entry) and third.attributes == {"t": '5" pipe'}

    def test_a_tsv_file_with_a_quoted_header_has_quoting(self, tmp_path: Path) -> None:
        (entry,) = entries(tmp_path, "c.tsv", b'"id"\t"path"\t"title"\n"1"\t"/a.jpg"\t"a\ttab"\n')
        assert entry == Entry("1", "/a.jpg", "a\ttab")


def test_the_delimiter_may_be_named_in_the_first_line_as_excel_does(tmp_path: Path) -> None:
    (entry,) = entries(tmp_path, "c.csv", b"sep=;\r\nid;path\r\n1;/a,b.jpg\r\n")
    assert entry == Entry("1", "/a,b.jpg")
    (bad,) = entries(tmp_path, "c.csv", b"sep=;\r\nid;path\r\n1\r\n")
    assert isinstance(bad, BadEntry) and bad.reason.startswith("line 3 must have as many fields")


def test_blanks_around_names_and_values_do_not_count(tmp_path: Path) -> None:
    text = b' ID , Image URL , Title , colour \n 1 , https://x.de/a.jpg , "Red, large", red \n'
    (entry,) = entries(tmp_path, "c.csv", text)
    assert entry == Entry("1", "https://x.de/a.jpg", "Red, large", None, {"colour": "red"})


def test_zeros_at_the_end_of_a_file_are_a_bad_row(tmp_path: Path) -> None:
    """As after a power cut."""
    first, second = entries(tmp_path, "c.csv", b"id,path\n1,/a.jpg\n" + bytes(4096))
    assert isinstance(first, Entry) and isinstance(second, BadEntry)
    only, last = entries(tmp_path, "c.jsonl", b'{"id": 1, "path": "/a.jpg"}\n' + bytes(4096))
    assert isinstance(only, Entry) and isinstance(last, BadEntry)
    (nul,) = entries(tmp_path, "c.csv", b"id,path\n1,/a\0.jpg\n")
    assert isinstance(nul, BadEntry)
    assert re.match("line 2.* contains? (the character )?NUL$", nul.reason)  # Python 3.10's own, or ours


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="two columns are named 'title'"):
        entries(tmp_path, "c.csv", b"id,path,title, title\n1,/a.jpg,x,y\n")
    (entry,) = entries(tmp_path, "c.csv", b"id,path,,\n1,/a.jpg,,\n")
    assert entry == Entry("1", "/a.jpg")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-8-sig"])
def test_json_lines_of_every_encoding_are_read(tmp_path: Path, encoding: str) -> None:
    text = '{"id": "1", "path": "/a.jpg", "title": "Käse"}\n'
    (entry,) = entries(tmp_path, "c.jsonl", text.encode(encoding))
    assert entry == Entry("1", "/a.jpg", "Käse")
