"""Result files: one JSON for each data set, method and setting, written whole or not at all."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import hashsearch
from benchmarks.ann.methods import Setting
from hashsearch.errors import ConfigError

Result = dict[str, Any]


def result_path(results: Path, data: str, method: str, setting: Setting) -> Path:
    """Where a result is: `RESULTS/512-10000/hashsearch-cells/candidates=500,probes=32.json`."""
    name = ",".join(f"{key}={setting[key]}" for key in sorted(setting)) or "default"
    return results / data / method / f"{re.sub(r'[^a-zA-Z0-9=,._-]', '_', name)}.json"


def write_result(path: Path, result: Mapping[str, Any]) -> None:
    """Put a result into its place at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".json.new")
    draft.write_text(json.dumps(result, indent=1) + "\n")
    draft.replace(path)


def read_result(path: Path) -> Result | None:
    """A result, None when there is none yet."""
    try:
        result: Result = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ConfigError(f"a result file must be JSON, and {path} is not: {error}") from error
    return result


def all_results(results: Path) -> Iterator[Result]:
    """Every result below a folder, by path; ConfigError when there is none."""
    paths = sorted(results.glob("*/*/*.json"))
    if not paths:
        raise ConfigError(f"results are files RESULTS/DATA/METHOD/SETTING.json, and {results} has none")
    for path in paths:
        if result := read_result(path):
            yield result


def machine() -> dict[str, Any]:
    """What this ran on."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _cpu() -> str:
    try:
        told = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        told = None
    return told[1].strip() if told else platform.processor()


def our_version() -> str:
    """hashsearch's version and the commit of the checkout, with `+` when files are changed."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=False).stdout.strip()

    changed = "+" if git("status", "--porcelain", "--untracked-files=no") else ""
    return f"{hashsearch.__version__} {git('rev-parse', '--short=12', 'HEAD')}{changed}"


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
