"""The benchmark's data sets: `python -m benchmarks.ann.vectors --photos FOLDER... --out DIR`.

Photos are embedded; 1,000 are held out as queries and 200 for warm-up; the rest is the base, truncated or expanded to n
vectors (`expansion.py`). Each data set is a folder DIR/DIMS-N:

    base.npy      (n, dims) float32 of length 1; real vectors and mixtures in random order
    queries.npy   (1000, dims), held out: neither in the base nor a duplicate of a vector there
    warm.npy      (200, dims), likewise
    truth.npz     rows, cosines (1000, 100): the exact neighbours of each query, best first
    data.json     how it was made; quantiles of the cosines of queries to their neighbours: real, predicted, here

A folder with a data.json is finished and is skipped.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.ann.exact import blocks_of, nearest
from benchmarks.ann.expansion import LEVELS, RANKS, Expansion, Growth, Trial, calibrate, quantiles, try_mixing
from benchmarks.ann.photos import Space, embedded, make_space, photo_files
from hashsearch.cli.running import notify, run_reporting_errors
from hashsearch.errors import ConfigError
from hashsearch.files import write_json
from hashsearch.hashing.vectors import Vectors

QUERIES, WARM = 1000, 200
DUPLICATE = 0.9999  # cosine from which two pictures count as the same
_CALIBRATING = 400  # queries used to calibrate the mixing
_TRUE = 100  # exact neighbours stored per query
_DEFAULT_SETS = ("512-10000", "512-100000", "512-1000000", "1280-100000", "1280-250000", "2048-100000", "2048-250000")


@dataclass(frozen=True)
class DataSet:
    """A finished data set. `base` is a memory map; `exact` are the cosines of the nearest 100, best first."""

    folder: Path
    description: dict[str, Any]
    base: Vectors
    queries: Vectors
    warm: Vectors
    exact: NDArray[np.float32]

    @classmethod
    def open(cls, folder: Path) -> DataSet:
        """The data set in a folder; ConfigError when it is not finished."""
        try:
            description = json.loads((folder / "data.json").read_text())
        except FileNotFoundError as error:
            raise ConfigError(f"{folder} is not a data set: it has no data.json") from error
        arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("base", "queries", "warm")]
        base, queries, warm = arrays[0], *(np.array(array) for array in arrays[1:])
        with np.load(folder / "truth.npz", allow_pickle=False) as truth:
            return cls(folder, description, base, queries, warm, truth["cosines"])

    @property
    def name(self) -> str:
        """The name of its folder: `512-1000000`."""
        return str(self.description["name"])

    def identity(self) -> dict[str, Any]:
        """Its description in result files; of the real subsets' cosines only those of the largest."""
        identity = {
            name: self.description[name] for name in ("name", "n", "dims", "seed", "fingerprint", "vectors", "real")
        }
        cosines = dict(self.description["cosines"])
        size, measured = list(cosines.pop("real").items())[-1]
        return {**identity, "queries": len(self.queries), "cosines": {**cosines, f"real {size}": measured}}


@dataclass(frozen=True)
class Split:
    """A space split into held-out vectors and a real base in random order without duplicates of them."""

    space: Space
    queries: Vectors
    warm: Vectors
    real: Vectors
    duplicates: int

    @classmethod
    def of(cls, space: Space, seed: int, queries: int = QUERIES, warm: int = WARM) -> Split:
        """Split a space; ConfigError when too few vectors would remain."""
        vectors = space.vectors
        if len(vectors) < 2 * (queries + warm):
            raise ConfigError(
                f"to hold out {queries + warm} photos, at least {2 * (queries + warm)} are needed, got {len(vectors)}"
            )
        order = np.random.default_rng(seed).permutation(len(vectors))
        held_out, real = vectors[order[: queries + warm]], vectors[order[queries + warm :]]
        same = np.concatenate([(block @ held_out.T).max(axis=1) > DUPLICATE for block in blocks_of(real)])
        return cls(space, held_out[:queries], held_out[queries:], real[~same], int(same.sum()))

    @cached_property
    def expansion(self) -> Expansion:
        """Mixtures of the real base."""
        return Expansion(self.real)

    @cached_property
    def growth(self) -> Growth:
        """The quantiles of all queries on growing subsets of the real base."""
        return Growth.of(self.queries, self.real)

    def calibrated(self, count: int, seed: int) -> list[Trial]:
        """Mixings tried for `count` vectors, best first."""
        some = self.queries[:_CALIBRATING]
        target = Growth.of(some, self.real).at(count)
        return calibrate(lambda mixing: try_mixing(self.expansion, some, target, count, mixing, seed))


