"""Result files are whole or not there, and names are safe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hashsearch.errors import ConfigError
from hashsearch.evaluation.compare.results import locked_results, result_path
from hashsearch.files import read_json, safe_name, write_json
from hashsearch.provenance import machine, versions


def test_names_are_safe_and_stay_apart() -> None:
    assert safe_name("pHash 64") == "pHash 64"
    names = ["a/b", "a\\b", "../a", "", ".", "ä", "a" * 300, "a" * 301, "codes, pHash"]
    made = [safe_name(name) for name in names]
    assert len(set(made)) == len(names)
    assert all("/" not in name and name not in (".", "..") and 0 < len(name) <= 100 for name in made)


def test_a_method_called_task_leaves_the_task_alone(tmp_path: Path) -> None:
    assert result_path(tmp_path, "a", "b", "task").name == "task_.json"


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    assert read_json(path) is None
    write_json(path, {"name": "ä", "number": 0.1})
    write_json(path, {"name": "\udce9", "number": 0.25})
    assert json.loads(path.read_text()) == read_json(path) == {"name": "\udce9", "number": 0.25}
    assert [file.name for file in path.parent.iterdir()] == ["a.json"]
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"number": float("nan")})
    assert read_json(path) == {"name": "\udce9", "number": 0.25}


@pytest.mark.parametrize("content", ['{"half": ', "[1]"])
def test_the_error_names_a_damaged_result_file(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ConfigError, match=r"a\.json"):
        read_json(tmp_path / "a.json")


def test_one_run_at_a_time_writes(tmp_path: Path) -> None:
    with (
        locked_results(tmp_path / "results"),
        pytest.raises(ConfigError, match="one run at a time"),
        locked_results(tmp_path / "results"),
    ):
        pass
    with locked_results(tmp_path / "results"):
        pass


def test_versions_and_machine_are_recorded() -> None:
    assert {"hashsearch", "python", "numpy", "scikit-learn"} <= versions().keys()
    assert machine()["cores"] >= 1
