"""Features of pictures, extracted once and stored: every method and task that needs them reads them from here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import ConfigError, HashsearchError
from hashsearch.evaluation.data.pictures import Picture
from hashsearch.evaluation.methods.features import Feature, Features
from hashsearch.files import atomic_file, read_arrays, safe_name
from hashsearch.overlap import batched, prefetch

BATCH = 128  # pictures that pass a network at once
_PART = 16 * BATCH  # pictures whose features go into one file: what a killed run loses at most
_WORKERS = 4
_DAMAGE = (OSError, ValueError, KeyError, TypeError, IndexError)


@dataclass(frozen=True)
class Extracted:
    """Features of pictures, in order, None where extraction failed; `failures` are the reasons by the picture's row."""

    features: list[Feature | None]
    failures: dict[int, str]


class FeatureCache:
    """One kind of features of the pictures of one data set, in the numbered `.npz` files of a folder.

    Features may differ in the length of their first axis; they are stored concatenated, with their offsets. A picture
    is identified by its id, its distortion and the size of its file.
    """

    def __init__(self, folder: Path, features: Features) -> None:
        self.folder = folder
        self.features = features
        self._known: dict[str, Feature] = {}
        self._timed = np.zeros(2)  # undistorted pictures, and the seconds spent on them
        for path in sorted(self.folder.glob("*.npz")):
            self._load(path)

    @staticmethod
    def folder_of(folder: Path, features: Features) -> Path:
        """The folder of these features below a folder, named after everything that changes them."""
        identity = json.dumps(features.identity, sort_keys=True)
        return folder / f"{safe_name(features.name)}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"

    @property
    def images_per_second(self) -> float | None:
        """How fast undistorted pictures were read, decoded and turned into features; None before the first."""
        pictures, seconds = self._timed
        return float(pictures / seconds) if seconds else None

    def of(self, pictures: Sequence[Picture], progress: Callable[[int], object]) -> Extracted:
        """The features of pictures; missing ones are extracted and stored. `progress` gets the number just finished."""
        keys, failures = _keys(pictures)
        missing = {key: picture for key, picture in zip(keys, pictures) if key and key not in self._known}
        progress(len(pictures) - len(missing))
        reasons: dict[str, str] = {}
        if missing:
            self.features.warm()
        for distorted in (False, True):
            chosen = [(key, picture) for key, picture in missing.items() if bool(picture.distortion) == distorted]
            for part in batched(chosen, _PART):
                reasons |= self._extract(part, timed=not distorted, progress=progress)
        failures |= {row: reasons[key] for row, key in enumerate(keys) if key in reasons}
        return Extracted([self._known.get(key) for key in keys], failures)

    def _extract(
        self, pictures: list[tuple[str, Picture]], *, timed: bool, progress: Callable[[int], object]
    ) -> dict[str, str]:
        """Extract and store the features of pictures with their keys; the reasons of failures, by key."""
        began = perf_counter()
        extracted: dict[str, Feature] = {}
        reasons: dict[str, str] = {}
        for key, feature in _extracted(self.features, pictures):
            progress(1)
            if isinstance(feature, str):
                reasons[key] = feature
            else:
                extracted[key] = feature
        took = np.array([len(pictures), perf_counter() - began]) * timed
        if extracted:
            self._save(extracted, took)
        self._known |= extracted
        self._timed += took
        return reasons

    def _save(self, extracted: Mapping[str, Feature], took: NDArray[np.float64]) -> None:
        values, offsets = np.concatenate(list(extracted.values())), np.cumsum([0, *map(len, extracted.values())])
        arrays = {"keys": np.array(list(extracted)), "values": values, "offsets": offsets, "took": took}
        with atomic_file(self.folder / f"{self._next_number():05}.npz") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def _next_number(self) -> int:
        """One more than the highest: fewer files than numbers are left once a damaged one was removed."""
        numbers = (int(path.stem) for path in self.folder.glob("*.npz") if path.stem.isdecimal())
        return max(numbers, default=-1) + 1

    def _load(self, path: Path) -> None:
        try:
            saved = read_arrays(path)
            keys, values, offsets, took = (saved[name] for name in ("keys", "values", "offsets", "took"))
            features = (values[first:last] for first, last in pairwise(offsets))
            by_key = dict(zip(keys.tolist(), features, strict=True))
        except _DAMAGE as error:
            raise ConfigError(
                f"damaged feature file {path}, remove it to extract its features again: {error}"
            ) from error
        self._known |= by_key
        self._timed += took


def _keys(pictures: Sequence[Picture]) -> tuple[list[str], dict[int, str]]:
    """A key for each picture, "" where its file cannot be read; and the reasons, by row."""
    keys, failures = [], {}
    for row, picture in enumerate(pictures):
        distortion = picture.distortion
        change = distortion and [distortion.name, distortion.strength, distortion.seed]
        try:
            keys.append(json.dumps([picture.id, picture.path.stat().st_size, change]))
        except OSError as error:
            keys.append("")
            failures[row] = f"the image file cannot be read: {error}"
    return keys, failures


def _extracted(features: Features, pictures: Iterable[tuple[str, Picture]]) -> Iterator[tuple[str, Feature | str]]:
    """Each key with its picture's feature, or the reason why there is none; pictures are read while a batch runs."""

    def prepare(picture: Picture) -> Any:
        try:
            return features.prepare(picture.read())
        except HashsearchError as error:
            return error

    with ThreadPoolExecutor(_WORKERS, "extract") as pool:
        batches = prefetch(
            batched(pictures, BATCH),
            lambda batch: [(key, pool.submit(prepare, picture)) for key, picture in batch],
            ahead=2,
        )
        for batch in batches:
            prepared = [(key, future.result()) for key, future in batch]
            usable = [item for _, item in prepared if not isinstance(item, HashsearchError)]
            finished = iter(features.finish(usable) if usable else ())
            for key, item in prepared:
                yield key, str(item) if isinstance(item, HashsearchError) else _checked(next(finished))


def _checked(feature: Feature) -> Feature | str:
    """The feature, or what is wrong with it."""
    if np.issubdtype(feature.dtype, np.floating):
        if not np.isfinite(feature).all():
            return "a feature must consist of finite numbers, got NaN or infinity"
        if not feature.any():
            return "a vector must have a direction to compare by cosine, got a zero vector"
    return feature


class FeatureCaches:
    """All kinds of features of the pictures of one data set, each loaded when first used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: dict[str, FeatureCache] = {}

    def of(self, features: Features) -> FeatureCache:
        """The cache of these features."""
        folder = FeatureCache.folder_of(self._folder, features)
        if folder.name not in self._opened:
            self._opened[folder.name] = FeatureCache(folder, features)
        return self._opened[folder.name]
