"""Image bytes to a checked RGB array; crop, square resize and thumbnail of such arrays.

An image is a `(height, width, 3) uint8` RGB array everywhere in this package. Its format is detected from its bytes,
not from a file name.
"""

from __future__ import annotations

import io
import math
import numbers
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from hashsearch.errors import ImageError, InvalidCrop, TooManyPixels, TruncatedImage
from hashsearch.images.colour import UnusableProfile, choose_ground, conversion, to_rgb
from hashsearch.images.container import Container, orientation
from hashsearch.images.formats import Format, detect_format
from hashsearch.images.grey import GreyScale, grey_scale
from hashsearch.images.limits import DEFAULT, Limits, out_of_memory

__all__ = ["DEFAULT", "Limits", "LoadedImage", "crop", "decode", "load", "reduced", "resize_square", "thumbnail"]

FITS = ("stretch", "pad", "crop")  # how a picture becomes a square: to its sides, on white, or its middle

BAD_PROFILE = "an unusable colour profile was ignored"
CUT_OFF = "the last rows are missing"

_LEAST_CROP = 8  # pixels a side, of a crop in pixels
_LEAST_ROWS = 0.9  # share of the rows that must be there in a JPEG without an end marker
_BLOCK = 1 << 20  # pixels that are converted at once
_FILLER = bytes(
    1 + number * 167 % 251 for number in range(1, 8192)
)  # other data than the zeros of a decoder at the end
_OUT_OF_MEMORY = ("out of memory error", "decoder error -9")  # in Pillow's messages
_BYTES_LITERAL = re.compile(r"\bb'([^']*)'")  # how Pillow writes the name of a PNG chunk
_BITS_PER_SAMPLE, _MAX_SAMPLE_VALUES = 258, (281, 341)  # tags of TIFF
_TURNS = {  # by orientation: whether rows and columns are exchanged, then columns reversed, then rows reversed
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}


def decode(data: bytes, limits: Limits = DEFAULT) -> NDArray[np.uint8]:
    """Decode an image to sRGB, upright by its EXIF orientation, on white where it is transparent.

    The formats are JPEG, PNG, WebP, AVIF, GIF (first frame), BMP and TIFF. `hashsearch.images.grey` describes how grey
    levels of more than 8 bits are scaled, `hashsearch.images.colour` what colour profiles and transparency do. A JPEG
    without an end marker is read if at least nine tenths of its rows are there, or if only the last refinement of a
    progressive one is missing: browsers show what there is, but here a picture that is half grey would be found among
    other half grey ones.

    This decodes in the calling thread, which cannot be stopped: processor time is not limited, memory only by what the
    header tells. `hashsearch.images.sources.ImageReader` decodes in a process of its own. No input whatsoever raises
    any other error than those below.

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
        If the header announces more pixels than `limits.max_pixels`, or a side of more than 65,500. No pixel is decoded
        then.
    ImageTooCostly
        If the file has too many scans, segments, chunks or blocks, or decoding takes too much memory.
    TruncatedImage
        If the data is incomplete or damaged.
    """
    image = load(data, limits)
    blocks = image.blocks()
    pixels = next(blocks)
    if len(pixels) < image.height:
        first, pixels = pixels, np.empty((image.height, image.width, 3), np.uint8)
        pixels[: len(first)] = first
        row = len(first)
        for block in blocks:
            pixels[row : row + len(block)] = block
            row += len(block)
    pixels.flags.writeable = False
    return pixels


def load(data: bytes, limits: Limits = DEFAULT, least_side: int = 0) -> LoadedImage:
    """Decode an image, but convert no pixel yet; the errors are those of `decode`.

    With a `least_side` a JPEG is decoded at a half, a quarter or an eighth of its size, which is faster, as long as its
    longer side has so many pixels then.
    """
    limits.check_bytes(data)
    kind = detect_format(data)
    container = kind.read(data)
    with _errors_of(kind, limits):
        picture = _open(kind, container.picture)
        limits.check_size(*picture.size)
        pixels = picture.size[0] * picture.size[1]
        limits.check_memory(kind.bytes_per_pixel * pixels + container.coefficients + len(container.picture))
        if least_side and container.ended:
            share = least_side / max(picture.size)
            picture.draft(None, (math.ceil(share * picture.width), math.ceil(share * picture.height)))
        picture.load()
        remarks = []
        if not (container.ended or container.resumable):
            share = _share_of_rows(kind, picture, container.picture)
            if share < _LEAST_ROWS:
                raise TruncatedImage(f"the JPEG image is incomplete or damaged: it ends after {share:.0%} of its rows")
            remarks = [CUT_OFF] * (share < 1)
        return LoadedImage(picture, container, remarks)


