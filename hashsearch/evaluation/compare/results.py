"""The folder of results: one JSON file for each data set, task and method."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hashsearch.errors import ConfigError
from hashsearch.files import exclusive_lock, safe_name

Result = dict[str, Any]

_TASK = "task"


def task_folder(results: Path, data: str, task: str) -> Path:
    """The folder of a task's files: `RESULTS/grocery/same_class`."""
    return results / safe_name(data) / safe_name(task)


def task_path(results: Path, data: str, task: str) -> Path:
    """The file that describes the task."""
    return task_folder(results, data, task) / f"{_TASK}.json"


def result_path(results: Path, data: str, task: str, method: str) -> Path:
    """The file of a method's result; never the file that describes the task."""
    name = safe_name(method)
    return task_folder(results, data, task) / f"{f'{name}_' if name == _TASK else name}.json"


@contextmanager
def locked_results(results: Path) -> Iterator[Path]:
    """Lock a folder of results for one run; ConfigError while another run has it."""
    results.mkdir(parents=True, exist_ok=True)
    busy = ConfigError(f"one run at a time may write results, and another one writes to {results}")
    with exclusive_lock(results / "lock", busy):
        yield results
