"""The TOML file of a comparison to a plan: data sets, tasks and methods, all names known before the work begins."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hashsearch.embedders import located
from hashsearch.errors import ConfigError, HashsearchError
from hashsearch.evaluation.data.datasets import DataSet, data_of
from hashsearch.evaluation.data.tasks import Task, make_task, with_distractors
from hashsearch.evaluation.methods import FUSION, Kind, Method, RunContext, kind_of
from hashsearch.evaluation.methods.features import FEATURES, Features, features_of, options_of
from hashsearch.evaluation.methods.fusion import RANK_CONSTANT
from hashsearch.files import safe_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Table = Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """A method as it is to be compared: its name, kind and options; `features` of all kinds but fusion."""

    name: str
    kind: str
    features: Features
    options: Table

    @property
    def settings(self) -> dict[str, Any]:
        """All that changes its answers, as JSON: its features and every option, given or not."""
        defaults = {option.name: option.default for option in fields(self._kind.method) if option.name != "place"}
        seen = {"name": self.features.name, **self.features.identity}
        queries = self.features.of_queries.name
        return _plain({"features": seen, "queries": queries, **defaults, **self.options})

    @property
    def _kind(self) -> Kind:
        return kind_of(self.kind)

    def make(self, place: RunContext) -> Method:
        """The method itself, which has learned nothing yet."""
        return self._kind.make(place, self.options)


@dataclass(frozen=True)
class Fusion:
    """A method made of the answers of others, which are named in `of`."""

    name: str
    of: tuple[str, ...]
    constant: int = RANK_CONSTANT
    kind: str = field(default=FUSION, init=False)

    @property
    def settings(self) -> dict[str, Any]:
        """All that changes its answers, beside theirs, as JSON."""
        return {"of": [*self.of], "constant": self.constant}


@dataclass(frozen=True)
class Plan:
    """What is compared. `data` and `tasks` are tables of the file `path` still, of which `make_tasks` makes tasks."""

    path: Path
    data: tuple[Table, ...]
    tasks: tuple[Table, ...]
    methods: tuple[Entry | Fusion, ...]
    k: int = 50
    seed: int = 0


def read_plan(path: Path, weights: Mapping[str, str] | None = None, trained: Path | None = None) -> Plan:
    """The plan in a TOML file; `weights` are those of networks by name, for methods that name none of their own.

    Features may also be a trained embedder's folder, or its name in the folder `trained`.
    ConfigError tells the table that is wrong, and what it may hold.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"a comparison must be described in a TOML file, but {path}: {error}") from error
    return plan_of(found, path, weights or {}, trained)


def plan_of(found: Table, path: Path, weights: Mapping[str, str], trained: Path | None = None) -> Plan:
    """The plan in the tables of a file. Raises ConfigError as `read_plan`."""
    _only(found, {"data", "task", "method", "k", "seed"}, str(path))
    data, tasks, methods = (_tables(found, kind, path) for kind in ("data", "task", "method"))
    made = []
    for number, table in enumerate(methods, 1):
        with _located(path, "method", number):
            made.append(_method(table, weights, trained))
    _check_names([method.name for method in made], path)
    _check_fusions(made, path)
    return Plan(
        path,
        tuple(data),
        tuple(tasks),
        tuple(made),
        _number(found, "k", 50, 1, path),
        _number(found, "seed", 0, 0, path),
    )


@contextmanager
def _located(path: Path, kind: str, number: int) -> Iterator[None]:
    """Makes an error tell the table that it is about."""
    try:
        yield
    except HashsearchError as error:
        raise ConfigError(f"{path}, [[{kind}]] {number}: {error}") from error


def _tables(found: Table, kind: str, path: Path) -> list[Table]:
    tables = found.get(kind, [])
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{path} must have one or more tables [[{kind}]]")
    for number, table in enumerate(tables, 1):
        if not isinstance(table.get("name"), str) or not table["name"]:
            raise ConfigError(f"{path}, [[{kind}]] {number}: a name must be given as text, got {table.get('name')!r}")
    return tables


def _only(table: Table, known: set[str], where: str) -> None:
    unknown = sorted(table.keys() - known)
    if unknown:
        raise ConfigError(f"{where} may hold {', '.join(sorted(known)) or 'nothing more'}, got '{unknown[0]}'")


def _number(found: Table, name: str, default: int, least: int, path: Path) -> int:
    number = found.get(name, default)
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= 1000:
        raise ConfigError(f"{name} in {path} must be a whole number, {least} to 1000, got {number!r}")
    return number


