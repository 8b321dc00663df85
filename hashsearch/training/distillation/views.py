"""Photos of a distillation recipe, and views (crops) of them that both the teacher and the student see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hashsearch.embedders import Embedder
from hashsearch.errors import ImageError, TrainingError
from hashsearch.evaluation.data.pictures import Picture
from hashsearch.files import atomic_folder
from hashsearch.images.sources import DEFAULT_READER, ImageReader
from hashsearch.overlap import batched, prefetch
from hashsearch.training.recipes import ViewRecipe

BATCH = 128
WORKERS = 2


@dataclass(frozen=True)
class PhotoSet:
    """Photos of one data set: pictures, and their `labels (n,) int64`, counted from 0."""

    name: str
    pictures: Sequence[Picture]
    labels: np.ndarray


@dataclass(frozen=True)
class Views:
    """What the student learns from; all arrays have the photos in the same order.

    `pixels` has a `(n, side, side, 3) uint8` array for each view, `teacher` its `(n, teacher dims) float16` features;
    `labels` is `(n,) int64`.
    """

    pixels: Sequence[np.ndarray]
    teacher: Sequence[np.ndarray]
    labels: np.ndarray


def read_photo_set(root: Path, source: Mapping[str, Any], reader: ImageReader = DEFAULT_READER) -> PhotoSet:
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
        raise TrainingError(f"training data must have at least one .jpg photo, found none in {path}")
    pictures = [
        Picture(str(photo.relative_to(root)), photo, label, reader=reader) for photo, label in zip(paths, classes)
    ]
    return PhotoSet(str(source["path"]), pictures, np.unique(classes, return_inverse=True)[1])


def join_labels(photo_sets: Sequence[PhotoSet]) -> np.ndarray:
    """The labels of all sets in a row, `(n,) int64`; classes of different sets are different."""
    sizes = [int(photos.labels.max()) + 1 for photos in photo_sets]
    firsts = np.cumsum([0, *sizes[:-1]])
    return np.concatenate([photos.labels + first for photos, first in zip(photo_sets, firsts, strict=True)])


def read_image(picture: Picture) -> np.ndarray:
    """The pixels of a photo. TrainingError with its path when it cannot be read: no photo is left out here."""
    try:
        return picture.read()
    except ImageError as error:
        raise TrainingError(f"cannot read {picture.path}: {error}") from error


def make_views(
    photo_sets: Sequence[PhotoSet],
    teacher: Embedder,
    recipe: ViewRecipe,
    seed: int,
    folder: Path,
    notify: Callable[[str], object],
) -> Views:
    """All views of all photos and the teacher's features of them, in `folder/NUMBER`; existing views are kept."""
    pictures = [picture for photos in photo_sets for picture in photos.pictures]
    for view in range(recipe.count):
        if not (folder / str(view)).exists():
            with atomic_folder(folder / str(view)) as draft:
                _write_view(pictures, view, teacher, recipe, seed, draft)
            notify(f"view {view + 1} of {recipe.count}: {len(pictures)} photos")
    folders = [folder / str(view) for view in range(recipe.count)]
    try:
        pixels = [np.load(view / "pixels.npy", mmap_mode="r") for view in folders]
        features = [np.load(view / "teacher.npy") for view in folders]
    except (OSError, ValueError, EOFError) as error:
        raise TrainingError(f"cannot resume: the views in {folder} are damaged: {error}; remove them") from error
    return Views(pixels, features, join_labels(photo_sets))


def _write_view(
    pictures: Sequence[Picture], view: int, teacher: Embedder, recipe: ViewRecipe, seed: int, folder: Path
) -> None:
    shape = (len(pictures), recipe.size, recipe.size, 3)
    pixels = np.lib.format.open_memmap(folder / "pixels.npy", mode="w+", dtype=np.uint8, shape=shape)
    features = np.empty((len(pictures), teacher.dims), np.float16)
    first = 0
    for small, vectors in _iterate_view(pictures, view, teacher, recipe, seed):
        rows = slice(first, first + len(small))
        pixels[rows], features[rows] = small, vectors
        first += len(small)
    pixels.flush()
    np.save(folder / "teacher.npy", features)


def _iterate_view(
    pictures: Sequence[Picture], view: int, teacher: Embedder, recipe: ViewRecipe, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of the student's pixels and the teacher's features of one view, in the order of the pictures."""
    sides = (recipe.size, teacher.input_size)
    least = recipe.min_area if view else 1.0  # the first view is the whole photo

    def cut(number: int) -> list[np.ndarray]:
        return cut_view(read_image(pictures[number]), sides, least, np.random.default_rng([seed, number, view]))

    with ThreadPoolExecutor(WORKERS) as pool:
        numbers = batched(range(len(pictures)), BATCH)
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
