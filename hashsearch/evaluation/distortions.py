"""Near-duplicates of a picture: what is done to pictures between one shop and the next, each with its strength."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashsearch.errors import EvaluationError


@dataclass(frozen=True)
class Distortion:
    """One thing done to a picture, reproducible from these three; EvaluationError for a name not in the table."""

    name: str
    strength: float
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in DISTORTIONS:
            raise EvaluationError(f"a distortion must be one of {', '.join(DISTORTIONS)}, got '{self.name}'")

    def __str__(self) -> str:
        return f"{self.name} {self.strength:g}"

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`(height, width, 3) uint8` of another size, perhaps; the image given is left as it is."""
        picture = _FUNCTIONS[self.name](
            Image.fromarray(image), self.strength, np.random.default_rng([self.seed, *self.name.encode()])
        )
        return np.asarray(picture)


def jpeg(picture: Image.Image, quality: float, rng: np.random.Generator) -> Image.Image:
    """The picture after JPEG of a `quality` of 1 to 95."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=int(quality))
    return Image.open(file, formats=["JPEG"]).convert("RGB")


def mirror(picture: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    """The picture with left and right exchanged; the strength is always 1."""
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


_FUNCTIONS: dict[str, Callable[[Image.Image, float, np.random.Generator], Image.Image]] = {
    "jpeg": jpeg,
    "mirror": mirror,
}
DISTORTIONS: dict[str, tuple[float, ...]] = {"jpeg": (90, 70, 50, 30, 20, 10), "mirror": (1,)}