@contextmanager
def _errors_of(kind: Format, limits: Limits) -> Iterator[None]:
    """Turn what a decoder raises into errors of ours."""
    try:
        yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixels(f"an image may have at most {limits.max_pixels} pixels: {error}") from error
    except Exception as error:  # damaged files raise OSError, SyntaxError, struct.error, IndexError and more
        by_pillow = isinstance(error, (OSError, SyntaxError))
        message = _BYTES_LITERAL.sub(r"\1", str(error)) if by_pillow else ""
        if isinstance(error, MemoryError) or message.startswith(_OUT_OF_MEMORY):
            raise out_of_memory(limits, f"this {kind.name} image needs more") from error
        detail = f": {message}" if message else ""
        raise TruncatedImage(f"the {kind.name} image is incomplete or damaged{detail}") from error


def _open(kind: Format, data: bytes) -> ImageFile.ImageFile:
    picture = kind.plugin(io.BytesIO(data))
    picture.decodermaxblock = max(picture.decodermaxblock, len(data))  # in parts, what is left of each is copied again
    return picture


def _share_of_rows(kind: Format, picture: Image.Image, data: bytes) -> float:
    """The share of a JPEG's rows that do not depend on what comes after its last byte: its end, or other data."""
    other = _open(kind, data[:-2] + _FILLER + data[-2:])
    other.load()
    width, height = picture.size
    for top, bottom in _ranges(height, width):
        box = (0, top, width, bottom)
        differs = (np.asarray(picture.crop(box)) != np.asarray(other.crop(box))).reshape(bottom - top, -1).any(axis=1)
        if differs.any():
            return (top + int(differs.argmax())) / height
    return 1.0


