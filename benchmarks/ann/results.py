"""Result files: one JSON for each data set, method and setting, written atomically."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hashsearch
from benchmarks.ann.methods import Setting
from hashsearch.errors import ConfigError
from hashsearch.evaluation.compare.results import Result
from hashsearch.files import read_json


def result_path(results: Path, data: str, method: str, setting: Setting) -> Path:
    """The path of a result: `RESULTS/512-10000/hashsearch-cells/candidates=500,probes=32.json`."""
    name = ",".join(f"{key}={setting[key]}" for key in sorted(setting)) or "default"
    return results / data / method / f"{re.sub(r'[^a-zA-Z0-9=,._-]', '_', name)}.json"


def all_results(results: Path) -> Iterator[Result]:
    """All results below a folder, sorted by path; ConfigError when there are none."""
    paths = sorted(results.glob("*/*/*.json"))
    if not paths:
        raise ConfigError(f"no results in {results}: there are no files DATA/METHOD/SETTING.json")
    for path in paths:
        if result := read_json(path):
            yield result


def our_version() -> str:
    """hashsearch's version and the commit of the checkout, with `+` for uncommitted changes."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=False).stdout.strip()

    changed = "+" if git("status", "--porcelain", "--untracked-files=no") else ""
    return f"{hashsearch.__version__} {git('rev-parse', '--short=12', 'HEAD')}{changed}"
