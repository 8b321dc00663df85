"""Files and folders that appear whole or not at all, also when the process is killed; locks; names safe in a path."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashsearch.errors import ConfigError, HashsearchError
from hashsearch.files import (
    atomic_file,
    atomic_files,
    atomic_folder,
    exclusive_lock,
    read_arrays,
    read_json,
    safe_name,
    write_json,
)

BUSY = ConfigError("another process works here")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def process(program: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A Python process that has printed its first line and goes on; killed with kill -9 at the end."""
    started = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        assert started.stdout is not None
        assert started.stdout.readline() == "ready\n"
        yield started
    finally:
        started.send_signal(signal.SIGKILL)
        started.communicate()


class TestAtomicFile:
    def test_the_file_has_the_content_and_its_folders_are_made(self, tmp_path: Path) -> None:
        path = tmp_path / "a" / "b" / "file.bin"
        with atomic_file(path) as file:
            file.write(b"\x00\xff")
        assert path.read_bytes() == b"\x00\xff"
        assert names_in(path.parent) == ["file.bin"]

    def test_text_is_written_with_the_options_of_open(self, tmp_path: Path) -> None:
        with atomic_file(tmp_path / "file.txt", "w", encoding="utf-16", newline="") as file:
            file.write("ö\n")
        assert (tmp_path / "file.txt").read_bytes() == "ö\n".encode("utf-16")

    def test_readers_see_the_old_file_until_the_new_one_is_complete(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_text("old")
        with atomic_file(path, "w") as file:
            file.write("new")
            file.flush()
            assert path.read_text() == "old"
        assert path.read_text() == "new"

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_after_an_error_the_old_file_stays_and_no_draft(self, tmp_path: Path, error: type[BaseException]) -> None:
        path = tmp_path / "file"
        path.write_text("old")
        with pytest.raises(error), atomic_file(path, "w") as file:
            file.write("half")
            raise error
        assert path.read_text() == "old"
        assert names_in(tmp_path) == ["file"]

    def test_after_an_error_there_is_no_file_where_there_was_none(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError), atomic_file(tmp_path / "file") as file:
            file.write(b"half")
            raise ValueError
        assert names_in(tmp_path) == []

    def test_after_a_kill_the_old_file_stays_and_the_next_write_succeeds(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_text("old")
        program = """
import sys, time
from pathlib import Path
from hashsearch.files import atomic_file
with atomic_file(Path(sys.argv[1]), "w") as file:
    file.write("half")
    file.flush()
    print("ready", flush=True)
    time.sleep(60)
"""
        with process(program, path):
            pass
        assert path.read_text() == "old"
        with atomic_file(path, "w") as file:
            file.write("new")
        assert path.read_text() == "new"
        assert names_in(tmp_path) == ["file"]


class TestAtomicFiles:
    def test_all_files_replace_theirs_when_all_are_complete(self, tmp_path: Path) -> None:
        paths = [tmp_path / "new" / "a", tmp_path / "b"]
        paths[1].write_text("old")
        with atomic_files(paths, "w", encoding="utf-8") as (first, second):
            first.write("1")
            second.write("2")
            assert paths[1].read_text() == "old"
        assert [path.read_text() for path in paths] == ["1", "2"]
        assert names_in(tmp_path) == ["b", "new"]

    def test_after_an_error_no_file_is_changed_and_no_draft_remains(self, tmp_path: Path) -> None:
        paths = [tmp_path / "a", tmp_path / "b"]
        paths[0].write_text("old")
        with pytest.raises(KeyError), atomic_files(paths) as (first, _):
            first.write(b"new")
            raise KeyError
        assert paths[0].read_text() == "old"
        assert names_in(tmp_path) == ["a"]


class TestAtomicFolder:
    def test_the_folder_appears_with_all_of_its_files(self, tmp_path: Path) -> None:
        folder = tmp_path / "a" / "made"
        with atomic_folder(folder) as draft:
            (draft / "one").write_text("1")
            (draft / "sub").mkdir()
            (draft / "sub" / "two").write_text("2")
            assert not folder.exists()
        assert (folder / "one").read_text() == "1"
        assert (folder / "sub" / "two").read_text() == "2"
        assert names_in(folder.parent) == ["made"]

    def test_after_an_error_there_is_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError), atomic_folder(tmp_path / "made") as draft:
            (draft / "one").write_text("1")
            raise ValueError
        assert names_in(tmp_path) == []

    def test_a_folder_with_files_is_not_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "made").mkdir()
        (tmp_path / "made" / "kept").write_text("kept")
        with pytest.raises(OSError), atomic_folder(tmp_path / "made") as draft:
            (draft / "one").write_text("1")
        assert names_in(tmp_path) == ["made"]
        assert names_in(tmp_path / "made") == ["kept"]

    def test_after_a_kill_there_is_no_folder(self, tmp_path: Path) -> None:
        program = """
import sys, time
from pathlib import Path
from hashsearch.files import atomic_folder
with atomic_folder(Path(sys.argv[1])) as draft:
    (draft / "one").write_text("1")
    print("ready", flush=True)
    time.sleep(60)
"""
        with process(program, tmp_path / "made"):
            pass
        assert not (tmp_path / "made").exists()
        with atomic_folder(tmp_path / "made") as draft:
            (draft / "one").write_text("1")
        assert names_in(tmp_path / "made") == ["one"]


