"""Features of pictures, extracted once and kept: whatever method or task needs them next, reads them."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
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
from hashsearch.files import safe_name
from hashsearch.overlap import batched, prefetch

BATCH = 128  # pictures that pass a network at once
_PART = 16 * BATCH  # pictures whose features go into one file: what a kill costs
_WORKERS = 4
_DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Extracted:
    """Features of pictures, in order; None where there is none, for the reason in `failures`, by the picture's row."""

    features: list[Feature | None]
    failures: dict[int, str]


class FeatureCache:
    """One kind of features of the pictures of one data set, in the numbered `.npz` files of a folder.

    Features may differ in their first length; they are kept end to end, with the offsets where they begin. A picture is
    known by its id, its distortion and the size of its file.
    """

    def __init__(self, folder: Path, features: Features) -> None:
        self.folder = folder
        self.features = features
        self._known: dict[str, Feature] = {}
        self._timed = np.zeros(2)  # pictures that were not distorted, and the seconds that they took
        for path in sorted(self.folder.glob("*.npz")):
            self._load(path)

    @staticmethod
    def folder_of(folder: Path, features: Features) -> Path:
        """Where features are kept below a folder, named after all that changes them."""
        identity = json.dumps(features.identity, sort_keys=True)
        return folder / f"{safe_name(features.name)}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"

    @property
    def images_per_second(self) -> float | None:
        """How fast pictures as they are were read, decoded and turned into features; None before there were any."""
        pictures, seconds = self._timed
        return float(pictures / seconds) if seconds else None

    def of(self, pictures: Sequence[Picture], progress: Callable[[int], object]) -> Extracted:
        """The features of pictures; those not known yet are extracted and kept. `progress` hears how many are done."""
        keys, failures = _keys(pictures)
        missing = {key: picture for key, picture in zip(keys, pictures) if key and key not in self._known}
        progress(len(pictures) - len(missing))
        reasons: dict[str, str] = {}
        if missing:
            self.features.warm()
        for distorted in (False, True):
            asked = [(key, picture) for key, picture in missing.items() if bool(picture.distortion) == distorted]
            for part in batched(asked, _PART):
                reasons |= self._extract(part, timed=not distorted, progress=progress)
        failures |= {row: reasons[key] for row, key in enumerate(keys) if key in reasons}
        return Extracted([self._known.get(key) for key in keys], failures)

    def _extract(
        self, asked: list[tuple[str, Picture]], *, timed: bool, progress: Callable[[int], object]
    ) -> dict[str, str]:
        began = perf_counter()
        made: dict[str, Feature] = {}
        reasons: dict[str, str] = {}
        for key, feature in _extracted(self.features, asked):
            progress(1)
            if isinstance(feature, str):
                reasons[key] = feature
            else:
                made[key] = feature
        took = np.array([len(asked), perf_counter() - began]) * timed
        if made:
            self._save(made, took)
        self._known |= made
        self._timed += took
        return reasons

    def _save(self, made: Mapping[str, Feature], took: NDArray[np.float64]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        values, offsets = np.concatenate(list(made.values())), np.cumsum([0, *map(len, made.values())])
        path = self.folder / f"{len(list(self.folder.glob('*.npz'))):05}.npz"
        draft = path.with_suffix(".new")
        with draft.open("wb") as file:
            np.savez(file, allow_pickle=False, keys=np.array(list(made)), values=values, offsets=offsets, took=took)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def _load(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as saved:
                keys, values, offsets, took = (saved[name] for name in ("keys", "values", "offsets", "took"))
        except _DAMAGE as error:
            raise ConfigError(f"{path} must hold features as they were kept, remove it: {error}") from error
        found = (values[first:last] for first, last in pairwise(offsets))
        self._known |= dict(zip(keys.tolist(), found, strict=True))
        self._timed += took


def _keys(pictures: Sequence[Picture]) -> tuple[list[str], dict[int, str]]:
    """A key for each picture, and by row why there is none, which is "" then."""
    keys, failures = [], {}
    for row, picture in enumerate(pictures):
        made = picture.distortion
        try:
            told = [picture.id, picture.path.stat().st_size, made and [made.name, made.strength, made.seed]]
            keys.append(json.dumps(told))
        except OSError as error:
            keys.append("")
            failures[row] = f"the image file cannot be read: {error}"
    return keys, failures


def _extracted(features: Features, asked: Iterable[tuple[str, Picture]]) -> Iterator[tuple[str, Feature | str]]:
    """Each key with its picture's feature, or the reason why it has none; the next are read while one batch ends."""

    def prepare(picture: Picture) -> Any:
        try:
            return features.prepare(picture.read())
        except HashsearchError as error:
            return error

    with ThreadPoolExecutor(_WORKERS, "extract") as pool:
        batches = prefetch(
            batched(asked, BATCH),
            lambda batch: [(key, pool.submit(prepare, picture)) for key, picture in batch],
            ahead=2,
        )
        for batch in batches:
            prepared = [(key, future.result()) for key, future in batch]
            fine = [found for _, found in prepared if not isinstance(found, HashsearchError)]
            finished = iter(features.finish(fine) if fine else ())
            for key, found in prepared:
                yield key, str(found) if isinstance(found, HashsearchError) else _checked(next(finished))


def _checked(feature: Feature) -> Feature | str:
    """The feature itself, or what is wrong with it."""
    if np.issubdtype(feature.dtype, np.floating):
        if not np.isfinite(feature).all():
            return "a feature must be made of finite numbers, got NaN or infinity"
        if not feature.any():
            return "a vector must have a direction to be compared by, got zeros"
    return feature


class FeatureCaches:
    """All kinds of features of the pictures of one data set, each opened when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: dict[str, FeatureCache] = {}

    def of(self, features: Features) -> FeatureCache:
        """The cache of these features."""
        found = FeatureCache.folder_of(self._folder, features)
        if found.name not in self._opened:
            self._opened[found.name] = FeatureCache(found, features)
        return self._opened[found.name]
