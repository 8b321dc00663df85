"""What a peer needs beside an index that holds no floats: the vectors to re-rank by, what was learned, a clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hashsearch.hashing.vectors import Vectors

SAMPLE = 100_000  # vectors to learn from, as many as hashsearch's own are fitted on there


class Learned(Protocol):
    """A binarizer or sub-codes, as far as saving them goes."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The learned arrays by name."""

    def restore(self, arrays: dict[str, NDArray[Any]]) -> Any:
        """Take them over."""


class Floats:
    """Vectors `(n, dims) float32` in a file of the method's own, read through a memory map."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, vectors: Vectors) -> None:
        """Copy the vectors into the file."""
        np.save(self.path, vectors)

    @cached_property
    def vectors(self) -> Vectors:
        """All of them."""
        mapped: Vectors = np.load(self.path, mmap_mode="r")
        return mapped

    def unmap(self) -> None:
        """Let go of the pages, which the system forgets only when nobody has them mapped."""
        vars(self).pop("vectors", None)

    def nearest(self, vector: Vectors, rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
        """The `k` of the rows with the largest exact cosine to a vector of length 1, best first."""
        cosines = self.vectors[rows] @ vector
        return rows[np.argsort(-cosines, kind="stable")[:k]]


def sample(vectors: Vectors, count: int = SAMPLE, seed: int = 0) -> Vectors:
    """At most `count` of the vectors, drawn at random, in memory."""
    if len(vectors) <= count:
        return np.asarray(vectors)
    rows = np.random.default_rng(seed).choice(len(vectors), count, replace=False)
    return np.asarray(vectors[np.sort(rows)])


def cells_for(count: int) -> int:
    """How many cells for so many vectors: four times the root, as a power of two, 4,096 for a million."""
    return int(2 ** np.clip(np.round(np.log2(4 * np.sqrt(count))), 4, 12))


def save_learned(path: Path, **parts: Learned) -> None:
    """Write the learned arrays of all parts into one `.npz`."""
    arrays = {f"{name}.{key}": array for name, part in parts.items() for key, array in part.arrays().items()}
    np.savez(path, allow_pickle=False, **arrays)


def restore_learned(path: Path, **parts: Learned) -> None:
    """Give each part its arrays back; the parts must be made with the parameters they were saved with."""
    with np.load(path, allow_pickle=False) as stored:
        for name, part in parts.items():
            prefix = f"{name}."
            part.restore({key.removeprefix(prefix): stored[key] for key in stored.files if key.startswith(prefix)})


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Write the seconds that the block took into `seconds[name]`."""
    began = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - began
