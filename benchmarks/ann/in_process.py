"""Base of the methods that run in the client's process: one index in memory, saved to a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ann.methods import Place, Setting, drop_pages
from benchmarks.ann.stored import Floats, restore_learned, sample, save_learned, timed
from hashsearch.hashing.binarizers import make_binarizer
from hashsearch.hashing.bits import Codes
from hashsearch.hashing.vectors import Vectors

CODE_BITS = 1024
CHUNK = 10_000  # vectors added at a time

Rows = NDArray[np.int64]


class Library:
    """Base: one index in memory, saved as `index` in the method's folder; `restart` loads it from there.

    Subclasses implement `_fill`, `_save` and `_load`.
    """

    name = ""
    index: Any

    def __init__(self, place: Place, name: str) -> None:
        self.place = place
        self.name = name
        self.file = place.folder / "index"

    def build(self, vectors: Vectors) -> Mapping[str, float]:
        """Fit, fill and save the index; returns the seconds of each part."""
        seconds: dict[str, float] = {}
        with timed(seconds, "index"):
            self.connect()
            self._fill(vectors)
        with timed(seconds, "write"):
            self._save()
        return seconds

    def connect(self) -> None:
        """No connection is needed; subclasses may set the number of threads."""

    def restart(self) -> None:
        """Drop the files from the page cache and load the index again."""
        self._forget()
        drop_pages(self.place.folder)
        self.connect()
        self._load()

    def close(self) -> None:
        """Release the index."""
        self._forget()

    def _forget(self) -> None:
        self.index = None

    def _fill(self, vectors: Vectors) -> None:
        raise NotImplementedError

    def _save(self) -> None:
        raise NotImplementedError

    def _load(self) -> None:
        raise NotImplementedError


class ByCodes(Library):
    """Base of those that search our codes by Hamming distance and re-rank by exact cosine in numpy."""

    def __init__(self, place: Place, name: str) -> None:
        super().__init__(place, name)
        self.binarizer = make_binarizer("rotation", bits=CODE_BITS)
        self.floats = Floats(place.folder / "vectors.npy")

    def query(self, vector: Vectors, k: int, setting: Setting) -> Rows:
        """The best by cosine among the candidates nearest by code."""
        (code,) = self.binarizer.transform(vector[np.newaxis])
        return self.floats.nearest(vector, self._nearest(code, max(k, setting["candidates"]), setting), k)

    def _nearest(self, code: Codes, count: int, setting: Setting) -> Rows:
        """Rows of the `count` nearest to a code `(bits // 8,)`."""
        raise NotImplementedError

    def _add(self, rows: Rows, codes: Codes) -> None:
        raise NotImplementedError

    def _fill(self, vectors: Vectors) -> None:
        self.binarizer.fit(sample(vectors))
        for start in range(0, len(vectors), CHUNK):
            codes = self.binarizer.transform(np.asarray(vectors[start : start + CHUNK]))
            self._add(np.arange(start, start + len(codes)), codes)
        self.floats.write(vectors)
        save_learned(self.place.folder / "learned.npz", binarizer=self.binarizer)

    def _forget(self) -> None:
        super()._forget()
        self.floats.unmap()

    def _load(self) -> None:
        restore_learned(self.place.folder / "learned.npz", binarizer=self.binarizer)
