"""What a model's index contains, counted now and then: each count looks at the whole index, too much for every page."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from hashsearch.elastic.image_index import ImageIndex

SECONDS = 30.0  # how long an inventory is used


@dataclass(frozen=True)
class Inventory:
    """Number of images, in all and by category, at a time."""

    time: float
    count: int
    categories: dict[str, int]


class InventoryCache:
    """The latest inventory of one index, for several threads; `clock` gives a time in seconds."""

    def __init__(self, index: ImageIndex, clock: Callable[[], float]) -> None:
        self._index = index
        self._clock = clock
        self._counting = threading.Lock()
        self._latest: Inventory | None = None

    def latest(self) -> Inventory:
        """An inventory of the last 30 seconds, older only while another thread counts; StoreError if this fails."""
        latest = self._latest
        if latest and (self._is_recent(latest) or self._counting.locked()):
            return latest
        with self._counting:
            if not (self._latest and self._is_recent(self._latest)):
                self._latest = Inventory(self._clock(), self._index.count(), self._index.categories())
            return self._latest

    def _is_recent(self, inventory: Inventory) -> bool:
        return self._clock() - inventory.time < SECONDS
