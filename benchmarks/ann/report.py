"""Result files to tables and plots: `python -m benchmarks.ann.report RESULTS --out docs/recall`."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.ann.curves import boards
from benchmarks.ann.plots import draw_all
from benchmarks.ann.results import all_results
from benchmarks.ann.tables import markdown
from hashsearch.cli.running import notify, run_reporting_errors


@click.command()
@click.argument("results", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write into.")
def main(results: Path, out: Path) -> None:
    """Write tables.md and the plots, SVG, of all results below a folder."""
    found = boards(all_results(results))
    out.mkdir(parents=True, exist_ok=True)
    pictures = draw_all(found, out)
    (out / "tables.md").write_text(markdown(found, pictures))
    notify(f"{out / 'tables.md'} and {sum(map(len, pictures.values()))} pictures of {', '.join(b.name for b in found)}")


if __name__ == "__main__":
    run_reporting_errors(main)
