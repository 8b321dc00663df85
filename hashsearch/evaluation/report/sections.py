"""Result files as values: sections (a data set and a task) and the methods' results in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import ConfigError
from hashsearch.evaluation.metrics.ranking import relevant_hits
from hashsearch.files import read_json

MAIN = "map@10"
FIRST = "accuracy@1"


def named(figure: str) -> str:
    """A figure's name as a reader knows it."""
    return "mAP@10" if figure == MAIN else figure.replace("_", " ")


@dataclass(frozen=True)
class Estimate:
    """A measured value and its 95 % interval over queries, where there is one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, eq=False)
class Result:
    """One method's result on one task; `content` is its whole file."""

    content: Mapping[str, Any]

    @property
    def method(self) -> str:
        return str(self.content["method"])

    @property
    def kind(self) -> str:
        return str(self.content.get("kind", "other"))

    @property
    def error(self) -> str | None:
        """Why there are no figures; None for a method that worked."""
        return self.content.get("error")

    def figure(self, name: str) -> Estimate | None:
        """One of its figures, None if it was not measured."""
        figure = (self.content.get("figures") or {}).get(name)
        if figure is None or not _is_number(figure.get("value")):
            return None
        low, high = (figure.get(end) if _is_number(figure.get(end)) else None for end in ("low", "high"))
        return Estimate(float(figure["value"]), low, high)

    def number(self, *path: str) -> float | None:
        """A number anywhere in the file, such as `number("latency_ms", "p50")`; None where there is none."""
        value: Any = self.content
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return float(value) if _is_number(value) else None

    @property
    def features(self) -> str:
        """The features it compares, such as a network's name; by default the method's name."""
        features = (self.content.get("settings") or {}).get("features")
        return str(features["name"]) if isinstance(features, Mapping) and "name" in features else self.method

    @property
    def main(self) -> float:
        """The figure that methods are ordered by; -1 where it was not measured."""
        figure = self.figure(MAIN)
        return -1.0 if figure is None else figure.value

    @property
    def rows(self) -> list[list[int]]:
        """For each query the rows of its hits among the base images, best first."""
        return self.content.get("rows") or []


@dataclass(frozen=True, eq=False)
class Section:
    """One task on one data set: its queries, the methods that worked (best first), those that failed."""

    task: Mapping[str, Any]
    working: tuple[Result, ...]
    failed: tuple[Result, ...]
    notes: tuple[str, ...] = ()

    @property
    def results(self) -> tuple[Result, ...]:
        """Those of all methods, the failed ones last."""
        return (*self.working, *self.failed)

    @property
    def data(self) -> str:
        return str(self.task["data"])

    @property
    def name(self) -> str:
        return str(self.task["task"])

    @property
    def title(self) -> str:
        return f"{self.data}, {self.name.replace('_', ' ')}"

    @property
    def queries(self) -> Sequence[dict[str, Any]]:
        queries: Sequence[dict[str, Any]] = self.task["queries"]
        return queries

    @property
    def base(self) -> Sequence[dict[str, Any]]:
        base: Sequence[dict[str, Any]] = self.task["base"]
        return base

    @property
    def problems(self) -> Sequence[dict[str, Any]]:
        """Images and queries that were left out, each with its reason."""
        return self.task.get("problems") or ()

    @cached_property
    def relevant_counts(self) -> NDArray[np.int64]:
        """`(queries,)`: how many base images are relevant to each query."""
        return np.array([len(query["relevant"]) for query in self.queries], np.int64)

    @cached_property
    def _hits(self) -> dict[str, NDArray[np.bool_]]:
        return {}

    def hits(self, result: Result) -> NDArray[np.bool_]:
        """`(queries, k) bool`: whether each hit is relevant, best first; False where there are fewer hits."""
        if result.method not in self._hits:
            relevant = [query["relevant"] for query in self.queries]
            depth = max([int(result.content.get("k") or 0), 10, *map(len, result.rows)])
            self._hits[result.method] = relevant_hits(result.rows, relevant, depth)
        return self._hits[result.method]

    def find(self, method: str) -> Result | None:
        """The method's result if it worked here."""
        return next((result for result in self.working if result.method == method), None)

    def baseline(self, method: str | None) -> Result | None:
        """The method that others are compared with: the named one, else the best exact one, else the first by name."""
        named = self.find(method) if method else None
        exact = [result for result in self.working if result.kind == "exact"]
        by_name = sorted(self.working, key=lambda result: result.method)
        return named or next(iter([*exact, *by_name]), None)

    @property
    def best(self) -> Result | None:
        return self.working[0] if self.working and self.working[0].main >= 0 else None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))


def read_sections(folder: Path) -> list[Section]:
    """All sections in a folder of results, `folder/DATA/TASK/task.json` and the methods' files beside it, by name.

    A result with another fingerprint than its task was measured on another version of it: it is left out and noted.
    ConfigError for a folder without results, and for a file that is not JSON or lacks a required key.
    """
    tasks = sorted(folder.glob("*/*/task.json"))
    if not tasks:
        raise ConfigError(f"a folder of results must hold DATA/TASK/task.json, and '{folder}' holds none")
    return [_read_section(task) for task in tasks]


def _read_section(file: Path) -> Section:
    task = _read(file, ("data", "task", "queries", "base"))
    others = [path for path in sorted(file.parent.glob("*.json")) if path != file]
    read = [Result(_read(path, ("method",))) for path in others]
    fitting = [result for result in read if result.content.get("fingerprint") == task.get("fingerprint")]
    notes = tuple(
        f"{result.method}: measured on another version of this task and left out; run the comparison again"
        for result in read
        if result not in fitting
    )
    working = [result for result in fitting if not result.error]
    failed = [result for result in fitting if result.error]
    return Section(task, tuple(sorted(working, key=lambda result: -result.main)), tuple(failed), notes)


def _read(file: Path, needed: tuple[str, ...]) -> dict[str, Any]:
    content = read_json(file) or {}
    if missing := [name for name in needed if name not in content]:
        raise ConfigError(f"a result file must have {', '.join(needed)}; '{file}' lacks {', '.join(missing)}")
    return content
