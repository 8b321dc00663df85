"""Near-duplicates of a picture: what happens to pictures between one shop and the next, each with its strength.

Every function takes an RGB picture, a strength and a generator that decides what is left open (a direction, a place, a
colour), and returns a new RGB picture. The generator depends on the seed and the name only: from one strength to the
next the same picture is turned the same way and marked at the same place.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from hashsearch.errors import EvaluationError
from hashsearch.evaluation.data.overlays import border, edge_colour, logo, screenshot, text


@dataclass(frozen=True)
class Distortion:
    """One thing done to a picture, the same whenever it is done.

    EvaluationError for a name that is not in the table or a strength outside its range.
    """

    name: str
    strength: float
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in _KINDS:
            raise EvaluationError(f"a distortion must be one of {', '.join(_KINDS)}, got '{self.name}'")
        kind, strength = _KINDS[self.name], self.strength
        number = isinstance(strength, (int, float)) and not isinstance(strength, bool)
        if not number or not kind.least <= strength <= kind.most:
            raise EvaluationError(
                f"{self.name} must be {kind.least} to {kind.most} ({kind.unit}), got {self.strength!r}"
            )

    def __str__(self) -> str:
        return f"{self.name} {self.strength:g}"

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`(height, width, 3) uint8` RGB, perhaps of another size; the image given stays as it is."""
        rng = np.random.default_rng([self.seed, *self.name.encode()])
        return np.asarray(_KINDS[self.name].make(Image.fromarray(image), self.strength, rng))


