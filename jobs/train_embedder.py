"""Train an embedder: `python -m jobs.train_embedder RECIPE --data FOLDER --teacher FILE --out FOLDER`."""

from __future__ import annotations

from pathlib import Path

import click

from hashsearch.options import run_reporting_errors

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", required=True, type=FOLDER, help="Folder with the photos that the recipe names.")
@click.option("--teacher", required=True, type=click.Path(path_type=Path), help="Weights of the recipe's teacher.")
@click.option("--out", required=True, type=FOLDER, help="Where weights, log and state go; give it again to go on.")
@click.option("--curves", type=click.Path(dir_okay=False, path_type=Path), help="Draw the log as a picture (PNG).")
def main(recipe: Path, data: Path, teacher: Path, out: Path, curves: Path | None) -> None:
    """Train the network of RECIPE (a .toml file) to follow its teacher, and measure both on the held-out photos."""
    from hashsearch.training.distilling import distil, read_recipe

    figures = distil(read_recipe(recipe), data, teacher, out)
    for name, taught in figures["teacher"].items():
        learned = figures["student"][name]
        click.echo(f"{name:30} teacher {taught:.4f}  student {learned:.4f}  ({learned / taught:.1%})")
    if curves:
        from hashsearch.training.curves import draw_curves

        draw_curves(out / "log.jsonl", curves)


if __name__ == "__main__":
    run_reporting_errors(main)
