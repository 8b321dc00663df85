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
    """The encoding of a text that begins with these bytes: by its byte order mark, else by its zeros, else UTF-8.

    Names of columns are mostly ASCII, where every second byte of UTF-16 is zero.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    zeros_first, zeros_second = head[::2].count(0), head[1::2].count(0)
    if zeros_second * 4 > len(head) and not zeros_first:
        return "utf-16-le"
    if zeros_first * 4 > len(head) and not zeros_second:
        return "utf-16-be"
    return "utf-8-sig"
