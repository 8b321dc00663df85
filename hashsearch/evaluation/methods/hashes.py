"""Perceptual hashes in a bit vector field of Elasticsearch, compared by Hamming distance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashsearch.errors import ConfigError
from hashsearch.evaluation.methods.features import Feature
from hashsearch.evaluation.methods.method import Labels, Ranking, RunContext, ScratchIndex


@dataclass
class Hashes:
    """The share of equal bits; for a query with variants, that of the variant nearest to each picture.

    With a `radius` all hits differ in at most `radius` bits, and the nearest of these are complete up to rank k.
    """

    context: RunContext
    radius: int | None = None

    def __post_init__(self) -> None:
        if self.radius is not None and not (isinstance(self.radius, int) and self.radius >= 0):
            raise ConfigError(f"a radius must be a number of bits, at least 0, got {self.radius!r}")
        self._scratch_index = ScratchIndex(self.context)

    def learn(self, features: Sequence[Feature], labels: Labels) -> None: ...

    def index(self, features: Sequence[Feature]) -> None:
        bits = 8 * len(features[0])
        flat = {"type": "flat"}
        code = {
            "type": "dense_vector",
            "element_type": "bit",
            "dims": bits,
            "similarity": "l2_norm",
            "index_options": flat,
        }
        self._images = len(features)
        self._scratch_index.fill({"code": code}, ({"code": feature.tobytes().hex()} for feature in features))

    def search(self, feature: Feature, k: int) -> Ranking:
        nearest = [self._nearest(code, k) for code in np.atleast_2d(feature)]
        query = nearest[0] if len(nearest) == 1 else {"dis_max": {"queries": nearest}}
        return self._scratch_index.search(query, k)

    def _nearest(self, code: Feature, k: int) -> dict[str, Any]:
        from hashsearch.elastic import queries

        if self.radius is None:
            return queries.recall(code.tobytes().hex(), k, [])
        return queries.within(code.tobytes().hex(), self.radius, k, [])

    def bytes_per_image(self) -> float:
        return self._scratch_index.bytes() / self._images

    def close(self) -> None:
        self._scratch_index.close()
