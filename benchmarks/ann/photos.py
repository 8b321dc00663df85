"""Photos to vectors, and the spaces of the benchmark: fewer dimensions by PCA, more by a second network beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hashsearch.cli.running import notify
from hashsearch.errors import ConfigError
from hashsearch.hashing.vectors import Vectors, normalised


@dataclass(frozen=True)
class Space:
    """Vectors `(n, dims) float32` of length 1 of all photos, and in words how they were made."""

    vectors: Vectors
    made: str


def photo_files(folders: Sequence[Path]) -> list[str]:
    """All images below the folders by their names, sorted; ConfigError when there is none."""
    from hashsearch.catalog.reading import Catalog, Entry

    files = {entry.source for folder in folders for entry in Catalog(folder) if isinstance(entry, Entry)}
    if not files:
        raise ConfigError(f"there must be images in {', '.join(map(str, folders))}, found none")
    return sorted(files)


def embedded(files: Sequence[str], name: str, weights: str | None, cache: Path) -> tuple[list[str], Vectors]:
    """The files that are images, and their vectors `(n, dims) float32`; kept in `cache`, and read from there.

    ConfigError when the cache was made of other files.
    """
    stored, listing = cache / f"{name}.npy", cache / f"{name}.npy.txt"
    if stored.exists() and listing.exists():
        rejected = cache / f"{name}.rejected.txt"
        known = listing.read_text().splitlines()
        if sorted([*known, *(rejected.read_text().splitlines() if rejected.exists() else ())]) != list(files):
            raise ConfigError(
                f"{stored} must hold the vectors of these {len(files)} photos and holds others: remove it"
            )
        return known, np.load(stored, mmap_mode="r")
    return _embed(files, name, weights, cache)


def _embed(files: Sequence[str], name: str, weights: str | None, cache: Path) -> tuple[list[str], Vectors]:
    from hashsearch.embedders import load
    from hashsearch.embedders.bulk import embed_sources

    cache.mkdir(parents=True, exist_ok=True)
    batches = []
    for batch in embed_sources(load(name, weights), files):
        batches.append(batch)
        if len(batches) % 20 == 0:
            notify(f"{name}: {sum(len(done.sources) for done in batches)} of {len(files)} photos")
    vectors = np.concatenate([batch.vectors for batch in batches])
    known = [source for batch in batches for source in batch.sources]
    (cache / f"{name}.rejected.txt").write_text("".join(f"{source}\n" for b in batches for source in b.errors))
    np.save(cache / f"{name}.npy", vectors)
    (cache / f"{name}.npy.txt").write_text("".join(f"{source}\n" for source in known))
    return known, vectors


def projected(vectors: Vectors, dims: int, seed: int) -> Vectors:
    """The first `dims` axes of an uncentred PCA, turned at random, scaled to length 1: `(n, dims)`.

    On MobileNetV2's features 512 axes keep .957 of the ten nearest, a random projection to 512 only .765. The turn
    changes no cosine; without it the first dimensions would hold nearly everything, which no network's own output
    does and which quantisers by dimension would suffer from.
    """
    axes = np.linalg.eigh(vectors.T @ vectors / len(vectors))[1][:, ::-1][:, :dims]
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((dims, dims)))[0]
    return normalised(vectors @ (axes @ turn).astype(np.float32))


def make_space(dims: int, first: tuple[str, Vectors], beside: tuple[str, Vectors], seed: int) -> Space:
    """The space of a number of dimensions, from one network's vectors, or from two beside each other.

    ConfigError for dimensions that the two networks do not give.
    """
    (name, vectors), (other_name, others) = first, beside
    own, both = vectors.shape[1], vectors.shape[1] + others.shape[1]
    if dims == own:
        return Space(normalised(vectors), name)
    if dims == both:
        made = f"{name} and {other_name}, each of length 1, beside each other"
        return Space(normalised(np.hstack([normalised(vectors), normalised(others)])), made)
    if 0 < dims < own:
        made = f"{name}, the first {dims} axes of an uncentred PCA, turned at random"
        return Space(projected(normalised(vectors), dims, seed), made)
    raise ConfigError(f"dimensions must be 1 to {own}, or {both} with both networks, got {dims}")
