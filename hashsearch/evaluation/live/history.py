"""What was measured of an index night by night: a line of JSON each, what became worse, and what is kept beside it.

`history.jsonl` has a line for each night, `<time>.npz` the arrays that later nights compare theirs with. The arrays are
written first, so that a line stands for a whole night; a line torn by a crash is dropped by the next night.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import EvaluationError

Night = dict[str, Any]

WEEK = timedelta(days=6.5)  # a night is compared with one a week ago, which may have begun a little later


@dataclass(frozen=True)
class Judged:
    """How a figure gets worse: when it falls or rises by at least so much, and the intervals do not overlap.

    Of two nights with other random queries and nothing changed, chance makes that of one pair in about 350.
    """

    name: str
    falls: bool
    least: float
    relative: bool = False

    def change(self, before: Mapping[str, float], now: Mapping[str, float]) -> str | None:
        """What got worse, in words; None when it did not, or not beyond chance."""
        apart = now["high"] < before["low"] if self.falls else now["low"] > before["high"]
        by = abs(now["value"] - before["value"])
        least = self.least * abs(before["value"]) if self.relative else self.least
        if not apart or by < least:
            return None
        return f"{self.name} {'fell' if self.falls else 'rose'} from {before['value']:.4g} to {now['value']:.4g}"


JUDGED = (
    Judged("recall@10", falls=True, least=0.005),
    Judged("precision@1", falls=True, least=0.005),
    Judged("precision@10", falls=True, least=0.005),
    Judged("labelled recall@10", falls=True, least=0.005),
    Judged("labelled mrr", falls=True, least=0.005),
    Judged("p50 ms", falls=False, least=0.25, relative=True),
    Judged("p95 ms", falls=False, least=0.25, relative=True),
    Judged("rejected share", falls=False, least=0.005),
    Judged("images", falls=True, least=0.05, relative=True),
)


def worse(now: Night, before: Night) -> list[str]:
    """What got worse between two nights, each in words; figures that one of them lacks are left out."""
    both = now["figures"].keys() & before["figures"].keys()
    changes = [
        judged.change(before["figures"][judged.name], now["figures"][judged.name])
        for judged in JUDGED
        if judged.name in both
    ]
    return [change for change in changes if change]


def moment(night: Night) -> datetime:
    """When a night began, in UTC."""
    return datetime.fromisoformat(night["at"]).astimezone(timezone.utc)


class History:
    """The nights of one index in a folder, which is made. EvaluationError for a folder that holds something else."""

    def __init__(self, folder: Path, index: str) -> None:
        if folder.exists() and not folder.is_dir():
            raise EvaluationError(f"a history is kept in a folder, and {folder} is none")
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "history.jsonl"
        self.index = index
        self.nights, self._size = self._read()

    def _read(self) -> tuple[list[Night], int]:
        """The nights, oldest first, and the bytes that they take: what is behind them was torn."""
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
            of, _ = night["index"], moment(night)
            _ = night["versions"]["encoder"], night["notes"], night["worse"], night["summary"]
            _ = [float(figure[part]) for figure in night["figures"].values() for part in ("value", "low", "high")]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise EvaluationError(f"line {number} of {self.path} is no night of a history: {error}") from error
        if of != self.index:
            raise EvaluationError(f"{self.path} must be of index '{self.index}', but line {number} is of '{of}'")
        return night

    def reference(self, now: datetime) -> Night | None:
        """The night to compare with: the last that is a week old, else the first; None without any."""
        old = [night for night in self.nights if now - moment(night) >= WEEK]
        return old[-1] if old else next(iter(self.nights), None)

    def arrays(self, night: Night) -> dict[str, NDArray[Any]] | None:
        """What a night kept beside its line; None where that is gone or damaged."""
        try:
            with np.load(self._beside(night), allow_pickle=False) as saved:
                return {name: saved[name] for name in saved.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            return None

    def append(self, night: Night, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep a night; on disk before it returns."""
        beside = self._beside(night)
        draft = beside.with_suffix(".new")
        with draft.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        draft.replace(beside)
        line = json.dumps(night, ensure_ascii=False).encode() + b"\n"
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.truncate(self._size)
            file.seek(self._size)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        self.nights.append(night)
        self._size += len(line)

    def _beside(self, night: Night) -> Path:
        return self.path.with_name(f"{moment(night):%Y%m%dT%H%M%SZ}.npz")


def summary(night: Night, before: Night | None) -> str:
    """One sentence: what got worse, since when."""
    if before is None:
        return f"{night['index']}: the first night, nothing to compare with"
    since, found = f"since {before['at'][:10]}", night["worse"]
    return (
        f"{night['index']}: {'; '.join(found)} ({since})" if found else f"{night['index']}: nothing got worse {since}"
    )


def lines(night: Night) -> list[str]:
    """The figures of a night with their intervals, a line each, and its notes."""
    table = [
        f"{name:<20} {figure['value']:>10.4g}   ({figure['low']:.4g} to {figure['high']:.4g})"
        for name, figure in night["figures"].items()
    ]
    return [*table, *(f"note: {note}" for note in night["notes"])]
