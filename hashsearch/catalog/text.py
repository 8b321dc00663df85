"""Text files, gzipped or not, in UTF-8 or in the UTF-16 and UTF-32 that spreadsheets export."""

from __future__ import annotations

import codecs
import gzip
from pathlib import Path
from typing import IO

_MARKS = (  # UTF-32 first: its little-endian mark begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HEAD = 64


def open_text(path: Path, errors: str) -> IO[str]:
    """A text file to read, its line ends as they are; `errors` is how to decode bytes that break the encoding."""
    zipped = path.suffix.lower() == ".gz"
    with gzip.open(path) if zipped else path.open("rb") as file:
        encoding = encoding_of(file.read(_HEAD))
    if zipped:
        return gzip.open(path, "rt", encoding=encoding, errors=errors, newline="")
    return path.open(encoding=encoding, errors=errors, newline="")


def encoding_of(head: bytes) -> str:
    """The encoding of a text by its first 64 bytes, or fewer if it is shorter: by the byte order mark, else by zeros.

    Names of columns are mostly ASCII, where every second byte of UTF-16 is zero. UTF-8 where neither fits.
    """
    guess = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None) or _by_zeros(head)
    try:
        codecs.getincrementaldecoder(guess)().decode(head, final=len(head) < _HEAD)
    except UnicodeDecodeError:
        return "utf-8-sig"
    return guess


def _by_zeros(head: bytes) -> str:
    first, second = head[::2].count(0), head[1::2].count(0)
    if 4 * max(first, second) > len(head):
        if second > 4 * first:
            return "utf-16-le"
        if first > 4 * second:
            return "utf-16-be"
    return "utf-8-sig"
