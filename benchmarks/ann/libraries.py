"""FAISS and usearch in the client's own process: a bound that no server can reach.

Some search the floats, others search our 1024-bit codes and re-rank by exact cosine. FAISS and usearch must not be
loaded into the same process: it crashes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ann.in_process import CHUNK, CODE_BITS, ByCodes, Library, Rows
from benchmarks.ann.methods import Method, Place, Setting, Sizes, bytes_of
from benchmarks.ann.stored import cells_for, sample
from hashsearch.errors import ConfigError
from hashsearch.hashing.bits import Codes
from hashsearch.hashing.vectors import Vectors

PRODUCT_BITS = 1024  # of a product quantiser; the length of our code
HASHES = 32
IDS_A_BUCKET = 16
CANDIDATES = (100, 200, 500, 1000, 2000)


class FaissFloats(Library):
    """A FAISS index over the floats, made by an index-factory string; exact for `Flat`."""

    def __init__(self, place: Place, name: str, factory: Callable[[int, int], str], sweep: Sequence[Setting]) -> None:
        super().__init__(place, name)
        self.factory = factory
        self.sweep = sweep

    def settings(self) -> Sequence[Setting]:
        """Number of probed lists, and how many times k are refined."""
        return self.sweep

    def connect(self) -> None:
        """Set the number of threads of this process."""
        self.faiss = load_faiss(self.place.threads)

    def query(self, vector: Vectors, k: int, setting: Setting) -> Rows:
        """By inner product, which is the cosine of unit vectors."""
        _, (rows,) = self.index.search(vector[np.newaxis], k, params=self._parameters(setting))
        return found(rows)

    def sizes(self) -> Sizes:
        """The whole file except for floats that are only read to re-rank."""
        disk = bytes_of(self.place.folder)
        if not isinstance(self.index, self.faiss.IndexRefine):
            return Sizes(disk, disk, "the whole index")
        floats = self.index.ntotal * self.index.d * 4
        return Sizes(disk, disk - floats, "the index without the floats to re-rank by, which FAISS has in memory too")

    def versions(self) -> Mapping[str, str]:
        """FAISS's version and compile options."""
        return faiss_versions(self.faiss, self.place)

    def _parameters(self, setting: Setting) -> Any:
        if "probes" not in setting:
            return None
        probes = self.faiss.SearchParametersIVF(nprobe=setting["probes"])
        if "refined" not in setting:
            return probes
        return self.faiss.IndexRefineSearchParameters(k_factor=setting["refined"], base_index_params=probes)

    def _fill(self, vectors: Vectors) -> None:
        count, dims = vectors.shape
        self.index = self.faiss.index_factory(dims, self.factory(count, dims), self.faiss.METRIC_INNER_PRODUCT)
        if not self.index.is_trained:
            self.index.train(sample(vectors, 40 * cells_for(count)))
        for start in range(0, count, CHUNK):
            self.index.add(np.asarray(vectors[start : start + CHUNK]))

    def _save(self) -> None:
        self.faiss.write_index(self.index, str(self.file))

    def _load(self) -> None:
        self.index = self.faiss.read_index(str(self.file))


class FaissCodes(ByCodes):
    """Base of FAISS's indexes over codes."""

    def connect(self) -> None:
        """Set the number of threads of this process."""
        self.faiss = load_faiss(self.place.threads)

    def versions(self) -> Mapping[str, str]:
        """FAISS's version and compile options."""
        return faiss_versions(self.faiss, self.place)

    def _add(self, rows: Rows, codes: Codes) -> None:
        self.index.add(codes)

    def _save(self) -> None:
        self.faiss.write_index_binary(self.index, str(self.file))

    def _load(self) -> None:
        super()._load()
        self.index = self.faiss.read_index_binary(str(self.file))


