"""Running a comparison: one result file for each task and method; existing ones are kept, failed ones are retried."""

from __future__ import annotations

import hashlib
import json
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import EvaluationError, HashsearchError
from hashsearch.evaluation.compare.judging import judged
from hashsearch.evaluation.compare.measuring import Measurement, measure
from hashsearch.evaluation.compare.plan import ComparisonPlan, Fusion, PlannedMethod
from hashsearch.evaluation.compare.results import Result, locked_results, result_path, task_path
from hashsearch.evaluation.data.tasks import Task
from hashsearch.evaluation.methods import RunContext
from hashsearch.evaluation.methods.cache import FeatureCaches
from hashsearch.evaluation.methods.fusion import fused
from hashsearch.evaluation.metrics.projection import projected, sampled
from hashsearch.files import read_json, safe_name, write_json
from hashsearch.hashing.binarizers import Binarizer, make_binarizer
from hashsearch.progress import Progress, no_progress
from hashsearch.provenance import machine, now, versions

if TYPE_CHECKING:
    from hashsearch.elastic.scratch import Scratch

_MAPPED = ("exact", "codes", "histogram")  # kinds that compare vectors unchanged
_DIGITS = 7  # of a score, as many as single precision has

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ComparisonSummary:
    """Counts of results, new and existing ones; `failed` has the errors by "DATA/TASK/METHOD"."""

    made: int
    kept: int
    failed: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.made} new results, {self.kept} unchanged, {len(self.failed)} failed"


class Runner:
    """Compares the methods of a plan; results, and features below `features/`, go into the folder `results`.

    `open_scratch` connects to Elasticsearch; it gets the name prefix of all indices of these results.
    `make_binarizer` makes a binarizer that can be fitted, by name.
    """

    def __init__(
        self,
        plan: ComparisonPlan,
        results: Path,
        open_scratch: Callable[[str], AbstractContextManager[Scratch]],
        make_binarizer: Callable[..., Binarizer] = make_binarizer,
    ) -> None:
        self.plan = plan
        self.results = results
        self._open_scratch = open_scratch
        self._make_binarizer = make_binarizer
        self._maps: dict[tuple[str, ...], Any] = {}

    def run(
        self, tasks: Sequence[Task], notify: Callable[[str], object], progress: Progress = no_progress
    ) -> ComparisonSummary:
        """Bring every result up to date. A method's failure goes to `notify` and to its result file; others continue.

        ConfigError while another run writes to the same results.
        """
        failed: dict[str, str] = {}
        made = kept = 0
        total = len(tasks) * len(self.plan.methods)
        with ExitStack() as stack:
            stack.enter_context(locked_results(self.results))
            context = RunContext(self._opener(stack), self.plan.seed, self._make_binarizer)
            for done, (task, method, caches) in enumerate(self._jobs(tasks)):
                progress("methods", done, total)
                name = _name(task, method)
                if self._is_current(task, method):
                    kept += 1
                elif error := self._compare(task, method, caches, context, progress):
                    failed[name] = error
                    notify(f"{name} failed: {error}")
                else:
                    made += 1
        progress("methods", total, total)
        return ComparisonSummary(made, kept, failed)

    def _jobs(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, PlannedMethod | Fusion, FeatureCaches]]:
        """Each task with each method, fusions last; the file that describes the task is written first."""
        methods = sorted(self.plan.methods, key=lambda method: isinstance(method, Fusion))
        for data, of_data in groupby(tasks, lambda task: task.data):
            caches = FeatureCaches(self.results / "features" / safe_name(data))
            self._maps.clear()
            for task in of_data:
                write_json(task_path(self.results, data, task.name), _described(task, self.plan.seed))
                for method in methods:
                    yield task, method, caches

    def _opener(self, stack: ExitStack) -> Callable[[], Scratch]:
        """A function that connects when first called; the indices are deleted when the stack is closed."""
        prefix = f"compare-{hashlib.sha256(str(self.results.resolve()).encode()).hexdigest()[:8]}"
        opened: list[Scratch] = []

        def open_scratch() -> Scratch:
            if not opened:
                opened.append(stack.enter_context(self._open_scratch(prefix)))
            return opened[0]

        return open_scratch

    def _is_current(self, task: Task, method: PlannedMethod | Fusion) -> bool:
        """Whether there is a successful result of the same task, settings, seed and k."""
        result = read_json(self._path(task, method))
        if not result or result["error"]:
            return False
        if isinstance(method, Fusion) and result["made_of"] != _made_of(self._usable_members(task, method)):
            return False
        return all(result.get(name) == value for name, value in self._head(task, method).items())

    def _path(self, task: Task, method: PlannedMethod | Fusion) -> Path:
        return result_path(self.results, task.data, task.name, method.name)

    def _head(self, task: Task, method: PlannedMethod | Fusion) -> Result:
        """The task, method and settings that identify a result."""
        return {
            "data": task.data,
            "task": task.name,
            "fingerprint": task.fingerprint,
            "method": method.name,
            "kind": method.kind,
            "settings": method.settings,
            "seed": self.plan.seed,
            "k": self.plan.k,
        }

    def _compare(
        self,
        task: Task,
        method: PlannedMethod | Fusion,
        caches: FeatureCaches,
        context: RunContext,
        progress: Progress,
    ) -> str | None:
        """Write one result, and return its error if the method failed."""
        began = perf_counter()
        content: Result = {"failures": []}
        error: str | None = None
        try:
            if isinstance(method, Fusion):
                content = self._fused(task, method)
            else:
                content = self._measured(task, method, caches, context, progress)
        except Exception as cause:  # a method's failure, whatever it is, must not end the comparison of the others
            expected = isinstance(cause, HashsearchError)
            error = str(cause) if expected else f"{type(cause).__name__}: {cause}"
            content["traceback"] = traceback.format_exc()
            level = logging.INFO if expected else logging.ERROR
            _LOG.log(level, "%s failed", _name(task, method), exc_info=True)
        ending = {"error": error, "versions": versions(), "machine": machine(), "at": now()}
        result = {**self._head(task, method), **content, **ending, "seconds": perf_counter() - began}
        write_json(self._path(task, method), result)
        return error

    def _measured(
        self, task: Task, method: PlannedMethod, caches: FeatureCaches, context: RunContext, progress: Progress
    ) -> Result:
        measurement = measure(method, task, caches, context, self.plan.k, progress)
        points = self._map(task, method, caches) if method.kind in _MAPPED else None
        return {**self._judged(task, measurement), "map": points}

    def _judged(self, task: Task, measurement: Measurement) -> Result:
        rows, scores = zip(*measurement.rankings)
        milliseconds = 1000 * measurement.seconds
        return {
            "rows": [hits.tolist() for hits in rows],
            "scores": [[float(f"{score:.{_DIGITS}g}") for score in of_query.tolist()] for of_query in scores],
            **judged(task, rows, scores, self.plan.k, self.plan.seed),
            "latency_ms": _latency(milliseconds[milliseconds > 0]),
            "query_ms": milliseconds.round(3).tolist(),
            **measurement.costs,
            "failures": measurement.failures,
            "extra": measurement.extra,
        }

    def _map(self, task: Task, method: PlannedMethod, caches: FeatureCaches) -> Result | None:
        """Maps of a sample of what is searched by these features; computed once for all methods of a data set."""
        cache = caches.of(method.features)
        features = cache.of(task.base, lambda done: None).features
        usable = [row for row, feature in enumerate(features) if feature is not None]
        chosen = [usable[at] for at in sampled(len(usable), self.plan.seed)]
        key = (cache.folder.name, *(task.base[row].id for row in chosen))
        if key not in self._maps:
            self._maps[key] = projected(np.stack([features[row] for row in chosen]), self.plan.seed)
        maps = self._maps[key]
        return maps and {"pca": maps[0].round(4).tolist(), "tsne": maps[1].round(3).tolist(), "rows": chosen}

    def _usable_members(self, task: Task, method: Fusion) -> list[Result]:
        """The results of a fusion's members, without those that failed."""
        results = [read_json(result_path(self.results, task.data, task.name, name)) for name in method.of]
        return [result for result in results if result and not result["error"]]

    def _fused(self, task: Task, method: Fusion) -> Result:
        members = self._usable_members(task, method)
        if failed := {*method.of} - {member["method"] for member in members}:
            names = ", ".join(name for name in method.of if name in failed)
            raise EvaluationError(f"fusion needs the results of all its members; these failed: {names}")
        seconds = np.sum([member["query_ms"] for member in members], axis=0) / 1000
        rankings = []
        for query in range(len(task.queries)):
            began = perf_counter()
            rankings.append(fused([member["rows"][query] for member in members], self.plan.k, method.constant))
            seconds[query] += perf_counter() - began
        failures = {failure["picture"]: failure for member in members for failure in member["failures"]}
        measurement = Measurement(rankings, seconds, list(failures.values()), _costs(members))
        return {**self._judged(task, measurement), "map": None, "made_of": _made_of(members)}


