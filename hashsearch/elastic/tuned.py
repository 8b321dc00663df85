"""What an index was tuned to, kept in `_meta` of its mapping, so that it belongs to that index only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Tuned:
    """The strategy and its limits that reached a recall of `target` when `hashsearch tune` measured them.

    `recall` is the measured recall of the `k` nearest without filters, `images` the size of the index then, `at` the
    time in UTC. Cells use `compared`, blocks use `probes`, other strategies neither.
    """

    strategy: str
    candidates: int
    compared: int | None
    probes: int | None
    k: int
    target: float
    recall: float
    images: int
    at: str

    @classmethod
    def of(cls, descriptions: Mapping[str, Any]) -> Tuned | None:
        """What all of these indices were tuned to; None if some were not, or if they differ.

        Values with other fields, which another version wrote, are ignored until the index is tuned again.
        """
        saved = [description["mappings"]["_meta"].get("search") for description in descriptions.values()]
        names = {field.name for field in fields(cls)}
        if not saved[0] or saved[0].keys() != names or any(other != saved[0] for other in saved):
            return None
        return cls(**saved[0])
