"""What an index was tuned to. It is kept in the index's mapping, in `_meta`, so that it goes with that index alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Tuned:
    """The strategy and its limits that reached a recall of `target` when `jobs.tune_recall` measured them.

    `recall` is the measured recall of the `k` nearest, without filters, in an index of so many `images`; `at` is the
    time in UTC. `compared` goes with cells, `probes` with blocks, neither with the other strategies.
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
    def of(cls, behind: Mapping[str, Any]) -> Tuned | None:
        """What all of these indices were tuned to; None where they were not, or not to the same.

        What another version wrote, with other fields, counts as nothing: tuning again writes it anew.
        """
        found = [description["mappings"]["_meta"].get("search") for description in behind.values()]
        known = {field.name for field in fields(cls)}
        if not found[0] or found[0].keys() != known or any(other != found[0] for other in found):
            return None
        return cls(**found[0])