class TestJson:
    def test_what_is_written_is_read(self, tmp_path: Path) -> None:
        content = {"name": "Größe", "values": [1, 0.5, None, True], "a path that is not UTF-8": "\udcff"}
        write_json(tmp_path / "file.json", content)
        assert read_json(tmp_path / "file.json") == content

    def test_a_missing_file_is_none(self, tmp_path: Path) -> None:
        assert read_json(tmp_path / "file.json") is None

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_numbers_that_json_does_not_have_leave_the_old_file(self, tmp_path: Path, value: float) -> None:
        write_json(tmp_path / "file.json", {"a": 1})
        with pytest.raises(ValueError):
            write_json(tmp_path / "file.json", {"a": value})
        assert read_json(tmp_path / "file.json") == {"a": 1}

    @pytest.mark.parametrize("text", ["", "{", "[1]", '"text"', "\udcff", "[" * 100_000])
    def test_a_file_that_is_not_one_json_object_is_refused(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "file.json"
        path.write_text(text, errors="surrogateescape")
        with pytest.raises(ConfigError, match=re.escape(str(path))):
            read_json(path)


class TestArrays:
    def test_what_was_saved_is_read(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", values=np.arange(6).reshape(2, 3), words=np.array(["é"]))
        read = read_arrays(tmp_path / "a.npz")
        assert read["values"].tolist() == [[0, 1, 2], [3, 4, 5]] and read["words"].tolist() == ["é"]

    def test_a_missing_file_is_an_error_of_the_system(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            read_arrays(tmp_path / "a.npz")

    @pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x05\x06" + bytes(18), b"\x93NUMPY\x01\x00"])
    def test_another_file_is_refused_or_has_no_arrays(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a.npz").write_bytes(content)
        try:
            assert read_arrays(tmp_path / "a.npz") == {}
        except ValueError as error:
            assert "is not a complete .npz file" in str(error)

    def test_objects_are_never_unpickled(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", values=np.array([{}], dtype=object))
        with pytest.raises(ValueError, match="allow_pickle"):
            read_arrays(tmp_path / "a.npz")

    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_a_damaged_header_of_an_array_is_a_value_error(self, tmp_path: Path, data: Any) -> None:
        """The archive around it is intact; numpy reads the header as a Python expression."""
        array = io.BytesIO()
        np.save(array, np.arange(12.0))
        content = bytearray(array.getvalue())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, 127))] = data.draw(st.sampled_from(b"(){}[]'\",: \n#\\=<0a\x00\xff"))
        length = data.draw(st.sampled_from([len(content), len(content) - 8, 90]))
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("values.npy", bytes(content[:length]))
        try:
            assert read_arrays(tmp_path / "a.npz").keys() == {"values"}
        except ValueError as error:
            assert "is not a complete .npz file" in str(error)


class TestExclusiveLock:
    HOLDER = """
import sys, time
from pathlib import Path
from hashsearch.files import exclusive_lock
with exclusive_lock(Path(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(float(sys.argv[2]))
"""

    def test_it_excludes_other_processes(self, tmp_path: Path) -> None:
        with process(self.HOLDER, tmp_path / "lock", 60):
            with pytest.raises(HashsearchError) as refused, exclusive_lock(tmp_path / "lock", busy=BUSY):
                pass
            assert refused.value is BUSY

    def test_it_excludes_the_same_process(self, tmp_path: Path) -> None:
        lock = tmp_path / "lock"
        with (
            exclusive_lock(lock, busy=BUSY),
            pytest.raises(HashsearchError) as refused,
            exclusive_lock(lock, busy=BUSY),
        ):
            pass
        assert refused.value is BUSY

    def test_it_is_free_again_after_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError), exclusive_lock(tmp_path / "lock", busy=BUSY):
            raise ValueError
        with exclusive_lock(tmp_path / "lock", busy=BUSY):
            pass

    def test_it_ends_with_kill_9(self, tmp_path: Path) -> None:
        with process(self.HOLDER, tmp_path / "lock", 60):
            pass
        with exclusive_lock(tmp_path / "lock", busy=BUSY):
            pass

    def test_without_an_error_to_raise_it_waits(self, tmp_path: Path) -> None:
        with process(self.HOLDER, tmp_path / "lock", 1):
            began = time.monotonic()
            with exclusive_lock(tmp_path / "lock"):
                assert time.monotonic() - began > 0.3

    def test_two_files_are_two_locks(self, tmp_path: Path) -> None:
        with exclusive_lock(tmp_path / "one", busy=BUSY), exclusive_lock(tmp_path / "two", busy=BUSY):
            pass


class TestSafeName:
    @pytest.mark.parametrize("name", ["a", "bit-m-r50x1", "a b_c+d.e-f", "0" * 100])
    def test_a_safe_name_stays(self, name: str) -> None:
        assert safe_name(name) == name

    @pytest.mark.parametrize(
        "name",
        ["", ".", "..", ".hidden", "-option", "a/b", "../../etc/passwd", "ä", "a\nb", "a" * 300, "\udcff", "a\0b"],
    )
    def test_any_other_becomes_a_short_file_name(self, name: str, tmp_path: Path) -> None:
        safe = safe_name(name)
        assert re.fullmatch(r"[a-zA-Z0-9_+-]{1,89}", safe)
        (tmp_path / safe).write_text("works")

    def test_different_names_stay_different(self) -> None:
        names = ["a/b", "a_b", "a:b", "a//b", "ä", "ö", "a" * 101, "a" * 102, "A/b"]
        assert len({safe_name(name) for name in names}) == len(names)
