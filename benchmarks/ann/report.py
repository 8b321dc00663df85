"""Tables and plots of result files: `python -m benchmarks.ann.report RESULTS --out docs/recall`."""

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
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
def main(results: Path, out: Path) -> None:
    """Write tables.md and SVG plots of all results below a folder."""
    all_boards = boards(all_results(results))
    out.mkdir(parents=True, exist_ok=True)
    pictures = draw_all(all_boards, out)
    (out / "tables.md").write_text(markdown(all_boards, pictures))
    names = ", ".join(board.name for board in all_boards)
    notify(f"wrote {out / 'tables.md'} and {sum(map(len, pictures.values()))} plots of {names}")


if __name__ == "__main__":
    run_reporting_errors(main)
