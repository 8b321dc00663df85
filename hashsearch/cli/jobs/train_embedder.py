"""`hashsearch train`: train an embedder by a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch.cli.commands import Command
from hashsearch.cli.options import EXISTING_FILE, EXISTING_FOLDER, OUTPUT_FOLDER, with_settings
from hashsearch.cli.running import notify

if TYPE_CHECKING:
    from hashsearch.config import Settings
    from hashsearch.images.sources import ImageReader


@click.command(cls=Command)
@click.argument("recipe", type=EXISTING_FILE)
@click.option("--data", required=True, type=EXISTING_FOLDER, help="Folder that the folders in RECIPE are relative to.")
@click.option(
    "--weights",
    type=click.Path(exists=True, path_type=Path),
    help="Weights of the network that the training starts from, or of its teacher.",
)
@click.option("--out", required=True, type=OUTPUT_FOLDER, help="Folder for the embedder; the same again to resume.")
@with_settings()
def main(settings: Settings, recipe: Path, data: Path, weights: Path | None, out: Path) -> None:
    """Train an embedder by RECIPE, a .toml file.

    The embedder is saved in a folder named like the recipe. A run that was killed resumes after its last epoch when it
    is started again. A recipe with a teacher trains a small network to imitate a larger one, and measures both; all
    others learn from labels.
    """
    from hashsearch.training.recipes import read_table

    if "teacher" in read_table(recipe):
        _distil(recipe, data, weights, out, settings.image_reader)
    else:
        _learn(recipe, data, weights, out, settings)


def _distil(path: Path, data: Path, weights: Path | None, out: Path, reader: ImageReader) -> None:
    from hashsearch.embedders import check, import_tensorflow
    from hashsearch.files import read_json
    from hashsearch.training.recipes import read_distillation

    if weights is None:
        raise click.UsageError("a recipe with a teacher needs --weights, the teacher's")
    recipe = read_distillation(path)
    check(recipe.teacher, weights)
    import_tensorflow("to train a network")
    from hashsearch.training.distillation.distilling import distil

    trained = distil(recipe, data, weights, out, notify, reader)
    metrics = (read_json(trained / "manifest.json") or {})["metrics"]
    for name, teacher in metrics["teacher"].items():
        student = metrics["student"][name]
        click.echo(f"{name:30} teacher {teacher:.4f}  student {student:.4f}  ({student / teacher:.1%})")
    click.echo(f"{trained}: embedder '{trained.name}'")


def _learn(path: Path, folder: Path, weights: Path | None, out: Path, settings: Settings) -> None:
    from hashsearch.embedders import import_tensorflow
    from hashsearch.embedders.published import found_files
    from hashsearch.evaluation.data.datasets import data_of
    from hashsearch.training.recipes import read_recipe

    recipe = read_recipe(path)
    data = data_of(recipe.data, folder, recipe.seed, settings.image_reader)
    if recipe.model.pretrained and (file := found_files(settings.weights).get(recipe.model.network)):
        weights = weights or Path(file)
    import_tensorflow("to train a network")
    from hashsearch.training.learning import train

    trained = train(recipe, data, out, weights, notify)
    click.echo(f"{trained}: embedder '{trained.name}'")
