"""Recipes: the shipped ones are complete; names of one's own are refused with those that there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashsearch.errors import TrainingError
from hashsearch.training.augmentation import LAYERS
from hashsearch.training.learning import PAIRWISE, SOFTMAX
from hashsearch.training.networks import TRUNKS
from hashsearch.training.optimisers import DECAYS, OPTIMISERS
from hashsearch.training.recipes import read_recipe

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
def test_shipped_recipes_name_what_there_is(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.name == path.stem
    assert recipe.model.network in TRUNKS
    assert recipe.loss.name in (SOFTMAX, *PAIRWISE)
    assert recipe.optimiser.name in OPTIMISERS and recipe.optimiser.decay in DECAYS
    assert {step.kind for step in recipe.augmentation} <= LAYERS.keys()


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seed = [", "must be a TOML file"),
        (PLAIN + "[lossy]\n", r"may hold augmentation, data, loss, .* got 'lossy'"),
        (PLAIN.replace("input_size", "side"), r"\[model\] must have some of network, input_size, .*'side'"),
        (PLAIN.replace("epochs = 2\n", ""), r"\[schedule\] must have some of epochs, .*'epochs'"),
        (PLAIN.replace("epochs = 2", "epochs = 0"), "epochs must be at least 1, got"),
        (PLAIN.replace("batch = 8", "batch = 4"), "per_class must be at least 2 and at most half of batch"),
        (PLAIN + "validation = 0\n", "validation must be more than 0"),
        (PLAIN.replace('"softmax"', '"softmax"\nmargin = 0'), "margin must be more than 0"),
        (PLAIN + "[[augmentation]]\nsort = 1\n", r"\[\[augmentation\]\] 1 must have some of kind"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        read_recipe(written(tmp_path, text))


def test_a_recipe_is_named_as_its_file(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, PLAIN))
    assert (recipe.name, recipe.schedule.patience, recipe.augmentation) == ("mine", 5, ())
