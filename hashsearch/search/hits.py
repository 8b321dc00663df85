"""What a hit tells of its image, whatever was searched by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_STORED = ("uri", "title", "category", "attributes", "width", "height")


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
        stored = {name: told.pop(name) for name in _STORED}
        return {**told, **stored}


def described(hit: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a FoundImage, of a hit as Elasticsearch gives it."""
    source = hit["_source"]
    told = {name: source.get(name) for name in _STORED}
    return {"id": hit["_id"], **told, "attributes": source.get("attributes", {})}
