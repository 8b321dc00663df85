"""A study: recipes times data sets, compared on held-out photos, in one run that can be resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.classes import write_stripes

pytestmark = pytest.mark.slow

STUDY = """
recipes = {recipes}
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


ROOT = Path(__file__).parents[1]


def command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "jobs.compare_models", str(folder / "study.toml"), "--out", str(folder / "out")]


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(folder), cwd=ROOT, capture_output=True, text=True, check=False)


def write_study(folder: Path, *recipes: str) -> None:
    write_stripes(folder)
    (folder / "study.toml").write_text(STUDY.format(recipes=[f"{name}.toml" for name in recipes]))
    (folder / "triplet.toml").write_text(RECIPE.format(loss="semi-hard-triplet", more="margin = 0.4"))
    (folder / "softmax.toml").write_text(RECIPE.format(loss="softmax", more="probabilities = true"))
    (folder / "broken.toml").write_text(RECIPE.format(loss="softmax", more="").replace("= 3e-3", "= 1e30"))


def training_of(study: int) -> int | None:
    """The process in which a study is training."""
    for child in Path(f"/proc/{study}/task/{study}/children").read_text().split():
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    return None


def is_running(process: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes() != b""
    except FileNotFoundError:
        return False


def test_all_embedders_are_in_one_table(tmp_path: Path) -> None:
    write_study(tmp_path, "triplet", "softmax", "broken")
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
    assert "48 images searched, 18 queries." in table
    again = run(tmp_path)
    assert again.returncode == 3
    assert "0 new results, 4 unchanged, 1 failed" in again.stderr


def test_a_killed_training_is_reported_and_the_others_continue(tmp_path: Path) -> None:
    write_study(tmp_path, "triplet", "softmax")
    with subprocess.Popen(command(tmp_path), cwd=ROOT, stderr=subprocess.PIPE, text=True) as study:
        assert study.stderr is not None
        messages = ""
        while "epoch 1" not in messages:
            messages += study.stderr.readline()
        training = training_of(study.pid)
        assert training is not None
        os.kill(training, signal.SIGKILL)
        messages += study.stderr.read()
    assert study.returncode == 3
    assert "stripes/triplet failed: the training's process was killed, perhaps because memory ran out" in messages
    assert (tmp_path / "out/embedders/stripes/softmax/manifest.json").is_file()
    assert "| softmax | " in (tmp_path / "out/models.md").read_text()


def test_a_training_does_not_outlive_its_study(tmp_path: Path) -> None:
    write_study(tmp_path, "triplet")
    with subprocess.Popen(command(tmp_path), cwd=ROOT, stderr=subprocess.PIPE, text=True) as study:
        assert study.stderr is not None
        while "epoch 1" not in study.stderr.readline():
            pass
        training = training_of(study.pid)
        study.kill()
        assert study.stderr.read() is not None  # ends when the last process that can write to it has
    assert training is not None and not is_running(training)
    assert run(tmp_path).returncode == 0
    assert len((tmp_path / "out/embedders/stripes/triplet/log.csv").read_text().splitlines()) == 3
