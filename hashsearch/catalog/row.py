"""One row of a table file, and the ways in which a row or a whole file can break its format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """Values by column. `number` counts lines from 1, in Parquet files rows from 1; a row begins at its line."""

    number: int
    values: dict[str, Any]


@dataclass(frozen=True)
class BadRow:
    """A row that breaks the rule in `reason`, which also names its line."""

    number: int
    reason: str


class Damaged(Exception):
    """A file that does not follow its format, and where."""


def unique_names(names: list[str]) -> list[str]:
    """The names of columns without surrounding blanks; Damaged if two columns have the same name.

    Columns without a name, such as those of trailing delimiters, have no values.
    """
    names = [name.strip() for name in names]
    for place, name in enumerate(names):
        if name and name in names[:place]:
            raise Damaged(f"column names must differ, but two columns are named '{name}'")
    return names
