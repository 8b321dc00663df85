"""A study: recipes times data sets, judged on held-out photos, in one run that goes on where it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from classes import write_stripes

pytest.importorskip("matplotlib", reason="matplotlib (the 'report' extra) is not installed")

STUDY = """
recipes = ["triplet.toml", "softmax.toml", "broken.toml"]
[[data]]
name = "stripes"
folder = "stripes"
layout = "splits"
[[task]]
name = "same_class"
[[method]]
name = "pixels"
kind = "exact"
features = "pixels"
side = 8
"""
RECIPE = """
[model]
network = "cnn"
input_size = 32
[loss]
name = "{loss}"
{more}
[optimiser]
name = "adam"
learning_rate = 3e-3
[schedule]
epochs = 2
batch = 16
"""


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jobs.compare_models", str(folder / "study.toml"), "--out", str(folder / "out")]
    return subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)


def test_every_model_stands_in_one_table(tmp_path: Path) -> None:
    write_stripes(tmp_path)
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "triplet.toml").write_text(RECIPE.format(loss="semi-hard-triplet", more="margin = 0.4"))
    (tmp_path / "softmax.toml").write_text(RECIPE.format(loss="softmax", more="probabilities = true"))
    (tmp_path / "broken.toml").write_text(RECIPE.format(loss="softmax", more="").replace("= 3e-3", "= 1e30"))
    first = run(tmp_path)
    assert first.returncode == 3, first.stderr
    assert "stripes/broken failed: the loss must be a finite number" in first.stderr
    table = (tmp_path / "out/models.md").read_text()
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ") for line in table.splitlines() if line.startswith("|")}
    assert {"pixels", "triplet", "softmax", "softmax-classes"} <= rows.keys()
    assert rows["method"][-1] == "dims |"
    assert [rows[name][-1] for name in ("pixels", "triplet", "softmax", "softmax-classes")] == [
        "192 |",
        "512 |",
        "512 |",
        "3 |",
    ]
    all_sets = table[: table.index("## stripes")]
    assert "| method | stripes same class |" in all_sets and "| triplet | " in all_sets
    assert rows["triplet"][6] == "-" and rows["softmax"][6] != "-"
    assert "48 pictures searched, 18 searched with." in table
    again = run(tmp_path)
    assert again.returncode == 3
    assert "0 results made, 4 there before, 1 failed" in again.stderr
