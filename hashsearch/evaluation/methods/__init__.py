"""Ways to search: a table of kinds by name. The kind `fusion` is made of other methods' rankings instead."""

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

__all__ = ["FUSION", "KINDS", "Method", "MethodKind", "RunContext", "kind_of"]

FUSION = "fusion"


@dataclass(frozen=True)
class MethodKind:
    """A kind of method: its class, and the sort of features that it takes."""

    method: type[Any]
    takes: str

    def options(self) -> dict[str, Any]:
        """The defaults of its options by name."""
        return {option.name: option.default for option in fields(self.method) if option.name != "context"}

    def make(self, context: RunContext, options: Mapping[str, Any]) -> Method:
        """A new method that has learned nothing yet. ConfigError or SearchError for an option outside its range."""
        method: Method = self.method(context, **options)
        return method


KINDS: dict[str, MethodKind] = {
    "codes": MethodKind(Codes, "vector"),
    "exact": MethodKind(Exact, "vector"),
    "classes": MethodKind(Classes, "vector"),
    "histogram": MethodKind(Exact, "histogram"),
    "hash": MethodKind(Hashes, "hash"),
    "local": MethodKind(Local, "local"),
}


def kind_of(name: str) -> MethodKind:
    """A kind by its name; ConfigError lists the known ones."""
    if name not in KINDS:
        raise ConfigError(f"a kind must be one of {', '.join([*KINDS, FUSION])}, got '{name}'")
    return KINDS[name]
