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
    """Cosine of the query to every vector; `centred` subtracts the mean of the pictures to search from all of them."""

    context: RunContext
    centred: bool = False

    def learn(self, features: Sequence[Feature], labels: Labels) -> None: ...

    def index(self, features: Sequence[Feature]) -> None:
        directions = normalised(np.stack(features))
        self._mean = directions.mean(axis=0) if self.centred else np.zeros_like(directions[0])
        self._directions = normalised(directions - self._mean)

    def search(self, feature: Feature, k: int) -> Ranking:
        direction = normalised(normalised(feature[np.newaxis]) - self._mean)[0]
        return best(self._directions @ direction, k)

    def bytes_per_image(self) -> float:
        return float(self._directions[0].nbytes)

    def close(self) -> None: ...