def _name(task: Task, method: PlannedMethod | Fusion) -> str:
    return f"{task.data}/{task.name}/{method.name}"


def _made_of(members: Sequence[Result]) -> dict[str, str]:
    """The results that a fusion merges, with the time of each."""
    return {member["method"]: member["at"] for member in members}


def _costs(members: Sequence[Result]) -> dict[str, float | None]:
    """The costs of all members together; features that members share are extracted once."""
    rates = {json.dumps(member["settings"]["features"]): member["extract_images_per_second"] for member in members}
    known = [rate for rate in rates.values() if rate]
    sums = {
        name: sum(member[name] for member in members) for name in ("bytes_per_image", "learn_seconds", "index_seconds")
    }
    return {"extract_images_per_second": 1 / sum(1 / rate for rate in known) if known else None, **sums}


def _latency(milliseconds: NDArray[np.float64]) -> dict[str, float]:
    p50, p95, p99 = np.percentile(milliseconds, (50, 95, 99)).tolist()
    return {"p50": p50, "p95": p95, "p99": p99, "mean": float(milliseconds.mean())}


def _described(task: Task, seed: int) -> Result:
    """The content of the file that describes the task."""
    return {
        "data": task.data,
        "task": task.name,
        "fingerprint": task.fingerprint,
        "seed": seed,
        "base": [{"id": picture.id, "path": str(picture.path), "label": picture.label} for picture in task.base],
        "queries": [
            {
                "id": picture.id,
                "path": str(picture.path),
                "label": picture.label,
                "group": group,
                "distortion": picture.distortion and asdict(picture.distortion),
                "relevant": rows.tolist(),
            }
            for picture, group, rows in zip(task.queries, task.groups, task.relevant)
        ],
        "problems": [asdict(problem) for problem in task.problems],
        "sizes": {"learn": len(task.learn), "base": len(task.base), "queries": len(task.queries)},
    }
