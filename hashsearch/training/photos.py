"""Labelled pictures to the arrays that a network is trained on; pictures that cannot be used are listed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import ImageError, TrainingError
from hashsearch.evaluation.data.pictures import LeftOut, Picture
from hashsearch.images.decoding import resize_square
from hashsearch.overlap import batched, prefetch

_BATCH, _WORKERS = 64, 4
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Photos:
    """Photos of one size: `pixels (n, side, side, 3) uint8`, `labels (n,) int64`, which are indices of `classes`.

    The pixels are mapped from a file. A selection of photos is `rows (n,)` of them, so that it copies no pixels.
    """

    pixels: NDArray[np.uint8]
    labels: Labels
    classes: tuple[str, ...]
    rows: NDArray[np.int64]
    problems: tuple[LeftOut, ...] = ()

    @property
    def side(self) -> int:
        """Pixels of a photo's width and height."""
        return int(self.pixels.shape[1])

    def of(self, some: NDArray[np.int64]) -> Photos:
        """A selection of these photos, by index."""
        return Photos(self.pixels, self.labels[some], self.classes, self.rows[some])

    def read(self, some: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The pixels of photos, by index."""
        return self.pixels[self.rows[some]]


def learnable(pictures: Sequence[Picture]) -> tuple[list[Picture], list[LeftOut]]:
    """Pictures whose class has two or more, and the reasons why the others are left out."""
    counts = Counter(picture.label for picture in pictures)
    kept, problems = [], []
    for picture in pictures:
        if not picture.label:
            problems.append(LeftOut(picture.id, "a picture to learn from must have a label"))
        elif counts[picture.label] < 2:
            problems.append(LeftOut(picture.id, f"a class must have two pictures or more, '{picture.label}' has one"))
        else:
            kept.append(picture)
    return kept, problems


def read_photos(pictures: Sequence[Picture], side: int, file: Path, classes: Sequence[str] | None = None) -> Photos:
    """Labelled pictures as squares of `side` pixels, in a file that is mapped into memory.

    Pictures that cannot be read are left out. The classes are those of the pictures unless they are given; then
    pictures of other classes are left out too. Raises TrainingError when fewer than two classes are left.
    """
    if classes is None:
        usable, problems = learnable(pictures)
    else:
        usable = [picture for picture in pictures if picture.label in set(classes)]
        known = {picture.id for picture in usable}
        problems = [
            LeftOut(picture.id, f"its class must be one that was learned, got '{picture.label}'")
            for picture in pictures
            if picture.id not in known
        ]
    file.parent.mkdir(parents=True, exist_ok=True)
    shape = (max(len(usable), 1), side, side, 3)
    pixels = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    read: list[str] = []
    for picture, image in _read_all(usable, side):
        if isinstance(image, ImageError):
            problems.append(LeftOut(picture.id, str(image)))
        else:
            pixels[len(read)] = image
            read.append(picture.label)
    names = tuple(sorted(set(read)) if classes is None else classes)
    if classes is None and len(names) < 2:
        first = f"; the first of {len(problems)} problems: {problems[0]}" if problems else ""
        raise TrainingError(f"there must be two classes or more to learn from, got {len(names)}{first}")
    places = {name: place for place, name in enumerate(names)}
    labels = np.array([places[label] for label in read], np.int64)
    return Photos(pixels[: len(read)], labels, names, np.arange(len(read)), tuple(problems))


def _read_all(pictures: Sequence[Picture], side: int) -> Iterator[tuple[Picture, NDArray[np.uint8] | ImageError]]:
    def read(picture: Picture) -> NDArray[np.uint8] | ImageError:
        try:
            return resize_square(picture.read(), side)
        except ImageError as error:
            return error

    with ThreadPoolExecutor(_WORKERS) as pool:
        batches = batched(pictures, _BATCH)
        for batch in prefetch(
            batches, lambda some: [(picture, pool.submit(read, picture)) for picture in some], ahead=1
        ):
            for picture, future in batch:
                yield picture, future.result()


def split(labels: Labels, share: float, seed: int) -> tuple[Labels, Labels]:
    """Indices of photos to learn from and to validate with; of each class about `share`, at least one, validates."""
    rng = np.random.default_rng(seed)
    learned, validated = [], []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        count = min(max(round(share * len(rows)), 1), len(rows) - 1)
        validated.append(rows[:count])
        learned.append(rows[count:])
    return np.sort(np.concatenate(learned)), np.sort(np.concatenate(validated))


def fingerprint(pictures: Sequence[Picture]) -> str:
    """Sixteen hex digits over ids, labels and file sizes of pictures."""
    entries = [
        [picture.id, picture.label, picture.path.stat().st_size] for picture in pictures if picture.path.is_file()
    ]
    return hashlib.sha256(json.dumps(sorted(entries)).encode()).hexdigest()[:16]
