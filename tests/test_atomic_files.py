"""Several files replace theirs together, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashsearch.files import atomic_files


def test_all_files_replace_theirs_when_complete(tmp_path: Path) -> None:
    paths = [tmp_path / "new" / "a", tmp_path / "b"]
    paths[1].write_text("old")
    with atomic_files(paths, "w", encoding="utf-8") as (first, second):
        first.write("1")
        second.write("2")
        assert paths[1].read_text() == "old"
    assert [path.read_text() for path in paths] == ["1", "2"]
    assert {path.name for path in tmp_path.rglob("*")} == {"new", "a", "b"}


def test_after_an_error_no_file_is_changed_and_no_draft_remains(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    paths[0].write_text("old")
    with pytest.raises(KeyError), atomic_files(paths) as (first, _):
        first.write(b"new")
        raise KeyError
    assert paths[0].read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
