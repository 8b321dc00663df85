"""The image formats that can be read, each known by its first bytes and opened by one Pillow plug-in.

A plug-in is called directly instead of `Image.open`, so that no other format can be opened and the pixel limit does not
depend on `PIL.Image.MAX_IMAGE_PIXELS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from hashsearch.errors import NotAnImage
from hashsearch.images.container import Container
from hashsearch.images.gif import read_gif
from hashsearch.images.jpeg import read_jpeg
from hashsearch.images.png import read_png


@dataclass(frozen=True)
class Format:
    """An image format.

    Parameters
    ----------
    name : str
        Its name in messages.
    beginning : pattern
        What its files begin with.
    plugin : type
        Pillow's class for it.
    read : callable
        Takes a file apart.
    bytes_per_pixel : int
        Memory that the decoder needs for each pixel.
    """

    name: str
    beginning: re.Pattern[bytes]
    plugin: type[ImageFile.ImageFile]
    read: Callable[[bytes], Container] = Container
    bytes_per_pixel: int = 4


# Any text may begin with BM; the size of the second header identifies a bitmap. Some AVIF files call themselves so only
# among their compatible brands, of which 12 are looked at. Pillow's decoder of WebP keeps four copies of a picture.
FORMATS = (
    Format("JPEG", re.compile(rb"\xff\xd8\xff"), JpegImagePlugin.JpegImageFile, read_jpeg),
    Format("PNG", re.compile(rb"\x89PNG\r\n\x1a\n"), PngImagePlugin.PngImageFile, read_png),
    Format("WebP", re.compile(rb"RIFF....WEBP", re.DOTALL), WebPImagePlugin.WebPImageFile, bytes_per_pixel=16),
    Format(
        "AVIF",
        re.compile(rb"....ftyp(avi[fs]|(mif1|msf1|miaf)....(....){0,11}?avi[fs])", re.DOTALL),
        AvifImagePlugin.AvifImageFile,
    ),
    Format("GIF", re.compile(rb"GIF8[79]a"), GifImagePlugin.GifImageFile, read_gif),
    Format(
        "BMP",
        re.compile(rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL),
        BmpImagePlugin.BmpImageFile,
    ),
    Format("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]"), TiffImagePlugin.TiffImageFile),
)

_HEIC = re.compile(rb"....ftyp(he[iv][cx]|hevc|mif1|msf1)", re.DOTALL)  # what phones write and Pillow cannot read


def format_of(head: bytes) -> Format | None:
    """The format of an image by its first bytes, at least 64 of them or all; None if it is none of the formats."""
    return next((known for known in FORMATS if known.beginning.match(head)), None)


def detect_format(data: bytes) -> Format:
    """The format of an image file; NotAnImage for other data."""
    if known := format_of(data):
        return known
    names = ", ".join(known.name for known in FORMATS)
    described = "a HEIC image" if _HEIC.match(data) else f"a file that begins with {_preview(data[:12])}"
    raise NotAnImage(f"an image must be one of {names}, got {described}")


def _preview(data: bytes) -> str:
    text = data.decode("ascii", "replace")
    return f"'{text}'" if text.isascii() and text.isprintable() else f"the bytes {data.hex(' ')}"
