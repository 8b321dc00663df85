"""What peers keep outside their index: the vectors to re-rank by and the learned arrays; and a timer."""

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

SAMPLE = 100_000  # vectors to fit on, as many as for hashsearch's own methods


class Learned(Protocol):
    """A binarizer or sub-codes that can be saved."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The learned arrays by name."""

    def restore(self, arrays: dict[str, NDArray[Any]]) -> Any:
        """Set the learned arrays."""


class Floats:
    """Vectors `(n, dims) float32` in a file of the method, read through a memory map."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, vectors: Vectors) -> None:
        """Copy the vectors into the file."""
        np.save(self.path, vectors)

    @cached_property
    def vectors(self) -> Vectors:
        """All vectors."""
        mapped: Vectors = np.load(self.path, mmap_mode="r")
        return mapped

    def unmap(self) -> None:
        """Unmap the file, so that its pages can be dropped from the page cache."""
        vars(self).pop("vectors", None)

    def nearest(self, vector: Vectors, rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
        """The `k` rows with the largest exact cosine to a unit vector, best first."""
        cosines = self.vectors[rows] @ vector
        return rows[np.argsort(-cosines, kind="stable")[:k]]


def sample(vectors: Vectors, count: int = SAMPLE, seed: int = 0) -> Vectors:
    """At most `count` of the vectors, drawn at random, in memory."""
    if len(vectors) <= count:
        return np.asarray(vectors)
    rows = np.random.default_rng(seed).choice(len(vectors), count, replace=False)
    return np.asarray(vectors[np.sort(rows)])


def cells_for(count: int) -> int:
    """The number of cells: four times the square root of `count`, as a power of two; 4,096 for a million."""
    return int(2 ** np.clip(np.round(np.log2(4 * np.sqrt(count))), 4, 12))


def save_learned(path: Path, **parts: Learned) -> None:
    """Save the learned arrays of all parts in one `.npz`."""
    arrays = {f"{name}.{key}": array for name, part in parts.items() for key, array in part.arrays().items()}
    np.savez(path, allow_pickle=False, **arrays)


def restore_learned(path: Path, **parts: Learned) -> None:
    """Load the arrays of each part; the parts must have the parameters they were saved with."""
    with np.load(path, allow_pickle=False) as stored:
        for name, part in parts.items():
            prefix = f"{name}."
            part.restore({key.removeprefix(prefix): stored[key] for key in stored.files if key.startswith(prefix)})


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Store the seconds of the block in `seconds[name]`."""
    began = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - began
