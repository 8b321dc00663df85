"""What an image file holds besides its picture: EXIF data, a colour profile, the depth of its grey levels.

Files carry text, comments, thumbnails and application data, none of which changes the picture, but all of which can be
damaged, or so many that reading them takes hours. JPEG, PNG and GIF files are therefore reduced to their picture before
a decoder gets them (`jpeg`, `png` and `gif`); of the other formats the decoder reads the rest itself.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

_ORIENTATION = 0x0112
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}  # by the number of the TIFF field type


@dataclass(frozen=True)
class Container:
    """An image file in parts.

    Parameters
    ----------
    picture : bytes
        The file with its picture alone.
    exif : list of bytes
        Blocks of EXIF data, in the order of the file.
    profile : bytes, optional
        ICC colour profile; empty if it is too damaged to be read.
    depth : int, optional
        Significant bits of grey levels, as the file declares them.
    coefficients : int
        Bytes that the decoder keeps beside the pixels.
    ended : bool
        Whether the end marker is there, for formats that can be read without.
    resumable : bool
        Without an end marker: whether what is missing only refines the picture.
    """

    picture: bytes = field(repr=False)
    exif: list[bytes] = field(default_factory=list, repr=False)
    profile: bytes | None = field(default=None, repr=False)
    depth: int | None = None
    coefficients: int = 0
    ended: bool = True
    resumable: bool = False


def orientation(exif: bytes) -> int | None:
    """The orientation in a block of EXIF data, 1 to 8; None if it has none.

    Only the entry of the orientation is read, so that others may be damaged.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return None
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, _ = struct.unpack_from(f"{order}HHI", tiff, entry)
            if tag == _ORIENTATION and kind in _INTEGERS:
                (value,) = struct.unpack_from(order + _INTEGERS[kind], tiff, entry + 8)
                if 1 <= value <= 8:
                    return int(value)
    except struct.error:  # the directory or an entry lies behind the end
        pass
    return None
