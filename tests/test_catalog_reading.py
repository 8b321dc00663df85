"""Catalogs of every format to entries; rows that cannot be entries, and files that are not catalogs."""

from __future__ import annotations

import gzip
import json
import os
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest

from hashsearch.catalog.reading import BadEntry, Catalog, Entry
from hashsearch.errors import CatalogError, ConfigError, Unreadable
from hashsearch.images.sources import ImageReader

Write = Callable[..., Catalog]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a catalog file and opens it."""

    def catalog(name: str, content: str | bytes, columns: Mapping[str, str] | None = None) -> Catalog:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return Catalog(tmp_path / name, columns or {})

    return catalog


def parquet(file: Path, **columns: Any) -> Catalog:
    pyarrow = pytest.importorskip("pyarrow", reason="Parquet catalogs need pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table(columns), file)
    return Catalog(file)


def only(catalog: Catalog) -> Entry | BadEntry:
    (entry,) = catalog
    return entry


def bad(catalog: Catalog) -> BadEntry:
    entry = only(catalog)
    assert isinstance(entry, BadEntry)
    return entry


def good(catalog: Catalog) -> Entry:
    entry = only(catalog)
    assert isinstance(entry, Entry)
    return entry


class TestFolder:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "pictures"
        for name in (
            "b_red-mug.JPG",
            "a.png",
            "mugs/large/3.webp",
            "mugs/2.jpeg",
            ".hidden.png",
            ".thumbs/1.png",
            "notes.txt",
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"")
        (folder / "folder.png").mkdir()
        return folder

    def test_the_images_of_a_folder_come_in_order_by_path(self, folder: Path) -> None:
        assert list(Catalog(folder)) == [
            Entry("a.png", str(folder / "a.png"), "a"),
            Entry("b_red-mug.JPG", str(folder / "b_red-mug.JPG"), "b red mug"),
            Entry("mugs/2.jpeg", str(folder / "mugs/2.jpeg"), "2", "mugs"),
            Entry("mugs/large/3.webp", str(folder / "mugs/large/3.webp"), "3", "mugs/large"),
        ]
        assert Catalog(folder).total == 4

    def test_sources_are_absolute(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder.parent)
        assert next(iter(Catalog(Path("pictures")))) == next(iter(Catalog(folder)))

    def test_a_name_that_is_not_utf8_is_a_bad_entry(self, tmp_path: Path) -> None:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")).write_bytes(b"")
        entry = bad(Catalog(tmp_path))
        assert "must be UTF-8" in entry.reason
        assert entry.id == "caf\udce9.png"

    def test_links_in_a_circle_are_not_followed_for_ever(self, folder: Path) -> None:
        (folder / "mugs" / "up").symlink_to(folder)
        (folder / "itself.png").symlink_to(folder / "itself.png")
        (folder / "gone.png").symlink_to(folder / "nowhere.png")
        assert Catalog(folder).total == 4

    def test_an_empty_folder_is_an_empty_catalog(self, tmp_path: Path) -> None:
        assert list(Catalog(tmp_path)) == []
        assert Catalog(tmp_path).total == 0


ROWS = [
    Entry("1", "/images/1.jpg", "Red mug", "mugs", {"colour": "red", "price": "9.50"}),
    Entry("2", "https://example.com/2.jpg", 'A "blue", large\nmug', None, {"colour": "blue"}),
]
TEXT = "id,path,title,category,colour,price\n1,/images/1.jpg,Red mug,mugs,red,9.50\n"
TEXT += '2,https://example.com/2.jpg,"A ""blue"", large\nmug",,blue,\n'
TABS = "id\tpath\ttitle\tcategory\tcolour\tprice\n1\t/images/1.jpg\tRed mug\tmugs\tred\t9.50\n"
TABS += '2\thttps://example.com/2.jpg\t"A ""blue"", large\nmug"\t\tblue\t\n'
LINES = json.dumps(
    {"id": 1, "path": "/images/1.jpg", "title": "Red mug", "category": "mugs", "colour": "red", "price": "9.50"}
)
LINES += "\n\n" + json.dumps(
    {
        "id": "2",
        "path": "https://example.com/2.jpg",
        "title": 'A "blue", large\nmug',
        "category": None,
        "colour": "blue",
    }
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.csv", TEXT),
        ("c.csv.gz", TEXT),
        ("C.CSV", TEXT.replace("\n1", "\r\n1").replace("\n2", "\r\n2")),
        ("bom.csv", "\ufeff" + TEXT),
        ("tabs.csv", TABS),
        ("tabs.csv.gz", TABS),
        ("c.jsonl", LINES),
        ("c.jsonl.gz", LINES),
        ("c.ndjson", "\ufeff" + LINES + "\n"),
        ("c.ndjson.gz", LINES),
    ],
)
def test_every_format_gives_the_same_entries(write: Write, name: str, content: str) -> None:
    catalog = write(name, content)
    assert list(catalog) == ROWS
    assert list(catalog) == ROWS, "a catalog can be read again"
    assert catalog.total == 2


def test_parquet_gives_the_same_entries(tmp_path: Path) -> None:
    catalog = parquet(
        tmp_path / "c.parquet",
        id=[1, 2],
        path=[row.source for row in ROWS],
        title=[row.title for row in ROWS],
        category=["mugs", None],
        colour=["red", "blue"],
        price=["9.50", None],
    )
    assert list(catalog) == ROWS
    assert catalog.total == 2


class TestParquet:
    def test_more_rows_than_a_batch_are_read(self, tmp_path: Path) -> None:
        numbers = [str(number) for number in range(2500)]
        catalog = parquet(tmp_path / "c.parquet", id=numbers, path=numbers)
        assert [entry.id for entry in catalog] == numbers
        assert catalog.total == 2500

    def test_dates_decimals_lists_and_structs_become_what_json_holds(self, tmp_path: Path) -> None:
        catalog = parquet(
            tmp_path / "c.parquet",
            id=["1"],
            path=["1.jpg"],
            made=[date(2026, 11, 21)],
            price=[Decimal("9.50")],
            tags=[["a", "b"]],
            size=[{"width": 3, "height": 4}],
            sold=[True],
        )
        attributes = good(catalog).attributes
        assert attributes == {
            "made": "2026-11-21",
            "price": "9.50",
            "tags": ["a", "b"],
            "size": {"width": 3, "height": 4},
            "sold": True,
        }
        assert json.loads(json.dumps(attributes)) == attributes

    def test_nan_is_an_empty_value(self, tmp_path: Path) -> None:
        nan = float("nan")
        catalog = parquet(tmp_path / "c.parquet", id=["1"], path=["1.jpg"], weight=[nan], title=[nan], category=[nan])
        entry = good(catalog)
        assert (entry.title, entry.category, entry.attributes) == (None, None, {})

    def test_nan_is_not_an_id(self, tmp_path: Path) -> None:
        assert "must have an id" in bad(parquet(tmp_path / "c.parquet", id=[float("nan")], path=["1.jpg"])).reason

    def test_a_time_that_python_cannot_hold_is_text(self, tmp_path: Path) -> None:
        arrow = pytest.importorskip("pyarrow", reason="Parquet catalogs need pyarrow")
        times = arrow.array([1, 1_700_000_000_123_456_789, None], arrow.timestamp("ns"))
        first, second, third = parquet(tmp_path / "c.parquet", id=["1", "2", "3"], path=["a", "b", "c"], sold=times)
        assert isinstance(first, Entry) and isinstance(second, Entry) and isinstance(third, Entry)
        assert second.attributes == {"sold": "2023-11-14 22:13:20.123456789"}
        assert third.attributes == {}

    @pytest.mark.parametrize(("unit", "late"), [("s", 10**15), ("ms", 10**18), ("us", (1 << 63) - 1)])
    def test_a_value_that_cannot_be_read_costs_its_row_at_most(self, tmp_path: Path, unit: str, late: int) -> None:
        arrow = pytest.importorskip("pyarrow", reason="Parquet catalogs need pyarrow")
        times = arrow.array([0, late], arrow.timestamp(unit))
        first, second = parquet(tmp_path / "c.parquet", id=["1", "2"], path=["a", "b"], sold=times)
        assert isinstance(first, Entry) and first.attributes["sold"].startswith("1970-01-01")
        assert isinstance(second, Entry) or "row 2: the value of column 'sold' cannot be read" in second.reason

    def test_text_that_is_not_utf8_costs_its_row(self, tmp_path: Path) -> None:
        arrow = pytest.importorskip("pyarrow", reason="Parquet catalogs need pyarrow")
        names = arrow.array([b"caf\xe9", b"tea"], arrow.binary()).view(arrow.string())
        first, second = parquet(tmp_path / "c.parquet", id=["1", "2"], path=["a", "b"], title=names)
        assert isinstance(first, BadEntry) and "row 1: the value of column 'title' cannot be read" in first.reason
        assert isinstance(second, Entry) and second.title == "tea"

    def test_binary_columns_are_left_out_and_named_once(self, tmp_path: Path) -> None:
        catalog = parquet(
            tmp_path / "c.parquet",
            id=["1"],
            path=["/a.jpg"],
            thumb=[b"\xff\xd8" * 50_000],
            parts=[[b"a", b"b"]],
            deep=[{"raw": b"x", "size": 3}],
        )
        assert good(catalog) == Entry("1", "/a.jpg", attributes={"deep": {"size": 3}})
        assert catalog.left_out == ("thumb", "parts", "deep")

    @pytest.mark.parametrize("structured", [True, False])
    def test_images_in_the_file_are_read_from_their_rows(self, tmp_path: Path, structured: bool) -> None:
        """Hugging Face's image column; a plain binary one too."""
        arrow = pytest.importorskip("pyarrow", reason="Parquet catalogs need pyarrow")
        images = [bytes([number]) * 100 for number in range(10)]
        column = [{"bytes": data, "path": f"{row}.jpg"} for row, data in enumerate(images)] if structured else images
        file = tmp_path / "c.parquet"
        table = arrow.table({"image": column, "label": list(range(10))})
        pytest.importorskip("pyarrow.parquet").write_table(table, file, row_group_size=3)
        catalog = Catalog(file, {"category": "label"})
        catalog.check()
        entries = [entry for entry in catalog if isinstance(entry, Entry)]
        assert [entry.id for entry in entries] == [f"{row}.jpg" if structured else f"{row + 1}" for row in range(10)]
        assert entries[3] == Entry(entries[3].id, f"{file}#4/image", None, "3")
        assert [ImageReader().read(entry.source) for entry in entries] == images
        assert (catalog.total, catalog.left_out) == (10, ())

    def test_an_image_column_with_paths_only_has_paths(self, tmp_path: Path) -> None:
        arrow = pytest.importorskip("pyarrow", reason="Parquet catalogs need pyarrow")
        kind = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
        column = arrow.array([{"bytes": None, "path": "a.jpg"}], kind)
        assert good(parquet(tmp_path / "c.parquet", id=["1"], image=column)).source == str(tmp_path / "a.jpg")

    def test_a_row_without_image_and_a_place_that_is_gone_are_unreadable(self, tmp_path: Path) -> None:
        catalog = parquet(tmp_path / "c.parquet", id=["1", "2"], image=[b"x", None])
        _, second = catalog
        assert isinstance(second, Entry)
        with pytest.raises(Unreadable, match="row 2 has no image in column 'image'"):
            ImageReader().read(second.source)
        for source in (f"{catalog.path}#3/image", f"{catalog.path}#1/other", f"{tmp_path}/gone.parquet#1/image"):
            with pytest.raises(Unreadable):
                ImageReader().read(source)

    def test_a_pipe_with_the_name_of_a_file_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "c.parquet")
        with pytest.raises(Unreadable, match="must be in a regular file"):
            ImageReader().read(f"{tmp_path}/c.parquet#1/image")

    def test_a_broken_file_is_refused(self, write: Write) -> None:
        pytest.importorskip("pyarrow", reason="Parquet catalogs need pyarrow")
        for content in (b"", b"PAR1", b"PAR1 and something else PAR1"):
            with pytest.raises(CatalogError, match=r"broken\.parquet' cannot be read"):
                list(write("broken.parquet", content))


