"""How an image becomes a network's input, as a value that a JSON file, a manifest and a fingerprint hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashsearch.errors import ConfigError, EmbedderError
from hashsearch.images.decoding import FITS, resize_square

FILTERS = {name: Image.Resampling[name.upper()] for name in ("bilinear", "bicubic", "lanczos")}
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}  # by name, OpenVINO's
_CHOICES = {
    "filter": tuple(FILTERS),
    "channels": ("rgb", "bgr"),
    "fit": FITS,
    "precision": tuple(PRECISIONS),
    "pooling": (None, "average", "max", "first"),
}


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a network's input, and what of its output is the vector.

    Parameters
    ----------
    input_size : int
        Side of the square, in pixels.
    range, mean, std
        Pixel values 0..255 are scaled to `range`, then `mean` is subtracted and the rest divided by `std`, each for
        red, green and blue.
    filter : str
        How pixels are resampled: "bilinear", "bicubic" or "lanczos".
    channels : str
        Their order in the input: "rgb" or "bgr".
    fit : str
        How a picture becomes a square: "stretch", "pad" with white, or "crop" to its middle.
    precision : str
        What the network computes in: "float32", or "bfloat16" where the processor has it.
    output : str, optional
        Name of the output, for a network with several.
    pooling : str, optional
        How an output of tokens `(n, tokens, dims)` or maps `(n, dims, height, width)` becomes one vector: "average",
        "max", or "first" for the first token.
    """

    input_size: int
    range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    filter: str = "bilinear"
    channels: str = "rgb"
    fit: str = "stretch"
    precision: str = "float32"
    output: str | None = None
    pooling: str | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Preprocessing from its fields; TypeError or ValueError for unknown fields and invalid values."""
        preprocessing = cls(**values)
        preprocessing.scale_and_shift()
        for name, known in _CHOICES.items():
            if (value := getattr(preprocessing, name)) not in known:
                raise ValueError(f"{name} must be one of {', '.join(map(str, known))}, got '{value}'")
        if not isinstance(preprocessing.input_size, int) or preprocessing.input_size < 1:
            raise ValueError(f"input_size must be a whole number of at least 1, got {preprocessing.input_size!r}")
        return preprocessing

    def as_dict(self) -> dict[str, Any]:
        """All fields; those after `filter` only if they are not the default, because fingerprints are older."""
        later = [field for field in fields(self) if field.name in _CHOICES and field.name != "filter"]
        unchanged = {field.name for field in later if getattr(self, field.name) == field.default}
        if self.output is None:
            unchanged.add("output")
        return {name: value for name, value in asdict(self).items() if name not in unchanged}

    def prepare(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`(height, width, 3) uint8` -> `(input_size, input_size, 3) uint8`; an image of that size is not resampled.

        Thread-safe. Raises EmbedderError for any other array.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise EmbedderError(f"an image must be (height, width, 3) uint8, got {image.shape} {image.dtype}")
        return resize_square(image, self.input_size, FILTERS[self.filter], self.fit)

    def network_input(self, pixels: Any) -> Any:
        """The network's input from float pixels 0..255 `(..., 3)`, red first, of numpy or TensorFlow."""
        scale, shift = self.scale_and_shift()
        values = pixels * scale + shift
        return values[..., ::-1] if self.channels == "bgr" else values

    def scale_and_shift(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
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
