"""hashsearch's own strategies, with its own encoder, templates, writer and searcher."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.ann.methods import Method, Place, Setting, Sizes
from benchmarks.ann.served import BATCH, POSTINGS, Document, Server
from hashsearch.elastic.document import StoredVectors
from hashsearch.encoder import EmbedderSpec, Encoder
from hashsearch.hashing.binarizers import make_binarizer
from hashsearch.hashing.sub_codes import make_sub_codes
from hashsearch.hashing.vectors import Vectors

_NAME = "ours"
_ALIAS = f"hashsearch-{_NAME}"
_SAMPLE = 100_000  # vectors that the encoder is fitted on


@dataclass(frozen=True)
class Variant:
    """One search strategy of hashsearch; `bits` of a code, and the `sub_codes` indexed with it."""

    strategy: str
    settings: Sequence[Setting]
    sub_codes: str = "cells"
    bits: int = 2048
    segments: int = 1


# The images of a cell grow with the index; these shares are around hashsearch's default.
_SCANNED: Sequence[Setting] = [{"candidates": count} for count in (100, 200, 300, 500, 1000)]
_PROBED: Sequence[Setting] = [
    {"probes": probes, "candidates": count} for probes, count in product((8, 16, 32, 64), (300, 500, 1000))
]
_COMPARED: Sequence[Setting] = [
    *({"compared": compared, "candidates": 300} for compared in (5_000, 10_000, 20_000, 30_000)),
    *({"compared": compared, "candidates": 500} for compared in (20_000, 30_000, 50_000, 100_000)),
    {"compared": 100_000, "candidates": 1000},
]
_WALKED: Sequence[Setting] = [{"candidates": count} for count in (50, 100, 200, 300, 500, 700, 1000, 1500)]

VARIANTS: dict[str, Variant] = {
    "hashsearch-scan": Variant("scan", _SCANNED),
    "hashsearch-blocks": Variant("sub_codes", _PROBED, sub_codes="blocks"),
    "hashsearch-cells": Variant("sub_codes", _COMPARED),
    "hashsearch-cells-two-segments": Variant("sub_codes", _COMPARED, segments=2),
    "hashsearch-graph": Variant("graph", _WALKED, bits=1024),
}


class Ours:
    """An index as `hashsearch index` builds it, from vectors instead of images."""

    def __init__(self, place: Place, name: str) -> None:
        self.name = name
        self.variant = VARIANTS[name]
        self.folder = place.folder / "encoder"
        self.server = Server(place, _ALIAS)

    def settings(self) -> Sequence[Setting]:
        return self.variant.settings

    def build(self, vectors: Vectors) -> Mapping[str, float]:
        from hashsearch.elastic.image_index import ImageIndex
        from hashsearch.elastic.maintenance import add_graph, merge

        began = perf_counter()
        with threadpool_limits(os.cpu_count(), "blas"):  # as `hashsearch fit` does; the harness allows one thread
            encoder = fitted(vectors, self.variant)
        encoder.save(self.folder)
        seconds = perf_counter() - began
        self.server.start()
        index = ImageIndex.create(self.server.client, _NAME, encoder)
        finish = (
            partial(add_graph, index)
            if self.variant.strategy == "graph"
            else partial(merge, index, self.variant.segments)
        )
        return {"fit": seconds, **self.server.load(_documents(encoder, vectors), finish)}

    def connect(self) -> None:
        from hashsearch.elastic.image_index import ImageIndex
        from hashsearch.search.searcher import Searcher

        encoder = Encoder.load(self.folder)
        self.searcher = Searcher(encoder, ImageIndex.open(self.server.new_client(), _NAME, encoder))

    def query(self, vector: Vectors, k: int, setting: Setting) -> NDArray[np.int64]:
        from hashsearch.search.planner import SearchOptions

        options = SearchOptions(k=k, strategy=self.variant.strategy, explain=False, **setting)
        return np.array([int(hit.id) for hit in self.searcher.by_vector(vector, options)], dtype=np.int64)

    def sizes(self) -> Sizes:
        postings = POSTINGS if self.variant.strategy == "sub_codes" else ()
        recalled = (".veb", ".vex") if self.variant.strategy == "graph" else ("BitVectors", "BitFlatVector")
        memory = self.server.file_bytes(*recalled, *postings)
        counted = "what candidate search reads: codes and all postings, or the graph and the quantised vectors"
        return Sizes(self.server.file_bytes(), memory, counted)

    def restart(self) -> None:
        self.server.restart()

    def close(self) -> None:
        self.server.stop()

    def versions(self) -> Mapping[str, str]:
        return self.server.versions()


def fitted(vectors: Vectors, variant: Variant) -> Encoder:
    """An encoder fitted on a sample of vectors `(n, dims)`; the number of cells grows with the square root of n."""
    rows = np.random.default_rng(0).choice(len(vectors), min(_SAMPLE, len(vectors)), replace=False)
    cells = 2 ** round(np.log2(4 * np.sqrt(len(vectors))))
    sub_codes = make_sub_codes(variant.sub_codes, **({"cells": cells} if variant.sub_codes == "cells" else {}))
    spec = EmbedderSpec("vectors", vectors.shape[1], 1, "0" * 64, {})
    return Encoder.fit(spec, vectors[np.sort(rows)], make_binarizer("rotation", bits=variant.bits), sub_codes)


def _documents(encoder: Encoder, vectors: Vectors) -> Iterator[list[Document]]:
    """Batches of documents as hashsearch writes them; ids are row numbers."""
    for start in range(0, len(vectors), BATCH):
        encoded = encoder.encode(np.asarray(vectors[start : start + BATCH]))
        yield [
            (str(start + row), StoredVectors.from_encoded(encoded, row).fields()) for row in range(len(encoded.codes))
        ]


MAKERS: dict[str, Callable[[Place], Method]] = {name: partial(Ours, name=name) for name in VARIANTS}
