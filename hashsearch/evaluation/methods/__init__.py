"""Ways to search, one table of kinds; `fusion` is made of the others' answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from hashsearch.errors import ConfigError
from hashsearch.evaluation.methods.classes import Classes
from hashsearch.evaluation.methods.codes import Codes
from hashsearch.evaluation.methods.exact import Exact
from hashsearch.evaluation.methods.hashes import Hashes
from hashsearch.evaluation.methods.local import Local
from hashsearch.evaluation.methods.method import Method, RunContext

__all__ = ["FUSION", "KINDS", "Kind", "Method", "Place", "kind_of"]

FUSION = "fusion"


@dataclass(frozen=True)
class Kind:
    """A kind of method: its class, and the sort of features that it takes."""

    method: type[Any]
    takes: str

    def options(self) -> set[str]:
        """The names of its options."""
        return {option.name for option in fields(self.method)} - {"place"}

    def make(self, place: RunContext, options: Mapping[str, Any]) -> Method:
        """A new method, which has learned nothing yet. ConfigError or SearchError for an option outside its range."""
        made: Method = self.method(place, **options)
        return made


KINDS: dict[str, Kind] = {
    "codes": Kind(Codes, "vector"),
    "exact": Kind(Exact, "vector"),
    "classes": Kind(Classes, "vector"),
    "histogram": Kind(Exact, "histogram"),
    "hash": Kind(Hashes, "hash"),
    "local": Kind(Local, "local"),
}


def kind_of(name: str) -> Kind:
    """A kind by its name; ConfigError lists the known ones."""
    if name not in KINDS:
        raise ConfigError(f"a kind must be one of {', '.join([*KINDS, FUSION])}, got '{name}'")
    return KINDS[name]
