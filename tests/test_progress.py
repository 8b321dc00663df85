"""Progress of measurements: reported by callback."""

from __future__ import annotations

from hashsearch.progress import tracked


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
