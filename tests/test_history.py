"""Histories: kept, torn, damaged, and judged."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.nights import FIRST, night

from hashsearch.errors import EvaluationError
from hashsearch.evaluation.live.history import History, lines, summary, worse


def test_nights_are_kept_with_their_arrays(tmp_path: Path) -> None:
    history = History(tmp_path / "new" / "folder", "shop")
    for day in range(3):
        history.append(night(day), {"mean": np.full(4, day), "ids": np.array(["a", "ö"])})
    again = History(tmp_path / "new" / "folder", "shop")
    assert again.nights == [night(0), night(1), night(2)]
    kept = again.arrays(again.nights[1])
    assert kept is not None
    assert (kept["mean"].tolist(), kept["ids"].tolist()) == ([1] * 4, ["a", "ö"])


def test_a_night_that_another_run_added_meanwhile_is_kept(tmp_path: Path) -> None:
    first, second = (History(tmp_path, "shop") for _ in range(2))
    first.append(night(0), {"mean": np.zeros(3)})
    second.append(night(1), {"mean": np.ones(3)})
    first.append(night(2), {"mean": np.ones(3)})
    assert first.nights == History(tmp_path, "shop").nights == [night(0), night(1), night(2)]
    assert len([*tmp_path.glob("*.npz")]) == 3


EACH = 25  # nights of each of two processes


def append_nights(folder: Path, days: range, together: Barrier) -> None:
    history = History(folder, "shop")
    together.wait(60)
    for day in days:
        history.append(night(day, notes=[f"night {day}" * 500]), {"mean": np.full(4, day)})


def test_two_processes_neither_delete_nor_tear_each_others_nights(tmp_path: Path) -> None:
    context = get_context("spawn")
    together = context.Barrier(2)
    halves = range(EACH), range(EACH, 2 * EACH)
    processes = [context.Process(target=append_nights, args=(tmp_path, days, together)) for days in halves]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    history = History(tmp_path, "shop")
    days = [(datetime.fromisoformat(one["at"]) - FIRST).days for one in history.nights]
    assert sorted(days) == [*range(2 * EACH)]
    for day, kept in zip(days, history.nights):
        arrays = history.arrays(kept)
        assert arrays is not None and arrays["mean"].tolist() == [day] * 4
    assert not list(tmp_path.glob("*.new"))


FORMER_LINE = (
    '{"at": "2026-03-01T02:00:00+00:00", "index": "shop", "figures": {"recall@10": {"value": 1.0, "low": 1.0, "high": '
    '1.0}, "images": {"value": 300, "low": 300, "high": 300}, "p50 ms": {"value": 32.5, "low": 24.8, "high": 41.2}}, '
    '"by_category": {}, "drift": null, "probes": null, "notes": ["no indexing run is known here: rejects are not '
    'counted"], "settings": {"k": 10, "queries": 30, "strategy": "scan", "candidates": 500}, "versions": '
    '{"hashsearch": "0.1.0", "elasticsearch": "9.2.1", "encoder": "e1"}, "seconds": 2.1, "compared_with": null, '
    '"worse": [], "summary": "shop: the first night, nothing to compare with"}\n'
)


def test_a_history_of_version_0_1_is_continued(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text(FORMER_LINE)
    history = History(tmp_path, "shop")
    history.append(night(7), {})
    assert (tmp_path / "history.jsonl").read_text().startswith(FORMER_LINE)
    assert worse(night(7, 1.0, images=100), history.nights[0]) == ["images fell from 300 to 100"]


@pytest.mark.parametrize("torn", ['{"at": "2026-', "\udcff", json.dumps(night(1))])
def test_a_last_line_that_was_cut_off_is_dropped_and_overwritten(tmp_path: Path, torn: str) -> None:
    History(tmp_path, "shop").append(night(0), {})
    with (tmp_path / "history.jsonl").open("ab") as file:
        file.write(torn.encode("utf-8", "surrogateescape"))
    history = History(tmp_path, "shop")
    assert history.nights == [night(0)]
    history.append(night(2), {})
    assert History(tmp_path, "shop").nights == [night(0), night(2)]


@pytest.mark.parametrize("line", ["no json", "[]", "{}", '{"at": "noon", "index": "shop"}', "null", ""])
def test_the_error_names_a_line_that_is_not_a_night(tmp_path: Path, line: str) -> None:
    (tmp_path / "history.jsonl").write_text(f"{json.dumps(night(0))}\n{line}\n{json.dumps(night(1))}\n")
    with pytest.raises(EvaluationError, match=r"line 2 of .*history.jsonl is not the record of a night"):
        History(tmp_path, "shop")


def test_the_error_names_a_line_whose_figure_is_not_a_number(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text(json.dumps(night(0)).replace("0.98", '"high"') + "\n")
    with pytest.raises(EvaluationError, match="line 1 of"):
        History(tmp_path, "shop")


def test_a_history_is_of_one_index(tmp_path: Path) -> None:
    History(tmp_path, "shop").append(night(0), {})
    with pytest.raises(EvaluationError, match="must be of index 'other', but line 1 is of 'shop'"):
        History(tmp_path, "other")


def test_a_history_cannot_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvaluationError, match=r"a history must be a folder, and .*/file is not one"):
        History(tmp_path / "file", "shop")


@pytest.mark.parametrize("damage", [b"", b"no archive"])
def test_damaged_arrays_count_as_missing(tmp_path: Path, damage: bytes) -> None:
    history = History(tmp_path, "shop")
    history.append(night(0), {"mean": np.ones(3)})
    (kept,) = tmp_path.glob("*.npz")
    kept.write_bytes(damage)
    assert history.arrays(night(0)) is None
    assert history.arrays(night(5)) is None


def test_a_night_is_compared_with_one_a_week_ago_else_the_first(tmp_path: Path) -> None:
    history = History(tmp_path, "shop")
    assert history.reference(FIRST) is None
    for day in range(10):
        history.append(night(day), {})
    assert history.reference(FIRST + timedelta(days=3)) == night(0)
    assert history.reference(FIRST + timedelta(days=10)) == night(3)
    late = FIRST + timedelta(days=10, hours=3)
    assert history.reference(late) == night(3)


@pytest.mark.parametrize(
    ("now", "changes"),
    [
        (night(7), []),
        (night(7, recall=0.965), []),  # the intervals overlap
        (night(7, recall=0.95), ["recall@10 fell from 0.98 to 0.95"]),
        (night(7, recall=1.0), []),
        (night(7, p50=12.4), []),  # apart, but less than a quarter
        (night(7, p50=13), ["p50 ms rose from 10 to 13"]),
        (night(7, p50=5), []),
        (night(7, images=960), []),
        (night(7, images=900, recall=0.9), ["recall@10 fell from 0.98 to 0.9", "images fell from 1000 to 900"]),
    ],
)
def test_only_changes_beyond_chance_count_as_worse(now: dict[str, Any], changes: list[str]) -> None:
    assert worse(now, night(0)) == changes


def test_a_figure_that_a_night_lacks_is_not_judged() -> None:
    now = night(7)
    del now["figures"]["p50 ms"]
    assert worse(now, night(0, p50=1)) == []


def test_the_summary_is_one_sentence() -> None:
    assert summary(night(0), None) == "shop: first night, nothing to compare with"
    assert summary(night(7), night(0)) == "shop: nothing got worse since 2026-03-01"
    now = night(7, worse=["recall@10 fell from 0.98 to 0.9", "p50 ms rose from 10 to 13"])
    assert summary(now, night(0)) == (
        "shop: recall@10 fell from 0.98 to 0.9; p50 ms rose from 10 to 13 (since 2026-03-01)"
    )


def test_figures_and_notes_have_a_line_each() -> None:
    printed = lines(night(0, notes=["no categories"]))
    assert printed[0].split() == ["recall@10", "0.98", "(0.97", "to", "0.99)"]
    assert printed[-1] == "note: no categories"
