"""Tasks times methods to result files: what is there is passed over, what fails is told and tried again next time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hashsearch.errors import EvaluationError, HashsearchError
from hashsearch.evaluation.compare.judging import judged
from hashsearch.evaluation.compare.measuring import Measured, measure
from hashsearch.evaluation.compare.plan import Entry, Fusion, Plan
from hashsearch.evaluation.compare.results import Result, locked_results, result_path, task_path
from hashsearch.evaluation.data.tasks import Task
from hashsearch.evaluation.methods import RunContext
from hashsearch.evaluation.methods.cache import FeatureCaches
from hashsearch.evaluation.methods.fusion import fused
from hashsearch.evaluation.metrics.projection import projected, sampled
from hashsearch.files import read_json, safe_name, write_json
from hashsearch.hashing.binarizers import Binarizer, make_binarizer
from hashsearch.provenance import machine, now, versions

if TYPE_CHECKING:
    from hashsearch.elastic.scratch import Scratch

_MAPPED = ("exact", "codes", "histogram")  # kinds that compare vectors as they are
_DIGITS = 7  # of a score: what single precision holds


@dataclass(frozen=True)
class Summary:
    """What became of the methods of all tasks; `failed` tells why, by data set, task and method."""

    made: int
    kept: int
    failed: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.made} results made, {self.kept} there before, {len(self.failed)} failed"


class Runner:
    """Compares the methods of a plan; results, and features below `features/`, go into the folder `results`.

    `open_scratch` connects to Elasticsearch; it gets the prefix that all indices of these results are named with.
    `make_binarizer` makes binarizers by name that can be fitted.
    """

    def __init__(
        self,
        plan: Plan,
        results: Path,
        open_scratch: Callable[[str], AbstractContextManager[Scratch]],
        make_binarizer: Callable[..., Binarizer] = make_binarizer,
    ) -> None:
        self.plan = plan
        self.results = results
        self._open_scratch = open_scratch
        self._make_binarizer = make_binarizer
        self._maps: dict[tuple[str, ...], Any] = {}

    def run(self, tasks: Sequence[Task], notify: Callable[[str], object]) -> Summary:
        """Bring every result up to date. A method that fails is told to `say`, its error to its file; others go on.

        ConfigError while another run writes to the same results.
        """
        failed: dict[str, str] = {}
        made = kept = 0
        bar = tqdm(total=len(tasks) * len(self.plan.methods), unit=" methods", desc="compared")
        with ExitStack() as stack, bar:
            stack.enter_context(locked_results(self.results))
            place = RunContext(self._opener(stack), self.plan.seed, self._make_binarizer)
            for task, method, caches in self._jobs(tasks):
                where = f"{task.data}/{task.name}/{method.name}"
                bar.set_postfix_str(where)
                if self._is_current(task, method):
                    kept += 1
                elif error := self._compare(task, method, caches, place):
                    failed[where] = error
                    notify(f"{where} failed: {error}")
                else:
                    made += 1
                bar.update()
        return Summary(made, kept, failed)

    def _jobs(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Entry | Fusion, FeatureCaches]]:
        """What is to be compared, fusions after those that they are of; each task is told in its file first."""
        methods = sorted(self.plan.methods, key=lambda method: isinstance(method, Fusion))
        for data, of_data in groupby(tasks, lambda task: task.data):
            caches = FeatureCaches(self.results / "features" / safe_name(data))
            self._maps.clear()
            for task in of_data:
                write_json(task_path(self.results, data, task.name), _told(task, self.plan.seed))
                for method in methods:
                    yield task, method, caches

    def _opener(self, stack: ExitStack) -> Callable[[], Scratch]:
        """Connects when it is called first; the indices are removed when the stack is left."""
        prefix = f"compare-{hashlib.sha256(str(self.results.resolve()).encode()).hexdigest()[:8]}"
        opened: list[Scratch] = []

        def open_scratch() -> Scratch:
            if not opened:
                opened.append(stack.enter_context(self._open_scratch(prefix)))
            return opened[0]

        return open_scratch

    def _is_current(self, task: Task, method: Entry | Fusion) -> bool:
        """Whether there is a result, of the same task, settings and numbers, that did not fail."""
        result = read_json(self._path(task, method))
        if not result or result["error"]:
            return False
        if isinstance(method, Fusion) and result["made_of"] != _made_of(self._members(task, method)):
            return False
        return all(result.get(name) == value for name, value in self._head(task, method).items())

    def _path(self, task: Task, method: Entry | Fusion) -> Path:
        return result_path(self.results, task.data, task.name, method.name)

    def _head(self, task: Task, method: Entry | Fusion) -> Result:
        """What a result is of."""
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

    def _compare(self, task: Task, method: Entry | Fusion, caches: FeatureCaches, place: RunContext) -> str | None:
        """Make one result, and return its error if it has one."""
        began = perf_counter()
        found: Result = {"failures": []}
        error: str | None = None
        try:
            if isinstance(method, Fusion):
                found = self._fused(task, method)
            else:
                found = self._measured(task, method, caches, place)
        except Exception as cause:  # whatever a method does must not end the comparison of the others
            error = str(cause) if isinstance(cause, HashsearchError) else f"{type(cause).__name__}: {cause}"
        ending = {"error": error, "versions": versions(), "machine": machine(), "at": now()}
        result = {**self._head(task, method), **found, **ending, "seconds": perf_counter() - began}
        write_json(self._path(task, method), result)
        return error

    def _measured(self, task: Task, method: Entry, caches: FeatureCaches, place: RunContext) -> Result:
        done = measure(method, task, caches, place, self.plan.k)
        drawn = self._map(task, method, caches) if method.kind in _MAPPED else None
        return {**self._judged(task, done), "map": drawn}

    def _judged(self, task: Task, done: Measured) -> Result:
        rows, scores = zip(*done.answers)
        milliseconds = 1000 * done.seconds
        return {
            "rows": [hits.tolist() for hits in rows],
            "scores": [[float(f"{score:.{_DIGITS}g}") for score in of_query.tolist()] for of_query in scores],
            **judged(task, rows, scores, self.plan.k, self.plan.seed),
            "latency_ms": _latency(milliseconds[milliseconds > 0]),
            "query_ms": milliseconds.round(3).tolist(),
            **done.costs,
            "failures": done.failures,
            "extra": done.extra,
        }

    def _map(self, task: Task, method: Entry, caches: FeatureCaches) -> Result | None:
        """Where some of what is searched lies by these features; drawn once for all methods and tasks of a data set."""
        cache = caches.of(method.features)
        seen = cache.of(task.base, lambda done: None).features
        kept = [row for row, feature in enumerate(seen) if feature is not None]
        chosen = [kept[place] for place in sampled(len(kept), self.plan.seed)]
        key = (cache.folder.name, *(task.base[row].id for row in chosen))
        if key not in self._maps:
            self._maps[key] = projected(np.stack([seen[row] for row in chosen]), self.plan.seed)
        drawn = self._maps[key]
        return drawn and {"pca": drawn[0].round(4).tolist(), "tsne": drawn[1].round(3).tolist(), "rows": chosen}

    def _members(self, task: Task, method: Fusion) -> list[Result]:
        """The results that are fused; EvaluationError names those that there are not."""
        found = [read_json(result_path(self.results, task.data, task.name, name)) for name in method.of]
        usable = [result for result in found if result and not result["error"]]
        if len(usable) < len(found):
            lacking = [name for name, result in zip(method.of, found) if not result or result["error"]]
            raise EvaluationError(
                f"a fusion needs the answers of all that it is of, but failed did {', '.join(lacking)}"
            )
        return usable

    def _fused(self, task: Task, method: Fusion) -> Result:
        members = self._members(task, method)
        seconds = np.sum([member["query_ms"] for member in members], axis=0) / 1000
        answers = []
        for query in range(len(task.queries)):
            began = perf_counter()
            answers.append(fused([member["rows"][query] for member in members], self.plan.k, method.constant))
            seconds[query] += perf_counter() - began
        failures = {failure["picture"]: failure for member in members for failure in member["failures"]}
        done = Measured(answers, seconds, list(failures.values()), _costs(members))
        return {**self._judged(task, done), "map": None, "made_of": _made_of(members)}


def _made_of(members: Sequence[Result]) -> dict[str, str]:
    """Which results a fusion is of: when each was made."""
    return {member["method"]: member["at"] for member in members}


def _costs(members: Sequence[Result]) -> dict[str, float | None]:
    """Those of all members together; features that two share are extracted once."""
    rates = {json.dumps(member["settings"]["features"]): member["extract_images_per_second"] for member in members}
    known = [rate for rate in rates.values() if rate]
    added = {
        name: sum(member[name] for member in members) for name in ("bytes_per_image", "learn_seconds", "index_seconds")
    }
    return {"extract_images_per_second": 1 / sum(1 / rate for rate in known) if known else None, **added}


def _latency(milliseconds: NDArray[np.float64]) -> dict[str, float]:
    p50, p95, p99 = np.percentile(milliseconds, (50, 95, 99)).tolist()
    return {"p50": p50, "p95": p95, "p99": p99, "mean": float(milliseconds.mean())}


def _told(task: Task, seed: int) -> Result:
    """The task as its file holds it."""
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
