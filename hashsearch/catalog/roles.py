"""Which column of a table holds the id, the image, the title and the category."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

ROLES = {
    "id": ("id", "sku"),
    "image": (
        *("image", "path", "file_path", "file_name", "filename", "file", "image_path", "image_file", "image_url"),
        *("uri", "url"),  # last: the url of a product is often that of its page
    ),
    "title": ("title", "name"),
    "category": ("category",),
}
_NAMED_IN_MESSAGES = {"image": ("image", "path", "image_url", "url")}


@dataclass(frozen=True)
class Columns:
    """The columns of the roles: those that the user named, and those of a usual name.

    Names are usual whatever their case and the blanks in and around them. With a header, one column holds a role for
    all rows. In JSON lines that is so for the id, by the first object; for other roles it is the first with a value.
    """

    mapped: Mapping[str, str]
    names: list[str]
    has_header: bool

    @cached_property
    def id(self) -> str | None:
        """The column of the id, None if there is none."""
        return self._usual("id", self.names)

    @cached_property
    def image(self) -> str | None:
        """The column of the image, None if there is none."""
        return self._usual("image", self.names)

    def split(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The values of a row by role, and the others by column. One column may have several roles."""
        rest = {name.strip(): value for name, value in values.items()}
        columns = {role: self._column(role, rest) for role in ROLES}
        by_role = {role: rest.get(column) if column else None for role, column in columns.items()}
        for column in set(columns.values()):
            rest.pop(column or "", None)
        return by_role, {name: value.strip() if isinstance(value, str) else value for name, value in rest.items()}

    def named(self, role: str) -> str:
        """The column of a role for a message, or the usual names."""
        present = [name for name in self.names if _plain(name) in ROLES[role]]
        names = [self.mapped[role]] if role in self.mapped else _NAMED_IN_MESSAGES.get(role, ROLES[role])
        if len(present) > 1 and role not in self.mapped and self.has_header:
            names = [str(self._usual(role, self.names))]
        return " or ".join(f"'{name}'" for name in names)

    def _column(self, role: str, values: Mapping[str, Any]) -> str | None:
        if self.has_header or (role == "id" and self.id):
            return self._of_header[role]
        return self._usual(role, [name for name, value in values.items() if value is not None and str(value).strip()])

    @cached_property
    def _of_header(self) -> dict[str, str | None]:
        return {role: self._usual(role, self.names) for role in ROLES}

    def _usual(self, role: str, names: Sequence[str]) -> str | None:
        """The column that the user named for a role, else the first of a usual name.

        A column that the user named for another role counts only for the image, which must have one.
        """
        if role in self.mapped:
            return self.mapped[role]
        plain = {_plain(name): name for name in reversed(names)}
        free = [plain[usual] for usual in ROLES[role] if usual in plain]
        free.sort(key=lambda name: name in self.mapped.values())
        return free[0] if free and (role == "image" or free[0] not in self.mapped.values()) else None


@lru_cache(maxsize=4096)  # the objects of JSON lines repeat their names
def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip()).casefold()
