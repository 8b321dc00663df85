"""Build and measure: `python -m benchmarks.ann.run SETS... --out RESULTS --work FOLDER [--method NAME]...`.

Every method runs in its own process: faiss and usearch must not share one. It is built once for all its settings; then
each setting is measured warm, then each after a cold start. Settings with a result file are skipped, so that a killed
run resumes.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from benchmarks.ann.measuring import Timing, cold, measure, warm_up
from benchmarks.ann.methods import METHODS, Method, Place, Setting, make_method
from benchmarks.ann.results import our_version, result_path
from benchmarks.ann.vectors import DataSet
from hashsearch.cli.running import EXIT_FAILED, notify, run_reporting_errors
from hashsearch.config import default_home
from hashsearch.errors import ConfigError, HashsearchError
from hashsearch.evaluation.compare.results import Result
from hashsearch.files import read_json, write_json
from hashsearch.node.server import make_folder
from hashsearch.provenance import machine, now

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_FIRST_WARM_UP = 4  # times the warm-up of the other settings
_BUILT = "built.json"  # in a method's folder: marks a finished build and describes it


@dataclass(frozen=True)
class Task:
    """One method on one data set, with `chosen` settings or the method's own; `again` repeats existing results."""

    data: Path
    method: str
    results: Path
    place: Place
    timing: Timing
    chosen: tuple[Setting, ...] = ()
    with_cold: bool = True
    again: bool = False
    keep: bool = False

    def settings(self) -> Sequence[Setting]:
        """The settings to measure."""
        return self.chosen or make_method(self.method, self.place).settings()

    def path(self, setting: Setting) -> Path:
        """The path of a setting's result."""
        return result_path(self.results, self.data.name, self.method, setting)

    def unmeasured(self) -> list[Setting]:
        """Settings that have no result yet."""
        return [setting for setting in self.settings() if self.again or not self.path(setting).exists()]

    def uncooled(self) -> list[Setting]:
        """Settings whose result has no cold start yet."""
        results = {self.path(setting): setting for setting in self.settings()} if self.with_cold else {}
        return [setting for path, setting in results.items() if not (read_json(path) or {}).get("cold_ms")]


def run_task(task: Task) -> None:
    """Build the method, or reuse a kept build, and write the missing results."""
    warm, data = task.unmeasured(), DataSet.open(task.data)
    method = make_method(task.method, task.place)
    with closing(method):
        built = prepare(method, task, data)
        method.connect()
        if warm:  # the JVM has not compiled the hot code yet
            long = replace(task.timing, warm_up=_FIRST_WARM_UP * task.timing.warm_up)
            warm_up(method, data.warm, warm[0], long)
        for setting in warm:
            measured = {**described(method, task, data, setting, built), **measure(method, data, setting, task.timing)}
            write_json(task.path(setting), measured)
            notify(f"  {task.method} {json.dumps(setting)}: {summary(measured)}")
        for setting in task.uncooled():
            result = read_json(task.path(setting))
            if result is not None:
                write_json(task.path(setting), {**result, "cold_ms": cold(method, data, setting, task.timing.k)})
    if not task.keep:
        shutil.rmtree(task.place.folder)


def prepare(method: Method, task: Task, data: DataSet) -> dict[str, Any]:
    """Build, or restart a kept build of the same data; returns build times and sizes."""
    folder = task.place.folder
    if task.keep and (built := read_json(folder / _BUILT)) and built["data"] == data.description["fingerprint"]:
        method.restart()
        return {**built, "reused": True}
    shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder)
    notify(f"{task.method} on {data.name}: building")
    began = time.perf_counter()
    parts = dict(method.build(data.base))
    wall = time.perf_counter() - began
    # Neither starting a server nor an idle wait counts as indexing.
    work = sum(seconds for part, seconds in parts.items() if part != "idle") or wall
    built = {
        "data": data.description["fingerprint"],
        "seconds": round(work, 2),
        "wall": round(wall, 2),
        "parts": {part: round(seconds, 2) for part, seconds in parts.items()},
        "sizes": asdict(method.sizes()),
        "commit": our_version(),
        "date": now(),
        "reused": False,
    }
    write_json(folder / _BUILT, built)
    notify(f"{task.method} on {data.name}: built in {work:.1f} s")
    return built


def described(method: Method, task: Task, data: DataSet, setting: Setting, built: dict[str, Any]) -> Result:
    """A result without its measurements."""
    build = {name: value for name, value in built.items() if name not in ("data", "sizes")}
    return {
        "data": data.identity(),
        "method": task.method,
        "setting": dict(setting),
        "timing": asdict(task.timing),
        "build": build,
        "sizes": built["sizes"],
        "versions": {**method.versions(), "hashsearch": our_version()},
        "heap": task.place.heap,
        "threads": task.place.threads,
        "machine": machine(),
        "date": now(),
        "cold_ms": None,
    }