def _ranges(lines: int, length: int) -> Iterator[tuple[int, int]]:
    """First and last + 1 of the lines of each block."""
    step = max(1, _BLOCK // length)
    for first in range(0, lines, step):
        yield first, min(first + step, lines)


class LoadedImage:
    """A decoded image, still as its file stores it; `blocks` converts it part by part.

    Attributes
    ----------
    height, width : int
        Size of the upright image.
    remarks : list of str
        What is wrong with the file, though it can be read: BAD_PROFILE, CUT_OFF.
    """

    def __init__(self, picture: ImageFile.ImageFile, container: Container, remarks: Sequence[str] = ()) -> None:
        self._picture = picture
        self._transposed, self._mirrored, self._upside_down = _TURNS[_orientation(picture, container)]
        self.width, self.height = picture.size[::-1] if self._transposed else picture.size
        self._levels: GreyScale | None = None
        if picture.mode[0] in "IF":
            levels = (np.asarray(picture.crop(box)) for box in self._boxes())
            self._levels = grey_scale(levels, self.width * self.height, _declared_white(picture, container))
        self.remarks = list(remarks)
        self._conversion = None
        profile = picture.info.get("icc_profile") if container.profile is None else container.profile
        if profile is not None:
            try:
                self._conversion = conversion(profile, "L" if self._levels else picture.mode)
            except UnusableProfile:
                self.remarks.append(BAD_PROFILE)
        self._ground = "white"
        if not self._levels and picture.has_transparency_data:
            self._ground = choose_ground(lambda ground: (self._rgb(box, ground) for box in self._boxes()))

    def blocks(self) -> Iterator[NDArray[np.uint8]]:
        """The upright RGB pixels from top to bottom: contiguous arrays `(rows, width, 3) uint8`."""
        for box in self._boxes():
            rows = np.asarray(self._rgb(box, self._ground))
            rows = rows.transpose(1, 0, 2) if self._transposed else rows
            rows = rows[:, ::-1] if self._mirrored else rows
            yield np.ascontiguousarray(rows[::-1] if self._upside_down else rows)

    def _boxes(self) -> Iterator[tuple[int, int, int, int]]:
        """Where the rows of each block are in the picture."""
        width, height = self._picture.size
        for top, bottom in _ranges(self.height, self.width):
            first, last = (self.height - bottom, self.height - top) if self._upside_down else (top, bottom)
            yield (first, 0, last, height) if self._transposed else (0, first, width, last)

    def _rgb(self, box: tuple[int, int, int, int], ground: str) -> Image.Image:
        part: Image.Image = self._picture
        if box != (0, 0, *part.size):
            part = part.crop(box)
        if self._levels:
            part = Image.fromarray(self._levels.apply(np.asarray(part)))
        return to_rgb(part, self._conversion, ground)


def _orientation(picture: ImageFile.ImageFile, container: Container) -> int:
    """The orientation that the first block of EXIF data with one says, else 1."""
    blocks = container.exif or [picture.info.get("exif") or b""]
    return next(filter(None, map(orientation, blocks)), 1)


def _declared_white(picture: ImageFile.ImageFile, container: Container) -> float | None:
    """The white level that the file declares; None if it is only the highest of all its bits."""
    tags = getattr(picture, "tag_v2", {})  # of TIFF
    bits = container.depth or _first_number(tags.get(_BITS_PER_SAMPLE)) or 16
    if bits < 16 and bits != 8:
        return float(2**bits - 1)
    whites = (_first_number(tags.get(tag)) for tag in _MAX_SAMPLE_VALUES)
    return next((white for white in whites if white and white != 2**bits - 1), None)


def _first_number(value: object) -> float | None:
    """The value of a TIFF tag, of its first sample; None for what is no number."""
    first = value[0] if isinstance(value, tuple) and value else value
    return float(first) if isinstance(first, numbers.Real) else None


def crop(image: NDArray[np.uint8], box: Sequence[float]) -> NDArray[np.uint8]:
    """The part of the image inside `box`, `(left, top, right, bottom)`, as a view.

    Four integers are pixels. If one of the four is a float, all are fractions of the width and height, widened to whole
    pixels; a mixture is allowed since JSON writes 0.0 as 0. InvalidCrop for anything else, and for a box that reaches
    outside the image or has no area; also for one in pixels with a side of less than 8, which is most likely meant as
    fractions: `(0, 0, 1, 1)` is one pixel.
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
    elif right - left < min(_LEAST_CROP, width) or bottom - top < min(_LEAST_CROP, height):
        raise InvalidCrop(
            f"a crop of whole numbers is in pixels and must have at least {_LEAST_CROP} a side, got {box!r}; "
            "write fractions of the image with a point, such as [0.0, 0.0, 1.0, 1.0]"
        )
    part: NDArray[np.uint8] = image[top:bottom, left:right]
    return part


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def resize_square(
    image: NDArray[np.uint8],
    size: int,
    resample: Image.Resampling = Image.Resampling.BILINEAR,
    fit: str = "stretch",
) -> NDArray[np.uint8]:
    """`(size, size, 3) uint8`, antialiased; the same array if it has that size. `fit` is one of FITS."""
    if image.shape[:2] == (size, size):
        return image
    picture, square = Image.fromarray(image), (size, size)
    if fit == "pad":
        return np.asarray(ImageOps.pad(picture, square, resample, color=(255, 255, 255)))
    if fit == "crop":
        return np.asarray(ImageOps.fit(picture, square, resample))
    return np.asarray(picture.resize(square, resample))


def reduced(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The image with at most `side` pixels on the longer side, never enlarged."""
    picture = Image.fromarray(image)
    picture.thumbnail((side, side))
    return np.asarray(picture)


def thumbnail(image: NDArray[np.uint8], side: int, quality: int = 85) -> bytes:
    """A JPEG of the image, reduced to at most `side` pixels on the longer side, never enlarged."""
    out = io.BytesIO()
    Image.fromarray(reduced(image, side)).save(out, "JPEG", quality=quality)
    return out.getvalue()
