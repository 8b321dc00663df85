"""The front door: every command of `hashsearch`, in sections by what a person wants. Each is imported when it runs."""

from __future__ import annotations

from collections.abc import Sequence

import click

from hashsearch.cli.commands import Group
from hashsearch.cli.running import run_reporting_errors
from hashsearch.provenance import VERSION

_JOBS = "hashsearch.cli.jobs"
SECTIONS = {
    "Search": {
        "search": "hashsearch.cli.searching:search",
        "match": "hashsearch.cli.matching:match",
        "duplicates": f"{_JOBS}.find_duplicates:main",
    },
    "Build an index": {
        "index": f"{_JOBS}.index_catalog:main",
        "fit": f"{_JOBS}.fit_encoder:main",
        "fit-vocabulary": f"{_JOBS}.fit_vocabulary:main",
        "embed": "hashsearch.cli.embedding:embed",
        "embedders": "hashsearch.cli.embedding:embedders",
    },
    "Measure and compare": {
        "tune": f"{_JOBS}.tune_recall:main",
        "nightly": f"{_JOBS}.compare_baselines:nightly",
        "compare": f"{_JOBS}.compare_baselines:main",
    },
    "Train": {
        "train": f"{_JOBS}.train_embedder:main",
        "label": f"{_JOBS}.label_clusters:main",
    },
    "Serve and try": {
        "serve": "hashsearch.cli.serving:serve",
        "demo": "hashsearch.cli.serving:demo",
    },
    "Local Elasticsearch": {
        "node": "hashsearch.cli.node:node",
    },
}


@click.group(cls=Group, sections=SECTIONS)
@click.version_option(VERSION, prog_name="hashsearch")
def commands() -> None:
    """Image search by binary codes and exact cosine, on stock Elasticsearch."""


def main(words: Sequence[str] = (), /) -> None:
    """Entry point of the `hashsearch` command; a job puts its own `words` before those of the command line."""
    import sys

    run_reporting_errors(commands, [*words, *sys.argv[1:]], "hashsearch")


if __name__ == "__main__":
    main()
