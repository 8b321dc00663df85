"""Image files made to cost a decoder time or memory, and damaged ones, for tests and for `benchmarks/hostile.py`.

Each is a file of at most 20 MB. What is right: it is refused by a named error or read, in at most 2 s of processor time
and 500 MB.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

SIDE = 7000  # of pictures just within the limit on pixels
_FILE = 19_900_000  # bytes of a flood
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encode(picture: Image.Image, form: str, **options: Any) -> bytes:
    """A picture as an image file."""
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def small(form: str = "PNG", **options: Any) -> bytes:
    """A picture of 32 x 24 pixels that is no trouble."""
    levels = np.arange(32 * 24 * 3, dtype=np.uint32) * 2654435761 >> 24
    return encode(Image.fromarray(levels.astype(np.uint8).reshape(24, 32, 3)), form, **options)


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, kind: int = 2, bits: int = 8, *extra: bytes, interlaced: int = 0) -> bytes:
    """A black PNG of a colour type, with chunks before its pixels."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    packer, row = zlib.compressobj(1), bytes(1 + (width * channels * bits + 7) // 8)
    step = max(1, 1_000_000 // len(row))
    pixels = b"".join(packer.compress(row * min(step, height - top)) for top in range(0, height, step))
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced)
    return b"".join(
        [_SIGNATURE, chunk(b"IHDR", header), *extra, chunk(b"IDAT", pixels + packer.flush()), chunk(b"IEND", b"")]
    )


def with_chunks(chunks: bytes) -> bytes:
    """A small PNG with chunks before its pixels."""
    data = small()
    return data[:33] + chunks + data[33:]


def flat(form: str, width: int = SIDE, height: int = SIDE, **options: Any) -> bytes:
    """A large picture of one colour in a small file."""
    return encode(Image.new("RGB", (width, height), (40, 90, 160)), form, **options)


def repeated_scans(side: int, count: int) -> bytes:
    """A progressive JPEG whose last scan comes many times."""
    data = flat("JPEG", side, side, progressive=True, quality=60)
    last = data.rfind(b"\xff\xda")
    return data[:last] + data[last:-2] * count + b"\xff\xd9"


def jpeg_with(segments: bytes) -> bytes:
    """A small JPEG with bytes after its start marker."""
    data = small("JPEG")
    return data[:2] + segments + data[2:]


def gif_with(extensions: bytes) -> bytes:
    """A small GIF with extensions before its picture."""
    data = small("GIF")
    start = 13 + (3 << (data[10] & 7) + 1)
    return data[:start] + extensions + data[start:]


def tiff(tags: list[tuple[int, int, int, int]], after: bytes = b"", following: int = 0) -> bytes:
    """A little-endian TIFF of these entries (tag, type, count, value or offset), with data after its directory."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", following) + after


def float_giant(side: int, bits: int) -> bytes:
    """A grey TIFF of floats in one compressed strip."""
    pixels = zlib.compress(bytes(side * side * bits // 8), 1)
    strip = 8 + 2 + 11 * 12 + 4
    tags = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, bits), (259, 3, 1, 8), (262, 3, 1, 1)]
    tags += [(273, 4, 1, strip), (277, 3, 1, 1), (278, 4, 1, side), (279, 4, 1, len(pixels)), (339, 3, 1, 3)]
    return tiff([*tags, (284, 3, 1, 1)], pixels)


def strip_giant() -> bytes:
    """A TIFF of 16-bit RGBA, all of it in one compressed strip, which is unpacked at once."""
    pixels, side = zlib.compress(bytes(SIDE * SIDE * 8), 1), SIDE
    after = 8 + 2 + 11 * 12 + 4
    tags = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 4, after), (259, 3, 1, 8), (262, 3, 1, 2), (277, 3, 1, 4)]
    tags += [(273, 4, 1, after + 8), (278, 4, 1, side), (279, 4, 1, len(pixels)), (284, 3, 1, 1), (338, 3, 1, 2)]
    return tiff(tags, struct.pack("<4H", 16, 16, 16, 16) + pixels)


def many_strips(count: int) -> bytes:
    """A TIFF whose header lists more strips than it has rows."""
    strips = 8 + 2 + 9 * 12 + 4
    tags = [(256, 4, 1, 10), (257, 4, 1, 10), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]
    tags += [(273, 4, count, strips), (278, 4, 1, 1), (279, 4, count, strips)]
    return tiff(tags, struct.pack("<I", 8) * count)


def rle_flood() -> bytes:
    """A BMP whose every pixel is a run of its own."""
    side = 2800
    runs = b"\1\7" * side * side
    header = struct.pack(
        "<IIIIiiHHIIiiII", 54 + 1024 + len(runs), 0, 54 + 1024, 40, side, side, 1, 8, 1, 0, 0, 0, 256, 0
    )
    return b"BM" + header + bytes(1024) + runs


def exif_flood() -> bytes:
    """EXIF data with as many entries as its counter allows."""
    entries = struct.pack("<HHII", 0x9999, 2, 0xFFFFFFFF, 0xFFFFFFFF) * 5000
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + entries
    return jpeg_with((b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif) * 300)


def bomb(kind: bytes, beginning: bytes) -> bytes:
    """A PNG with a chunk that unpacks to a gigabyte."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1000)) + packer.flush()
    return with_chunks(chunk(kind, beginning + packed))