def jpeg(picture: Image.Image, quality: float, rng: np.random.Generator) -> Image.Image:
    """What JPEG of that quality (1 to 100) leaves of the picture."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=round(quality))
    return Image.open(file, formats=["JPEG"]).convert("RGB")


def resize(picture: Image.Image, percent: float, rng: np.random.Generator) -> Image.Image:
    """The picture with sides of `percent` of what they were, one pixel at least; it stays small."""
    width, height = (max(1, round(side * percent / 100)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def crop(picture: Image.Image, percent: float, rng: np.random.Generator) -> Image.Image:
    """The picture without `percent` of its area: a part of its own shape, from anywhere in it."""
    kept = math.sqrt(1 - percent / 100)
    width, height = (max(1, round(side * kept)) for side in picture.size)
    left, top = (round(rng.random() * (whole - part)) for whole, part in zip(picture.size, (width, height)))
    return picture.crop((left, top, left + width, top + height))


def rotate(picture: Image.Image, degrees: float, rng: np.random.Generator) -> Image.Image:
    """The picture turned one way or the other. Nothing is cut off: the canvas grows, and its corners take the mean
    colour of the picture's edge, so that nothing but the turn and a plain surface is added. Turns by 90 and 180 degrees
    have no corners and lose nothing.
    """
    angle = degrees * rng.choice([-1, 1])
    return picture.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=edge_colour(picture))


def mirror(picture: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    """The picture with left and right exchanged; the strength is always 1."""
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def perspective(picture: Image.Image, percent: float, rng: np.random.Generator) -> Image.Image:
    """The picture seen from aslant: one of its four sides is further off, so both its corners move inwards, along the
    side and away from it, by `percent` of the picture's sides. What comes free takes the mean colour of the edge.
    """
    far = int(rng.integers(4))
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
    seen = corners.copy()
    seen[[far, (far + 1) % 4]] += (0.5 - corners[[far, (far + 1) % 4]]) * (percent / 50)
    coefficients = _projection(seen * picture.size, corners * picture.size)
    return picture.transform(
        picture.size,
        Image.Transform.PERSPECTIVE,
        coefficients,
        Image.Resampling.BICUBIC,
        fillcolor=edge_colour(picture),
    )


def _projection(seen: NDArray[np.float64], corners: NDArray[np.float64]) -> list[float]:
    """The eight numbers a to h with `x = (a u + b v + c) / (g u + h v + 1)`, `y = (d u + e v + f) / (g u + h v + 1)`
    for each of the four points `(u, v)` seen and the corner `(x, y)` it shows.
    """
    rows, values = [], []
    for (u, v), (x, y) in zip(seen, corners):
        rows += [[u, v, 1, 0, 0, 0, -u * x, -v * x], [0, 0, 0, u, v, 1, -u * y, -v * y]]
        values += [x, y]
    return list(np.linalg.solve(np.array(rows), np.array(values)).tolist())


def brightness(picture: Image.Image, percent: float, rng: np.random.Generator) -> Image.Image:
    """The picture with all levels higher or lower by `percent` of themselves: lighter for one half of the seeds."""
    return ImageEnhance.Brightness(picture).enhance(1 + rng.choice([-1, 1]) * percent / 100)


def contrast(picture: Image.Image, percent: float, rng: np.random.Generator) -> Image.Image:
    """The picture with all levels further from its mean grey by `percent`, or nearer for one half of the seeds."""
    return ImageEnhance.Contrast(picture).enhance(1 + rng.choice([-1, 1]) * percent / 100)


def saturation(picture: Image.Image, percent: float, rng: np.random.Generator) -> Image.Image:
    """The picture with `percent` of its colour taken away: grey at 100."""
    return ImageEnhance.Color(picture).enhance(1 - percent / 100)


def hue(picture: Image.Image, degrees: float, rng: np.random.Generator) -> Image.Image:
    """The picture with every hue turned one way or the other on the colour wheel."""
    turn = round(degrees / 360 * 256) * rng.choice([-1, 1])
    hues, *others = picture.convert("HSV").split()
    turned = hues.point([(level + turn) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, *others)).convert("RGB")


def blur(picture: Image.Image, percent: float, rng: np.random.Generator) -> Image.Image:
    """The picture through a Gaussian filter with a deviation of `percent` of its shorter side."""
    return picture.filter(ImageFilter.GaussianBlur(min(picture.size) * percent / 100))


def noise(picture: Image.Image, levels: float, rng: np.random.Generator) -> Image.Image:
    """The picture with Gaussian noise on each colour of each pixel, of a deviation of so many of the 256 levels."""
    image = np.asarray(picture)
    noisy = rng.standard_normal(image.shape, np.float32) * np.float32(levels) + image
    return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class _Kind:
    make: Callable[[Image.Image, float, np.random.Generator], Image.Image]
    strengths: tuple[float, ...]  # from weak to strong
    unit: str
    least: float
    most: float


_KINDS = {
    "jpeg": _Kind(jpeg, (90, 70, 50, 30, 20, 10), "quality", 1, 100),
    "resize": _Kind(resize, (75, 50, 25, 10), "% of the side", 1, 100),
    "crop": _Kind(crop, (5, 10, 20, 30, 50), "% of the area cut off", 0, 95),
    "rotate": _Kind(rotate, (1, 2, 5, 10, 20, 45, 90, 180), "degrees", 0, 180),
    "mirror": _Kind(mirror, (1,), "once", 1, 1),
    "perspective": _Kind(perspective, (5, 10, 20, 30), "% of the side", 0, 45),
    "brightness": _Kind(brightness, (10, 25, 50, 75), "%", 0, 100),
    "contrast": _Kind(contrast, (10, 25, 50, 75), "%", 0, 100),
    "saturation": _Kind(saturation, (25, 50, 100), "% taken away", 0, 100),
    "hue": _Kind(hue, (10, 30, 60, 120, 180), "degrees", 0, 180),
    "blur": _Kind(blur, (0.5, 1, 2, 4), "% of the shorter side", 0, 50),
    "noise": _Kind(noise, (5, 10, 20, 40, 80), "levels of 256", 0, 255),
    "text": _Kind(text, (5, 10, 20, 40), "% of the height", 0, 100),
    "logo": _Kind(logo, (2, 5, 10, 25), "% of the area", 0, 50),
    "border": _Kind(border, (5, 10, 20, 40), "% of the shorter side", 0, 200),
    "screenshot": _Kind(screenshot, (20, 40, 60, 80), "% of the screen", 0, 95),
}

DISTORTIONS: dict[str, tuple[float, ...]] = {name: kind.strengths for name, kind in _KINDS.items()}
"""The strengths measured unless others are asked for, from weak to strong, in the units of UNITS."""

UNITS: dict[str, str] = {name: kind.unit for name, kind in _KINDS.items()}
"""What a strength counts: `jpeg` counts down (quality), as does `resize` (what is left), the others count up."""
