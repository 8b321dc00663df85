"""A checkpoint across runs: locked by one, resumed by the next, with every reject listed once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashsearch.errors import CatalogError, ConfigError
from hashsearch.indexing.catalog_ids import are_among
from hashsearch.indexing.changes import Reject
from hashsearch.indexing.checkpoint import Checkpoint, IndexingSummary, last_run
from hashsearch.indexing.rejects import check_rejects_file

IDENTITY = {"catalog": "c1", "index": ["i1"], "encoder": "e1"}
MISSING = Reject("7", "/7.jpg", "unreadable", "there is no such file")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_first_run_starts_at_the_beginning(tmp_path: Path) -> None:
    with Checkpoint.hold(tmp_path / "new" / "folder", IDENTITY) as checkpoint:
        assert checkpoint.summary == IndexingSummary()
        assert checkpoint.summary.entries == 0


def test_an_unfinished_run_is_resumed(tmp_path: Path) -> None:
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        checkpoint.advance(IndexingSummary(indexed=3, rejected=1), [MISSING])
        checkpoint.advance(IndexingSummary(updated=1, unchanged=2), [])
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        assert checkpoint.summary == IndexingSummary(3, 1, 2, 1)
        assert checkpoint.summary.entries == 7
        assert lines(checkpoint.rejects_path) == [vars(MISSING)]


@pytest.mark.parametrize("changed", ["catalog", "index", "encoder"])
def test_another_catalog_index_or_encoder_starts_at_the_beginning(tmp_path: Path, changed: str) -> None:
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        checkpoint.advance(IndexingSummary(rejected=1), [MISSING])
    with Checkpoint.hold(tmp_path, {**IDENTITY, changed: ["other"]}) as checkpoint:
        assert checkpoint.summary == IndexingSummary()
        assert checkpoint.rejects_path.read_text() == ""


def test_after_a_finished_run_the_next_starts_without_rejects(tmp_path: Path) -> None:
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        checkpoint.advance(IndexingSummary(rejected=1), [MISSING])
        checkpoint.finish()
        assert lines(checkpoint.rejects_path) == [vars(MISSING)]
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        assert checkpoint.summary == IndexingSummary()
        assert checkpoint.rejects_path.read_text() == ""


def test_rejects_after_the_last_checkpoint_are_not_listed_twice(tmp_path: Path) -> None:
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        checkpoint.advance(IndexingSummary(rejected=1), [MISSING])
    with checkpoint.rejects_path.open("a") as file:
        file.write('{"id": "8", "sou')
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        checkpoint.advance(IndexingSummary(rejected=1), [Reject("8", None, "refused", "too deep")])
        assert [reject["id"] for reject in lines(checkpoint.rejects_path)] == ["7", "8"]


@pytest.mark.parametrize("lost", [True, False])
def test_a_run_without_its_rejects_file_starts_at_the_beginning(tmp_path: Path, lost: bool) -> None:
    """The file was deleted, or this run writes to another one; at the end either must list all rejects."""
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        checkpoint.advance(IndexingSummary(rejected=1), [MISSING])
    if lost:
        checkpoint.rejects_path.unlink()
    with Checkpoint.hold(tmp_path, IDENTITY, None if lost else tmp_path / "other.jsonl") as checkpoint:
        assert checkpoint.summary == IndexingSummary()
        checkpoint.advance(IndexingSummary(rejected=1), [MISSING])
        assert lines(checkpoint.rejects_path) == [vars(MISSING)]


def test_the_rejects_may_be_listed_in_a_new_folder(tmp_path: Path) -> None:
    with Checkpoint.hold(tmp_path / "state", IDENTITY, tmp_path / "new" / "folder" / "rejects.jsonl") as checkpoint:
        checkpoint.advance(IndexingSummary(rejected=1), [MISSING])
    assert lines(tmp_path / "new" / "folder" / "rejects.jsonl") == [vars(MISSING)]


def test_a_reject_can_contain_invalid_text(tmp_path: Path) -> None:
    odd = Reject("caf\udce9", "/\udcff.jpg", "bad_entry", "ümlaut \ud800")
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        checkpoint.advance(IndexingSummary(rejected=1), [odd])
        assert lines(checkpoint.rejects_path) == [vars(odd)]
        assert "ümlaut" in checkpoint.rejects_path.read_text()


def test_only_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        Checkpoint.hold(tmp_path, IDENTITY),
        pytest.raises(
            CatalogError, match=f"only one run at a time can write to an index, and another run uses {tmp_path}"
        ),
        Checkpoint.hold(tmp_path, IDENTITY),
    ):
        raise AssertionError("two runs have the same checkpoint")
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        assert checkpoint.summary == IndexingSummary()


def test_a_refused_run_does_not_change_the_running_one(tmp_path: Path) -> None:
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        checkpoint.advance(IndexingSummary(rejected=1), [MISSING])
        with pytest.raises(CatalogError), Checkpoint.hold(tmp_path, {**IDENTITY, "catalog": "c2"}):
            raise AssertionError("two runs have the same checkpoint")
        assert lines(checkpoint.rejects_path) == [vars(MISSING)]
        checkpoint.advance(IndexingSummary(indexed=1), [])
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        assert checkpoint.summary == IndexingSummary(indexed=1, rejected=1)


@pytest.mark.parametrize("content", ["", "{", "null", "[1]", "{}", '{"identity": {}, "summary": {"other": 1}}'])
def test_a_damaged_checkpoint_starts_at_the_beginning(tmp_path: Path, content: str) -> None:
    """Starting again costs little time: the index shows which images are unchanged."""
    (tmp_path / "checkpoint.json").write_text(content)
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        assert checkpoint.summary == IndexingSummary()


KILLED = """
import os, signal, sys
from pathlib import Path
from hashsearch.indexing.changes import Reject
from hashsearch.indexing.checkpoint import Checkpoint, IndexingSummary, last_run
with Checkpoint.hold(Path(sys.argv[1]), {"catalog": "c1"}) as checkpoint:
    while checkpoint.summary.entries < 5:
        checkpoint.advance(IndexingSummary(indexed=1), [Reject("1", None, "refused", "why")])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_keeps_everything_and_releases_the_lock(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -9
    with Checkpoint.hold(tmp_path, {"catalog": "c1"}) as checkpoint:
        assert checkpoint.summary == IndexingSummary(indexed=5)
        assert len(lines(checkpoint.rejects_path)) == 5


def test_a_summary_is_a_sentence() -> None:
    sentence = str(IndexingSummary(1, 2, 3, 4))
    assert sentence == "10 entries: 1 new, 2 metadata updated, 3 unchanged, 4 rejected"


def test_the_summary_of_the_last_run_is_kept(tmp_path: Path) -> None:
    assert last_run(tmp_path / "none") is None
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        checkpoint.advance(IndexingSummary(indexed=3, rejected=1), [MISSING])
        assert last_run(tmp_path) == IndexingSummary(3, 0, 0, 1)  # as far as it came
        checkpoint.finish()
    assert last_run(tmp_path) == IndexingSummary(3, 0, 0, 1)
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        checkpoint.advance(IndexingSummary(unchanged=4), [])
        checkpoint.finish()
    assert last_run(tmp_path) == IndexingSummary(unchanged=4)


DAMAGED_NUMBERS = [-1, 2.0, "3", None, True, [1], 10**30, 1]


@pytest.mark.parametrize("name", ["summary", "rejects_size", "ids_size", "nameless"])
@pytest.mark.parametrize("value", DAMAGED_NUMBERS)
def test_a_damaged_number_in_a_checkpoint_starts_at_the_beginning_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, value: object
) -> None:
    """Also one that could be right: entries that were not indexed would be left out."""
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        checkpoint.advance(IndexingSummary(indexed=3, rejected=1), [MISSING], ["1", "2", "3", "7"])
    path = tmp_path / "checkpoint.json"
    saved = json.loads(path.read_text())
    saved[name] = {**saved["summary"], "indexed": value} if name == "summary" else value
    path.write_text(json.dumps(saved))
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        assert checkpoint.summary == IndexingSummary()
        assert checkpoint.ids.size == 0
        assert checkpoint.rejects_path.read_text() == ""
    (message,) = caplog.messages
    assert message.startswith(f"the checkpoint {path} is damaged: ")
    assert message.endswith("; this run starts at the beginning")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_no_damaged_byte_of_a_checkpoint_leaves_entries_out(tmp_path: Path, place: float, byte: int) -> None:
    (tmp_path / "checkpoint.json").unlink(missing_ok=True)
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        checkpoint.advance(IndexingSummary(indexed=3), [], ["1", "2", "3"])
    content = bytearray((tmp_path / "checkpoint.json").read_bytes())
    content[int(place * len(content))] = byte
    (tmp_path / "checkpoint.json").write_bytes(content)
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        assert checkpoint.summary in (IndexingSummary(), IndexingSummary(indexed=3))


