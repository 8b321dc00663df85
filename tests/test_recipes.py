"""Recipes: the shipped ones are complete; unknown names are refused with the known ones, without TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hashsearch.errors import TrainingError
from hashsearch.training import recipes
from hashsearch.training.augmentation import LAYERS
from hashsearch.training.learning import PAIRWISE, SOFTMAX
from hashsearch.training.networks import TRUNKS
from hashsearch.training.optimisers import DECAYS, OPTIMISERS
from hashsearch.training.recipes import read_distillation, read_recipe

RECIPES = sorted((Path(__file__).parents[1] / "recipes/models").glob("*.toml"))
PLAIN = """[model]
network = "cnn"
input_size = 32
[loss]
name = "softmax"
[optimiser]
name = "adam"
learning_rate = 1e-3
[schedule]
epochs = 2
batch = 8
"""


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_use_known_names(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.name == path.stem
    assert recipe.model.network in TRUNKS
    assert recipe.loss.name in (SOFTMAX, *PAIRWISE)
    assert recipe.optimiser.name in OPTIMISERS and recipe.optimiser.decay in DECAYS
    assert {step.kind for step in recipe.augmentation} <= LAYERS.keys()


def test_the_names_that_a_recipe_can_use_are_those_that_are_implemented() -> None:
    assert tuple(TRUNKS) == recipes.NETWORKS
    assert (SOFTMAX, *PAIRWISE) == recipes.LOSSES
    assert tuple(OPTIMISERS) == recipes.OPTIMISERS
    assert tuple(DECAYS) == recipes.DECAYS
    assert tuple(LAYERS) == recipes.AUGMENTATIONS


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("seed = [", "must be a TOML file"),
        ("seed = " + "[" * 9000, "must be a TOML file"),
        (PLAIN + "[lossy]\n", r"may hold augmentation, data, loss, .* got 'lossy'"),
        (PLAIN.replace("input_size", "side"), r"\[model\] must have some of network, input_size, .*'side'"),
        (PLAIN.replace("epochs = 2\n", ""), r"\[schedule\] must have some of epochs, .*'epochs'"),
        (PLAIN.replace("epochs = 2", "epochs = 0"), "epochs must be at least 1, got"),
        (PLAIN.replace("batch = 8", "batch = 4"), "per_class must be at least 2 and at most half of batch"),
        (PLAIN + "validation = 0\n", "validation must be more than 0"),
        (PLAIN.replace('"softmax"', '"softmax"\nmargin = 0'), "margin must be more than 0"),
        (PLAIN + "[[augmentation]]\nsort = 1\n", r"\[\[augmentation\]\] 1 must have some of kind"),
        (PLAIN + "[[augmentation]]\nkind = 'turn'\n", "an augmentation must be one of flip, .* got 'turn'"),
        (PLAIN.replace('"cnn"', '"vgg11"'), "a network to train must be one of efficientnet-lite0, .*cnn, got 'vgg11'"),
        (PLAIN.replace('"softmax"', '"triplet"'), "a loss must be one of softmax, semi-hard-triplet, .* got 'triplet'"),
        (PLAIN.replace('"adam"', '"lamb"'), "an optimiser must be one of adam, adamw, sgd, got 'lamb'"),
        (
            PLAIN.replace("= 1e-3", "= 1e-3\ndecay = 'linear'"),
            "decay must be .*cosine, bit, got 'linear'",
        ),
        (PLAIN + "precision = 'half'\n", "precision must be one of float32, mixed_bfloat16, got 'half'"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_rule(tmp_path: Path, text: str, rule: str) -> None:
    with pytest.raises(TrainingError, match=rule):
        read_recipe(written(tmp_path, text))


def test_a_recipe_is_named_like_its_file(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, PLAIN))
    assert (recipe.name, recipe.schedule.patience, recipe.augmentation) == ("mine", 5, ())


BIT_TINY = Path(__file__).parents[1] / "recipes/bit-tiny.toml"


def test_the_shipped_distillation_is_complete() -> None:
    recipe = read_distillation(BIT_TINY)
    assert (recipe.name, recipe.network, recipe.teacher) == ("bit-tiny", "bit-tiny", "mobilenet-v2")
    assert all(phase.weights.keys() == set(recipes.DISTILLATION_LOSSES) for phase in recipe.fit.phases)
    assert recipe.fit.epochs == sum(phase.epochs for phase in recipe.fit.phases) == 44
    assert json.loads(json.dumps(recipe.as_dict()))["fit"]["phases"][0]["weights"]["features"] == 4


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        ("seed = 20", "momentum = 0.9", "may hold fit, held_out, network, .* got 'momentum'"),
        ('"bit-tiny"', '"bit-small"', "network must be one of bit-tiny, .* got 'bit-small'"),
        ("batch = 128", "", r"\[fit\] must have some of phases, batch, .*'batch'"),
        ("batch = 128", "batch = 1", "batch must be at least 2"),
        ("count = 5", "count = 1", "count must be at least 2"),
        ("count = 5", "number = 5", r"\[views\] must have some of count, size, min_area: .*'number'"),
        ("epochs = 26", "epoch = 26", r"\[\[fit.phases\]\] 1 must have some of epochs, size, whole, weights"),
        (
            "neighbours = 1.0, labels = 0.5",
            "labels = 0.5",
            "weights of a phase must be those of features, neighbours",
        ),
        ("measure_every = 2", "measure_every = 0", "measure_every must be at least 1"),
        ("warmup_epochs = 2", "warmup_epochs = 45", "warmup_epochs must be 0 to the number of all epochs"),
        ('"bfloat16"', '"float8"', "precision must be one of float32, bfloat16, got 'float8'"),
    ],
)
def test_a_wrong_distillation_is_refused_with_the_rule(tmp_path: Path, before: str, after: str, rule: str) -> None:
    text = BIT_TINY.read_text()
    assert before in text
    with pytest.raises(TrainingError, match=rule):
        read_distillation(written(tmp_path, text.replace(before, after)))


def test_recipes_are_read_without_tensorflow() -> None:
    code = f"""if True:
        import sys; from pathlib import Path
        from hashsearch.training.recipes import read_distillation, read_recipe
        read_distillation(Path({str(BIT_TINY)!r})); read_recipe(Path({str(RECIPES[0])!r}))
        assert "tensorflow" not in sys.modules"""
    subprocess.run([sys.executable, "-c", code], check=True)
