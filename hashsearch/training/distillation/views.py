"""Labelled photos of a recipe, and the views (crops) of them that teacher and student both see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hashsearch.embedders import Embedder
from hashsearch.errors import TrainingError
from hashsearch.images.decoding import decode
from hashsearch.overlap import batched, prefetch

BATCH = 128
WORKERS = 2


@dataclass(frozen=True)
class PhotoSet:
    """Photos of one data set: `paths`, and `labels` `(n,) int64` counted from 0."""

    name: str
    paths: list[Path]
    labels: np.ndarray


@dataclass(frozen=True)
class ViewRecipe:
    """How many views of each photo, the side of the student's, and the least share of the photo a crop shows."""

    count: int
    size: int
    min_area: float


@dataclass(frozen=True)
class Views:
    """What the student learns from, aligned by photo.

    `pixels` holds a `(n, side, side, 3) uint8` array for each view, `teacher` its `(n, teacher dims) float16` features;
    `labels` is `(n,) int64`.
    """

    pixels: list[np.ndarray]
    teacher: list[np.ndarray]
    labels: np.ndarray


def read_photo_set(root: Path, source: Mapping[str, Any]) -> PhotoSet:
    """The photos of one recipe entry: class folders, or a list file of `path, class id` lines. Raises TrainingError."""
    path = root / source["path"]
    if path.suffix == ".txt" and path.is_file():
        rows = [line.split(",") for line in path.read_text().splitlines() if line.strip()]
        paths, classes = [path.parent / row[0].strip() for row in rows], [row[1].strip() for row in rows]
    elif path.is_dir():
        folders = sorted(folder for folder in path.iterdir() if folder.is_dir())
        paths = [photo for folder in folders for photo in sorted(folder.glob("*.jpg"))[: source.get("per_class")]]
        classes = [photo.parent.name for photo in paths]
    else:
        raise TrainingError(f"training data must be a folder of class folders or a .txt list, found no {path}")
    if not paths:
        raise TrainingError(f"training data must hold at least one .jpg photo, found none in {path}")
    return PhotoSet(str(source["path"]), paths, np.unique(classes, return_inverse=True)[1])


def join_labels(photo_sets: Sequence[PhotoSet]) -> np.ndarray:
    """The labels of all sets in a row, `(n,) int64`; classes of different sets are different."""
    sizes = [int(photos.labels.max()) + 1 for photos in photo_sets]
    firsts = np.cumsum([0, *sizes[:-1]])
    return np.concatenate([photos.labels + first for photos, first in zip(photo_sets, firsts, strict=True)])


def cut_views(photo_sets: Sequence[PhotoSet], teacher: Embedder, recipe: ViewRecipe, seed: int, folder: Path) -> Views:
    """All views of all photos, and the teacher's features of them; what `folder` already holds is not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [path for photos in photo_sets for path in photos.paths]
    pixels, features = [], []
    for view in range(recipe.count):
        files = folder / f"pixels-{view}.npy", folder / f"teacher-{view}.npy"
        if not files[1].exists():
            batches = list(_iterate_view(paths, view, teacher, recipe, seed))
            for file, arrays in zip(files, zip(*batches, strict=True), strict=True):
                np.save(file, np.concatenate(arrays))
            print(f"view {view + 1} of {recipe.count}: {len(paths)} photos", flush=True)
        pixels.append(np.load(files[0], mmap_mode="r"))
        features.append(np.load(files[1]))
    return Views(pixels, features, join_labels(photo_sets))


def _iterate_view(
    paths: Sequence[Path], view: int, teacher: Embedder, recipe: ViewRecipe, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of the student's pixels and the teacher's features of one view, in the order of `paths`."""
    sides = (recipe.size, teacher.input_size)

    def cut(number: int) -> list[np.ndarray]:
        image = decode(paths[number].read_bytes())
        # The first view is the whole photo.
        least = recipe.min_area if view else 1.0
        return cut_view(image, sides, least, np.random.default_rng([seed, number, view]))

    with ThreadPoolExecutor(WORKERS) as pool:
        numbers = batched(range(len(paths)), BATCH)
        for futures in prefetch(numbers, lambda batch: [pool.submit(cut, number) for number in batch], ahead=1):
            small, large = zip(*(future.result() for future in futures), strict=True)
            yield np.stack(small), teacher.forward(np.stack(large)).astype(np.float16)


def cut_view(image: np.ndarray, sides: Sequence[int], min_area: float, rng: np.random.Generator) -> list[np.ndarray]:
    """A random crop of the image, stretched by up to 4/3, as a `(side, side, 3) uint8` square for each of `sides`."""
    height, width = image.shape[:2]
    area = rng.uniform(min_area, 1.0)
    stretch = 1.0 if area == 1.0 else np.exp(rng.uniform(-1, 1) * np.log(4 / 3))
    w, h = width * min(1.0, np.sqrt(area * stretch)), height * min(1.0, np.sqrt(area / stretch))
    left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
    picture, box = Image.fromarray(image), (left, top, left + w, top + h)
    return [np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR, box)) for side in sides]
