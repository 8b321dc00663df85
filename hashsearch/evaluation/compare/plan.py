"""The plan of a comparison, read from a TOML file: data sets, tasks and methods, all checked before the work begins."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hashsearch.embedders import located
from hashsearch.errors import ConfigError, HashsearchError
from hashsearch.evaluation.data.datasets import DataSet, data_of
from hashsearch.evaluation.data.tasks import Task, make_task, with_distractors
from hashsearch.evaluation.methods import FUSION, Method, MethodKind, RunContext, kind_of
from hashsearch.evaluation.methods.features import FEATURES, Features, features_of, options_of
from hashsearch.evaluation.methods.fusion import RANK_CONSTANT
from hashsearch.files import safe_name
from hashsearch.images.sources import DEFAULT_READER, ImageReader

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Table = Mapping[str, Any]


@dataclass(frozen=True)
class PlannedMethod:
    """A method to compare: its name, kind, features and options."""

    name: str
    kind: str
    features: Features
    options: Table

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that changes its results, as JSON: its features and all options with their defaults."""
        features = {"name": self.features.name, **self.features.identity}
        queries = self.features.of_queries.name
        return _plain({"features": features, "queries": queries, **self._kind.options(), **self.options})

    @property
    def _kind(self) -> MethodKind:
        return kind_of(self.kind)

    def make(self, context: RunContext) -> Method:
        """A new method that has learned nothing yet."""
        return self._kind.make(context, self.options)


@dataclass(frozen=True)
class Fusion:
    """A method that merges the rankings of others, which are named in `of`."""

    name: str
    of: tuple[str, ...]
    constant: int = RANK_CONSTANT
    kind: str = field(default=FUSION, init=False)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that changes its results, except for theirs, as JSON."""
        return {"of": [*self.of], "constant": self.constant}


@dataclass(frozen=True)
class ComparisonPlan:
    """What to compare. `data` and `tasks` are still tables of the file `path`; `make_tasks` makes tasks of them."""

    path: Path
    data: tuple[Table, ...]
    tasks: tuple[Table, ...]
    methods: tuple[PlannedMethod | Fusion, ...]
    k: int = 50
    seed: int = 0


def read_plan(path: Path, weights: Mapping[str, str] | None = None, trained: Path | None = None) -> ComparisonPlan:
    """The plan in a TOML file; `weights` are files by network name, for methods that name no weights themselves.

    Features may also be a trained embedder's folder, or its name in the folder `trained`. ConfigError names the table
    that is wrong and what it may contain.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"a comparison must be a TOML file, but {path} cannot be read as one: {error}") from error
    return plan_of(content, path, weights or {}, trained)


def plan_of(content: Table, path: Path, weights: Mapping[str, str], trained: Path | None = None) -> ComparisonPlan:
    """The plan in a file's content; ConfigError as in `read_plan`."""
    _only(content, {"data", "task", "method", "k", "seed"}, str(path))
    data, tasks, tables = (_tables(content, kind, path) for kind in ("data", "task", "method"))
    methods = []
    for number, table in enumerate(tables, 1):
        with _naming_table(path, "method", number):
            methods.append(_method(table, weights, trained))
    _check_names([method.name for method in methods], path)
    _check_fusions(methods, path)
    return ComparisonPlan(
        path,
        tuple(data),
        tuple(tasks),
        tuple(methods),
        _number(content, "k", 50, 1, path),
        _number(content, "seed", 0, 0, path),
    )


@contextmanager
def _naming_table(path: Path, kind: str, number: int) -> Iterator[None]:
    """Put the file and the table in front of an error's message."""
    try:
        yield
    except HashsearchError as error:
        raise ConfigError(f"{path}, [[{kind}]] {number}: {error}") from error


def _tables(content: Table, kind: str, path: Path) -> list[Table]:
    tables = content.get(kind, [])
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{path} must have one or more tables [[{kind}]]")
    for number, table in enumerate(tables, 1):
        if not isinstance(table.get("name"), str) or not table["name"]:
            raise ConfigError(
                f"{path}, [[{kind}]] {number}: a name must be a non-empty text, got {table.get('name')!r}"
            )
    return tables


def _only(table: Table, known: set[str], subject: str) -> None:
    unknown = sorted(table.keys() - known)
    if unknown:
        raise ConfigError(f"{subject} may contain {', '.join(sorted(known)) or 'nothing else'}, got '{unknown[0]}'")


def _number(content: Table, name: str, default: int, least: int, path: Path) -> int:
    number = content.get(name, default)
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= 1000:
        raise ConfigError(f"{name} in {path} must be a whole number, {least} to 1000, got {number!r}")
    return number