class TestColumns:
    def test_columns_of_usual_names_are_recognised(self, write: Write) -> None:
        assert only(write("c.csv", "sku,image_url,name\n7,http://x/7.jpg,Pen\n")) == Entry("7", "http://x/7.jpg", "Pen")

    def test_the_first_usual_name_with_a_value_counts(self, write: Write) -> None:
        entry = good(write("c.jsonl", '{"id": "7", "image": "", "path": "/a.jpg", "url": "http://x/a.jpg"}'))
        assert entry.source == "/a.jpg"
        assert entry.attributes == {"url": "http://x/a.jpg"}

    def test_mapped_columns_are_used(self, write: Write) -> None:
        columns = {"id": "number", "image": "photo", "title": "text", "category": "kind"}
        catalog = write("c.csv", "number,photo,text,kind,id\n7,/7.jpg,Pen,pens,old\n", columns)
        assert only(catalog) == Entry("7", "/7.jpg", "Pen", "pens", {"id": "old"})

    def test_one_mapped_column_leaves_the_others_to_their_usual_names(self, write: Write) -> None:
        assert only(write("c.csv", "name,path\n7,/7.jpg\n", {"id": "name"})) == Entry("7", "/7.jpg")

    def test_a_column_may_have_two_roles(self, write: Write) -> None:
        assert only(write("c.csv", "path,text\na.jpg,x\n", {"id": "path"})).id == "a.jpg"
        assert only(write("c.csv", "file,t\n/a.jpg,x\n", {"id": "file", "image": "file", "title": "file"})) == Entry(
            "/a.jpg", "/a.jpg", "/a.jpg", None, {"t": "x"}
        )

    @pytest.mark.parametrize("name", ["c.csv", "c.jsonl"])
    def test_without_a_column_for_the_id_the_path_is_the_id(self, write: Write, name: str) -> None:
        content = "path,text\n/a.jpg,x\n" if name == "c.csv" else '{"path": "/a.jpg", "text": "x"}'
        assert only(write(name, content)) == Entry("/a.jpg", "/a.jpg", None, None, {"text": "x"})

    def test_an_empty_id_does_not_take_the_sku(self, write: Write) -> None:
        """Else it could be the id of another row."""
        for catalog in (
            write("c.csv", "id,sku,path\n,2,/a.jpg\n2,B,/b.jpg\n"),
            write("c.jsonl", '{"id": null, "sku": "2", "path": "/a.jpg"}\n{"id": 2, "path": "/b.jpg"}'),
        ):
            first, second = catalog
            assert isinstance(first, BadEntry) and "must have an id in column 'id'" in first.reason
            assert isinstance(second, Entry) and second.id == "2"

    @pytest.mark.parametrize("name", ["image_url", "file_name", "Image-URL", " PATH ", "filename", "Image Path"])
    def test_the_address_of_an_image_goes_before_that_of_a_page(self, write: Write, name: str) -> None:
        entry = good(write("c.csv", f"Id,url,{name}\n1,https://shop.de/1,/a.jpg\n"))
        assert (entry.id, entry.source, entry.attributes) == ("1", "/a.jpg", {"url": "https://shop.de/1"})

    def test_an_empty_image_does_not_take_the_page(self, write: Write) -> None:
        entry = bad(write("c.csv", "id,url,image_url\n1,https://shop.de/1,\n"))
        assert entry.reason == "line 2: an entry must have a path or address in column 'image_url'"

    @pytest.mark.parametrize(
        ("written", "source"),
        [
            ("HTTPS://x.de/A.jpg", "https://x.de/A.jpg"),
            (" https://x.de/a.jpg ", "https://x.de/a.jpg"),
            ("file:///p/a%20b.jpg", "/p/a b.jpg"),
            ("FILE://localhost/p/a.jpg", "/p/a.jpg"),
            ("/a.jpg ", "/a.jpg"),
        ],
    )
    def test_addresses_are_read_as_they_are_written(self, write: Write, written: str, source: str) -> None:
        assert good(write("c.csv", f"id,path\n1,{written}\n")).source == source

    @pytest.mark.parametrize(("listed", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
    def test_names_with_accents_are_found_in_either_form(
        self, write: Write, tmp_path: Path, listed: Literal["NFC", "NFD"], stored: Literal["NFC", "NFD"]
    ) -> None:
        file = tmp_path / unicodedata.normalize(stored, "käse.jpg")
        file.write_bytes(b"")
        assert good(write("c.csv", f"id,path\n1,{unicodedata.normalize(listed, 'käse.jpg')}\n")).source == str(file)

    def test_an_unknown_role_is_refused(self, write: Write) -> None:
        with pytest.raises(ConfigError, match="role must be one of id, image, title, category, got 'price'"):
            write("c.csv", TEXT, {"price": "cost"})

    def test_a_relative_path_is_taken_from_the_catalogs_folder(self, write: Write, tmp_path: Path) -> None:
        assert good(write("c.csv", "id,path\n1,pictures/1.jpg\n")).source == str(tmp_path / "pictures" / "1.jpg")


class TestAttributes:
    def test_nested_attributes_stay_nested(self, write: Write) -> None:
        line = {"id": "1", "path": "/1.jpg", "attributes": {"size": {"w": 3}}, "tags": ["a"], "none": None, "empty": ""}
        assert good(write("c.jsonl", json.dumps(line))).attributes == {"size": {"w": 3}, "tags": ["a"]}

    def test_a_text_column_named_attributes_is_an_attribute(self, write: Write) -> None:
        assert good(write("c.csv", "id,path,attributes\n1,/1.jpg,new\n")).attributes == {"attributes": "new"}

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
    def test_numbers_that_json_does_not_have_are_empty_values(self, write: Write, number: str) -> None:
        """Else the entry would differ from what is stored of it at every run."""
        line = f'{{"id": 1, "path": "/1.jpg", "n": {number}, "deep": {{"n": [{number}, 1]}}}}'
        assert good(write("c.jsonl", line)).attributes == {"deep": {"n": [None, 1]}}

    def test_zero_and_false_are_values(self, write: Write) -> None:
        line = '{"id": 0, "path": "/1.jpg", "stock": 0, "sold": false}'
        assert only(write("c.jsonl", line)) == Entry("0", "/1.jpg", attributes={"stock": 0, "sold": False})


class TestBadEntries:
    def test_a_row_without_id_is_a_bad_entry(self, write: Write) -> None:
        assert bad(write("c.csv", "id,path\n,/1.jpg\n")) == BadEntry(
            None, "line 2: an entry must have an id in column 'id' or 'sku'"
        )

    def test_a_row_without_path_is_a_bad_entry(self, write: Write) -> None:
        entry = bad(write("c.csv", "id,photo\n1,\n", {"image": "photo"}))
        assert entry == BadEntry("1", "line 2: an entry must have a path or address in column 'photo'")

    def test_lists_and_objects_are_no_ids_and_no_paths_and_as_text_they_are_json(self, write: Write) -> None:
        rows = [
            {"id": {"a": 1}, "path": "/1.jpg"},
            {"id": ["x"], "path": "/2.jpg"},
            {"id": "3", "path": ["/3.jpg"]},
            {"id": "4", "path": {"url": "/4.jpg"}},
        ]
        reasons = [
            entry.reason for entry in write("c.jsonl", "\n".join(map(json.dumps, rows))) if isinstance(entry, BadEntry)
        ]
        assert [reason.split(" in column")[0] for reason in reasons] == [
            "line 1: an entry must have an id",
            "line 2: an entry must have an id",
            "line 3: an entry must have a path or address",
            "line 4: an entry must have a path or address",
        ]
        row = {"id": True, "path": "/5.jpg", "title": {"de": "Größe"}, "category": ["mugs", "pens"]}
        assert good(write("d.jsonl", json.dumps(row))) == Entry("true", "/5.jpg", '{"de": "Größe"}', '["mugs", "pens"]')

    def test_a_repeated_id_is_a_bad_entry(self, write: Write) -> None:
        first, second, third = write(
            "c.jsonl", '{"id": 1, "path": "a"}\n{"id": "1", "path": "b"}\n{"id": 2, "path": "c"}'
        )
        assert (first.id, third.id) == ("1", "2")
        assert second == BadEntry("1", "line 2: an id may occur only once in a catalog, an earlier row has it")

    def test_an_id_is_free_again_when_its_row_was_bad(self, write: Write) -> None:
        first, second = write("c.csv", "id,path\n1,\n1,/1.jpg\n")
        assert isinstance(first, BadEntry)
        assert second == Entry("1", "/1.jpg")

    def test_ids_are_as_long_as_elasticsearch_takes_them(self, write: Write) -> None:
        longest, longer = "é" * 256, "é" * 256 + "e"
        assert good(write("c.csv", f"id,path\n{longest},/1.jpg\n")).id == longest
        reason = bad(write("c.csv", f"id,path\n{longer},/1.jpg\n")).reason
        assert reason == "line 2: an id may have at most 512 bytes, got 513"

    @pytest.mark.parametrize("row", [b"caf\xe9,/1.jpg,a", b"1,/caf\xe9.jpg,a", b"1,/1.jpg,caf\xe9"])
    def test_a_row_that_is_not_utf8_is_a_bad_entry(self, write: Write, row: bytes) -> None:
        entry = bad(write("c.csv", b"id,path,colour\n" + row + b"\n"))
        assert "must be UTF-8" in entry.reason
        assert entry.id == row.split(b",")[0].decode("utf-8", "surrogateescape")

    @pytest.mark.parametrize(("row", "fields"), [("1", 1), ("1,/1.jpg,red,more", 4)])
    def test_a_row_with_fewer_or_more_fields_than_the_header_is_a_bad_entry(
        self, write: Write, row: str, fields: int
    ) -> None:
        first, second = write("c.csv", f"id,path,colour\n{row}\n2,/2.jpg,blue\n")
        rule = "line 2 must have as many fields as the header, which has 3"
        assert first == BadEntry(None, f"{rule}, got {fields}")
        assert second.id == "2"

    @pytest.mark.parametrize(
        "line",
        [
            "{",
            "[1]",
            '"text"',
            "null",
            "caf\udce9",
            "[" * 100_000,
            '{"id": "\\ud800", "path": "/1.jpg"}',
        ],
    )
    def test_a_line_that_is_not_a_json_object_is_a_bad_entry(self, write: Write, line: str) -> None:
        content = f'{line}\n{{"id": 2, "path": "/2.jpg"}}'.encode("utf-8", "surrogateescape")
        first, second = write("c.jsonl", content)
        assert isinstance(first, BadEntry)
        assert second.id == "2"

    @pytest.mark.parametrize("number", [1 << 64, -(1 << 63) - 1])
    def test_numbers_too_large_for_json_make_a_bad_entry(self, write: Write, number: int) -> None:
        """They must not stop a run when it comes to writing them."""
        entry = bad(write("c.jsonl", json.dumps({"id": 1, "path": "/1.jpg", "deep": {"n": [number]}})))
        assert "64-bit numbers" in entry.reason

    def test_attributes_nested_too_deeply_make_a_bad_entry(self, write: Write) -> None:
        line = '{"id": 1, "path": "/1.jpg", "deep": ' + "[" * 300 + "]" * 300 + "}"
        assert "not nested too deeply" in bad(write("c.jsonl", line)).reason

    def test_bad_entries_are_counted(self, write: Write) -> None:
        catalog = write("c.csv", "id,path\n1,/1.jpg\n1,/1.jpg\n,\n2\n3,/3.jpg\n")
        assert catalog.total == len(list(catalog)) == 5


class TestCheck:
    def test_a_column_that_no_row_has_is_refused_with_the_columns(self, write: Write) -> None:
        lines = '{"id": 1, "path": "/a.jpg"}\n{"id": 2, "path": "/b.jpg", "label": "x"}'
        for name, content, names in (("c.csv", TEXT, "id, path, title"), ("c.jsonl", lines, "id, path, label")):
            with pytest.raises(
                ConfigError, match=f"title is in column 'nope', which '{name}' does not have: its columns"
            ):
                write(name, content, {"title": "nope"}).check()
            with pytest.raises(ConfigError, match=f"its columns are {names}"):
                write(name, content, {"title": "nope"}).check()
        write("c.jsonl", lines, {"title": "label"}).check()

    @pytest.mark.parametrize(
        ("name", "content"), [("c.csv", "id,path\n"), ("c.tsv", "id\tpath"), ("c.csv", ""), ("c.jsonl", "\n\n")]
    )
    def test_a_catalog_without_rows_is_refused_unless_that_is_allowed(
        self, write: Write, name: str, content: str
    ) -> None:
        with pytest.raises(CatalogError, match="has no images") as refused:
            write(name, content).check()
        assert "--allow-empty" not in str(refused.value), "not every caller has this option"
        with pytest.raises(CatalogError, match=r"has no images.*; --allow-empty accepts a catalog"):
            write(name, content).check(allow_empty=False)
        write(name, content).check(allow_empty=True)

    def test_rows_that_all_break_one_rule_are_one_sentence_with_the_columns(self, write: Write) -> None:
        catalog = write("c.csv", "number,photo\n" + "1,/a.jpg\n" * 30)
        with pytest.raises(CatalogError) as refused:
            catalog.check()
        assert str(refused.value) == (
            "none of the 30 rows of 'c.csv' can be indexed, all for one reason: an entry must have a path or address "
            "in column 'image' or 'path' or 'image_url' or 'url'; its columns are number, photo"
        )

    def test_rows_of_another_length_than_the_header_are_one_sentence(self, write: Write) -> None:
        with pytest.raises(
            CatalogError, match="all for one reason: must have as many fields as the header, which has 2, got 3"
        ):
            write("c.csv", "id,path\n1,a,\n2,b,\n").check()

    def test_one_good_row_is_enough(self, write: Write) -> None:
        write("c.csv", "id,path\n,a\n,b\n3,c\n").check()
        write("c.csv", "id,path\n,a\n2\n").check()


class TestNoCatalog:
    def test_a_missing_catalog_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(CatalogError, match="there is no catalog at"):
            Catalog(tmp_path / "missing.csv")

    @pytest.mark.parametrize("name", ["c.xlsx", "c", "c.csv.zip", "c.gz"])
    def test_a_file_of_another_format_is_refused(self, write: Write, name: str) -> None:
        with pytest.raises(CatalogError, match=rf"a catalog is a folder, \.csv, .*got '{name}'"):
            list(write(name, TEXT))

    @pytest.mark.parametrize("name", ["c.csv", "c.jsonl.gz", "c.parquet"])
    def test_a_pipe_is_refused_and_not_waited_for(self, tmp_path: Path, name: str) -> None:
        os.mkfifo(tmp_path / name)
        with pytest.raises(CatalogError, match="a catalog is a folder or a regular file"):
            Catalog(tmp_path / name)

    def test_a_gzip_file_that_ends_early_is_refused(self, write: Write, tmp_path: Path) -> None:
        path = write("c.csv.gz", TEXT * 50).path
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(CatalogError, match="cannot be read"):
            list(Catalog(path))

    def test_a_file_that_is_not_gzip_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "c.csv.gz").write_text(TEXT)
        with pytest.raises(CatalogError, match="cannot be read"):
            list(Catalog(tmp_path / "c.csv.gz"))

    def test_a_damaged_gzip_file_is_refused(self, write: Write) -> None:
        path = write("c.csv.gz", TEXT * 50).path
        whole = path.read_bytes()
        for place in range(10, len(whole)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
            with pytest.raises(CatalogError, match="cannot be read"):
                list(Catalog(path))

    def test_a_quote_that_is_never_closed_is_refused_with_its_line(self, write: Write) -> None:
        with pytest.raises(
            CatalogError, match="cannot be read: line 2: a quotation mark opens a field that is not closed"
        ):
            list(write("c.csv", 'id,path\n1,"/1.jpg\n' + "2,/2.jpg\n" * 20_000))


class TestFingerprint:
    """It must change when the entries before a checkpoint may no longer be the same ones, and not otherwise."""

    def test_the_fingerprint_of_a_file_depends_on_its_content(self, write: Write) -> None:
        assert write("a.csv", TEXT).fingerprint == write("b.csv", TEXT).fingerprint
        assert write("a.csv", TEXT).fingerprint != write("a.csv", TEXT.replace("9.50", "9.51")).fingerprint

    def test_the_fingerprint_depends_on_the_columns(self, write: Write) -> None:
        mapped = [write("a.csv", TEXT, columns).fingerprint for columns in ({}, {"title": "colour"}, {"title": "path"})]
        assert len(set(mapped)) == 3
        either = [{"id": "id", "image": "path"}, {"image": "path", "id": "id"}]
        assert len({write("a.csv", TEXT, columns).fingerprint for columns in either}) == 1

    def test_the_fingerprint_of_a_folder_depends_on_the_file_names(self, tmp_path: Path) -> None:
        def fingerprint() -> str:
            return Catalog(tmp_path).fingerprint

        empty = fingerprint()
        (tmp_path / "a.png").write_bytes(b"")
        with_picture = fingerprint()
        (tmp_path / "a.png").write_bytes(b"other")
        (tmp_path / "notes.txt").write_bytes(b"")
        assert fingerprint() == with_picture != empty
        (tmp_path / "sub").mkdir()
        (tmp_path / "a.png").rename(tmp_path / "sub" / "a.png")
        assert fingerprint() not in (with_picture, empty)
