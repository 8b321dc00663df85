"""Thumbnails for a page, as `data:` addresses, within a budget of bytes."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import HashsearchError
from hashsearch.images.decoding import thumbnail
from hashsearch.images.sources import DEFAULT_READER, ImageReader

# (pixels, entry) -> the pixels to show
Develop = Callable[[NDArray[np.uint8], Mapping[str, Any]], NDArray[np.uint8]]

SIDE = 96
QUALITY = 70


class Album:
    """Thumbnails of images by their entries, which have a `path`; each is made once.

    All together add at most `budget` bytes to the page, and none has a side of more than `side` pixels. `develop`
    changes the pixels first, `reader` reads the files. `missing` counts images whose file is missing or
    unreadable, `left_out` those that did not fit into the budget.
    """

    def __init__(
        self, budget: int, side: int = SIDE, develop: Develop | None = None, reader: ImageReader = DEFAULT_READER
    ) -> None:
        self.budget = budget
        self.side = side
        self._develop = develop
        self._reader = reader
        self.missing = 0
        self.left_out = 0
        self._thumbnails: dict[tuple[str, str], str | None] = {}

    def picture(self, entry: Mapping[str, Any]) -> str | None:
        """The `data:` address of an image's thumbnail; None if it is missing or left out."""
        key = str(entry.get("path", "")), str(entry.get("distortion"))
        if key not in self._thumbnails:
            self._thumbnails[key] = self._make(entry)
        address = self._thumbnails[key]
        if address is None:
            self.missing += 1
        elif len(address) > self.budget:
            self.left_out += 1
            return None
        else:
            self.budget -= len(address)
        return address

    def _make(self, entry: Mapping[str, Any]) -> str | None:
        try:
            image = self._reader.pixels(str(entry["path"]))
            if self._develop:
                image = self._develop(image, entry)
            small = thumbnail(image, self.side, QUALITY)
        except (HashsearchError, KeyError):
            return None  # shown without a thumbnail
        return "data:image/jpeg;base64," + base64.b64encode(small).decode()