def _method(table: Table, weights: Mapping[str, str], trained: Path | None) -> PlannedMethod | Fusion:
    options = {key: value for key, value in table.items() if key not in ("name", "kind")}
    name, kind = table["name"], table.get("kind", "")
    if kind == FUSION:
        return _fusion(name, options)
    method_kind = kind_of(kind)
    known = FEATURES[method_kind.takes]
    features = options.pop("features", None if len(known) > 1 else next(iter(known)))
    if trained and isinstance(features, str) and features not in known:
        features = located(features, trained)
    of_features = options_of(method_kind.takes, features)
    _only(options, of_features | method_kind.options().keys(), f"a method of kind '{kind}' with features '{features}'")
    chosen = {key: options.pop(key) for key in of_features & options.keys()}
    if "weights" in of_features and features in weights:
        chosen.setdefault("weights", weights[features])
    method = PlannedMethod(name, kind, features_of(method_kind.takes, features, chosen), options)
    try:
        method.make(RunContext(_no_scratch))  # refuses options outside their range now instead of after hours
    except TypeError as error:
        raise ConfigError(f"an option has the wrong type: {error}") from error
    _ = method.settings
    return method


def _no_scratch() -> Any:
    raise AssertionError("methods connect to Elasticsearch when they index, not before")


def _fusion(name: str, options: Table) -> Fusion:
    _only(options, {"of", "constant"}, "a method of kind 'fusion'")
    of, constant = options.get("of", []), options.get("constant", RANK_CONSTANT)
    if not isinstance(of, list) or len(set(map(str, of))) < 2:
        raise ConfigError(f"a fusion must name two or more methods in 'of', got {of!r}")
    if not isinstance(constant, int) or constant < 0:
        raise ConfigError(f"the constant of a fusion must be a whole number of at least 0, got {constant!r}")
    return Fusion(name, tuple(map(str, of)), constant)


def _check_names(names: Sequence[str], path: Path) -> None:
    for number, name in enumerate(names, 1):
        if safe_name(name).lower() in {safe_name(other).lower() for other in names[: number - 1]}:
            raise ConfigError(f"{path}, [[method]] {number}: every method must have its own name, got '{name}' twice")


def _check_fusions(methods: Sequence[PlannedMethod | Fusion], path: Path) -> None:
    names = [method.name for method in methods if not isinstance(method, Fusion)]
    for number, method in enumerate(methods, 1):
        for other in method.of if isinstance(method, Fusion) else ():
            if other not in names:
                raise ConfigError(
                    f"{path}, [[method]] {number}: 'of' must name methods among {', '.join(names)}, got '{other}'"
                )


def _plain(settings: Table) -> dict[str, Any]:
    """The settings as they come back from JSON."""
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def make_tasks(plan: ComparisonPlan, data_folder: Path, reader: ImageReader = DEFAULT_READER) -> list[Task]:
    """The plan's tasks, grouped by data set; folders of data sets are relative to `data_folder`.

    Pictures are read by `reader`. ConfigError names the table that no task can be made of, and why.
    """
    data = {}
    for number, table in enumerate(plan.data, 1):
        with _naming_table(plan.path, "data", number):
            data[table["name"]] = data_of(table, data_folder, plan.seed, reader)
    if len(data) < len(plan.data):
        raise ConfigError(f"{plan.path}: every [[data]] must have its own name, got {', '.join(data)}")
    tasks = []
    for name, data_set in data.items():
        for number, table in enumerate(plan.tasks, 1):
            with _naming_table(plan.path, "task", number):
                if name in _named(table.get("data", list(data)), data):
                    tasks.append(_task(table, data_set, data, plan.seed))
    _check_tasks(tasks, plan.path)
    return tasks


def _task(table: Table, data_set: DataSet, data: Mapping[str, DataSet], seed: int) -> Task:
    options = {"seed": seed, **table}
    options.pop("data", None)
    distractors, count = options.pop("distractors", None), options.pop("distractors_most", None)
    task = make_task(options.pop("name"), data_set, **options)
    if distractors is None:
        return task
    return with_distractors(task, [data[name] for name in _named(distractors, data)], count, seed=options["seed"])


def _named(names: object, data: Mapping[str, DataSet]) -> list[str]:
    if not isinstance(names, list) or not names or not set(map(str, names)) <= data.keys():
        raise ConfigError(f"data sets must be a list of names among {', '.join(data)}, got {names!r}")
    return names


def _check_tasks(tasks: Sequence[Task], path: Path) -> None:
    if not tasks:
        raise ConfigError(f"{path} must have a task for one of its data sets")
    known = set()
    for task in tasks:
        if (task.data, task.name) in known:
            raise ConfigError(f"{path}: a data set may have each task once, but '{task.data}' has {task.name} twice")
        known.add((task.data, task.name))