def test_a_checkpoint_of_a_former_version_starts_at_the_beginning(tmp_path: Path) -> None:
    """It has no ids, so the images that are missing in the catalog could not be counted."""
    identity = {**IDENTITY, "rejects": str(tmp_path / "rejects.jsonl")}
    counts = {"indexed": 3, "updated": 0, "unchanged": 0, "rejected": 0}
    (tmp_path / "checkpoint.json").write_text(json.dumps({"identity": identity, "summary": counts, "rejects_size": 0}))
    assert last_run(tmp_path) == IndexingSummary(indexed=3)
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        assert checkpoint.summary == IndexingSummary()


def test_a_run_without_its_list_of_ids_starts_at_the_beginning(tmp_path: Path) -> None:
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        checkpoint.advance(IndexingSummary(indexed=2), [], ["1", "2"])
    (tmp_path / "ids.bin").unlink()
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        assert checkpoint.summary == IndexingSummary()


@pytest.mark.parametrize("place", [0, 11, 23])
def test_a_run_whose_list_of_ids_is_damaged_starts_at_the_beginning(tmp_path: Path, place: int) -> None:
    """An image whose id is lost would be counted as missing, and removed."""
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        checkpoint.advance(IndexingSummary(indexed=2), [], ["1", "2"])
        checkpoint.advance(IndexingSummary(indexed=1), [], ["3"])
    content = bytearray((tmp_path / "ids.bin").read_bytes())
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        assert checkpoint.summary == IndexingSummary(indexed=3)
    content[place] ^= 1
    (tmp_path / "ids.bin").write_bytes(content)
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        assert (checkpoint.summary, checkpoint.ids.size) == (IndexingSummary(), 0)


