"""Images from files and addresses: one reader with size limits and a guard against private addresses."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import Unreadable
from hashsearch.images.decoders import DECODERS
from hashsearch.images.embedded import is_embedded, read_embedded
from hashsearch.images.limits import DEFAULT, Limits

_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_FILE_ADDRESS = re.compile(r"file:(//(localhost)?)?/", re.IGNORECASE)  # of this machine
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class ImageReader:
    """Reads images from files and from http(s) addresses, within limits.

    `Settings.image_reader` is the reader with the limits of the settings. Images are decoded in processes of their own,
    which all readers of a process share: a decoder that takes too much time or memory is ended.

    Parameters
    ----------
    limits : Limits
        What one image may cost.
    allow_private : bool
        Whether to fetch from addresses that are not public, such as those of a local network.
    """

    limits: Limits = DEFAULT
    allow_private: bool = False

    def read(self, source: str) -> bytes:
        """Read the bytes of an image.

        Parameters
        ----------
        source : str
            Path of a file, an address that begins with ``http://``, ``https://`` or ``file://``, or the place of an
            image in a Parquet file, ``FILE.parquet#ROW/COLUMN``; in any spelling that `located` takes.

        Returns
        -------
        bytes
            The content. Of a file that exceeds the byte limit, one byte more than the limit, which `decode` refuses.

        Raises
        ------
        Unreadable
            If the file cannot be opened or read, or is no regular file.
        FetchError
            If the address is not public or cannot be fetched within the limits.
        """
        place = located(source)
        if is_address(place):
            from hashsearch.images.fetching import fetch

            return fetch(place, self.limits, allow_private=self.allow_private)
        if is_embedded(place):
            return read_embedded(place)
        try:
            return _read_file(place, self.limits.max_bytes + 1)
        except (OSError, ValueError) as error:  # ValueError: a path with a null character
            reason = getattr(error, "strerror", None) or error  # without Python's number of the error
            raise Unreadable(f"the image file cannot be read: {reason}: '{place}'") from error

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        """Decode the bytes of an image, as `hashsearch.images.decoding.decode` does, in a process of its own.

        Parameters
        ----------
        data : bytes
            Content of an image file.

        Returns
        -------
        ndarray of shape (height, width, 3), dtype uint8
            RGB pixels, read-only.

        Raises
        ------
        ImageError
            If the bytes are not an image, or exceed the limits; ImageTooCostly if decoding takes more processor time or
            memory than the limits allow.
        """
        return DECODERS.decode(data, self.limits)

    def decoded(self, data: bytes, least_side: int = 0) -> AbstractContextManager[NDArray[np.uint8]]:
        """`decode` for many threads: the pixels are to be used within a `with` block and not kept after it.

        The blocks of all threads together may have 64 million pixels; others wait before they get theirs. A block must
        not decode another image. With a `least_side`, a large JPEG is decoded at a part of its size, which is faster,
        with at least so many pixels on its longer side.
        """
        return DECODERS.decoded(data, self.limits, least_side)

    def pixels(self, source: str) -> NDArray[np.uint8]:
        """Read and decode an image.

        Parameters
        ----------
        source : str
            Path of a file, or an address that begins with ``http://``, ``https://`` or ``file://``.

        Returns
        -------
        ndarray of shape (height, width, 3), dtype uint8
            RGB pixels, read-only.

        Raises
        ------
        ImageError
            If the file cannot be read, is not an image, or exceeds the limits.
        FetchError
            If the address is not public or cannot be fetched within the limits.
        """
        return self.decode(self.read(source))


DEFAULT_READER = ImageReader()


def remarks() -> Counter[str]:
    """How many of the images decoded so far had which fault that does not prevent reading them."""
    return DECODERS.remarks


def is_address(source: str) -> bool:
    """Whether an image is fetched from there: an http(s) address in any capitals."""
    return bool(_ADDRESS.match(source.strip()))


def located(source: str, folder: Path | None = None) -> str:
    """A source in its usual spelling: an address without blanks around it, else the path of a file.

    A relative path starts at `folder`, if one is given. Where no file is, other spellings are tried: without blanks
    around the names, and with composed or decomposed letters (é is one character or two; tables and file systems
    differ). A path that leads to a file in none of them comes back as it is.
    """
    stripped = source.strip()
    if is_address(stripped):
        scheme, rest = stripped.split(":", 1)
        return f"{scheme.lower()}:{rest}"
    if found := _FILE_ADDRESS.match(stripped):
        source = stripped = unquote(stripped[found.end() - 1 :], errors="surrogateescape")
    path, bare = (Path(text) if folder is None else folder / text for text in (source, stripped))
    if source == stripped and source.isascii():
        return str(path)  # which has no other spelling: catalogs have millions
    if _exists(path):
        return str(path)
    return str(_in_other_spelling(bare) or path)


def _in_other_spelling(path: Path) -> Path | None:
    """The path of something that exists and differs in blanks around names, or in composed letters; else None."""
    existing = Path(path.anchor)
    for name in path.parts[bool(path.anchor) :]:
        bare = name.strip()
        spellings = (existing / text for text in (name, _nfc(name), _nfd(name), bare, _nfc(bare), _nfd(bare)) if text)
        spelled = next(filter(_exists, spellings), None)
        if spelled is None:
            return None
        existing = spelled
    return existing


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (OSError, ValueError):  # ValueError: a null character
        return False
    return True


def _read_file(path: str, size: int) -> bytes:
    """At most this many bytes of a regular file; a pipe would be waited for, a device may never end."""
    _check_regular(path, Path(path).stat().st_mode)
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123
        _check_regular(path, os.fstat(file.fileno()).st_mode)  # it may have been exchanged meanwhile
        return file.read(size)


def _check_regular(path: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise Unreadable(f"an image must be a regular file, and '{path}' is {kind}")


def file_within(path: str | None, roots: Sequence[Path]) -> Path | None:
    """The file at an absolute path if it is inside one of the folders after symbolic links are resolved, else None."""
    file = path_within(path, roots)
    try:
        return file if file and file.is_file() else None
    except OSError:  # a folder that may not be read, or too long a name
        return None


def path_within(path: str | None, roots: Sequence[Path]) -> Path | None:
    """An absolute path, links resolved, if it is inside one of the folders, else None; no file need be there."""
    if not path or not Path(path).is_absolute():
        return None
    try:
        resolved = Path(path).resolve()
    except (RuntimeError, ValueError):  # a loop of links, a null character
        return None
    return resolved if any(resolved.is_relative_to(root.resolve()) for root in roots) else None