def write_base(split: Split, count: int, trials: Sequence[Trial], seed: int, path: Path) -> None:
    """Write the base as `.npy`: real vectors at random rows, mixtures of the best trial at the others."""
    base = np.lib.format.open_memmap(path, "w+", np.float32, (count, split.real.shape[1]))
    if count <= len(split.real):
        base[:] = split.real[:count]
    else:
        real = np.zeros(count, dtype=bool)
        real[np.random.default_rng(seed).choice(count, len(split.real), replace=False)] = True
        base[real] = split.real
        places, done = np.flatnonzero(~real), 0
        for block in split.expansion.blocks(len(places), trials[0].mixing, seed):
            base[places[done : done + len(block)]] = block
            done += len(block)
    base.flush()


def fingerprint(folder: Path) -> str:
    """Sixteen hex digits of a hash of base and queries."""
    digest = hashlib.sha256()
    for name in ("base.npy", "queries.npy"):
        with (folder / name).open("rb") as file:
            while chunk := file.read(1 << 22):
                digest.update(chunk)
    return digest.hexdigest()[:16]


def make_data_set(split: Split, count: int, seed: int, folder: Path) -> dict[str, Any]:
    """Write one data set and return its description; `data.json` is written last."""
    began = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    expanded = count > len(split.real)
    trials = split.calibrated(count, seed) if expanded else []
    write_base(split, count, trials, seed, folder / "base.npy")
    np.save(folder / "queries.npy", split.queries)
    np.save(folder / "warm.npy", split.warm)
    base = np.load(folder / "base.npy", mmap_mode="r")
    rows, cosines = nearest(split.queries, blocks_of(base), _TRUE)
    np.savez(folder / "truth.npz", rows=rows, cosines=cosines)
    description = {
        "name": folder.name,
        "n": count,
        "dims": base.shape[1],
        "seed": seed,
        "fingerprint": fingerprint(folder),
        "vectors": split.space.made,
        "real": min(count, len(split.real)),
        "duplicates_of_queries_removed": split.duplicates,
        "queries": len(split.queries),
        "seconds": round(time.perf_counter() - began, 1),
        "cosines": _nearness(split, count, cosines),
        "mixing": [trial.as_dict() for trial in trials],
    }
    write_json(folder / "data.json", description)
    return description


def _nearness(split: Split, count: int, cosines: NDArray[np.float32]) -> dict[str, Any]:
    """Quantiles of the cosines at ranks 1 and 10: real subsets, predicted for this size, this data set."""

    def by_rank(levels: NDArray[np.float64]) -> dict[str, list[float]]:
        return {f"rank {rank}": row.round(4).tolist() for rank, row in zip(RANKS, levels, strict=True)}

    growth = split.growth
    return {
        "quantiles": list(LEVELS),
        "real": {str(size): by_rank(levels) for size, levels in zip(growth.sizes, growth.measured, strict=True)},
        "predicted": by_rank(growth.at(count)),
        "here": by_rank(quantiles(cosines[:, [rank - 1 for rank in RANKS]])),
    }


def parse_set(name: str) -> tuple[int, int]:
    """`512-1000000` -> dims and n; ConfigError for anything else."""
    dims, _, count = name.partition("-")
    if not (dims.isdecimal() and count.isdecimal() and int(dims) and int(count)):
        raise ConfigError(f"a data set is named DIMS-N, like {_DEFAULT_SETS[0]}, got '{name}'")
    return int(dims), int(count)


@click.command()
@click.option(
    "--photos",
    multiple=True,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of photos; repeatable.",
)
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the data sets."
)
@click.option("--embedder", default="mobilenet-v2", show_default=True, help="Network that computes the vectors.")
@click.option("--weights", help="Weights of the network, unless it is bundled.")
@click.option(
    "--beside", default="bit-tiny", show_default=True, help="Second network, for more dimensions than the first has."
)
@click.option(
    "--set", "sets", multiple=True, default=_DEFAULT_SETS, show_default=True, help="Data set DIMS-N; repeatable."
)
@click.option("--seed", default=0, show_default=True, help="Random seed.")
def main(
    photos: tuple[Path, ...],
    out: Path,
    embedder: str,
    weights: str | None,
    beside: str,
    sets: tuple[str, ...],
    seed: int,
) -> None:
    """Make the data sets that do not exist yet."""
    wanted = [(name, *parse_set(name)) for name in sets if not (out / name / "data.json").exists()]
    if not wanted:
        notify(f"all data sets exist: {', '.join(sets)}")
        return
    files = photo_files(photos)
    known, vectors = embedded(files, embedder, weights, out / "vectors")
    others_known, others = embedded(files, beside, None, out / "vectors")
    if known != others_known:
        raise ConfigError(f"both networks must embed the same photos, got {len(known)} and {len(others_known)}")
    split = None
    for name, dims, count in sorted(wanted, key=lambda entry: entry[1:]):
        if split is None or split.real.shape[1] != dims:
            split = Split.of(make_space(dims, (embedder, vectors), (beside, others), seed), seed)
        notify(f"{name}: {len(known)} photos, {len(split.real)} of them in the base")
        made = make_data_set(split, count, seed, out / name)
        notify(f"{name}: {made['seconds']} s, predicted {made['cosines']['predicted']}, here {made['cosines']['here']}")


if __name__ == "__main__":
    run_reporting_errors(main)
