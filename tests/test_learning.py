"""Whole trainings on drawn photos: they give embedders that separate classes; those that were killed are resumed."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from support.classes import DATA, write_stripes
from support.killing import finish, kill_when

from hashsearch.embedders import load
from hashsearch.errors import TrainingError
from hashsearch.evaluation.data.datasets import DataSet, data_of
from hashsearch.training.figures import mean_average_precision
from hashsearch.training.learning import PAIRWISE, train
from hashsearch.training.log import read_rows, write_rows
from hashsearch.training.recipes import Loss, NetworkRecipe, Optimiser, Schedule, Step, TrainingRecipe

pytestmark = pytest.mark.slow

RECIPE = TrainingRecipe(
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


def held_out_map(folder: Path, data: DataSet) -> float:
    manifest = json.loads((folder / "manifest.json").read_text())
    embedder = load(manifest["name"], folder / manifest["network"], manifest["preprocessing"])
    assert (embedder.dims, embedder.digest) == (manifest["dims"], manifest["digest"])
    vectors = embedder.embed([picture.read() for picture in data.queries])
    return mean_average_precision(
        vectors, np.unique([picture.label for picture in data.queries], return_inverse=True)[1]
    )


@pytest.mark.parametrize("loss", PAIRWISE)
def test_pairwise_losses_give_an_embedder(loss: str, data: DataSet, tmp_path: Path) -> None:
    messages: list[str] = []
    folder = train(replace(RECIPE, loss=Loss(loss, margin=0.4)), data, tmp_path, None, messages.append)
    assert folder == tmp_path / "stripes"
    assert held_out_map(folder, data) > 0.8  # by chance .3
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["metrics"]["held_out"]["pair_accuracy"] > 0.7  # by chance .5
    assert 0 < manifest["metrics"]["held_out"]["threshold"] < 2
    assert manifest["data"]["classes"] == ["brick", "fern", "sky"]
    assert manifest["recipe"]["loss"]["name"] == loss
    assert len(read_rows(folder / "log.csv")) == len(messages) == 5
    curves = ElementTree.parse(folder / "curves.svg").getroot()
    assert {"loss", "val_loss", "val_map"} <= {text.text for text in curves.iter("{http://www.w3.org/2000/svg}text")}
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
    shutil.rmtree(folder)
    other = replace(SOFTMAX, schedule=replace(SOFTMAX.schedule, epochs=1))
    with pytest.raises(TrainingError, match="stripes-classes was made with a different recipe; remove it"):
        train(other, data, tmp_path, None, print)
    assert not (tmp_path / "stripes.work").exists()


def test_a_finished_training_is_not_done_again_nor_overwritten(data: DataSet, tmp_path: Path) -> None:
    short = replace(RECIPE, schedule=replace(RECIPE.schedule, epochs=1))
    folder = train(short, data, tmp_path, None, print)
    begun = (folder / "manifest.json").stat().st_mtime_ns
    assert train(short, data, tmp_path, None, pytest.fail) == folder
    assert (folder / "manifest.json").stat().st_mtime_ns == begun
    with pytest.raises(TrainingError, match=r"cannot resume: .*stripes was made with a different recipe; remove it"):
        train(RECIPE, data, tmp_path, None, print)
    with pytest.raises(TrainingError, match=r"with a different recipe and different photos; remove it"):
        train(RECIPE, replace(data, base=data.base[1:]), tmp_path, None, print)


def job(folder: Path, stripes: Path, recipe: str) -> list[str]:
    """The command that trains by a recipe named "mine"."""
    (folder / "mine.toml").write_text(recipe)
    command = [sys.executable, "-m", "jobs.train_embedder", str(folder / "mine.toml")]
    return [*command, "--data", str(stripes), "--out", str(folder / "out")]


def test_a_killed_training_is_resumed_after_its_last_epoch(stripes: Path, tmp_path: Path) -> None:
    command, log = job(tmp_path, stripes, TOML), tmp_path / "out/mine.work/log.csv"
    kill_when(lambda: len(read_rows(log)) >= 2, command)
    before = read_rows(log)
    assert 2 <= len(before) < 6
    done = finish(command)
    assert f"resuming after epoch {len(before)}" in done.stderr
    after = read_rows(tmp_path / "out/mine/log.csv")
    assert [row["epoch"] for row in after] == [1, 2, 3, 4, 5, 6]
    assert after[: len(before)] == before
    assert after[len(before)]["loss"] < 1.5 * before[-1]["loss"]  # weights and optimizer are those of before
    assert done.stdout == f"{tmp_path / 'out/mine'}: embedder 'mine'\n"


def test_a_training_killed_between_its_two_embedders_is_finished(stripes: Path, data: DataSet, tmp_path: Path) -> None:
    softmax = TOML.replace('"contrastive"', '"softmax"\nprobabilities = true').replace("epochs = 6", "epochs = 1")
    command, out = job(tmp_path, stripes, softmax), tmp_path / "out"
    kill_when((out / "mine-classes/manifest.json").exists, command)
    assert not (out / "mine").exists()
    written = (out / "mine-classes/manifest.json").stat().st_mtime_ns
    finish(command)
    assert (out / "mine-classes/manifest.json").stat().st_mtime_ns == written
    assert held_out_map(out / "mine", data) > 0
    assert not (out / "mine.work").exists()


def test_the_work_folder_of_a_finished_training_is_removed_next_time(data: DataSet, tmp_path: Path) -> None:
    short = replace(RECIPE, schedule=replace(RECIPE.schedule, epochs=1))
    folder = train(short, data, tmp_path, None, print)
    (tmp_path / "stripes.work").mkdir()
    (tmp_path / "stripes.work/epoch-1.weights.h5").write_bytes(b"left by a kill")
    assert train(short, data, tmp_path, None, pytest.fail) == folder
    assert not (tmp_path / "stripes.work").exists()


def test_remains_of_an_unknown_training_are_not_resumed(data: DataSet, tmp_path: Path) -> None:
    """A kill while the work folder of a finished training is removed can leave its log."""
    (tmp_path / "stripes.work").mkdir()
    write_rows(tmp_path / "stripes.work/log.csv", [{"epoch": 1.0, "loss": 0.1, "val_map": 1.0}])
    folder = train(replace(RECIPE, schedule=Schedule(2, 16, validation=0.25)), data, tmp_path, None, print)
    assert [row["epoch"] for row in read_rows(folder / "log.csv")] == [1, 2]


def test_a_work_folder_of_other_photos_or_another_version_is_refused(data: DataSet, tmp_path: Path) -> None:
    exploding = replace(SOFTMAX, optimiser=Optimiser("sgd", 1e30))
    with pytest.raises(TrainingError, match="must be a finite number"):
        train(exploding, data, tmp_path, None, print)
    identity = json.loads((tmp_path / "stripes.work/identity.json").read_text())
    other = replace(data, base=data.base[1:])
    with pytest.raises(
        TrainingError, match=r"cannot resume: .*stripes\.work was made with different photos; remove it"
    ):
        train(exploding, other, tmp_path, None, print)
    (tmp_path / "stripes.work/identity.json").write_text(json.dumps({**identity, "state": 1}))
    with pytest.raises(TrainingError, match=r"stripes\.work was made with another version of hashsearch; remove it"):
        train(exploding, data, tmp_path, None, print)


def test_a_folder_that_is_not_an_embedder_is_not_written_to(data: DataSet, tmp_path: Path) -> None:
    (tmp_path / "stripes").mkdir()
    (tmp_path / "stripes/notes.txt").write_text("mine")
    with pytest.raises(TrainingError, match=r"cannot write to .*stripes: it exists and is not an embedder"):
        train(RECIPE, data, tmp_path, None, print)
    assert not (tmp_path / "stripes.work").exists()


def test_the_rate_of_a_schedule_is_reduced_too(data: DataSet, tmp_path: Path) -> None:
    schedule = replace(RECIPE.schedule, epochs=2, reduce_factor=0.5, reduce_patience=1)
    falling = replace(RECIPE, optimiser=Optimiser("adam", 3e-3, decay="cosine"), schedule=schedule)
    folder = train(falling, data, tmp_path, None, print)
    assert len(read_rows(folder / "log.csv")) == 2


def test_a_loss_that_explodes_ends_the_training_with_a_sentence(data: DataSet, tmp_path: Path) -> None:
    exploding = replace(SOFTMAX, optimiser=Optimiser("sgd", 1e30))
    with pytest.raises(TrainingError, match=r"the loss must be a finite number, got nan in epoch \d, batch \d"):
        train(exploding, data, tmp_path, None, print)


@pytest.mark.parametrize(
    ("recipe", "rule"),
    [
        (replace(RECIPE, loss=Loss("triplet")), "a loss must be one of softmax, semi-hard-triplet, .* got 'triplet'"),
        (replace(RECIPE, optimiser=Optimiser("lamb", 1)), "an optimiser must be one of adam, .* got 'lamb'"),
        (replace(RECIPE, optimiser=Optimiser("adam", 1, decay="linear")), "decay must be one of constant, .* 'linear'"),
        (
            replace(RECIPE, schedule=Schedule(1, 8, precision="half")),
            "precision must be one of float32, mixed_bfloat16, got 'half'",
        ),
    ],
)
def test_wrong_recipes_are_refused(recipe: TrainingRecipe, rule: str, data: DataSet, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=rule):
        train(recipe, data, tmp_path, None, print)
