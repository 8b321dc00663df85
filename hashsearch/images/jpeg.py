"""The picture of a JPEG file, without its application data and comments.

Checked before it is decoded: the number of segments and scans, for each scan of a progressive JPEG passes over all of
its pixels, and what its coefficients take in memory.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from hashsearch.errors import ImageTooCostly, TruncatedImage
from hashsearch.images.container import Container

MAX_SEGMENTS, MAX_SCANS = 10_000, 100
_MAX_GAP = 65_536  # bytes between two segments, which decoders skip
_START, _END, _SCAN = b"\xff\xd8", b"\xff\xd9", b"\xff\xda"
_EXIF, _PROFILE = b"Exif\0", b"ICC_PROFILE\0"
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_MARKER_AFTER_DATA = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # other than restart markers
_NOT_MARKERS = (0x00, 0xFF)
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_APPLICATION, _COMMENT = range(0xE0, 0xF0), 0xFE
_COLOURS = {0xE0: (b"JFIF\0", 16), 0xEE: (b"Adobe", 16)}  # application data that says how colours are stored


def read_jpeg(data: bytes) -> Container:
    """The parts of a JPEG file; TruncatedImage without a picture, ImageTooCostly with too many segments or scans."""
    kept, exif, profile, frame = [_START], list[bytes](), dict[int, bytes](), None
    for marker, start, end in _segments(data):
        if marker == _SCAN[1]:
            scans, ended = start, data.rfind(_END, start) >= 0
            break
        if marker in _FRAMES:
            frame = marker, data[start + 4 : end]
        if marker not in _APPLICATION:
            if marker != _COMMENT:
                kept.append(data[start:end])
        elif marker in _COLOURS:
            if end - start >= _COLOURS[marker][1] and data.startswith(_COLOURS[marker][0], start + 4):
                kept.append(data[start:end])
        elif marker == 0xE1 and data.startswith(_EXIF, start + 4):
            exif.append(data[start + 10 : end])
        elif marker == 0xE2 and end - start >= 18 and data.startswith(_PROFILE, start + 4):
            profile[data[start + 16]] = data[start + 18 : end]
    else:
        raise TruncatedImage("the JPEG image is incomplete or damaged: it has no picture")
    if data.count(_SCAN, scans) > MAX_SCANS:
        _check_scans(data, scans)
    return Container(
        picture=b"".join([*kept, data[scans:] if ended else data[scans:].rstrip(b"\xff") + _END]),
        exif=exif,
        profile=b"".join(profile[number] for number in sorted(profile)) if profile else None,
        coefficients=_coefficients(*frame, data[scans : scans + 5]) if frame else 0,
        ended=ended,
        resumable=not ended and frame is not None and _only_refinement_is_missing(*frame, data, scans),
    )


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment up to the first scan's header."""
    position, size = len(_START), len(data)
    for _ in range(MAX_SEGMENTS):
        marker = data[position + 1] if position + 4 <= size and data[position] == 0xFF else 0
        if marker in _NOT_MARKERS:  # fill bytes, or data that belongs nowhere
            found = _MARKER.search(data, position, position + _MAX_GAP)
            if not found:
                return
            position, marker = found.start(), data[found.start() + 1]
        if marker == _END[1]:
            return
        end = position + 2 if marker in _ALONE else _end(data, position)
        yield marker, position, end
        position = end
    raise ImageTooCostly(f"a JPEG image may have at most {MAX_SEGMENTS} segments before its picture, got more")


def _end(data: bytes, start: int) -> int:
    """Where a segment ends; TruncatedImage if it is longer than the file."""
    if start + 4 <= len(data):
        length = data[start + 2] << 8 | data[start + 3]
        if length >= 2 and start + 2 + length <= len(data):
            return start + 2 + length
    raise TruncatedImage("the JPEG image is incomplete or damaged: a segment ends after the file")


def _scans(data: bytes, position: int) -> Iterator[bytes]:
    """The header of each scan, from the first one on."""
    for _ in range(MAX_SEGMENTS):
        marker = data[position + 1]
        if marker == _END[1]:
            return
        try:
            end = position + 2 if marker in _ALONE else _end(data, position)
        except TruncatedImage:
            return
        if marker == _SCAN[1]:
            yield data[position + 4 : end]
        found = _MARKER_AFTER_DATA.search(data, end)
        if not found:
            return
        position = found.start()
    raise ImageTooCostly(f"a JPEG image may have at most {MAX_SEGMENTS} segments, got more")


def _check_scans(data: bytes, scans: int) -> None:
    for number, _ in enumerate(_scans(data, scans), 1):
        if number > MAX_SCANS:
            raise ImageTooCostly(f"a JPEG image may have at most {MAX_SCANS} scans, got more")


def _components(frame: bytes) -> list[tuple[int, int, int]]:
    """Name and sampling factors of each component."""
    return [(name, factors >> 4, factors & 15) for name, factors, _ in zip(*[iter(frame[6:])] * 3)]


def _coefficients(kind: int, frame: bytes, scan: bytes) -> int:
    """Bytes of the coefficients, which a decoder keeps of a JPEG with several scans: 2 for each."""
    components = _components(frame)
    if len(frame) < 6 or len(scan) < 5 or not components:
        return 0
    if kind not in _PROGRESSIVE and scan[4] == len(components):
        return 0
    height, width = struct.unpack_from(">HH", frame, 1)
    widest, highest = (max(1, *(factors[axis] for factors in components), 1) for axis in (1, 2))
    return sum(2 * width * across // widest * height * down // highest for _, across, down in components)


def _only_refinement_is_missing(kind: int, frame: bytes, data: bytes, scans: int) -> bool:
    """Whether each coefficient of a progressive JPEG is there, though perhaps not its last bit everywhere."""
    if kind not in _PROGRESSIVE:
        return False
    missing = {(name, place) for name, _, _ in _components(frame) for place in range(64)}
    refined = False
    for header in _scans(data, scans):
        names, (first, last, bits) = header[1 : 1 + 2 * header[0] : 2], header[-3:]
        refined = bits >> 4 > 0
        if bits & 15 == 0:
            missing -= {(name, place) for name in names for place in range(first, last + 1)}
    return refined and not missing
