"""The contract of a method: it learns, indexes and answers one query at a time; the runner measures and judges it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import EvaluationError
from hashsearch.evaluation.methods.features import Feature
from hashsearch.hashing.binarizers import Binarizer, make_binarizer
from hashsearch.hashing.nearest import top_k

if TYPE_CHECKING:
    from hashsearch.elastic.scratch import Scratch

Ranking = tuple[NDArray[np.int64], NDArray[np.float32]]
Labels = NDArray[np.str_]

NO_HITS: Ranking = (np.empty(0, np.int64), np.empty(0, np.float32))


@dataclass(frozen=True)
class RunContext:
    """What methods get from a run: indices on a cluster, connected to when first needed, the seed, and binarizers.

    `make_binarizer` makes one that can be fitted, by name.
    """

    open_scratch: Callable[[], Scratch]
    seed: int = 0
    make_binarizer: Callable[..., Binarizer] = make_binarizer


class ScratchIndex:
    """One method's index on the cluster, under a name of its own; nothing is created before `fill`."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._opened: Scratch | None = None

    @property
    def scratch(self) -> Scratch:
        """The cluster's scratch indices; connects when first used."""
        self._opened = self._opened or self._context.open_scratch()
        return self._opened

    @cached_property
    def name(self) -> str:
        """The name of the method's index."""
        return self.scratch.name()

    def fill(self, fields: Mapping[str, Any], documents: Iterable[Mapping[str, Any]]) -> None:
        """Create the index with these fields, one document a row. EvaluationError when a document is rejected."""
        self.scratch.create(self.name, fields)
        rejected = self.scratch.write(self.name, ((str(row), document) for row, document in enumerate(documents)))
        if rejected:
            raise EvaluationError(f"every picture must be indexed, but {len(rejected)} failed: {rejected[0].reason}")

    def search(self, query: Mapping[str, Any], k: int) -> Ranking:
        """The best rows for a query, and their scores."""
        hits = self.scratch.search(self.name, {"query": query, "size": k, "_source": False})
        rows, scores = [int(hit["_id"]) for hit in hits], [hit["_score"] for hit in hits]
        return np.array(rows, np.int64), np.array(scores, np.float32)

    def bytes(self) -> int:
        """The size of the index on disk."""
        return self.scratch.bytes(self.name)

    def close(self) -> None:
        """Delete the index, if there is one."""
        if self._opened:
            self._opened.remove(self.name)


class Method(Protocol):
    """One way to search. A HashsearchError from `search` other than a StoreError fails only that query."""

    def learn(self, features: Sequence[Feature], labels: Labels) -> None:
        """Learn from labelled pictures; the list may be empty."""
        ...

    def index(self, features: Sequence[Feature]) -> None:
        """Index the pictures to search, once; rankings hold rows of `features`."""
        ...

    def search(self, feature: Feature, k: int) -> Ranking:
        """At most `k` rows and their similarities, larger is better, best first; ties by row where possible."""
        ...

    def bytes_per_image(self) -> float:
        """The size of an indexed picture, in memory or on disk."""
        ...

    def close(self) -> None:
        """Release its resources; may be called after a failure and more than once."""
        ...


def best(similarities: NDArray[np.floating], k: int) -> Ranking:
    """The `k` largest of similarities `(n,)`, best first, ties by row."""
    rows = top_k(similarities, k)
    return rows.astype(np.int64), similarities[rows].astype(np.float32)
