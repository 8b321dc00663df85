"""`hashsearch compare models`: train embedders by recipes, and compare them."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch.cli.commands import Command
from hashsearch.cli.options import EXISTING_FILE, EXISTING_FOLDER, OUTPUT_FOLDER, weights_option, with_settings
from hashsearch.cli.progress import Stages
from hashsearch.cli.running import EXIT_REJECTS, notify
from hashsearch.services import open_scratch

if TYPE_CHECKING:
    from hashsearch.config import Settings


@click.command(cls=Command)
@click.argument("study", type=EXISTING_FILE)
@click.option(
    "--data-folder", type=EXISTING_FOLDER, help="Folder that the folders in STUDY are relative to.  [default: STUDY's]"
)
@weights_option
@click.option(
    "--out",
    required=True,
    type=OUTPUT_FOLDER,
    help="Folder for embedders, results and tables; the same again to resume.",
)
@with_settings("es_url", "home")
def main(
    settings: Settings, study: Path, data_folder: Path | None, weights: tuple[tuple[str, str], ...], out: Path
) -> None:
    """Train the recipes of STUDY and compare the embedders.

    Every recipe of STUDY (a .toml file) is trained on each of its data sets and evaluated on held-out images. The
    tables go to OUT/models.md, the embedders to OUT/embedders and the results to OUT/results, from which `hashsearch
    compare report` makes a page. A run that was killed resumes when it is started again.

    Exit code: 0 all done, 3 some failed and are listed, 1 the run failed, 2 wrong options.
    """
    from hashsearch.embedders.published import found_files
    from hashsearch.evaluation.report.embedder_tables import tables_of_models
    from hashsearch.training.study import StudyRun, read_study

    files = found_files(settings.weights) | dict(weights)
    run = StudyRun(
        read_study(study, files, settings.embedders),
        data_folder or study.parent,
        files,
        out,
        functools.partial(open_scratch, settings, notify=notify),
        settings.image_reader,
    )
    with Stages() as progress:
        summary = run.run(notify, progress)
    (out / "models.md").write_text(tables_of_models(out / "results", out / "embedders"), encoding="utf-8")
    notify(f"{summary}; tables: {out / 'models.md'}")
    if summary.failed:
        sys.exit(EXIT_REJECTS)
