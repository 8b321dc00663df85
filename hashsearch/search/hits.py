"""The stored fields that a hit of any search carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hashsearch.elastic.document import DESCRIBED


@dataclass(frozen=True)
class FoundImage:
    """The stored fields of an indexed image; each kind of search adds how it matched.

    Attributes
    ----------
    id : str
    uri : str or None
        Path or URL that the image was indexed from.
    title, category : str or None
    attributes : mapping of str to Any
    width, height : int or None
        Pixels of the original.
    """

    id: str
    uri: str | None
    title: str | None
    category: str | None
    attributes: Mapping[str, Any]
    width: int | None
    height: int | None

    def as_dict(self) -> dict[str, Any]:
        """The hit as JSON: its id, how it matched, the stored fields."""
        record = asdict(self)
        stored = {name: record.pop(name) for name in DESCRIBED}
        return {**record, **stored}
