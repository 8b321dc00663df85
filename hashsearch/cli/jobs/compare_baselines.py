"""Compare methods on labelled pictures: `python -m jobs.compare_baselines run CONFIG --out RESULTS`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch.cli.options import EXIT_REJECTS, networks_and_files, notify, with_settings
from hashsearch.services import load_encoder

if TYPE_CHECKING:
    from hashsearch.config import Settings

EXIT_WORSE = 4

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def main() -> None:
    """Perceptual hashes, local features, deep codes and plain baselines side by side on your own pictures."""


@main.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", required=True, type=FOLDER, help="Where results go; give it again to go on.")
@click.option("--data-folder", type=FOLDER, help="What the folders in CONFIG are relative to.  [default: CONFIG's own]")
@click.option("--weights", multiple=True, metavar="NETWORK=FILE", help="Weights of a network in CONFIG; repeatable.")
@with_settings("es_url", "home")
def run(settings: Settings, config: Path, out: Path, data_folder: Path | None, weights: tuple[str, ...]) -> None:
    """Compare the methods of CONFIG (a .toml file) on its data sets and tasks, one result file each.

    Results that are there already are kept, those of methods that failed are tried again; a run that was killed goes on
    where it was when it is started again.

    Exit code: 0 all results are there, 3 some methods failed and are told, 1 the run failed, 2 wrong options.
    """
    from hashsearch.cli.stages import stage_bars
    from hashsearch.elastic.scratch import Scratch
    from hashsearch.evaluation.compare.plan import make_tasks, read_plan
    from hashsearch.evaluation.compare.runner import Runner
    from hashsearch.services import connect_cluster

    plan = read_plan(config, networks_and_files(weights), settings.embedders)
    tasks = make_tasks(plan, data_folder or config.parent)
    runner = Runner(plan, out, lambda prefix: Scratch.clearing(connect_cluster(settings, notify), prefix))
    with stage_bars() as progress:
        summary = runner.run(tasks, notify, progress)
    notify(f"{summary}; results: {out}")
    if summary.failed:
        sys.exit(EXIT_REJECTS)


@main.command()
@click.argument("results", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", required=True, type=FOLDER, help="Where report.html, .md, .csv and .json go.")
@click.option(
    "--baseline", metavar="METHOD", help="What all are compared with.  [default: each task's best exact method]"
)
@click.option("--no-pictures", is_flag=True, help="Leave thumbnails out, and with them the examples.")
def report(results: Path, out: Path, baseline: str | None, no_pictures: bool) -> None:
    """Make one HTML page of the results of `run`, with the same as Markdown, CSV and JSON beside it."""
    from tqdm import tqdm

    from hashsearch.evaluation.report.writing import write_report

    command = shlex.join(["python", "-m", "jobs.compare_baselines", *sys.argv[1:]])
    files = write_report(
        results,
        out,
        baseline=baseline,
        pictures=not no_pictures,
        command=command,
        progress=lambda sections: tqdm(sections, desc="compared", unit=" tasks"),
    )
    for file in files:
        click.echo(f"{file}  {file.stat().st_size / 1e6:.1f} MB")


@main.command()
@with_settings("index", "encoder", "es_url", "home")
@click.option("--history", "folder", required=True, type=FOLDER, help="Folder that keeps the nights of this index.")
@click.option("--queries", default=200, show_default=True, type=click.IntRange(1, 2000), help="Images searched with.")
@click.option("--labels", type=FILE, help="Labelled or clicked pairs: a .csv or .jsonl with 'query' and 'relevant'.")
@click.option("--fail-when-worse", is_flag=True, help="Exit code 4 when something got worse.")
def nightly(settings: Settings, folder: Path, queries: int, labels: Path | None, fail_when_worse: bool) -> None:
    """Measure the live index, keep it, and say what got worse since a week before.

    Recall of the default settings against exact cosine, precision by category, latency, rejects of the last indexing
    run and drift of the embeddings go to history.jsonl in the folder, and are drawn in history.html there.

    Exit code: 0 measured, 1 the run failed, 2 wrong options, 4 something got worse and --fail-when-worse was given.
    """
    from hashsearch.cli.stages import stage_bars
    from hashsearch.elastic.image_index import ImageIndex
    from hashsearch.evaluation.live.history import History, lines
    from hashsearch.evaluation.live.nightly import measure
    from hashsearch.evaluation.live.timeline import keep
    from hashsearch.indexing.checkpoint import last_run
    from hashsearch.search.judgments import read_judgments
    from hashsearch.search.searcher import Searcher
    from hashsearch.services import connect_cluster

    told = read_judgments(labels) if labels else None
    history = History(folder, settings.index)
    encoder = load_encoder(settings)
    index = ImageIndex.open(connect_cluster(settings, notify), settings.index, encoder)
    last = last_run(settings.home / "jobs" / index.alias)
    with stage_bars() as progress:
        night = measure(
            Searcher(encoder, index), history, queries=queries, labels=told, last_run=last, progress=progress
        )
    page = keep(history)
    for line in lines(night):
        click.echo(line)
    click.echo(night["summary"])
    notify(f"history: {page}")
    if night["worse"] and fail_when_worse:
        sys.exit(EXIT_WORSE)
