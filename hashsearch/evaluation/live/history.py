"""The history of an index: what each night measured, what got worse, and the arrays stored for later nights.

`history.jsonl` has one line for each night, `<time>.npz` the arrays that later nights compare theirs with. The arrays
are written first, so every line has its arrays; a line cut off by a crash is dropped by the next night.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import EvaluationError
from hashsearch.files import atomic_file, exclusive_lock, read_arrays

Night = dict[str, Any]

WEEK = timedelta(days=6.5)  # a night is compared with that of a week ago, which may have begun a little later


@dataclass(frozen=True)
class WorseRule:
    """When a figure counts as worse: it fell (or rose) by at least `least`, and the intervals do not overlap.

    For two nights with different random queries and nothing changed, chance alone does that once in about 350 pairs.
    """

    name: str
    falls: bool
    least: float
    relative: bool = False

    def change(self, before: Mapping[str, float], now: Mapping[str, float]) -> str | None:
        """The change in words; None when the figure did not get worse, or not beyond chance."""
        apart = now["high"] < before["low"] if self.falls else now["low"] > before["high"]
        by = abs(now["value"] - before["value"])
        least = self.least * abs(before["value"]) if self.relative else self.least
        if not apart or by < least:
            return None
        return f"{self.name} {'fell' if self.falls else 'rose'} from {before['value']:.4g} to {now['value']:.4g}"


RULES = (
    WorseRule("recall@10", falls=True, least=0.005),
    WorseRule("precision@1", falls=True, least=0.005),
    WorseRule("precision@10", falls=True, least=0.005),
    WorseRule("labelled recall@10", falls=True, least=0.005),
    WorseRule("labelled mrr", falls=True, least=0.005),
    WorseRule("p50 ms", falls=False, least=0.25, relative=True),
    WorseRule("p95 ms", falls=False, least=0.25, relative=True),
    WorseRule("rejected share", falls=False, least=0.005),
    WorseRule("images", falls=True, least=0.05, relative=True),
)


def worse(now: Night, before: Night) -> list[str]:
    """The figures that got worse between two nights, in words; figures that either night lacks are left out."""
    both = now["figures"].keys() & before["figures"].keys()
    changes = [
        rule.change(before["figures"][rule.name], now["figures"][rule.name]) for rule in RULES if rule.name in both
    ]
    return [change for change in changes if change]


def moment(night: Night) -> datetime:
    """The time at which a night's measurement began, in UTC."""
    return datetime.fromisoformat(night["at"]).astimezone(timezone.utc)


class History:
    """The nights of one index in a folder, which is created. EvaluationError for a folder with other content."""

    def __init__(self, folder: Path, index: str) -> None:
        if folder.exists() and not folder.is_dir():
            raise EvaluationError(f"a history must be a folder, and {folder} is not one")
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "history.jsonl"
        self.index = index
        self.nights, _ = self._read()

    def _read(self) -> tuple[list[Night], int]:
        """The nights, oldest first, and the length of their lines in bytes: anything after them is a line cut off."""
        data = self.path.read_bytes() if self.path.exists() else b""
        nights, size = [], 0
        for number, line in enumerate(data.splitlines(keepends=True), start=1):
            if not line.endswith(b"\n"):
                break
            nights.append(self._night(line, number))
            size += len(line)
        return nights, size

    def _night(self, line: bytes, number: int) -> Night:
        try:
            night: Night = json.loads(line)
            index, _ = night["index"], moment(night)
            _ = night["versions"]["encoder"], night["notes"], night["worse"], night["summary"]
            _ = [float(figure[part]) for figure in night["figures"].values() for part in ("value", "low", "high")]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise EvaluationError(f"line {number} of {self.path} is not the record of a night: {error}") from error
        if index != self.index:
            raise EvaluationError(f"{self.path} must be of index '{self.index}', but line {number} is of '{index}'")
        return night

    def reference(self, now: datetime) -> Night | None:
        """The night to compare with: the latest that is at least a week old, else the first; None without nights."""
        old = [night for night in self.nights if now - moment(night) >= WEEK]
        return old[-1] if old else next(iter(self.nights), None)

    def arrays(self, night: Night) -> dict[str, NDArray[Any]] | None:
        """The arrays of a night; None where they are missing or damaged."""
        try:
            return read_arrays(self._arrays_path(night))
        except (OSError, ValueError):
            return None

    def append(self, night: Night, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Add a night; it is on disk when this returns. Nights that other processes added meanwhile are kept."""
        line = json.dumps(night, ensure_ascii=False).encode() + b"\n"
        with exclusive_lock(self.path.with_suffix(".lock")):
            self.nights, size = self._read()
            with atomic_file(self._arrays_path(night)) as file:
                np.savez_compressed(file, allow_pickle=False, **arrays)
            with self.path.open("r+b" if self.path.exists() else "wb") as file:
                file.truncate(size)
                file.seek(size)
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        self.nights.append(night)

    def _arrays_path(self, night: Night) -> Path:
        return self.path.with_name(f"{moment(night):%Y%m%dT%H%M%SZ}.npz")


def summary(night: Night, before: Night | None) -> str:
    """One sentence: what got worse, and since when."""
    if before is None:
        return f"{night['index']}: first night, nothing to compare with"
    since, changes = f"since {before['at'][:10]}", "; ".join(night["worse"])
    return f"{night['index']}: {changes} ({since})" if changes else f"{night['index']}: nothing got worse {since}"


def lines(night: Night) -> list[str]:
    """The figures of a night with their intervals and its notes, a line each."""
    table = [
        f"{name:<20} {figure['value']:>10.4g}   ({figure['low']:.4g} to {figure['high']:.4g})"
        for name, figure in night["figures"].items()
    ]
    return [*table, *(f"note: {note}" for note in night["notes"])]