class BinaryFlat(FaissCodes):
    """Compares every code: the exact nearest by Hamming distance."""

    def settings(self) -> Sequence[Setting]:
        """Increasing numbers of candidates."""
        return [{"candidates": count} for count in CANDIDATES]

    def sizes(self) -> Sizes:
        """The codes."""
        return Sizes(bytes_of(self.place.folder), self.file.stat().st_size, "the codes")

    def _fill(self, vectors: Vectors) -> None:
        self.index = self.faiss.IndexBinaryFlat(CODE_BITS)
        super()._fill(vectors)

    def _nearest(self, code: Codes, count: int, setting: Setting) -> Rows:
        self.index.use_heap = False  # counting sort by distance, which is faster for hundreds of candidates
        _, (rows,) = self.index.search(code[np.newaxis], count)
        return found(rows)


class BinaryMultiHash(FaissCodes):
    """Codes that match in one of 32 substrings up to some flipped bits (multi-index hashing: Norouzi et al., 2012).

    Substrings are so long that about 16 codes share a value: 16 bits for a million codes.
    """

    def settings(self) -> Sequence[Setting]:
        """Increasing numbers of flips and candidates."""
        flips = [{"flips": flips, "candidates": 500} for flips in (0, 1, 2)]
        return [*flips, {"flips": 1, "candidates": 1000}, {"flips": 2, "candidates": 1000}]

    def sizes(self) -> Sizes:
        """Estimated from the C++ containers, since FAISS does not report it."""
        codes = self.index.ntotal * CODE_BITS // 8
        tables = self.index.ntotal * self.index.nhash * 8 + self.index.hashtable_size() * 64
        counted = "codes, 8 bytes per id in each of 32 tables, 64 bytes per bucket"
        return Sizes(bytes_of(self.place.folder), codes + tables, counted)

    def _fill(self, vectors: Vectors) -> None:
        bits = int(np.clip(np.round(np.log2(len(vectors) / IDS_A_BUCKET)), 4, CODE_BITS // HASHES))
        self.index = self.faiss.IndexBinaryMultiHash(CODE_BITS, HASHES, bits)
        super()._fill(vectors)

    def _nearest(self, code: Codes, count: int, setting: Setting) -> Rows:
        self.index.nflip = setting["flips"]
        _, (rows,) = self.index.search(code[np.newaxis], count)
        return found(rows)


class UsearchFloats(Library):
    """usearch's graph over the floats."""

    def settings(self) -> Sequence[Setting]:
        """Increasing widths of the graph search."""
        return [{"expansion": width} for width in (32, 64, 128, 256, 512)]

    def query(self, vector: Vectors, k: int, setting: Setting) -> Rows:
        """By cosine, with a graph search."""
        return walk(self.index, vector, k, setting["expansion"])

    def sizes(self) -> Sizes:
        """Graph and floats, since it searches the floats."""
        return Sizes(bytes_of(self.place.folder), self.file.stat().st_size, "graph and floats")

    def versions(self) -> Mapping[str, str]:
        """usearch's version and the CPU instructions that it uses."""
        return usearch_versions(self.index, self.place)

    def _fill(self, vectors: Vectors) -> None:
        self.index = new_usearch(vectors.shape[1], "cos", "f32")
        for start in range(0, len(vectors), CHUNK):
            chunk = np.asarray(vectors[start : start + CHUNK])
            self.index.add(np.arange(start, start + len(chunk)), chunk, threads=self.place.threads)

    def _save(self) -> None:
        self.index.save(str(self.file))

    def _load(self) -> None:
        self.index = saved_usearch(self.file)


class UsearchCodes(ByCodes):
    """usearch's graph over our codes, by Hamming distance."""

    def settings(self) -> Sequence[Setting]:
        """Increasing numbers of candidates, with a graph search as wide."""
        return [{"candidates": count, "expansion": count} for count in CANDIDATES]

    def sizes(self) -> Sizes:
        """Graph and codes."""
        return Sizes(bytes_of(self.place.folder), self.file.stat().st_size, "graph and codes")

    def versions(self) -> Mapping[str, str]:
        """usearch's version and the CPU instructions that it uses."""
        return usearch_versions(self.index, self.place)

    def _fill(self, vectors: Vectors) -> None:
        self.index = new_usearch(CODE_BITS, "hamming", "b1")
        super()._fill(vectors)

    def _add(self, rows: Rows, codes: Codes) -> None:
        self.index.add(rows, codes, threads=self.place.threads)

    def _save(self) -> None:
        self.index.save(str(self.file))

    def _load(self) -> None:
        super()._load()
        self.index = saved_usearch(self.file)

    def _nearest(self, code: Codes, count: int, setting: Setting) -> Rows:
        return walk(self.index, code, count, setting["expansion"])


def load_faiss(threads: int) -> Any:
    """The module with the number of threads set; ConfigError if it is not installed."""
    try:
        import faiss
    except ImportError as error:
        raise ConfigError("this method needs the package faiss-cpu: pip install 'hashsearch[benchmarks]'") from error
    faiss.omp_set_num_threads(threads)
    return faiss


def found(rows: Rows) -> Rows:
    """FAISS's answer without the -1 that pads it when there are fewer hits."""
    return rows[rows >= 0].astype(np.int64)


def faiss_versions(faiss: Any, place: Place) -> Mapping[str, str]:
    """FAISS's version, compile options and number of threads."""
    return {"faiss": faiss.__version__, "compiled for": faiss.get_compile_options(), "threads": str(place.threads)}


def new_usearch(dims: int, metric: str, dtype: str) -> Any:
    """An empty index with usearch's default parameters; ConfigError if it is not installed."""
    return usearch_class()(ndim=dims, metric=metric, dtype=dtype)


def saved_usearch(path: Path) -> Any:
    """A saved index, loaded into memory."""
    return usearch_class().restore(str(path))


def usearch_class() -> Any:
    try:
        from usearch.index import Index
    except ImportError as error:
        raise ConfigError("this method needs the package usearch: pip install 'hashsearch[benchmarks]'") from error
    return Index


def walk(index: Any, query: Vectors | Codes, count: int, expansion: int) -> Rows:
    """Rows of the `count` nearest that a graph search of width `expansion` visits."""
    index.expansion_search = max(count, expansion)
    keys: Rows = index.search(query, count, threads=1).keys.astype(np.int64)
    return keys


def usearch_versions(index: Any, place: Place) -> Mapping[str, str]:
    """usearch's version, its CPU instructions and the number of indexing threads."""
    import usearch

    return {"usearch": usearch.__version__, "instructions": index.hardware_acceleration, "threads": str(place.threads)}


def product_parts(dims: int) -> int:
    """Parts of a product quantiser with 4 bits each: half the dimensions, but at most as many bits as our code."""
    most = min(dims // 2, PRODUCT_BITS // 4)
    return next(parts for parts in range(most, 0, -1) if dims % parts == 0)


def _flat(place: Place) -> Method:
    return FaissFloats(place, "faiss-flat", lambda count, dims: "Flat", [{}])


def _ivf_flat(place: Place) -> Method:
    sweep = [{"probes": probes} for probes in (16, 32, 64, 128, 256)]
    return FaissFloats(place, "faiss-ivf-flat", lambda count, dims: f"IVF{cells_for(count)},Flat", sweep)


def _ivf_pq(place: Place) -> Method:
    sweep = [{"probes": probes, "refined": refined} for probes in (32, 64, 128, 256) for refined in (20, 100)]

    def factory(count: int, dims: int) -> str:
        return f"IVF{cells_for(count)},PQ{product_parts(dims)}x4fs,RFlat"

    return FaissFloats(place, "faiss-ivf-pq", factory, sweep)


MAKERS: dict[str, Callable[[Place], Method]] = {
    "faiss-flat": _flat,
    "faiss-ivf-flat": _ivf_flat,
    "faiss-ivf-pq": _ivf_pq,
    "faiss-binary-flat": lambda place: BinaryFlat(place, "faiss-binary-flat"),
    "faiss-binary-multihash": lambda place: BinaryMultiHash(place, "faiss-binary-multihash"),
    "usearch-hnsw": lambda place: UsearchFloats(place, "usearch-hnsw"),
    "usearch-binary": lambda place: UsearchCodes(place, "usearch-binary"),
}
