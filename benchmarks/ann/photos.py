"""Vectors of photos, and spaces of other dimensions: fewer by PCA, more by concatenating a second network."""

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
    """Unit vectors `(n, dims) float32` of all photos, and a sentence on how they were made."""

    vectors: Vectors
    made: str


def photo_files(folders: Sequence[Path]) -> list[str]:
    """The sorted paths of all images below the folders; ConfigError when there are none."""
    from hashsearch.catalog.reading import Catalog, Entry

    files = {entry.source for folder in folders for entry in Catalog(folder) if isinstance(entry, Entry)}
    if not files:
        raise ConfigError(f"no images in {', '.join(map(str, folders))}")
    return sorted(files)


def embedded(files: Sequence[str], name: str, weights: str | None, cache: Path) -> tuple[list[str], Vectors]:
    """The readable files, and their vectors `(n, dims) float32`; cached in the folder `cache`.

    ConfigError when the cache is of other files.
    """
    stored, listing = cache / f"{name}.npy", cache / f"{name}.npy.txt"
    if stored.exists() and listing.exists():
        rejected = cache / f"{name}.rejected.txt"
        known = listing.read_text().splitlines()
        if sorted([*known, *(rejected.read_text().splitlines() if rejected.exists() else ())]) != list(files):
            raise ConfigError(f"{stored} holds the vectors of other photos than these {len(files)}: remove it")
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
    """The first `dims` axes of an uncentred PCA, rotated at random, scaled to length 1: `(n, dims)`.

    On MobileNetV2's features 512 axes keep .957 of the ten nearest, a random projection to 512 only .765. The rotation
    changes no cosine; without it the first dimensions would hold most of the variance, unlike a network's own output
    and to the disadvantage of quantisers that work by dimension.
    """
    axes = np.linalg.eigh(vectors.T @ vectors / len(vectors))[1][:, ::-1][:, :dims]
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((dims, dims)))[0]
    return normalised(vectors @ (axes @ turn).astype(np.float32))


def make_space(dims: int, first: tuple[str, Vectors], beside: tuple[str, Vectors], seed: int) -> Space:
    """The space of a number of dimensions, from one network's vectors or the concatenation of two.

    ConfigError for dimensions that the two networks cannot provide.
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
