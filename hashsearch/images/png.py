"""The picture of a PNG file, without text, times and private chunks.

A chunk that is no part of the picture and has a wrong checksum is ignored, as browsers do.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from hashsearch.errors import ImageTooCostly
from hashsearch.images.container import Container

MAX_CHUNKS = 65_536
_MAX_PROFILE = 8_000_000  # bytes
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY = (b"\0", b"\4")  # colour types


def read_png(data: bytes) -> Container:
    """The parts of a PNG file; ImageTooCostly with too many chunks."""
    kept, pixels = [_SIGNATURE], list[bytes]()
    others: dict[bytes, bytes] = {}
    place = 0
    for kind, start, end in _chunks(data):
        body = data[start + 8 : end - 4]
        if kind == b"IDAT":
            place = place or len(kept)
            pixels.append(body)
        elif _is_critical(kind):
            kept.append(data[start:end])
        elif zlib.crc32(data[start + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            others.setdefault(kind, b"")
        elif kind == b"tRNS":
            kept.append(data[start:end])
        else:
            others.setdefault(kind, body)
    if place:
        kept.insert(place, _chunk(b"IDAT", b"".join(pixels)))
    kept.append(_chunk(b"IEND", b""))
    return Container(
        picture=b"".join(kept),
        exif=[others[b"eXIf"]] if b"eXIf" in others else [],
        profile=_profile(others[b"iCCP"]) if b"iCCP" in others else None,
        depth=others[b"sBIT"][0] if others.get(b"sBIT") and data[25:26] in _GREY else None,
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk before the end of the picture; of the last one perhaps only a part is there."""
    position = len(_SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if position + 8 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"IEND":
            return
        end = position + 12 + length
        yield kind, position, end
        position = end
    raise ImageTooCostly(f"a PNG image may have at most {MAX_CHUNKS} chunks, got more")


def _is_critical(kind: bytes) -> bool:
    return not kind[0] & 0x20


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _profile(body: bytes) -> bytes:
    """The colour profile in a chunk; empty if it is damaged or too long."""
    _, _, rest = body.partition(b"\0")
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(rest[1:], _MAX_PROFILE)
    except zlib.error:
        return b""
    return b"" if inflater.unconsumed_tail else profile
