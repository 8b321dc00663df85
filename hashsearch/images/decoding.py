"""Image bytes to a checked RGB array; crop, square resize and thumbnail of such arrays.

An image is a `(height, width, 3) uint8` RGB array everywhere in this package. Its format is detected from its bytes,
not from a file name. Each Pillow plug-in is called directly instead of `Image.open`, so that no other format can be
opened and the pixel limit does not depend on `PIL.Image.MAX_IMAGE_PIXELS`.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from hashsearch.errors import (
    EmptyImage,
    ImageError,
    ImageTooLarge,
    InvalidCrop,
    NotAnImage,
    TooManyPixels,
    TruncatedImage,
)


@dataclass(frozen=True)
class Limits:
    """The largest image that is accepted: bytes of the file, pixels of the decoded image."""

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000


DEFAULT = Limits()

# Any text may begin with BM; the size of the second header identifies a bitmap.
_FORMATS: tuple[tuple[str, re.Pattern[bytes], type[ImageFile.ImageFile]], ...] = (
    ("JPEG", re.compile(rb"\xff\xd8\xff"), JpegImagePlugin.JpegImageFile),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n"), PngImagePlugin.PngImageFile),
    ("WebP", re.compile(rb"RIFF....WEBP", re.DOTALL), WebPImagePlugin.WebPImageFile),
    ("GIF", re.compile(rb"GIF8[79]a"), GifImagePlugin.GifImageFile),
    ("BMP", re.compile(rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL), BmpImagePlugin.BmpImageFile),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]"), TiffImagePlugin.TiffImageFile),
)

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes, limits: Limits = DEFAULT) -> NDArray[np.uint8]:
    """Decode an image to RGB, upright by its EXIF orientation, transparency blended with white.

    The formats are JPEG, PNG, WebP, GIF (first frame), BMP and TIFF. No input whatsoever raises any other error than
    those below.

    Parameters
    ----------
    data : bytes
        Content of an image file.
    limits : Limits
        Largest number of bytes and of pixels.

    Returns
    -------
    ndarray of shape (height, width, 3), dtype uint8
        RGB pixels, read-only.

    Raises
    ------
    EmptyImage
        If there are no bytes.
    ImageTooLarge
        If there are more bytes than `limits.max_bytes`.
    NotAnImage
        If the bytes begin like none of the formats.
    TooManyPixels
        If the header announces more pixels than `limits.max_pixels`. No pixel is decoded then.
    TruncatedImage
        If the data is incomplete or damaged.
    """
    if not data:
        raise EmptyImage("an image must have at least one byte, got none")
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(f"an image may have at most {limits.max_bytes} bytes, got {len(data)}")
    name, plugin = _detect_format(data)
    try:
        with plugin(io.BytesIO(data)) as picture:
            _check_pixels(picture.size, limits)
            picture.load()
            return np.asarray(_turn_upright(picture, _on_white(picture)))
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixels(f"an image may have at most {limits.max_pixels} pixels: {error}") from error
    except Exception as error:  # damaged files raise OSError, SyntaxError, struct.error, IndexError and more
        detail = f": {error}" if isinstance(error, (OSError, SyntaxError)) else ""  # messages that Pillow wrote
        raise TruncatedImage(f"the {name} image is incomplete or damaged{detail}") from error


def format_of(head: bytes) -> str | None:
    """The format of an image by its first bytes, at least 64 of them or all; None if it is none of the formats."""
    return next((name for name, magic, _ in _FORMATS if magic.match(head)), None)


def _detect_format(data: bytes) -> tuple[str, type[ImageFile.ImageFile]]:
    for name, magic, plugin in _FORMATS:
        if magic.match(data):
            return name, plugin
    known = ", ".join(name for name, _, _ in _FORMATS)
    raise NotAnImage(f"an image must be one of {known}, got a file that begins with {_preview(data[:12])}")


def _preview(data: bytes) -> str:
    text = data.decode("ascii", "replace")
    return f"'{text}'" if text.isascii() and text.isprintable() else f"the bytes {data.hex(' ')}"


def _check_pixels(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise TooManyPixels(f"an image may have at most {limits.max_pixels} pixels, got {width} x {height}")


def _on_white(picture: Image.Image) -> Image.Image:
    """The picture as RGB, transparent parts blended with white."""
    if picture.mode[0] in "IF":
        return Image.fromarray(_eight_bits(np.asarray(picture))).convert("RGB")
    if not picture.has_transparency_data:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    layer = picture.convert("RGBA")
    white = Image.new("RGB", layer.size, "white")
    white.paste(layer, mask=layer)
    return white


def _eight_bits(levels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """`(height, width) uint8` from 16-bit or 32-bit grey levels, scaled instead of clipped.

    Of 16 bits the upper byte is kept, as Pillow does for 16-bit colour. 32-bit numbers have no fixed white level: white
    is the first of 1 (floats only), 255 and 65535 that no level exceeds, else the highest level.
    """
    if levels.dtype.itemsize == 2:
        return (levels.astype(np.uint16) >> 8).astype(np.uint8)
    whites = (1, 255, 65535) if levels.dtype.kind == "f" else (255, 65535)
    numbers: NDArray[np.float32] = np.nan_to_num(levels.astype(np.float32), posinf=0, neginf=0)
    highest = float(numbers.max())
    white = next((white for white in whites if highest <= white), highest)
    scaled: NDArray[np.float32] = np.rint(np.clip(numbers, 0, white) * (255 / white))
    return scaled.astype(np.uint8)


def _turn_upright(picture: Image.Image, rgb: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged EXIF data does not make the picture unusable
        turn = None
    return rgb if turn is None else rgb.transpose(turn)


def crop(image: NDArray[np.uint8], box: Sequence[float]) -> NDArray[np.uint8]:
    """The part of the image inside `box`, `(left, top, right, bottom)`, as a view.

    Four integers are pixels. If one of the four is a float, all are fractions of the width and height, widened to whole
    pixels; a mixture is allowed since JSON writes 0.0 as 0. InvalidCrop for anything else, and for a box that reaches
    outside the image or has no area.
    """
    height, width = image.shape[:2]
    numbers = tuple(box) if isinstance(box, (Sequence, np.ndarray)) and not isinstance(box, (str, bytes)) else ()
    if len(numbers) != 4 or not all(_is_number(number) for number in numbers):
        raise InvalidCrop(f"a crop must be four numbers (left, top, right, bottom), got {box!r}")
    left, top, right, bottom = numbers
    if any(isinstance(number, (float, np.floating)) for number in numbers):
        if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise InvalidCrop(f"a crop in fractions must lie inside 0..1 and have area, got {box!r}")
        left, top = math.floor(left * width), math.floor(top * height)
        right, bottom = math.ceil(right * width), math.ceil(bottom * height)
    elif not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise InvalidCrop(f"a crop in pixels must lie inside the {width} x {height} image and have area, got {box!r}")
    part: NDArray[np.uint8] = image[top:bottom, left:right]
    return part


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def resize_square(
    image: NDArray[np.uint8], size: int, resample: Image.Resampling = Image.Resampling.BILINEAR
) -> NDArray[np.uint8]:
    """`(size, size, 3) uint8`: the image stretched to a square, antialiased; the same array if it has that size."""
    if image.shape[:2] == (size, size):
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), resample))


def thumbnail(image: NDArray[np.uint8], side: int, quality: int = 85) -> bytes:
    """A JPEG of the image, reduced to at most `side` pixels on the longer side, never enlarged."""
    picture = Image.fromarray(image)
    picture.thumbnail((side, side))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()
