"""What a method is to the harness, and the table of those that there are.

A method only answers; the harness times and judges. Each is named in `METHODS` with the module that makes it, which has
a table of its own, `MAKERS: dict[str, Callable[[Place], Method]]`. The module imports what is heavy (faiss, usearch,
elasticsearch) only within functions, so that a method's process loads nothing but what that method needs.
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

Setting = Mapping[str, Any]  # how to query, as JSON holds it: {"candidates": 500, "probes": 32}


@dataclass(frozen=True)
class Place:
    """Where and with what a method works: a folder of its own, Java's `heap` (`4g`), threads of a library.

    `server_folder` holds the unpacked Elasticsearch, shared by all runs. All accounts may enter `folder`, for root's
    servers run as another one.
    """

    folder: Path
    server_folder: Path
    heap: str = "4g"
    threads: int = 1


@dataclass(frozen=True)
class Sizes:
    """Bytes of a built index; `counted` says in one sentence what `memory_bytes` holds.

    `memory_bytes` is what recall must have in memory: codes or quantised vectors, graph, postings. The floats that are
    only read to re-rank do not count; where the method searches the floats themselves they do.
    """

    disk_bytes: int
    memory_bytes: int
    counted: str


class Method(Protocol):
    """One index, built once, and the ways to query it. Everything it writes lies in its `Place.folder`."""

    name: str

    def settings(self) -> Sequence[Setting]:
        """The settings that a plain run measures."""

    def build(self, vectors: Vectors) -> Mapping[str, float]:
        """Index vectors `(n, dims) float32` of length 1, maybe a memory map; on return merged, refreshed, ready.

        The harness times it; returned are the seconds of its parts by name, `{"bulk": 60.1, "merge": 30.2}`.
        """

    def connect(self) -> None:
        """Called in each client process (forked after `build`) before its first query: a connection of its own."""

    def query(self, vector: Vectors, k: int, setting: Setting) -> NDArray[np.int64]:
        """Rows of the `k` nearest to a vector `(dims,)` of length 1, best first; fewer where it finds fewer."""

    def sizes(self) -> Sizes:
        """Bytes of the built index."""

    def restart(self) -> None:
        """Cold start: the server stopped, its files' pages dropped from the page cache, started; or loaded from disk.

        It also serves a new object whose folder holds the finished build of an earlier run (`run --keep`).
        """

    def close(self) -> None:
        """Stop what was started; the files stay."""

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
    """Ask the system to forget the cached pages of all files below a folder; what is not yet on disk is written."""
    for file in folder.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)
