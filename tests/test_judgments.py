"""Relevance judgments from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashsearch.errors import EvaluationError
from hashsearch.search.judgments import read_judgments

WANTED = {"a": {"b", "c"}, "7": {"a"}}


def test_a_table_has_a_row_for_each_pair(tmp_path: Path) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text("at,query,relevant\n1,a,b\n2,a,c\n3,7,a\n4,a,b\n")
    assert read_judgments(path) == WANTED


def test_a_json_line_may_name_several(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"query": "a", "relevant": ["b", "c"]}\n\n{"query": 7, "relevant": "a"}\n')
    assert read_judgments(path) == WANTED


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "a b", "must be a .csv or .jsonl file, got 'a.txt'"),
        ("a.csv", "query,relevant\n", "there are none"),
        ("a.csv", "", "there are none"),
        ("a.csv", "query,relevant\na,b\na,\n", "row 2 of .* must have"),
        ("a.csv", "from,to\na,b\n", "row 1 of .* must have a 'query'"),
        ("a.jsonl", '{"query": "a"}', "row 1 of"),
        ("a.jsonl", '["a", "b"]', r"cannot be read: line 1 must be a JSON object, got \["),
        ("a.jsonl", "{", "cannot be read"),
        ("a.csv", "query,relevant\n\udcff,a\n", "cannot be read"),
    ],
)
def test_files_without_judgments_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(EvaluationError, match=message):
        read_judgments(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="No such file"):
        read_judgments(tmp_path / "none.csv")
