"""What every method is: it learns, indexes and answers one query at a time; the runner measures and judges it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import EvaluationError
from hashsearch.evaluation.methods.features import Feature
from hashsearch.hashing.nearest import top_k

if TYPE_CHECKING:
    from hashsearch.elastic.scratch import Scratch

Ranking = tuple[NDArray[np.int64], NDArray[np.float32]]
Labels = NDArray[np.str_]

NOTHING: Ranking = (np.empty(0, np.int64), np.empty(0, np.float32))


@dataclass(frozen=True)
class RunContext:
    """Where methods work: indices on a cluster, which is started when the first method asks; the seed of all chance."""

    open_scratch: Callable[[], Scratch]
    seed: int = 0


class ScratchIndex:
    """One method's place among the indices: a name that no other has, and what is made under it."""

    def __init__(self, place: RunContext) -> None:
        self._place = place
        self._opened: Scratch | None = None

    @property
    def scratch(self) -> Scratch:
        """The cluster's, which is connected to now at the latest."""
        self._opened = self._opened or self._place.open_scratch()
        return self._opened

    @cached_property
    def name(self) -> str:
        """What the method's index is to be named."""
        return self.scratch.name()

    def fill(self, fields: Mapping[str, Any], documents: Iterable[Mapping[str, Any]]) -> None:
        """Make an index with these fields, of one document a row. EvaluationError when it refuses one."""
        self.scratch.create(self.name, fields)
        refused = self.scratch.write(self.name, ((str(row), document) for row, document in enumerate(documents)))
        if refused:
            raise EvaluationError(f"an index must take every picture, but refused {len(refused)}: {refused[0].reason}")

    def search(self, query: Mapping[str, Any], k: int) -> Ranking:
        """The rows that answer a query best, and their scores."""
        hits = self.scratch.search(self.name, {"query": query, "size": k, "_source": False})
        rows, scores = [int(hit["_id"]) for hit in hits], [hit["_score"] for hit in hits]
        return np.array(rows, np.int64), np.array(scores, np.float32)

    def bytes(self) -> int:
        """What the index takes on disk."""
        return self.scratch.bytes(self.name)

    def close(self) -> None:
        """Remove the index, if one was made."""
        if self._opened:
            self._opened.remove(self.name)


class Method(Protocol):
    """One way to search. A HashsearchError that is no StoreError, from `search`, fails that query only."""

    def learn(self, features: Sequence[Feature], labels: Labels) -> None:
        """Take in pictures of known classes, which may be none at all."""
        ...

    def index(self, features: Sequence[Feature]) -> None:
        """Take in what is searched, once; rows of answers are those of `features`."""
        ...

    def search(self, feature: Feature, k: int) -> Ranking:
        """At most `k` rows and their similarity, best first, larger is better; equal ones by row if it can be."""
        ...

    def bytes_per_image(self) -> float:
        """What an indexed picture takes, in memory or on disk."""
        ...

    def close(self) -> None:
        """Give back what it holds; also after a failure, and more than once."""
        ...


def best(similarities: NDArray[np.floating], k: int) -> Ranking:
    """The `k` largest of similarities `(n,)`, best first, equal ones by row."""
    rows = top_k(similarities, k)
    return rows.astype(np.int64), similarities[rows].astype(np.float32)
