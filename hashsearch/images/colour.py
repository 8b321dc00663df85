"""Pictures of any mode as RGB in the sRGB colour space, on a ground where they are transparent.

Colours are converted by the picture's ICC profile. A profile that moves no colour by more than three levels is one of
the many that describe sRGB itself: such a picture keeps its exact values.

Transparent parts become white. A picture that would then be flat, such as a white logo, gets a black ground if that
shows it. A picture is flat if it spans less than 16 levels in each channel, without a thousandth of the pixels at each
end.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsProfile, ImageCmsTransform

_FLAT_LEVELS, _SAME_LEVELS = 16, 3
_GREY_MODES = ("L", "LA", "La")
_PROFILE_MODES = {"RGB": ("RGB ",), "L": ("GRAY", "RGB "), "CMYK": ("CMYK",)}  # colour spaces of profiles by mode


@dataclass(frozen=True)
class Conversion:
    """Converts pictures of a mode to sRGB by an ICC profile."""

    mode: str
    transform: ImageCmsTransform

    def apply(self, picture: Image.Image) -> Image.Image:
        """The picture as RGB."""
        from PIL import ImageCms

        suited = picture if picture.mode == self.mode else picture.convert(self.mode)
        converted = ImageCms.applyTransform(suited, self.transform)
        assert converted is not None  # not in place
        return converted


class UnusableProfile(Exception):
    """A colour profile that is damaged, or for pictures of another kind."""


def conversion(profile: bytes, mode: str) -> Conversion | None:
    """How pictures of a mode with this profile become sRGB; None if they are sRGB already.

    Raises UnusableProfile.
    """
    if mode == "1":
        return None
    kind = mode if mode == "CMYK" else "L" if mode in _GREY_MODES else "RGB"
    try:
        return _conversion(profile, kind)
    except UnusableProfile:
        raise
    except Exception as error:  # PyCMSError, and OverflowError or struct.error from damaged profiles
        raise UnusableProfile(str(error)) from error


@lru_cache(maxsize=32)
def _conversion(profile: bytes, kind: str) -> Conversion | None:
    from PIL import ImageCms

    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = opened.profile.xcolor_space
    if space not in _PROFILE_MODES[kind]:
        raise UnusableProfile(f"a {kind} picture has a profile for {space.strip()}")
    mode = "RGB" if space == "RGB " else kind
    made = Conversion(mode, ImageCms.buildTransform(opened, _srgb(), mode, "RGB"))
    return None if mode != "CMYK" and _changes_nothing(made) else made


@lru_cache(maxsize=1)
def _srgb() -> ImageCmsProfile:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _changes_nothing(conversion: Conversion) -> bool:
    if conversion.mode == "L":
        colours = np.arange(256, dtype=np.uint8)[np.newaxis]
    else:
        levels = np.linspace(0, 255, 9).astype(np.uint8)
        colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    before = Image.fromarray(colours)
    after = np.asarray(conversion.apply(before)).astype(int)
    return bool(np.abs(after - np.asarray(before.convert("RGB"))).max() <= _SAME_LEVELS)


def to_rgb(part: Image.Image, conversion: Conversion | None, ground: str) -> Image.Image:
    """A part of a picture as RGB, with `ground` where it is transparent."""
    if not part.has_transparency_data:
        if conversion:
            return conversion.apply(part)
        return part if part.mode == "RGB" else part.convert("RGB")
    layer = part.convert("RGBA")
    rgb = Image.new("RGB", layer.size, ground)
    rgb.paste(conversion.apply(layer) if conversion else layer, mask=layer)
    return rgb


def choose_ground(parts: Callable[[str], Iterable[Image.Image]]) -> str:
    """The ground on which a picture is seen best; `parts` returns it as parts in RGB on a ground."""
    return "black" if _is_flat(parts("white")) and not _is_flat(parts("black")) else "white"


def _is_flat(parts: Iterable[Image.Image]) -> bool:
    """Whether almost all pixels have nearly the same colour."""
    histogram = np.sum([part.histogram() for part in parts], axis=0).reshape(3, 256)
    shares = histogram.cumsum(axis=1) / histogram.sum(axis=1, keepdims=True)
    low, high = (shares > 0.001).argmax(axis=1), (shares >= 0.999).argmax(axis=1)
    return bool((high - low).max() < _FLAT_LEVELS)
