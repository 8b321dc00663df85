"""The bytes of an image, wherever a catalog says that it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hashsearch.errors import Unreadable
from hashsearch.images.decoding import DEFAULT, Limits

if TYPE_CHECKING:
    pass


def read_source(source: str, limits: Limits = DEFAULT, *, allow_private: bool = False) -> bytes:
    """The bytes of a file or an http(s) address; FetchError or Unreadable when they cannot be had."""
    if source.startswith(("http://", "https://")):
        from hashsearch.images.fetching import fetch

        return fetch(source, limits, allow_private=allow_private)
    try:
        with Path(source).open("rb") as file:
            return file.read(limits.max_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise Unreadable(f"the image file cannot be read: {error}") from error


def file_within(path: str | None, roots: Sequence[Path]) -> Path | None:
    """The file at an absolute path that lies, with links followed, inside one of the folders; else None."""
    if not path or not Path(path).is_absolute():
        return None
    try:
        file = Path(path).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # gone, a loop of links, a zero byte in it
        return None
    return file if file.is_file() and any(file.is_relative_to(root.resolve()) for root in roots) else None
