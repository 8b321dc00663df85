"""Data sets to tasks: what is learnt from, what is searched, with what, and which answers are right.

No picture is opened to make a task: unreadable ones show when they are read.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import EvaluationError
from hashsearch.evaluation.data.datasets import DataSet, spread
from hashsearch.evaluation.data.distortions import DISTORTIONS, Distortion
from hashsearch.evaluation.data.pictures import Picture, Problem

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Task:
    """Queries with their right answers. `relevant` and `groups` are as long as `queries`."""

    data: str
    name: str  # "same_class", "same_instance", "near_duplicate"; with distractors "same_class+5000"
    learn: tuple[Picture, ...]  # labelled pictures that methods may learn from; never queries
    base: tuple[Picture, ...]  # what is searched
    queries: tuple[Picture, ...]
    relevant: tuple[Rows, ...] = field(repr=False)  # for each query the rows of base, at least one
    groups: tuple[str, ...]  # for each query its slice: its class, or the distortion: "jpeg 30"
    problems: tuple[Problem, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of all but the problems: ids, labels, distortions and sizes of files, and what is relevant.

        The same wherever the data lie, for their folder does not count.
        """
        digest = hashlib.sha256(json.dumps([self.data, self.name, self.groups]).encode())
        for pictures in (self.learn, self.base, self.queries):
            digest.update(json.dumps(list(_described(pictures))).encode())
        for rows in self.relevant:
            digest.update(len(rows).to_bytes(8, "little") + rows.astype("<i8").tobytes())
        return digest.hexdigest()[:16]


def _described(pictures: Iterable[Picture]) -> Iterator[list[object]]:
    for picture in pictures:
        made = picture.distortion and [str(picture.distortion), picture.distortion.seed]
        yield [picture.id, picture.label, made, _size(picture)]


def _size(picture: Picture) -> int:
    """Bytes of the file; -1 for one that has gone since the data were read."""
    try:
        return picture.path.stat().st_size
    except OSError:
        return -1


def make_task(name: str, data: DataSet, *, seed: int = 0, **options: Any) -> Task:
    """The task of TASKS with that name on the data, with that task's options; EvaluationError if it cannot be made."""
    if name not in TASKS:
        raise EvaluationError(f"a task must be one of {', '.join(TASKS)}, got '{name}'")
    known = [option for option in signature(TASKS[name]).parameters if option not in ("data", "seed")]
    if unknown := options.keys() - known:
        raise EvaluationError(f"the task {name} has the options {', '.join(known)}, got '{', '.join(sorted(unknown))}'")
    return TASKS[name](data, seed=seed, **options)


def same_class(data: DataSet, *, seed: int = 0, queries: int | None = None) -> Task:
    """Pictures of the query's class are right answers. At most so many queries, spread over the classes."""
    return _of_labels("same_class", data, seed, queries)


def same_instance(data: DataSet, *, seed: int = 0, queries: int | None = None) -> Task:
    """Other photos of the query's product are right answers. The data must name products; these become the labels."""
    parts = [tuple(replace(picture, label=picture.product) for picture in part) for part in (data.base, data.queries)]
    if not any(picture.label for picture in parts[0]):
        raise EvaluationError(f"same_instance must have products, the data '{data.name}' names none: set 'product'")
    return _of_labels("same_instance", replace(data, base=parts[0], queries=parts[1]), seed, queries)


def _of_labels(name: str, data: DataSet, seed: int, count: int | None) -> Task:
    """The task in which pictures with the query's label are relevant; those without a label are left out."""
    nameless = [Problem(picture.id, "a label must be known, this picture has none") for picture in _unlabelled(data)]
    base = tuple(picture for picture in data.base if picture.label)
    rows = _rows_by([picture.label for picture in base])
    queries, lonely = [], []
    for query in data.queries:
        if query.label in rows:
            queries.append(query)
        elif query.label:
            reason = f"a query must have a relevant picture, none of '{query.label}' is searched"
            lonely.append(Problem(query.id, reason))
    queries = spread(queries, count, seed)
    return _checked(
        Task(
            data.name,
            name,
            learn=base,
            base=base,
            queries=tuple(queries),
            relevant=tuple(rows[query.label] for query in queries),
            groups=tuple(query.label for query in queries),
            problems=(*data.problems, *nameless, *lonely),
        )
    )


def _unlabelled(data: DataSet) -> Iterator[Picture]:
    return (picture for part in (data.base, data.queries) for picture in part if not picture.label)


