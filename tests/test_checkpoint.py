"""A checkpoint across runs: locked by one, resumed by the next, with every reject listed once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hashsearch.errors import CatalogError
from hashsearch.indexing.changes import Reject
from hashsearch.indexing.checkpoint import Checkpoint, IndexingSummary, last_run

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
