"""Which image of a group to keep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hashsearch.errors import ConfigError

Record = Mapping[str, Any]

_OF_ALL = ("title", "category", "indexed_at")  # fields of an image; all others are its attributes
_LATEST = "9999"  # after any date


@dataclass(frozen=True)
class Keeping:
    """A rule, made by `parse`, that chooses the image of a group to keep.

    With a field, it is the image with the lowest (or highest) value; an image without a value is kept only if no image
    has one. Numbers, also as text, sort before other text. Ties, and groups without a field or value, go to the largest
    image, then to the one indexed first, then to the lowest id.
    """

    field: str | None = None
    highest: bool = False

    @classmethod
    def parse(cls, rule: str) -> Keeping:
        """The rule `largest`, `oldest`, `field:NAME` (lowest value) or `field:-NAME` (highest); else ConfigError."""
        kind, _, name = rule.partition(":")
        if kind == "field" and name.removeprefix("-"):
            return cls(name.removeprefix("-"), name.startswith("-"))
        if rule not in ("largest", "oldest"):
            raise ConfigError(f"what to keep must be largest, oldest, field:NAME or field:-NAME, got '{rule}'")
        return cls() if rule == "largest" else cls("indexed_at")

    @property
    def stored_as(self) -> str | None:
        """The field's name in Elasticsearch, None without a field."""
        return self.field if self.field is None or self.field in _OF_ALL else f"attributes.{self.field}"

    def choose(self, records: Mapping[str, Record]) -> str:
        """The id of the image to keep, given the records of one or more."""
        values = {image_id: value for image_id, record in records.items() if (value := self._value(record))}
        if values:
            best = (max if self.highest else min)(values.values())
            records = {image_id: records[image_id] for image_id, value in values.items() if value == best}
        return min(records, key=lambda image_id: (*_rank(records[image_id]), image_id))

    def _value(self, record: Record) -> tuple[bool, float, str] | None:
        """The image's value of the field as a sort key, None without a value."""
        if self.field is None:
            return None
        value = (record if self.field in _OF_ALL else record.get("attributes", {})).get(self.field)
        if value is None or value == "":
            return None
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        return (False, number, "") if math.isfinite(number) else (True, 0.0, str(value))


def _rank(record: Record) -> tuple[int, str]:
    """A sort key, lowest first: the image's size, descending, and when it was indexed."""
    return -(record.get("width") or 0) * (record.get("height") or 0), record.get("indexed_at") or _LATEST
