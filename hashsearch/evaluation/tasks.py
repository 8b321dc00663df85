"""Data sets to tasks: what is learnt from, what is searched, with what, and which answers are right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hashsearch.evaluation.datasets import DataSet, Picture, Problem

__all__ = ["DataSet", "Picture", "Problem", "Task"]


@dataclass(frozen=True, eq=False)
class Task:
    """Queries with their right answers. No picture is opened to make one: unreadable ones show when they are read."""

    data: str
    name: str  # "same_class", "same_instance", "near_duplicate"; with distractors "same_class+5000"
    learn: tuple[Picture, ...]  # what methods may learn from; never queries
    base: tuple[Picture, ...]  # what is searched
    queries: tuple[Picture, ...]
    relevant: tuple[NDArray[np.int64], ...] = field(repr=False)  # for each query the rows of base, at least one
    groups: tuple[str, ...]  # for each query its slice: its class, or the distortion: "jpeg 30"
    problems: tuple[Problem, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of all but the problems: ids, labels, distortions and sizes of the files, and what is relevant.

        The same wherever the data lie, for absolute paths do not count.
        """
        digest = hashlib.sha256(json.dumps([self.data, self.name, self.groups]).encode())
        for pictures in (self.learn, self.base, self.queries):
            digest.update(json.dumps(list(_described(pictures))).encode())
        for rows in self.relevant:
            digest.update(len(rows).to_bytes(8, "little") + rows.astype("<i8").tobytes())
        return digest.hexdigest()[:16]


def _described(pictures: Iterable[Picture]) -> Iterator[list[object]]:
    for picture in pictures:
        made = picture.distortion and [picture.distortion.name, picture.distortion.strength, picture.distortion.seed]
        yield [picture.id, picture.label, made, picture.path.stat().st_size]
