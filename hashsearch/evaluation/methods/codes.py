"""hashsearch itself: an encoder fitted on the pictures to learn from, an index in Elasticsearch and its searcher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashsearch.encoder import EmbedderSpec, Encoder
from hashsearch.errors import EvaluationError
from hashsearch.evaluation.methods.features import Feature
from hashsearch.evaluation.methods.method import Labels, Ranking, RunContext, ScratchIndex
from hashsearch.hashing.sub_codes import cells_for, make_sub_codes
from hashsearch.hashing.vectors import Vectors

_BATCH = 500


@dataclass
class Codes:
    """Candidates by codes of `bits` bits, re-ranked by cosine; `candidates` and `strategy` are search options.

    `centred` is whether the encoder subtracts the mean of the pictures to learn from.
    """

    context: RunContext
    bits: int = 1024
    binarizer: str = "rotation"
    sub_codes: str = "cells"
    candidates: int = 500
    strategy: str | None = None
    centred: bool = True

    def __post_init__(self) -> None:
        from hashsearch.search.planner import SearchOptions

        SearchOptions(candidates=self.candidates, strategy=self.strategy)  # refuses wrong options before the work
        self._scratch_index = ScratchIndex(self.context)

    def learn(self, features: Sequence[Feature], labels: Labels) -> None:
        if not features:
            raise EvaluationError("codes must be learned from pictures, got none to learn from")
        vectors, seed = np.stack(features), self.context.seed
        cells = {"cells": cells_for(len(vectors)), "seed": seed} if self.sub_codes == "cells" else {}
        spec = EmbedderSpec("features", vectors.shape[1], 1, "0" * 64, {})
        binarizer = self.context.make_binarizer(self.binarizer, bits=self.bits, seed=seed)
        terms = make_sub_codes(self.sub_codes, **cells)
        self._encoder = Encoder.fit(spec, vectors, binarizer, terms, labels=labels, centred=self.centred)

    def index(self, features: Sequence[Feature]) -> None:
        from hashsearch.elastic.image_index import ImageIndex
        from hashsearch.elastic.maintenance import add_graph, merge
        from hashsearch.elastic.writing import BulkWriter
        from hashsearch.search.searcher import Searcher

        index = ImageIndex.create(self._scratch_index.scratch.client, self._scratch_index.name, self._encoder)
        rejected = BulkWriter(index.client, index.alias).write(self._documents(np.stack(features)))
        if rejected:
            raise EvaluationError(f"every vector must be indexed, but {len(rejected)} failed: {rejected[0].reason}")
        if self.strategy == "graph":
            index = add_graph(index)
        else:
            merge(index)
        self._searcher = Searcher(self._encoder, index)
        self._images = len(features)

    def _documents(self, vectors: Vectors) -> Iterator[tuple[str, dict[str, Any]]]:
        from hashsearch.elastic.document import StoredVectors

        for start in range(0, len(vectors), _BATCH):
            encoded = self._encoder.encode(vectors[start : start + _BATCH])
            for row in range(len(encoded.codes)):
                yield str(start + row), StoredVectors.from_encoded(encoded, row).fields()

    def search(self, feature: Feature, k: int) -> Ranking:
        from hashsearch.search.planner import SearchOptions

        options = SearchOptions(k, max(k, self.candidates), self.strategy, explain=False)
        hits = self._searcher.by_vector(feature, options)
        return np.array([int(hit.id) for hit in hits], np.int64), np.array([hit.cosine for hit in hits], np.float32)

    def bytes_per_image(self) -> float:
        return self._scratch_index.bytes() / self._images

    def close(self) -> None:
        self._scratch_index.close()