def summary(result: Result) -> str:
    """A result in one line."""
    latency = result["latency_ms"]
    rates = ", ".join(f"{clients}: {rate['qps']:.0f}/s" for clients, rate in result["throughput"].items())
    k, recall = result["timing"]["k"], result["recall"]["mean"]
    return f"recall@{k} {recall:.4f}, p50 {latency['p50']:.2f} ms, p95 {latency['p95']:.2f} ms; {rates}"


def in_own_process(task: Task) -> bool:
    """Run the task in a new process with its number of threads; True if it succeeds."""
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(task.place.threads)))
    process = multiprocessing.get_context("spawn").Process(target=_run_or_exit, args=(task,))
    process.start()
    try:
        process.join()
    except KeyboardInterrupt:  # the terminal interrupts the process too, which stops its server
        process.join()
        raise
    return process.exitcode == 0


def _run_or_exit(task: Task) -> None:
    try:
        run_task(task)
    except HashsearchError as error:
        notify(f"{task.method} on {task.data.name}: {error.code}: {error}")
        sys.exit(EXIT_FAILED)
    except Exception:  # a failing method must not stop the others
        notify(f"{task.method} on {task.data.name} failed:\n{traceback.format_exc()}")
        sys.exit(EXIT_FAILED)


def parse_settings(texts: Sequence[str], methods: Sequence[str]) -> tuple[Setting, ...]:
    """Settings from JSON objects; ConfigError for other text, or with more than one method."""
    if texts and len(methods) != 1:
        raise ConfigError(f"--setting needs exactly one --method, got {len(methods)}")
    settings = []
    for text in texts:
        try:
            setting = json.loads(text)
        except ValueError:
            setting = None
        if not isinstance(setting, dict):
            raise ConfigError(f'a setting is a JSON object like {{"candidates": 500}}, got {text}')
        settings.append(setting)
    return tuple(settings)


def tasks_of(data: Sequence[Path], methods: Sequence[str], work: Path, **shared: Any) -> Iterator[Task]:
    """A task for each data set and method, by data set."""
    place = {name: shared.pop(name) for name in ("server_folder", "heap", "threads")}
    for folder in data:
        for method in methods:
            yield Task(folder, method, place=Place(work.absolute() / folder.name / method, **place), **shared)


@click.command()
@click.argument("data", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the results.")
@click.option(
    "--work",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the indices; accessible to all accounts if run by root.",
)
@click.option("--method", "methods", multiple=True, help="Method to measure; repeatable.  [default: all]")
@click.option(
    "--setting",
    "texts",
    multiple=True,
    metavar="JSON",
    help="Setting to measure; repeatable.  [default: the method's own]",
)
@click.option("--again", is_flag=True, help="Repeat measurements that have a result.")
@click.option("--keep", is_flag=True, help="Keep the indices, and reuse kept ones.")
@click.option("--cold/--no-cold", "with_cold", default=True, show_default=True, help="Measure cold starts.")
@click.option("-k", default=10, show_default=True, help="Neighbours per query.")
@click.option("--warm-up", default=5.0, show_default=True, help="Seconds of other queries before each setting.")
@click.option("--rounds", default=2, show_default=True, help="Passes over the queries; the fastest counts.")
@click.option("--most-seconds", default=120.0, show_default=True, help="Longest time of a pass.")
@click.option("--seconds", default=10.0, show_default=True, help="Seconds of each throughput measurement.")
@click.option("--clients", default="1,4,16", show_default=True, help="Numbers of client processes for the throughput.")
@click.option("--heap", default="4g", show_default=True, help="Java heap of every server.")
@click.option("--threads", default=1, show_default=True, help="Threads of a library; servers use all cores.")
def main(
    data: tuple[Path, ...], methods: tuple[str, ...], texts: tuple[str, ...], clients: str, **options: Any
) -> None:
    """Measure methods on data sets."""
    timing = Timing(
        clients=tuple(int(count) for count in clients.split(",") if count),
        **{name: options.pop(name) for name in ("k", "warm_up", "rounds", "most_seconds", "seconds")},
    )
    server_folder = default_home(os.environ) / "server"
    chosen, results = parse_settings(texts, methods), options.pop("out")
    options |= {"chosen": chosen, "results": results, "timing": timing, "server_folder": server_folder}
    tasks = list(tasks_of(data, methods or tuple(METHODS), **options))
    failed = [task for task in tasks if (task.unmeasured() or task.uncooled()) and not in_own_process(task)]
    if failed:
        raise ConfigError(f"failed: {', '.join(f'{task.method} on {task.data.name}' for task in failed)}")


if __name__ == "__main__":
    run_reporting_errors(main)
