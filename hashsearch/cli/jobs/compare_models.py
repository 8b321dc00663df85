"""Train and compare embedders: `python -m jobs.compare_models STUDY --data-folder FOLDER --out FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch.cli.options import EXIT_REJECTS, networks_and_files, notify, with_settings

if TYPE_CHECKING:
    from hashsearch.config import Settings

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("study", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data-folder", type=FOLDER, help="What the folders in STUDY are relative to.  [default: STUDY's own]")
@click.option("--weights", multiple=True, metavar="NETWORK=FILE", help="Weights of a network; repeatable.")
@click.option("--out", required=True, type=FOLDER, help="Where embedders, results and tables go; give it to go on.")
@with_settings("es_url", "home")
def main(settings: Settings, study: Path, data_folder: Path | None, weights: tuple[str, ...], out: Path) -> None:
    """Train every recipe of STUDY (a .toml file) on each of its data sets, and judge all on held-out pictures.

    The tables go to OUT/models.md, the embedders to OUT/embedders, the results to OUT/results, of which
    `jobs.compare_baselines report` makes a page. A run that was killed goes on where it was.

    Exit code: 0 all is there, 3 some failed and are told, 1 the run failed, 2 wrong options.
    """
    from hashsearch.cli.stages import stage_bars
    from hashsearch.elastic.scratch import Scratch
    from hashsearch.embedders import import_tensorflow
    from hashsearch.evaluation.report.embedder_tables import tables_of_models
    from hashsearch.services import connect_cluster
    from hashsearch.training.curves import require_drawing

    require_drawing()
    import_tensorflow()
    from hashsearch.training.study import Studying, read_study

    files = networks_and_files(weights)
    studying = Studying(
        read_study(study, files, settings.embedders),
        data_folder or study.parent,
        files,
        out,
        lambda prefix: Scratch.clearing(connect_cluster(settings, notify), prefix),
    )
    with stage_bars() as progress:
        summary = studying.run(notify, progress)
    (out / "models.md").write_text(tables_of_models(out / "results", out / "embedders"), encoding="utf-8")
    notify(f"{summary}; tables: {out / 'models.md'}")
    if summary.failed:
        sys.exit(EXIT_REJECTS)