def test_another_runs_checkpoint_is_not_reported_as_finished(tmp_path: Path) -> None:
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        checkpoint.advance(IndexingSummary(indexed=900), [])
    with Checkpoint.hold(tmp_path, {**IDENTITY, "catalog": "empty"}) as checkpoint:
        checkpoint.finish()
    assert last_run(tmp_path) == IndexingSummary()


def test_a_resumed_run_knows_the_ids_before_the_interruption(tmp_path: Path) -> None:
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        checkpoint.advance(IndexingSummary(indexed=2), [Reject(None, None, "bad_entry", "why")], ["a", "caf\udce9"])
        checkpoint.ids.add(["written, but not in the checkpoint"])
    with Checkpoint.hold(tmp_path, IDENTITY) as checkpoint:
        checkpoint.advance(IndexingSummary(indexed=1), [], ["b", "a"])
        among = are_among(["b", "caf\udce9", "c", "a", "written, but not in the checkpoint"], checkpoint.ids.sorted())
        assert among.tolist() == [True, True, False, True, False]
        assert checkpoint.nameless == 1


NOT_REJECTS = {
    "catalog.csv": "id,path\n1,1.png\n",
    "catalog.jsonl": '{"id": "1", "path": "1.png"}\n{"id": "2", "path": "2.png"}\n',
    "one-row-without-its-line-end.jsonl": '{"id": "1", "path": "1.png"}',
    "photo.jpg": "\xff\xd8\xff\xe0",
    "first-line-only.jsonl": json.dumps(vars(MISSING)) + '\n{"id": "1", "path": "1.png"}\n',
    "list.json": "[1]\n",
    "deep.json": "[" * 100_000 + "\n",
}


@pytest.mark.parametrize("name", NOT_REJECTS)
def test_a_file_of_something_else_is_not_overwritten_with_rejects(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(NOT_REJECTS[name], encoding="latin-1")
    message = f"the rejects file must be a new file or an earlier list of rejects, which is overwritten, got '{path}'"
    with (
        pytest.raises(ConfigError, match=re.escape(message)),
        Checkpoint.hold(tmp_path / "state", IDENTITY, path),
    ):
        raise AssertionError("the file was taken")
    assert path.read_text(encoding="latin-1") == NOT_REJECTS[name]
    assert not (tmp_path / "state").exists()


def test_only_a_regular_file_is_overwritten_with_rejects(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path, tmp_path / "fifo", tmp_path / "dangling"):
        with pytest.raises(ConfigError, match="it is not a regular file"):
            check_rejects_file(path)


def test_an_earlier_list_of_rejects_is_overwritten(tmp_path: Path) -> None:
    line = json.dumps(vars(MISSING)) + "\n"
    for content in ("", line, line + line[:30]):
        (tmp_path / "rejects.jsonl").write_text(content)
        with Checkpoint.hold(tmp_path / "state", IDENTITY, tmp_path / "rejects.jsonl") as checkpoint:
            assert checkpoint.rejects_path.read_text() == ""
