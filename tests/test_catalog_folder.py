"""What of a folder is an image, and what is passed over, counted by reason."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hashsearch.catalog.folder import PassedOver
from hashsearch.catalog.reading import BadEntry, Catalog, Entry
from hashsearch.errors import CatalogError

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)


def ids(folder: Path) -> list[str]:
    return [str(entry.id) for entry in Catalog(folder)]


def save(path: Path, kind: str = "JPEG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "red").save(path, kind)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("name", ["a.jfif", "a.mpo", "a", "a.data", "a.JPG_large", "IMG.2024-10-11", "a.heic"])
def test_the_bytes_decide_what_is_an_image_whatever_the_name(tmp_path: Path, name: str, kind: str) -> None:
    save(tmp_path / name, kind)
    assert ids(tmp_path) == [name]
    assert not Catalog(tmp_path).passed_over


@given(st.binary(max_size=80).filter(lambda head: head[:1] not in (b"\xff", b"\x89", b"R", b"G", b"B", b"I", b"M")))
def test_bytes_that_begin_like_no_format_are_passed_over(head: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.bin").write_bytes(head)
        assert ids(Path(folder)) == []
        assert len(Catalog(Path(folder)).passed_over) == 1


def test_files_that_are_no_images_are_listed_by_reason(tmp_path: Path) -> None:
    save(tmp_path / "a.jpg")
    for name, content in [
        ("b.HEIC", HEIC),
        ("sub/c.heic", HEIC),
        ("d", HEIC),
        ("raw.nef", b"II*\0" + bytes(60)),
        ("notes.txt", b"notes"),
        ("empty", b""),
        (".DS_Store", b""),
        ("broken.png", b"not a picture"),
    ]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe.jpg")
    catalog = Catalog(tmp_path)
    assert ids(tmp_path) == ["a.jpg", "broken.png"], "a file with the ending of an image is rejected with the reason"
    assert catalog.passed_over.by_reason == {
        ".heic (not supported)": ["b.HEIC", "sub/c.heic"],
        ".nef (not supported)": ["raw.nef"],
        ".txt (not a picture)": ["notes.txt"],
        "hidden": [".DS_Store"],
        "not a regular file": ["pipe.jpg"],
        "without ending (not a picture)": ["empty"],
        "without ending (not supported)": ["d"],
    }
    assert str(catalog.passed_over).startswith("8 files passed over: 2 .heic (not supported), 1 .nef (not supported), ")


@pytest.mark.parametrize("name", ["@eaDir", "__MACOSX", ".thumbnails", ".git", "#recycle", "$RECYCLE.BIN"])
def test_folders_of_thumbnails_and_of_the_system_are_passed_over(tmp_path: Path, name: str) -> None:
    save(tmp_path / "a.jpg")
    for copy in ("a.jpg/SYNOPHOTO_THUMB_M.jpg", "b.jpg"):
        save(tmp_path / "sub" / name / copy)
    assert ids(tmp_path) == ["a.jpg"]
    assert str(Catalog(tmp_path).passed_over) == f"2 files passed over: 2 in {name}"


def test_a_hidden_folder_that_is_the_catalog_itself_is_read(tmp_path: Path) -> None:
    save(tmp_path / ".photos" / "a.jpg")
    assert ids(tmp_path / ".photos") == ["a.jpg"]


class TestLinks:
    def test_a_link_to_an_image_of_the_folder_is_passed_over(self, tmp_path: Path) -> None:
        save(tmp_path / "originals" / "z.jpg")
        (tmp_path / "a.jpg").symlink_to("originals/z.jpg")
        assert ids(tmp_path) == ["originals/z.jpg"]
        assert str(Catalog(tmp_path).passed_over) == "1 file passed over: 1 link to originals/z.jpg"
        (tmp_path / "b.jpg").symlink_to("a.jpg")
        assert str(Catalog(tmp_path).passed_over) == "2 files passed over: 2 link to a file of this folder"

    def test_a_link_to_a_file_elsewhere_is_an_image_once(self, tmp_path: Path) -> None:
        save(tmp_path / "elsewhere" / "z.jpg")
        (tmp_path / "photos").mkdir()
        for name in ("a.jpg", "b"):
            (tmp_path / "photos" / name).symlink_to(tmp_path / "elsewhere" / "z.jpg")
        assert ids(tmp_path / "photos") == ["a.jpg"]
        assert Catalog(tmp_path / "photos").passed_over.by_reason == {"link to a.jpg": ["b"]}

    def test_a_link_into_a_hidden_folder_is_the_image(self, tmp_path: Path) -> None:
        """As git-annex and the cache of Hugging Face keep their files."""
        save(tmp_path / ".git" / "annex" / "0815")
        (tmp_path / "a.jpg").symlink_to(".git/annex/0815")
        assert ids(tmp_path) == ["a.jpg"]

    def test_a_linked_folder_is_read_once(self, tmp_path: Path) -> None:
        photos, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
        save(photos / "z" / "own.jpg")
        save(elsewhere / "inner" / "b.jpg")
        for name, target in [("a", photos / "z"), ("l1", elsewhere / "inner"), ("l2", elsewhere), ("up", tmp_path)]:
            (photos / name).symlink_to(target)
        assert ids(photos) == ["l1/b.jpg", "z/own.jpg"]
        assert Catalog(photos).passed_over.by_reason == {
            "linked folders that are read already": ["a", "l2/inner", "up"]
        }

    def test_broken_links_and_loops_are_counted(self, tmp_path: Path) -> None:
        (tmp_path / "itself.png").symlink_to("itself.png")
        (tmp_path / "gone.png").symlink_to("nowhere.png")
        assert Catalog(tmp_path).passed_over.by_reason == {"broken link": ["gone.png"], "link loop": ["itself.png"]}


class TestLocked:
    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        """A folder that an unprivileged user can reach, with a locked sub-folder and file; the test is that user."""
        folder = Path(tempfile.mkdtemp(dir="/tmp"))
        for name in ("a.jpg", "locked/b.jpg", "c"):
            save(folder / name)
        folder.chmod(0o755)
        (folder / "locked").chmod(0)
        (folder / "c").chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        yield folder
        if user == 0:
            os.seteuid(0)
        (folder / "locked").chmod(0o755)
        shutil.rmtree(folder)

    def test_what_cannot_be_read_is_counted(self, folder: Path) -> None:
        assert ids(folder) == ["a.jpg"]
        assert Catalog(folder).passed_over.by_reason == {"not readable": ["c", "locked"]}

    def test_a_folder_that_cannot_be_read_is_an_error(self, folder: Path) -> None:
        with pytest.raises(CatalogError, match=r"the folder '.*locked' cannot be read: Permission denied"):
            Catalog(folder / "locked").check()


def test_a_name_that_is_not_utf8_costs_its_own_files_only(tmp_path: Path) -> None:
    save(tmp_path / "a.jpg")
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    save(odd / "b.jpg")
    (odd / "notes.t\udce9").write_bytes(b"")
    catalog = Catalog(tmp_path)
    first, second = catalog
    assert isinstance(first, Entry) and first.id == "a.jpg"
    assert isinstance(second, BadEntry) and "must be UTF-8" in second.reason
    assert str(catalog.passed_over) == "1 file passed over: 1 .t\\udce9 (not a picture)"
    assert catalog.passed_over.by_reason == {".t\\udce9 (not a picture)": ["caf\\udce9/notes.t\\udce9"]}
    catalog.check()


def test_one_line_names_the_most_common_reasons() -> None:
    passed = PassedOver({f".{letter} (not a picture)": ["x"] * place for place, letter in enumerate("abcdefghij", 1)})
    assert str(passed).startswith("55 files passed over: 10 .j (not a picture), 9 .i (not a picture)")
    assert str(passed).endswith("3 .c (not a picture), 3 for other reasons")


@pytest.mark.parametrize("name", [None, "a.heic", "notes.txt"])
def test_a_folder_without_images_is_refused_unless_that_is_allowed(tmp_path: Path, name: str | None) -> None:
    if name:
        (tmp_path / name).write_bytes(HEIC)
    with pytest.raises(CatalogError, match="has no images") as refused:
        Catalog(tmp_path).check(allow_empty=False)
    assert "--allow-empty" in str(refused.value)
    assert ("1 file passed over: 1 ." in str(refused.value)) == (name is not None)
    Catalog(tmp_path).check(allow_empty=True)
