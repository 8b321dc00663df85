"""The interface of a method, and the table of all methods.

A method only answers queries; the harness measures. `METHODS` maps each name to the module that implements it, which
has a table `MAKERS: dict[str, Callable[[Place], Method]]`. Modules import heavy packages (faiss, elasticsearch) inside
functions, so that a method's process loads only what that method needs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import ConfigError
from hashsearch.hashing.vectors import Vectors

Setting = Mapping[str, Any]  # query parameters, as in JSON: {"candidates": 500, "probes": 32}


@dataclass(frozen=True)
class Place:
    """The resources of a method: its own folder, the Java `heap` (`4g`), the threads of a library.

    `server_folder` holds the unpacked Elasticsearch, shared by all runs. `folder` must be accessible to all accounts,
    because root's servers run as another account.
    """

    folder: Path
    server_folder: Path
    heap: str = "4g"
    threads: int = 1


@dataclass(frozen=True)
class Sizes:
    """Bytes of a built index; `counted` says in one sentence what `memory_bytes` includes.

    `memory_bytes` is what candidate search needs in memory: codes or quantised vectors, graph, postings. Floats count
    only where the method searches them, not where it reads them to re-rank.
    """

    disk_bytes: int
    memory_bytes: int
    counted: str


class Method(Protocol):
    """One index, built once and queried with different settings. All its files are in its `Place.folder`."""

    name: str

    def settings(self) -> Sequence[Setting]:
        """The settings that a run measures by default."""

    def build(self, vectors: Vectors) -> Mapping[str, float]:
        """Index unit vectors `(n, dims) float32`, possibly a memory map; merged and searchable on return.

        The harness times it; returns the seconds of its parts by name, `{"bulk": 60.1, "merge": 30.2}`.
        """

    def connect(self) -> None:
        """Open a connection; called in each client process, forked after `build`, before its first query."""

    def query(self, vector: Vectors, k: int, setting: Setting) -> NDArray[np.int64]:
        """Rows of the `k` nearest to a unit vector `(dims,)`, best first; possibly fewer."""

    def sizes(self) -> Sizes:
        """Bytes of the built index."""

    def restart(self) -> None:
        """Cold start: stop the server, drop its files from the page cache, start it; or load the index from disk.

        Also called on a new object whose folder holds the finished build of an earlier run (`run --keep`).
        """

    def close(self) -> None:
        """Stop what was started; the files remain."""

    def versions(self) -> Mapping[str, str]:
        """Versions of the server, the JVM, the library."""


METHODS: dict[str, str] = {
    "hashsearch-scan": "ours",
    "hashsearch-blocks": "ours",
    "hashsearch-cells": "ours",
    "hashsearch-cells-two-segments": "ours",
    "hashsearch-graph": "ours",
    "es-float-scan": "elastic",
    "es-float-hnsw": "elastic",
    "es-int8-hnsw": "elastic",
    "es-bbq-hnsw": "elastic",
    "es-bbq-hnsw-late": "elastic",
    "es-bbq-flat": "elastic",
    "elastichash": "painless",
    "elastichash-our-candidates": "painless",
    "fenshses": "painless",
    "fenshses-our-candidates": "painless",
    "faiss-flat": "libraries",
    "faiss-binary-flat": "libraries",
    "faiss-binary-multihash": "libraries",
    "faiss-ivf-flat": "libraries",
    "faiss-ivf-pq": "libraries",
    "usearch-hnsw": "libraries",
    "usearch-binary": "libraries",
}


def make_method(name: str, place: Place) -> Method:
    """A new method by name; ConfigError lists the known names."""
    if name not in METHODS:
        raise ConfigError(f"unknown method '{name}', known: {', '.join(METHODS)}")
    makers = import_module(f"benchmarks.ann.{METHODS[name]}").MAKERS
    method: Method = makers[name](place)
    return method


def bytes_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def drop_pages(folder: Path) -> None:
    """Flush all files below a folder to disk and drop them from the page cache."""
    for file in folder.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)
