"""Exact cosine of uncompressed vectors: k nearest neighbours without an index, the obvious baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hashsearch.evaluation.methods.features import Feature
from hashsearch.evaluation.methods.method import Labels, Ranking, RunContext, best
from hashsearch.hashing.vectors import normalised


@dataclass
class Exact:
    """Cosine of the query to every vector."""

    context: RunContext

    def learn(self, features: Sequence[Feature], labels: Labels) -> None: ...

    def index(self, features: Sequence[Feature]) -> None:
        self._directions = normalised(np.stack(features))

    def search(self, feature: Feature, k: int) -> Ranking:
        return best(self._directions @ normalised(feature[np.newaxis])[0], k)

    def bytes_per_image(self) -> float:
        return float(self._directions[0].nbytes)

    def close(self) -> None: ...
