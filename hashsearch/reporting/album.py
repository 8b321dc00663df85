"""Thumbnails for the page, as data addresses, within a budget of bytes."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import HashsearchError
from hashsearch.images import decoding as images

# Of a picture's pixels and its entry, the pixels to show.
Develop = Callable[[NDArray[np.uint8], Mapping[str, Any]], NDArray[np.uint8]]

SIDE = 96
QUALITY = 70


class Album:
    """Pictures of a comparison by their entries in `task.json`, made small once and kept.

    `budget` is how many bytes all of them may add to the page, `side` how many pixels the longer side of each has at
    most, `develop` what is done to its pixels first. `missing` counts pictures whose file is not there or cannot be
    read, `left_out` those that the budget had no room for.
    """

    def __init__(self, budget: int, side: int = SIDE, develop: Develop | None = None) -> None:
        self.budget = budget
        self.side = side
        self._develop = develop
        self.missing = 0
        self.left_out = 0
        self._made: dict[tuple[str, str], str | None] = {}

    def picture(self, entry: Mapping[str, Any]) -> str | None:
        """The `data:` address of a picture, distorted as it was as a query; None without one."""
        key = str(entry.get("path", "")), str(entry.get("distortion"))
        if key not in self._made:
            self._made[key] = self._make(entry)
        address = self._made[key]
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
            image = images.decode(Path(entry["path"]).read_bytes())
            if self._develop:
                image = self._develop(image, entry)
            small = images.thumbnail(image, self.side, QUALITY)
        except (HashsearchError, OSError, KeyError):
            return None  # a report without this picture is still a report
        return "data:image/jpeg;base64," + base64.b64encode(small).decode()