def _rows_by(labels: Sequence[str]) -> dict[str, Rows]:
    """For each label its rows. One array each, shared by all queries of the label: it is read-only."""
    rows = defaultdict(list)
    for row, label in enumerate(labels):
        rows[label].append(row)
    arrays = {label: np.array(found, np.int64) for label, found in rows.items()}
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def _checked(task: Task) -> Task:
    if not task.queries:
        told = f"; the first of {len(task.problems)} problems: {task.problems[0]}" if task.problems else ""
        raise EvaluationError(f"{task.name} on '{task.data}' must have a query with a relevant picture, has none{told}")
    return task


def near_duplicate(
    data: DataSet,
    *,
    seed: int = 0,
    queries: int | None = 50,
    distortions: Sequence[str] | Mapping[str, Sequence[float]] | None = None,
) -> Task:
    """Distorted pictures are to be found again: each of `queries` pictures searched, in every distortion and strength.

    `distortions` are names, for the strengths of DISTORTIONS, or a table of names with strengths; all if None. Relevant
    are the picture itself and files of the same bytes. Of two photos of one scene only one is: the other is a miss.
    """
    chosen = spread(data.base, queries, seed)
    relevant = _same_bytes(data.base, chosen)
    strengths = _strengths(DISTORTIONS if distortions is None else distortions)
    kinds = [(kind, strength) for kind, several in strengths.items() for strength in several]
    distorted = [_distorted(source, kind, strength, seed) for source in chosen for kind, strength in kinds]
    return _checked(
        Task(
            data.name,
            "near_duplicate",
            learn=tuple(picture for picture in data.base if picture.label),
            base=data.base,
            queries=tuple(distorted),
            relevant=tuple(relevant[source.id] for source in chosen for _ in kinds),
            groups=tuple(str(query.distortion) for query in distorted),
            problems=data.problems,
        )
    )


def _strengths(distortions: Sequence[str] | Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Strengths by name, each once; EvaluationError for an unknown name or what are no strengths."""
    found = {}
    for name in [distortions] if isinstance(distortions, str) else distortions:
        if name not in DISTORTIONS:
            raise EvaluationError(f"a distortion must be one of {', '.join(DISTORTIONS)}, got '{name}'")
        strengths = distortions[name] if isinstance(distortions, Mapping) else DISTORTIONS[name]
        if not isinstance(strengths, (list, tuple)):
            raise EvaluationError(f"the strengths of {name} must be a list of numbers, got {strengths!r}")
        found[name] = list(dict.fromkeys(strengths))
    return found


def _distorted(source: Picture, name: str, strength: float, seed: int) -> Picture:
    own = zlib.crc32(f"{seed} {source.id}".encode("utf-8", "surrogatepass"))
    distortion = Distortion(name, strength, own)
    return replace(source, id=f"{source.id}@{str(distortion).replace(' ', '=')}", distortion=distortion)


def _same_bytes(base: Sequence[Picture], sources: Sequence[Picture]) -> dict[str, Rows]:
    """For the id of each source the rows of base whose files hold the same bytes, its own among them."""
    sizes = [str(_size(picture)) for picture in base]
    of_size = _rows_by(sizes)
    content = lru_cache(maxsize=None)(lambda row: _content(base[row].path))
    own = {picture.id: row for row, picture in enumerate(base)}
    same = {}
    for source in sources:
        row = own[source.id]
        alike = of_size[sizes[row]].tolist()
        rows = [other for other in alike if other == row or content(other) == content(row)]
        same[source.id] = np.array(rows, np.int64)
    return same


def _content(path: Path) -> bytes:
    """A digest of the file's bytes; of its path where it cannot be read, which is told when it is to be measured."""
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return os.fsencode(path)


def with_distractors(task: Task, others: Sequence[DataSet], count: int | None = None, *, seed: int = 0) -> Task:
    """The task with pictures of other data sets added to what is searched, at most `count`; what is relevant stays.

    They count as wrong whatever they show. So take data that share neither classes nor pictures with the task's own:
    a daisy in another set of flowers is a right answer that is counted as a wrong one. Files that the task has already
    are not added.
    """
    if task.data in (names := [other.name for other in others]):
        raise EvaluationError(f"distractors must come from other data than the task's own '{task.data}', got {names}")
    own = {picture.path for picture in task.base + task.queries}
    there = [
        Picture(f"{other.name}:{picture.id}", picture.path, f"{other.name}:{picture.product or picture.label}")
        for other in others
        for picture in other.base + other.queries
        if picture.path not in own
    ]
    if not there:
        raise EvaluationError(f"there must be a picture to distract with, there is none in {names}")
    added = tuple(replace(picture, label="") for picture in spread(there, count, seed))
    return replace(task, name=f"{task.name}+{len(added)}", base=task.base + added)


TASKS: dict[str, Callable[..., Task]] = {
    "same_class": same_class,
    "same_instance": same_instance,
    "near_duplicate": near_duplicate,
}
