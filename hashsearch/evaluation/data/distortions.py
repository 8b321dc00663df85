"""Near-duplicates of a picture: the changes that copies go through, each with a strength.

Every function takes an RGB picture, a strength and a generator for what the strength leaves open (direction, position,
colour), and returns a new RGB picture. The generator depends only on the seed and the name, so a picture is turned the
same way and marked at the same position at every strength.
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
    """One reproducible change of a picture. EvaluationError for an unknown name or a strength outside its range."""

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
        """A new `(height, width, 3) uint8` RGB image, perhaps of another size."""
        rng = np.random.default_rng([self.seed, *self.name.encode()])
        return np.asarray(_KINDS[self.name].make(Image.fromarray(image), self.strength, rng))


def jpeg(picture: Image.Image, quality: float, rng: np.random.Generator) -> Image.Image:
    """The picture after compression as JPEG of that quality (1 to 100)."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=round(quality))
    return Image.open(file, formats=["JPEG"]).convert("RGB")


def resize(picture: Image.Image, percent: float, rng: np.random.Generator) -> Image.Image:
    """The picture scaled to `percent` of its width and height, at least one pixel."""
    width, height = (max(1, round(side * percent / 100)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def crop(picture: Image.Image, percent: float, rng: np.random.Generator) -> Image.Image:
    """The picture without `percent` of its area: a part with the same aspect ratio, at a random position."""
    kept = math.sqrt(1 - percent / 100)
    width, height = (max(1, round(side * kept)) for side in picture.size)
    left, top = (round(rng.random() * (whole - part)) for whole, part in zip(picture.size, (width, height)))
    return picture.crop((left, top, left + width, top + height))


def rotate(picture: Image.Image, degrees: float, rng: np.random.Generator) -> Image.Image:
    """The picture rotated clockwise or counter-clockwise, on a canvas large enough that nothing is cut off.

    Its corners are filled with the mean colour of the picture's edge. Rotations by 90 and 180 degrees have no corners.
    """
    angle = degrees * rng.choice([-1, 1])
    return picture.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=edge_colour(picture))


def mirror(picture: Image.Image, strength: float, rng: np.random.Generator) -> Image.Image:
    """The picture flipped left to right; the strength is always 1."""
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def perspective(picture: Image.Image, percent: float, rng: np.random.Generator) -> Image.Image:
    """The picture viewed at an angle: one of its four sides is further away.

    Both corners of that side move inwards, along the side and away from it, by `percent` of the picture's sides. The
    uncovered area is filled with the mean colour of the edge.
    """
    far = int(rng.integers(4))
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
    projected = corners.copy()
    projected[[far, (far + 1) % 4]] += (0.5 - corners[[far, (far + 1) % 4]]) * (percent / 50)
    coefficients = _projection(projected * picture.size, corners * picture.size)
    return picture.transform(
        picture.size,
        Image.Transform.PERSPECTIVE,
        coefficients,
        Image.Resampling.BICUBIC,
        fillcolor=edge_colour(picture),
    )


def _projection(projected: NDArray[np.float64], corners: NDArray[np.float64]) -> list[float]:
    """The eight numbers a to h with `x = (a u + b v + c) / (g u + h v + 1)`, `y = (d u + e v + f) / (g u + h v + 1)`
    for each of the four points `(u, v)` of the projection and the corner `(x, y)` that it shows.
    """
    rows, values = [], []
    for (u, v), (x, y) in zip(projected, corners):
        rows += [[u, v, 1, 0, 0, 0, -u * x, -v * x], [0, 0, 0, u, v, 1, -u * y, -v * y]]
        values += [x, y]
    return list(np.linalg.solve(np.array(rows), np.array(values)).tolist())


def brightness(picture: Image.Image, percent: float, rng: np.random.Generator) -> Image.Image:
    """The picture with all levels raised or lowered by `percent` of themselves; half of the seeds raise them."""
    return ImageEnhance.Brightness(picture).enhance(1 + rng.choice([-1, 1]) * percent / 100)


def contrast(picture: Image.Image, percent: float, rng: np.random.Generator) -> Image.Image:
    """The picture with all levels moved by `percent` away from its mean grey, or towards it for half of the seeds."""
    return ImageEnhance.Contrast(picture).enhance(1 + rng.choice([-1, 1]) * percent / 100)


def saturation(picture: Image.Image, percent: float, rng: np.random.Generator) -> Image.Image:
    """The picture with its saturation reduced by `percent`: grey at 100."""
    return ImageEnhance.Color(picture).enhance(1 - percent / 100)


def hue(picture: Image.Image, degrees: float, rng: np.random.Generator) -> Image.Image:
    """The picture with every hue rotated on the colour wheel, in either direction."""
    turn = round(degrees / 360 * 256) * rng.choice([-1, 1])
    hues, *others = picture.convert("HSV").split()
    turned = hues.point([(level + turn) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, *others)).convert("RGB")


def blur(picture: Image.Image, percent: float, rng: np.random.Generator) -> Image.Image:
    """The picture after a Gaussian filter with a standard deviation of `percent` of its shorter side."""
    return picture.filter(ImageFilter.GaussianBlur(min(picture.size) * percent / 100))


def noise(picture: Image.Image, levels: float, rng: np.random.Generator) -> Image.Image:
    """The picture with Gaussian noise on each channel of each pixel; `levels` (of 256) is the standard deviation."""
    image = np.asarray(picture)
    noisy = rng.standard_normal(image.shape, np.float32) * np.float32(levels) + image
    return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class _DistortionKind:
    make: Callable[[Image.Image, float, np.random.Generator], Image.Image]
    strengths: tuple[float, ...]  # from weak to strong
    unit: str
    least: float
    most: float


_KINDS = {
    "jpeg": _DistortionKind(jpeg, (90, 70, 50, 30, 20, 10), "quality", 1, 100),
    "resize": _DistortionKind(resize, (75, 50, 25, 10), "% of the side", 1, 100),
    "crop": _DistortionKind(crop, (5, 10, 20, 30, 50), "% of the area cut off", 0, 95),
    "rotate": _DistortionKind(rotate, (1, 2, 5, 10, 20, 45, 90, 180), "degrees", 0, 180),
    "mirror": _DistortionKind(mirror, (1,), "once", 1, 1),
    "perspective": _DistortionKind(perspective, (5, 10, 20, 30), "% of the side", 0, 45),
    "brightness": _DistortionKind(brightness, (10, 25, 50, 75), "%", 0, 100),
    "contrast": _DistortionKind(contrast, (10, 25, 50, 75), "%", 0, 100),
    "saturation": _DistortionKind(saturation, (25, 50, 100), "% taken away", 0, 100),
    "hue": _DistortionKind(hue, (10, 30, 60, 120, 180), "degrees", 0, 180),
    "blur": _DistortionKind(blur, (0.5, 1, 2, 4), "% of the shorter side", 0, 50),
    "noise": _DistortionKind(noise, (5, 10, 20, 40, 80), "levels of 256", 0, 255),
    "text": _DistortionKind(text, (5, 10, 20, 40), "% of the height", 0, 100),
    "logo": _DistortionKind(logo, (2, 5, 10, 25), "% of the area", 0, 50),
    "border": _DistortionKind(border, (5, 10, 20, 40), "% of the shorter side", 0, 200),
    "screenshot": _DistortionKind(screenshot, (20, 40, 60, 80), "% of the screen", 0, 95),
}

DISTORTIONS: dict[str, tuple[float, ...]] = {name: kind.strengths for name, kind in _KINDS.items()}
"""The default strengths, from weak to strong, in the units of UNITS."""

UNITS: dict[str, str] = {name: kind.unit for name, kind in _KINDS.items()}
"""Units of the strengths. For `jpeg` (quality) and `resize` (what remains) smaller is stronger."""
