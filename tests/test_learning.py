"""Whole trainings on drawn photos: what they give loads as an embedder that tells classes apart; killed ones go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.classes import DATA, write_stripes

from hashsearch.embedders import load
from hashsearch.errors import TrainingError
from hashsearch.evaluation.data.datasets import DataSet, data_of
from hashsearch.training.figures import mean_average_precision
from hashsearch.training.learning import PAIRWISE, train
from hashsearch.training.log import read_rows
from hashsearch.training.recipes import Loss, NetworkRecipe, Optimiser, Recipe, Schedule, Step

pytest.importorskip("matplotlib", reason="matplotlib (the 'report' extra) is not installed")

RECIPE = Recipe(
    name="stripes",
    seed=0,
    data=DATA,
    model=NetworkRecipe("cnn", 32, photo_size=36, dims=16),
    loss=Loss("semi-hard-triplet", margin=0.4),
    optimiser=Optimiser("adam", 3e-3),
    schedule=Schedule(epochs=5, batch=16, validation=0.25),
    augmentation=(Step("flip", p=0.5),),
)
SOFTMAX = replace(
    RECIPE,
    loss=Loss("softmax", probabilities=True),
    model=NetworkRecipe("cnn", 32),
    optimiser=Optimiser("adam", 1e-3),
    schedule=Schedule(epochs=12, batch=16, patience=12, monitor="val_loss", validation=0.25),
)
TOML = """
[data]
name = "stripes"
folder = "stripes"
layout = "splits"
[model]
network = "cnn"
input_size = 32
[loss]
name = "contrastive"
[optimiser]
name = "adam"
learning_rate = 1e-3
[schedule]
epochs = 6
batch = 16
patience = 99
"""


@pytest.fixture(scope="module")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripes(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def data(stripes: Path) -> DataSet:
    return data_of(DATA, stripes, 0)


def said() -> list[str]:
    return []


def held_out_map(folder: Path, data: DataSet) -> float:
    manifest = json.loads((folder / "manifest.json").read_text())
    embedder = load(manifest["name"], folder / manifest["network"], manifest["preprocessing"])
    assert (embedder.dims, embedder.digest) == (manifest["dims"], manifest["digest"])
    vectors = embedder.embed([picture.read() for picture in data.queries])
    return mean_average_precision(vectors, np.unique([one.label for one in data.queries], return_inverse=True)[1])


@pytest.mark.parametrize("loss", PAIRWISE)
def test_pairwise_losses_give_an_embedder(loss: str, data: DataSet, tmp_path: Path) -> None:
    told: list[str] = []
    folder = train(replace(RECIPE, loss=Loss(loss, margin=0.4)), data, tmp_path, None, told.append)
    assert folder == tmp_path / "stripes"
    assert held_out_map(folder, data) > 0.8  # by chance .3
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["metrics"]["held_out"]["pair_accuracy"] > 0.7  # by chance .5
    assert 0 < manifest["metrics"]["held_out"]["threshold"] < 2
    assert manifest["data"]["classes"] == ["brick", "fern", "sky"]
    assert manifest["recipe"]["loss"]["name"] == loss
    assert len(read_rows(folder / "log.csv")) == len(told) == 5
    assert (folder / "curves.png").stat().st_size > 10_000
    assert not (tmp_path / "stripes.work").exists()


def test_a_classifier_gives_its_features_and_its_probabilities(data: DataSet, tmp_path: Path) -> None:
    folder = train(SOFTMAX, data, tmp_path, None, print)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["metrics"]["held_out"]["top_1"] > 0.9
    assert manifest["metrics"]["held_out"]["top_5"] == 1
    assert held_out_map(folder, data) > 0.9
    classes = json.loads((tmp_path / "stripes-classes/manifest.json").read_text())
    assert (classes["name"], classes["dims"]) == ("stripes-classes", 3)
    assert load(str(tmp_path / "stripes-classes")).classes == ("brick", "fern", "sky")
    assert held_out_map(tmp_path / "stripes-classes", data) > 0.9


def test_a_finished_training_is_not_done_again_nor_overwritten(data: DataSet, tmp_path: Path) -> None:
    short = replace(RECIPE, schedule=replace(RECIPE.schedule, epochs=1))
    folder = train(short, data, tmp_path, None, print)
    begun = (folder / "manifest.json").stat().st_mtime_ns
    assert train(short, data, tmp_path, None, pytest.fail) == folder
    assert (folder / "manifest.json").stat().st_mtime_ns == begun
    with pytest.raises(TrainingError, match="of another recipe or other photos"):
        train(RECIPE, data, tmp_path, None, print)


@pytest.mark.slow
def test_a_killed_training_goes_on_after_its_last_epoch(stripes: Path, tmp_path: Path) -> None:
    recipe, log = tmp_path / "mine.toml", tmp_path / "out/mine.work/log.csv"
    recipe.write_text(TOML)
    job = [sys.executable, "-m", "jobs.train_embedder"]
    command = [*job, str(recipe), "--data", str(stripes), "--out", str(tmp_path / "out")]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, cwd=root, start_new_session=True, stderr=subprocess.DEVNULL) as running:
        waited = time.monotonic()
        while len(read_rows(log)) < 2 and time.monotonic() - waited < 300:
            time.sleep(0.02)
        os.killpg(running.pid, signal.SIGKILL)
    before = read_rows(log)
    assert 2 <= len(before) < 6
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert f"going on after epoch {len(before)}" in done.stderr
    after = read_rows(tmp_path / "out/mine/log.csv")
    assert [row["epoch"] for row in after] == [1, 2, 3, 4, 5, 6]
    assert after[: len(before)] == before
    assert after[len(before)]["loss"] < 1.5 * before[-1]["loss"]  # weights and optimizer are those of before
    assert done.stdout == f"{tmp_path / 'out/mine'}: embedder 'mine'\n"


def test_a_loss_that_explodes_ends_with_a_sentence(data: DataSet, tmp_path: Path) -> None:
    exploding = replace(SOFTMAX, optimiser=Optimiser("sgd", 1e30))
    with pytest.raises(TrainingError, match=r"the loss must be a finite number, got nan in epoch \d, batch \d"):
        train(exploding, data, tmp_path, None, print)


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        (replace(RECIPE, loss=Loss("triplet")), "a loss must be one of softmax, semi-hard-triplet, .* got 'triplet'"),
        (replace(RECIPE, optimiser=Optimiser("lamb", 1)), "an optimiser must be one of adam, .* got 'lamb'"),
        (replace(RECIPE, optimiser=Optimiser("adam", 1, decay="linear")), "decay must be one of constant, .* 'linear'"),
        (replace(RECIPE, schedule=Schedule(1, 8, precision="half")), "precision must be .* got 'half'"),
    ],
)
def test_wrong_recipes_are_refused(recipe: Recipe, told: str, data: DataSet, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=told):
        train(recipe, data, tmp_path, None, print)
