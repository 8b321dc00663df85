"""An embedder: its preprocessing, and a network behind one function."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hashsearch.errors import ConfigError, EmbedderError
from hashsearch.hashing.vectors import normalised
from hashsearch.images.decoding import resize_square

BATCH = 32  # larger batches are no faster on two cores
FILTERS = {name: Image.Resampling[name.upper()] for name in ("bilinear", "bicubic", "lanczos")}
CHANNELS = ("rgb", "bgr")


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a network's input: resized (not cropped) to a square, then normalised.

    Pixel values 0..255 are scaled to `range`, then `mean` is subtracted and the rest divided by `std`, each for red,
    green and blue; last, the channels are put in the order `channels`.
    """

    input_size: int
    range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    filter: str = "bilinear"
    channels: str = "rgb"

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Preprocessing:
        """Preprocessing from its fields; TypeError or ValueError for unknown fields and invalid values."""
        preprocessing = cls(**fields)
        preprocessing.scale_and_shift()
        for name, value, known in (
            ("filter", preprocessing.filter, FILTERS),
            ("channels", preprocessing.channels, CHANNELS),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got '{value}'")
        if not isinstance(preprocessing.input_size, int) or preprocessing.input_size < 1:
            raise ValueError(f"input_size must be a whole number of at least 1, got {preprocessing.input_size!r}")
        return preprocessing

    def as_dict(self) -> dict[str, Any]:
        """All fields; `channels` only if not "rgb", because fingerprints are older than this field."""
        fields = asdict(self)
        if self.channels == "rgb":
            del fields["channels"]
        return fields

    def network_input(self, pixels: Any) -> Any:
        """The network's input from float pixels 0..255 `(..., 3)`, red first, of numpy or TensorFlow."""
        scale, shift = self.scale_and_shift()
        values = pixels * scale + shift
        return values[..., ::-1] if self.channels == "bgr" else values

    def scale_and_shift(self) -> tuple[np.ndarray, np.ndarray]:
        """Factors and offsets `(3,) float32` from pixel values to the network's input, for red, green and blue."""
        low, high = self.range
        scale = (high - low) / 255 / np.asarray(self.std)
        return scale.astype(np.float32), ((low - np.asarray(self.mean)) / self.std).astype(np.float32)


def read_preprocessing(path: Path) -> Preprocessing:
    """The preprocessing in a JSON file with the fields of `Preprocessing`, at least `input_size`. ConfigError."""
    try:
        return Preprocessing.of(json.loads(path.read_text()))
    except (OSError, TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} must be JSON with the fields of Preprocessing: {error}") from error


class Embedder:
    """Images to vectors. `forward` takes `(n, input_size, input_size, 3) uint8` to `(n, dims) float32`.

    Where the vectors are probabilities of a classifier, `classes` are the names of its classes; otherwise it is empty.
    """

    def __init__(
        self,
        name: str,
        dims: int,
        digest: str,
        preprocessing: Preprocessing,
        weights: Path,
        forward: Callable[[np.ndarray], np.ndarray],
        classes: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.dims = dims
        self.digest = digest  # sha256 of the weights, hex
        self.input_size = preprocessing.input_size
        self.preprocessing: dict[str, Any] = preprocessing.as_dict()  # what changes a vector, besides the weights
        self.weights = weights
        self.forward = forward
        self.classes = tuple(classes)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """`(height, width, 3) uint8` -> `(input_size, input_size, 3) uint8`; an image of that size is not resampled.

        Thread-safe. Raises EmbedderError for any other array.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise EmbedderError(f"an image must be (height, width, 3) uint8, got {image.shape} {image.dtype}")
        return resize_square(image, self.input_size, FILTERS[self.preprocessing["filter"]])

    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Embed images.

        Parameters
        ----------
        images : sequence of n arrays (height, width, 3) uint8
            RGB images of any size.

        Returns
        -------
        (n, dims) float32
            One vector of length 1 for each image.

        Raises
        ------
        EmbedderError
            For an array of another shape or type.
        """
        vectors = np.empty((len(images), self.dims), np.float32)
        for first in range(0, len(images), BATCH):
            batch = np.stack([self.prepare(image) for image in images[first : first + BATCH]])
            vectors[first : first + BATCH] = self.forward(batch)
        return normalised(vectors, zero="keep")


def digest_files(path: Path, kind: str = "sha256") -> str:
    """The hex digest of a file, or of the names and contents of all files in a folder; `kind` is hashlib's name."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    total = hashlib.new(kind, usedforsecurity=False)
    for file in files:
        if path.is_dir():
            total.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                total.update(block)
    return total.hexdigest()
