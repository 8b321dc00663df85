"""What a hit tells of its image, whatever was searched by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hashsearch.elastic.document import DESCRIBED


@dataclass(frozen=True)
class FoundImage:
    """What is stored of a found image; each way to search adds how it was found."""

    id: str
    uri: str | None
    title: str | None
    category: str | None
    attributes: Mapping[str, Any]
    width: int | None
    height: int | None

    def as_dict(self) -> dict[str, Any]:
        """The hit as JSON holds it: its id, how it was found, what is stored of it."""
        told = asdict(self)
        stored = {name: told.pop(name) for name in DESCRIBED}
        return {**told, **stored}
