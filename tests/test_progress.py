"""Progress of measurements: reported by callback, drawn by the command line."""

from __future__ import annotations

import pytest

from hashsearch.cli.stages import stage_bars
from hashsearch.evaluation.progress import tracked


def test_each_item_is_reported_once_it_is_done() -> None:
    reports: list[tuple[str, int, int]] = []
    items = tracked(["a", "b"], "letters", lambda *report: reports.append(report))
    assert next(items) == "a"
    assert reports == [("letters", 0, 2)]
    assert [*items] == ["b"]
    assert reports == [("letters", 0, 2), ("letters", 1, 2), ("letters", 2, 2)]


def test_no_items_are_a_stage_of_no_steps() -> None:
    reports: list[tuple[str, int, int]] = []
    assert [*tracked([], "nothing", lambda *report: reports.append(report))] == []
    assert reports == [("nothing", 0, 0)]


def test_inner_stages_are_drawn_below_the_outer_one(capsys: pytest.CaptureFixture[str]) -> None:
    with stage_bars() as report:
        report("methods", 0, 2)
        report("first queries", 0, 5)
        report("first queries", 3, 5)  # ends early
        report("methods", 1, 2)
        for done in range(6):
            report("second queries", done, 5)
        report("methods", 2, 2)
    lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
    assert any(line.startswith("  first queries:") for line in lines)
    assert any(line.startswith("  second queries:") for line in lines)
    assert "methods: 100%" in lines[-1]


def test_a_stage_may_come_again(capsys: pytest.CaptureFixture[str]) -> None:
    with stage_bars() as report:
        for _ in range(2):
            for done in range(3):
                report("queries", done, 2)
    assert capsys.readouterr().err.count("queries: 100%") == 2
