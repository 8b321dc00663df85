"""Tasks made from data sets: what methods learn from, what is searched, the queries, and which answers are right.

No picture is opened to make a task: unreadable ones are found when they are read.
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
from hashsearch.evaluation.data.pictures import LeftOut, Picture

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
    groups: tuple[str, ...]  # for each query its group in the report: its class, or its distortion: "jpeg 30"
    problems: tuple[LeftOut, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over all but the problems: ids, labels, distortions, file sizes and relevant rows.

        It does not depend on where the data are stored: only paths within the data set's folder count.
        """
        digest = hashlib.sha256(json.dumps([self.data, self.name, self.groups]).encode())
        for pictures in (self.learn, self.base, self.queries):
            digest.update(json.dumps(list(_described(pictures))).encode())
        for rows in self.relevant:
            digest.update(len(rows).to_bytes(8, "little") + rows.astype("<i8").tobytes())
        return digest.hexdigest()[:16]


def _described(pictures: Iterable[Picture]) -> Iterator[list[object]]:
    for picture in pictures:
        distortion = picture.distortion and [str(picture.distortion), picture.distortion.seed]
        yield [picture.id, picture.label, distortion, _size(picture)]


def _size(picture: Picture) -> int:
    """Bytes of the file; -1 if it has disappeared since the data set was read."""
    try:
        return picture.path.stat().st_size
    except OSError:
        return -1


def make_task(name: str, data: DataSet, *, seed: int = 0, **options: Any) -> Task:
    """The task of TASKS with that name and its options on a data set; EvaluationError if it cannot be made."""
    if name not in TASKS:
        raise EvaluationError(f"a task must be one of {', '.join(TASKS)}, got '{name}'")
    known = [option for option in signature(TASKS[name]).parameters if option not in ("data", "seed")]
    if unknown := options.keys() - known:
        raise EvaluationError(f"the task {name} has the options {', '.join(known)}, got '{', '.join(sorted(unknown))}'")
    return TASKS[name](data, seed=seed, **options)


def same_class(data: DataSet, *, seed: int = 0, queries: int | None = None) -> Task:
    """Pictures of the query's class are right answers; at most `queries` queries, spread over the classes."""
    return _of_labels("same_class", data, seed, queries)


def same_instance(data: DataSet, *, seed: int = 0, queries: int | None = None) -> Task:
    """Other photos of the query's product are right answers. The data set must have products; they become labels."""
    parts = [tuple(replace(picture, label=picture.product) for picture in part) for part in (data.base, data.queries)]
    if not any(picture.label for picture in parts[0]):
        raise EvaluationError(f"same_instance needs products, but data set '{data.name}' has none: set 'product'")
    return _of_labels("same_instance", replace(data, base=parts[0], queries=parts[1]), seed, queries)


def _of_labels(name: str, data: DataSet, seed: int, count: int | None) -> Task:
    """The task in which pictures with the query's label are relevant; those without a label are left out."""
    unlabelled = [
        LeftOut(picture.id, "a picture must have a label, this one has none") for picture in _unlabelled(data)
    ]
    base = tuple(picture for picture in data.base if picture.label)
    rows = _rows_by([picture.label for picture in base])
    queries, unanswerable = [], []
    for query in data.queries:
        if query.label in rows:
            queries.append(query)
        elif query.label:
            reason = f"a query must have a relevant picture, but no picture of '{query.label}' is searched"
            unanswerable.append(LeftOut(query.id, reason))
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
            problems=(*data.problems, *unlabelled, *unanswerable),
        )
    )


def _unlabelled(data: DataSet) -> Iterator[Picture]:
    return (picture for part in (data.base, data.queries) for picture in part if not picture.label)


def _rows_by(labels: Sequence[str]) -> dict[str, Rows]:
    """The rows of each label, as one read-only array that all queries of the label share."""
    rows = defaultdict(list)
    for row, label in enumerate(labels):
        rows[label].append(row)
    arrays = {label: np.array(of_label, np.int64) for label, of_label in rows.items()}
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def _checked(task: Task) -> Task:
    if not task.queries:
        reason = f"; first of {len(task.problems)} problems: {task.problems[0]}" if task.problems else ""
        raise EvaluationError(
            f"{task.name} on '{task.data}' must have a query with a relevant picture, has none{reason}"
        )
    return task


