"""Train an embedder by a recipe: `python -m jobs.train_embedder RECIPE --data FOLDER --out FOLDER`."""

from __future__ import annotations

from pathlib import Path

import click

from hashsearch.cli.options import notify

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", required=True, type=FOLDER, help="What the folders in the recipe are relative to.")
@click.option(
    "--weights", type=click.Path(path_type=Path), help="Of the network that it begins with, or of its teacher."
)
@click.option("--out", required=True, type=FOLDER, help="Where the embedder goes; give it again to go on.")
def main(recipe: Path, data: Path, weights: Path | None, out: Path) -> None:
    """Train the network of RECIPE (a .toml file) and save it as an embedder, which is a folder named as the recipe.

    A run that was killed goes on after its last epoch when it is started again. A recipe with a teacher makes a small
    network follow a larger one, and measures both; all others learn from labels.
    """
    from hashsearch.embedders import import_tensorflow
    from hashsearch.training.curves import draw_curves, require_drawing
    from hashsearch.training.recipes import read_table

    require_drawing()
    import_tensorflow()
    if "teacher" not in read_table(recipe):
        _learn(recipe, data, weights, out)
        return
    from hashsearch.training.distillation.distilling import distil, read_recipe

    if weights is None:
        raise click.UsageError("a recipe with a teacher needs --weights, the teacher's")
    figures = distil(read_recipe(recipe), data, weights, out)
    for name, taught in figures["teacher"].items():
        learned = figures["student"][name]
        click.echo(f"{name:30} teacher {taught:.4f}  student {learned:.4f}  ({learned / taught:.1%})")
    draw_curves(out / "log.jsonl", out / "curves.png")


def _learn(path: Path, folder: Path, weights: Path | None, out: Path) -> None:
    from hashsearch.evaluation.data.datasets import data_of
    from hashsearch.training.learning import train
    from hashsearch.training.recipes import read_recipe

    recipe = read_recipe(path)
    made = train(recipe, data_of(recipe.data, folder, recipe.seed), out, weights, notify)
    click.echo(f"{made}: embedder '{made.name}'")