def animation(form: str, frames: int) -> bytes:
    """An animation of small frames."""
    pictures = [Image.new("RGB", (8, 8), (number % 251, number % 241, 9)) for number in range(frames)]
    return encode(pictures[0], form, save_all=True, append_images=pictures[1:])


def cut(form: str, share: float) -> bytes:
    """The beginning of a photo-like file."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise).resize((800, 600)), form)
    return data[: int(len(data) * share)]


COSTLY: dict[str, Callable[[], bytes]] = {
    "3000 scans": lambda: repeated_scans(800, 3000),
    "90 scans of 49 million pixels": lambda: repeated_scans(SIDE, 90),
    "fill bytes before the picture": lambda: jpeg_with(b"\xff" * _FILE),
    "fill bytes in the picture": lambda: flat("JPEG", 2000, 2000)[:-2] + b"\xff" * _FILE,
    "nothing but FF": lambda: b"\xff\xd8" + b"\xff" * _FILE,
    "empty APP1 segments": lambda: jpeg_with(b"\xff\xe1\0\2" * (_FILE // 4)),
    "empty quantisation tables": lambda: jpeg_with(b"\xff\xdb\0\2" * (_FILE // 4)),
    "EXIF entries": exif_flood,
    "junk before the picture": lambda: jpeg_with(b"junk" * (_FILE // 4)),
    "restart markers": lambda: flat("JPEG", 2000, 2000)[:-2] + b"\xff\xd0" * (_FILE // 2) + b"\xff\xd9",
    "progressive 8000 x 6000": lambda: flat("JPEG", 8000, 6000, progressive=True, subsampling=0),
    "empty tEXt chunks": lambda: with_chunks(chunk(b"tEXt", b"") * (_FILE // 12)),
    "empty IDAT chunks": lambda: with_chunks(chunk(b"IDAT", b"") * (_FILE // 12)),
    "private chunks": lambda: with_chunks(chunk(b"prVt", b"xy") * (_FILE // 14)),
    "zTXt bomb": lambda: bomb(b"zTXt", b"Comment\0\0"),
    "iCCP bomb": lambda: bomb(b"iCCP", b"profile\0\0"),
    "IDAT bomb": lambda: bomb(b"IDAT", b""),
    "16-bit RGBA": lambda: png(SIDE, SIDE, 6, 16),
    "16-bit RGB, interlaced": lambda: png(SIDE, SIDE, 2, 16, interlaced=1),
    "50,000,000 x 1": lambda: png(50_000_000, 1),
    "1 x 50,000,000": lambda: png(1, 50_000_000),
    "one bit, 65,501 x 1": lambda: png(65_501, 1, 0, 1),
    "comments of one byte": lambda: gif_with(b"!\xfe" + b"\1x" * (_FILE // 2) + b"\0"),
    "empty comments": lambda: gif_with(b"!\xfe\0" * (_FILE // 3)),
    "comments": lambda: gif_with((b"!\xfe" + (b"\xff" + b"c" * 255) * 100 + b"\0") * (_FILE // 25_604)),
    "junk before the frame": lambda: gif_with(b"\x07" * _FILE),
    "GIF of 7000 x 7000": lambda: flat("GIF"),
    "GIF of 2000 frames": lambda: animation("GIF", 2000),
    "WebP of 7000 x 7000": lambda: flat("WEBP", lossless=True, method=0),
    "WebP of 500 frames": lambda: animation("WEBP", 500),
    "AVIF of 5000 x 5000": lambda: flat("AVIF", 5000, 5000, speed=10),
    "floats of 32 bits": lambda: float_giant(SIDE, 32),
    "floats of 64 bits": lambda: float_giant(SIDE, 64),
    "16-bit RGBA in one strip": strip_giant,
    "strips": lambda: many_strips(4_900_000),
    "directory that follows itself": lambda: tiff([(256, 4, 1, 10), (257, 4, 1, 10)], following=8),
    "entries that lie": lambda: tiff([(number, 2, 0xFFFFFFF0, 8) for number in range(1, 5000)]),
    "TIFF of 7000 x 7000": lambda: flat("TIFF", compression="tiff_lzw"),
    "runs of one pixel": rle_flood,
}
"""Files that cost a decoder much, by what they have too much of."""

DAMAGED: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"<html>no picture</html>",
    "zeros": lambda: bytes(5000),
    **{f"half a {form}": partial(cut, form, 0.5) for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")},
    **{f"header of a {form}": partial(cut, form, 0.005) for form in ("JPEG", "PNG", "GIF", "TIFF")},
}
"""Files that are no picture, or only a part of one."""
