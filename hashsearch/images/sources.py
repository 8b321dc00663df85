"""Images from files and addresses: one reader with size limits and a guard against private addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import Unreadable
from hashsearch.images.decoding import DEFAULT, Limits, decode
from hashsearch.images.embedded import is_embedded, read_embedded


@dataclass(frozen=True)
class ImageReader:
    """Reads images from files and from http(s) addresses, within limits.

    `Settings.image_reader` is the reader with the limits of the settings.

    Parameters
    ----------
    limits : Limits
        Largest number of bytes and of pixels of an image.
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
            Path of a file, an address that begins with ``http://`` or ``https://``, or the place of an image in a
            Parquet file, ``FILE.parquet#ROW/COLUMN``.

        Returns
        -------
        bytes
            The content. Of a file that exceeds the byte limit, one byte more than the limit, which `decode` refuses.

        Raises
        ------
        Unreadable
            If the file cannot be opened or read.
        FetchError
            If the address is not public or cannot be fetched within the limits.
        """
        if source.startswith(("http://", "https://")):
            from hashsearch.images.fetching import fetch

            return fetch(source, self.limits, allow_private=self.allow_private)
        if is_embedded(source):
            return read_embedded(source)
        try:
            with Path(source).open("rb") as file:
                return file.read(self.limits.max_bytes + 1)
        except (OSError, ValueError) as error:  # ValueError: a path with a null character
            raise Unreadable(f"the image file cannot be read: {error}") from error

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        """Decode the bytes of an image, as `hashsearch.images.decoding.decode` does, within the limits of this reader.

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
            If the bytes are not an image, or exceed the limits.
        """
        return decode(data, self.limits)

    def pixels(self, source: str) -> NDArray[np.uint8]:
        """Read and decode an image.

        Parameters
        ----------
        source : str
            Path of a file, or an address that begins with ``http://`` or ``https://``.

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


def file_within(path: str | None, roots: Sequence[Path]) -> Path | None:
    """The file at an absolute path if it is inside one of the folders after symbolic links are resolved, else None."""
    if not path or not Path(path).is_absolute():
        return None
    try:
        file = Path(path).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # missing, a loop of links, a null character
        return None
    return file if file.is_file() and any(file.is_relative_to(root.resolve()) for root in roots) else None
