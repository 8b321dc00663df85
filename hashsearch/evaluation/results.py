"""Result files: one JSON for each data set, task and method, written whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import hashsearch
from hashsearch.errors import ConfigError

Result = dict[str, Any]

_TASK = "task"
_LIBRARIES = "elasticsearch imagehash keras numpy opencv-python-headless pillow scikit-learn tensorflow-cpu tensorflow"


def task_folder(results: Path, data: str, task: str) -> Path:
    """Where a task's files are: `RESULTS/grocery/same_class`."""
    return results / file_name(data) / file_name(task)


def task_path(results: Path, data: str, task: str) -> Path:
    """Where the task itself is told."""
    return task_folder(results, data, task) / f"{_TASK}.json"


def result_path(results: Path, data: str, task: str, method: str) -> Path:
    """Where a method's result is; never the task's own file."""
    name = file_name(method)
    return task_folder(results, data, task) / f"{f'{name}_' if name == _TASK else name}.json"


def file_name(name: str) -> str:
    """The name itself where it is safe in a path, else its safe characters and a digest that keeps it apart."""
    if re.fullmatch(r"[a-zA-Z0-9_+][a-zA-Z0-9 ._+-]{0,99}", name):
        return name
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{re.sub(r'[^a-zA-Z0-9_+-]+', '_', name)[:80]}-{digest}"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Put a file into its place at once; ValueError for NaN or infinity, which JSON does not have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".json.new")
    with draft.open("w", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(content, file, allow_nan=False, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read_json(path: Path) -> Result | None:
    """A file's content, None when there is none yet. ConfigError when it is no JSON object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ConfigError(f"a result file must be JSON, and {path} is not: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"a result file must hold one JSON object, and {path} holds a {type(found).__name__}")
    return found


@contextmanager
def held(results: Path) -> Iterator[Path]:
    """The folder of results for one run alone; ConfigError while another one has it."""
    results.mkdir(parents=True, exist_ok=True)
    with (results / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"one run at a time may write results, and another one writes to {results}") from error
        yield results


def machine() -> dict[str, Any]:
    """What this runs on."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "load": round(os.getloadavg()[0], 2),
    }


def _cpu() -> str:
    try:
        told = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        told = None
    return told[1].strip() if told else platform.processor()


def versions() -> dict[str, str]:
    """Of this package, of Python and of the libraries that change a figure, those that are installed."""
    found = {"hashsearch": hashsearch.__version__, "python": platform.python_version()}
    for library in _LIBRARIES.split():
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def now() -> str:
    """The time in UTC; results of the same second must differ, for fusions tell by it what they are of."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")
