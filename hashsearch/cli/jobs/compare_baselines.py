"""`hashsearch compare` and `hashsearch nightly`: methods on labelled images, and the live index night by night."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch.cli.commands import Command, Group, command_line
from hashsearch.cli.options import (
    EXISTING_FILE,
    EXISTING_FOLDER,
    OUTPUT_FOLDER,
    weights_option,
    with_settings,
)
from hashsearch.cli.progress import Progress, Stages
from hashsearch.cli.running import EXIT_REJECTS, notify
from hashsearch.services import open_scratch, open_searcher

if TYPE_CHECKING:
    from hashsearch.config import Settings

EXIT_WORSE = 4


@click.group(
    cls=Group,
    sections={
        "Commands": {
            "run": f"{__name__}:run",
            "report": f"{__name__}:report",
            "models": "hashsearch.cli.jobs.compare_models:main",
        }
    },
    unlisted={"nightly": f"{__name__}:nightly"},  # of `python -m jobs.compare_baselines nightly`
)
def main() -> None:
    """Compare methods and networks on your own images."""


@click.command(cls=Command)
@click.argument("config", type=EXISTING_FILE)
@click.option("--out", required=True, type=OUTPUT_FOLDER, help="Folder for the results; the same again to resume.")
@click.option(
    "--data-folder",
    type=EXISTING_FOLDER,
    help="Folder that the folders in CONFIG are relative to.  [default: CONFIG's]",
)
@weights_option
@with_settings("es_url", "home")
def run(
    settings: Settings, config: Path, out: Path, data_folder: Path | None, weights: tuple[tuple[str, str], ...]
) -> None:
    """Compare the methods of CONFIG on its data sets.

    Methods are perceptual hashes, local features, deep codes and plain baselines; CONFIG (a .toml file) names them, the
    data sets and the tasks. Each has a result file. Existing results are kept, failed methods are tried again. A run
    that was killed resumes when it is started again.

    Exit code: 0 all results are there, 3 some methods failed and are listed, 1 the run failed, 2 wrong options.
    """
    from hashsearch.embedders.published import found_files
    from hashsearch.evaluation.compare.plan import make_tasks, read_plan
    from hashsearch.evaluation.compare.runner import Runner
    from hashsearch.training.hash_head import make_binarizer

    plan = read_plan(config, found_files(settings.weights) | dict(weights), settings.embedders)
    tasks = make_tasks(plan, data_folder or config.parent, settings.image_reader)
    runner = Runner(plan, out, functools.partial(open_scratch, settings, notify=notify), make_binarizer)
    with Stages() as progress:
        summary = runner.run(tasks, notify, progress)
    notify(f"{summary}; results: {out}")
    if summary.failed:
        sys.exit(EXIT_REJECTS)


@click.command(cls=Command)
@click.argument("results", type=EXISTING_FOLDER)
@click.option("--out", required=True, type=OUTPUT_FOLDER, help="Folder for report.html, .md, .csv and .json.")
@click.option(
    "--baseline",
    metavar="METHOD",
    help="Method that all others are compared with.  [default: the best exact method of each task]",
)
@click.option("--no-pictures", is_flag=True, help="Leave out thumbnails, and with them the examples.")
@with_settings()
def report(settings: Settings, results: Path, out: Path, baseline: str | None, no_pictures: bool) -> None:
    """Make a page from the results of `run`.

    The same content is written as Markdown, CSV and JSON beside it.
    """
    from hashsearch.evaluation.report.writing import write_report

    files = write_report(
        results,
        out,
        baseline=baseline,
        pictures=not no_pictures,
        reader=settings.image_reader,
        command=command_line(),
        progress=lambda sections: Progress.over(sections, "compare", "tasks"),
    )
    for file in files:
        click.echo(f"{file}  {file.stat().st_size / 1e6:.1f} MB")


@click.command(cls=Command)
@with_settings("index", "encoder", "es_url", "home")
@click.option("--history", "folder", required=True, type=OUTPUT_FOLDER, help="Folder that keeps this index's nights.")
@click.option("--queries", default=200, show_default=True, type=click.IntRange(1, 2000), help="Images to search with.")
@click.option(
    "--labels", type=EXISTING_FILE, help="Labelled or clicked pairs: a .csv or .jsonl with 'query' and 'relevant'."
)
@click.option("--fail-when-worse", is_flag=True, help="Exit with code 4 when something got worse.")
def nightly(settings: Settings, folder: Path, queries: int, labels: Path | None, fail_when_worse: bool) -> None:
    """Measure the live index, and report what got worse.

    Recall of the default settings against exact cosine, precision by category, latency, rejects of the last indexing
    run and drift of the embeddings are added to history.jsonl in the folder, drawn in history.html there, and compared
    with those of a week before.

    Exit code: 0 measured, 1 the run failed, 2 wrong options, 4 something got worse and --fail-when-worse was given.
    """
    from hashsearch.evaluation.live.history import History, lines
    from hashsearch.evaluation.live.nightly import measure
    from hashsearch.evaluation.live.timeline import keep
    from hashsearch.indexing.checkpoint import last_run
    from hashsearch.search.judgments import read_judgments

    judgments = read_judgments(labels) if labels else None
    history = History(folder, settings.index)
    searcher = open_searcher(settings, notify)
    last = last_run(settings.home / "jobs" / searcher.index.alias)
    with Stages() as progress:
        night = measure(searcher, history, queries=queries, labels=judgments, last_run=last, progress=progress)
    page = keep(history)
    for line in lines(night):
        click.echo(line)
    click.echo(night["summary"])
    notify(f"history: {page}")
    if night["worse"] and fail_when_worse:
        sys.exit(EXIT_WORSE)