def _method(table: Table, weights: Mapping[str, str], trained: Path | None) -> Entry | Fusion:
    options = {key: value for key, value in table.items() if key not in ("name", "kind")}
    name, kind = table["name"], table.get("kind", "")
    if kind == FUSION:
        return _fusion(name, options)
    searched = kind_of(kind)
    known = FEATURES[searched.takes]
    seen = options.pop("features", None if len(known) > 1 else next(iter(known)))
    if trained and isinstance(seen, str) and seen not in known:
        seen = located(seen, trained)
    own = options_of(searched.takes, seen)
    _only(options, own | searched.options(), f"a method of kind '{kind}' with features '{seen}'")
    chosen = {key: options.pop(key) for key in own & options.keys()}
    if "weights" in own and seen in weights:
        chosen.setdefault("weights", weights[seen])
    entry = Entry(name, kind, features_of(searched.takes, seen, chosen), options)
    try:
        entry.make(RunContext(_no_scratch))  # refuses options outside their range, now rather than after hours
    except TypeError as error:
        raise ConfigError(f"an option is of another type than it must be: {error}") from error
    _ = entry.settings
    return entry


def _no_scratch() -> Any:
    raise AssertionError("a method asks for Elasticsearch when it indexes, not before")


def _fusion(name: str, options: Table) -> Fusion:
    _only(options, {"of", "constant"}, "a method of kind 'fusion'")
    of, constant = options.get("of", []), options.get("constant", RANK_CONSTANT)
    if not isinstance(of, list) or len(set(map(str, of))) < 2:
        raise ConfigError(f"a fusion must be 'of' two or more methods by name, got {of!r}")
    if not isinstance(constant, int) or constant < 0:
        raise ConfigError(f"the constant of a fusion must be a whole number from 0 on, got {constant!r}")
    return Fusion(name, tuple(map(str, of)), constant)


def _check_names(names: Sequence[str], path: Path) -> None:
    for number, name in enumerate(names, 1):
        if safe_name(name).lower() in {safe_name(other).lower() for other in names[: number - 1]}:
            raise ConfigError(
                f"{path}, [[method]] {number}: every method must have a name of its own, got '{name}' again"
            )


def _check_fusions(methods: Sequence[Entry | Fusion], path: Path) -> None:
    names = [method.name for method in methods if not isinstance(method, Fusion)]
    for number, method in enumerate(methods, 1):
        for other in method.of if isinstance(method, Fusion) else ():
            if other not in names:
                raise ConfigError(f"{path}, [[method]] {number}: a fusion must be of {', '.join(names)}, got '{other}'")


def _plain(settings: Table) -> dict[str, Any]:
    """As JSON gives it back."""
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def make_tasks(plan: Plan, data_folder: Path) -> list[Task]:
    """The plan's tasks, those of one data set after each other; folders of data are relative to `data_folder`.

    ConfigError tells the table that no task can be made of, and why.
    """
    data = {}
    for number, table in enumerate(plan.data, 1):
        with _located(plan.path, "data", number):
            data[table["name"]] = data_of(table, data_folder, plan.seed)
    if len(data) < len(plan.data):
        raise ConfigError(f"{plan.path}: every [[data]] must have a name of its own, got {', '.join(data)}")
    tasks = []
    for name, of in data.items():
        for number, table in enumerate(plan.tasks, 1):
            with _located(plan.path, "task", number):
                if name in _named(table.get("data", list(data)), data):
                    tasks.append(_task(table, of, data, plan.seed))
    _check_tasks(tasks, plan.path)
    return tasks


def _task(table: Table, of: DataSet, data: Mapping[str, DataSet], seed: int) -> Task:
    options = {"seed": seed, **table}
    options.pop("data", None)
    distractors, most = options.pop("distractors", None), options.pop("distractors_most", None)
    task = make_task(options.pop("name"), of, **options)
    if distractors is None:
        return task
    return with_distractors(task, [data[name] for name in _named(distractors, data)], most, seed=options["seed"])


def _named(names: object, data: Mapping[str, DataSet]) -> list[str]:
    if not isinstance(names, list) or not names or not set(map(str, names)) <= data.keys():
        raise ConfigError(f"data must be a list of some of {', '.join(data)}, got {names!r}")
    return names


def _check_tasks(tasks: Sequence[Task], path: Path) -> None:
    if not tasks:
        raise ConfigError(f"{path} must have a task for one of its data sets")
    seen = set()
    for task in tasks:
        if (task.data, task.name) in seen:
            raise ConfigError(f"{path}: a data set can have each task once, '{task.data}' has {task.name} again")
        seen.add((task.data, task.name))