def near_duplicate(
    data: DataSet,
    *,
    seed: int = 0,
    queries: int | None = 50,
    distortions: Sequence[str] | Mapping[str, Sequence[float]] | None = None,
) -> Task:
    """Distorted pictures must be found again: `queries` of the searched pictures, in every distortion and strength.

    `distortions` are names (with the strengths of DISTORTIONS) or a table of names and strengths; all if None. Relevant
    are the picture itself and files with the same bytes; another photo of the same scene counts as a miss.
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
    """Strengths by name, without repeats; EvaluationError for an unknown name or strengths that are not a list."""
    by_name = {}
    for name in [distortions] if isinstance(distortions, str) else distortions:
        if name not in DISTORTIONS:
            raise EvaluationError(f"a distortion must be one of {', '.join(DISTORTIONS)}, got '{name}'")
        strengths = distortions[name] if isinstance(distortions, Mapping) else DISTORTIONS[name]
        if not isinstance(strengths, (list, tuple)):
            raise EvaluationError(f"the strengths of {name} must be a list of numbers, got {strengths!r}")
        by_name[name] = list(dict.fromkeys(strengths))
    return by_name


def _distorted(source: Picture, name: str, strength: float, seed: int) -> Picture:
    picture_seed = zlib.crc32(f"{seed} {source.id}".encode("utf-8", "surrogatepass"))
    distortion = Distortion(name, strength, picture_seed)
    return replace(source, id=f"{source.id}@{str(distortion).replace(' ', '=')}", distortion=distortion)


def _same_bytes(base: Sequence[Picture], sources: Sequence[Picture]) -> dict[str, Rows]:
    """For each source's id the rows of base whose files have the same bytes, its own row included."""
    sizes = [str(_size(picture)) for picture in base]
    of_size = _rows_by(sizes)
    content = lru_cache(maxsize=None)(lambda row: _content(base[row].path))
    row_of = {picture.id: row for row, picture in enumerate(base)}
    same = {}
    for source in sources:
        row = row_of[source.id]
        candidates = of_size[sizes[row]].tolist()
        rows = [other for other in candidates if other == row or content(other) == content(row)]
        same[source.id] = np.array(rows, np.int64)
    return same


def _content(path: Path) -> bytes:
    """A digest of the file's bytes; the path itself where it cannot be read, which is reported when it is measured."""
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return os.fsencode(path)


def with_distractors(task: Task, others: Sequence[DataSet], count: int | None = None, *, seed: int = 0) -> Task:
    """The task with at most `count` pictures of other data sets added to what is searched; relevant rows stay the same.

    Distractors always count as wrong, so take data sets that share neither classes nor pictures with the task's own: a
    daisy from another set of flowers would be a right answer counted as wrong. Files that the task already has are not
    added.
    """
    if task.data in (names := [other.name for other in others]):
        raise EvaluationError(
            f"distractors must come from data sets other than the task's own '{task.data}', got {names}"
        )
    known = {picture.path for picture in task.base + task.queries}
    distractors = [
        Picture(
            f"{other.name}:{picture.id}",
            picture.path,
            f"{other.name}:{picture.product or picture.label}",
            reader=picture.reader,
        )
        for other in others
        for picture in other.base + other.queries
        if picture.path not in known
    ]
    if not distractors:
        raise EvaluationError(f"distractors must be files that the task does not have, found none in {names}")
    added = tuple(replace(picture, label="") for picture in spread(distractors, count, seed))
    return replace(task, name=f"{task.name}+{len(added)}", base=task.base + added)


TASKS: dict[str, Callable[..., Task]] = {
    "same_class": same_class,
    "same_instance": same_instance,
    "near_duplicate": near_duplicate,
}
