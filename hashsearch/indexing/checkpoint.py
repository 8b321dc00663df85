"""How far an unfinished indexing run came, and what it rejected; both survive `kill -9`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from hashsearch.errors import CatalogError, ConfigError
from hashsearch.files import exclusive_lock, read_json, write_json
from hashsearch.indexing.changes import Reject

_UNFINISHED, _FINISHED = "checkpoint.json", "finished.json"
_DAMAGE = (OSError, ConfigError, KeyError, TypeError)


@dataclass(frozen=True)
class IndexingSummary:
    """What happened to the entries of a run, including those before an interruption."""

    indexed: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0

    def __add__(self, other: IndexingSummary) -> IndexingSummary:
        return IndexingSummary(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def __iter__(self) -> Iterator[int]:
        return iter((self.indexed, self.updated, self.unchanged, self.rejected))

    def __str__(self) -> str:
        return (
            f"{self.entries} entries: {self.indexed} new, {self.updated} metadata updated, "
            f"{self.unchanged} unchanged, {self.rejected} rejected"
        )

    @property
    def entries(self) -> int:
        """Number of all entries."""
        return sum(self)


def last_run(folder: Path) -> IndexingSummary | None:
    """What happened to the entries of the last run in a folder, finished or not; None if there was none."""
    for name in (_UNFINISHED, _FINISHED):
        try:
            if saved := read_json(folder / name):
                return IndexingSummary(**saved["summary"])
        except _DAMAGE:
            continue
    return None


class Checkpoint:
    """The state of one run in a folder; made by `hold`.

    `identity` names the catalog, index and encoder. A run starts at the beginning when the saved identity is another
    one, or when the rejects file is no longer complete.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], rejects: TextIO) -> None:
        self._path = folder / _UNFINISHED
        self._identity = {**identity, "rejects": rejects.name}
        self._rejects = rejects
        self.rejects_path = Path(rejects.name)
        self.summary, rejects_size = self._read()
        rejects.truncate(rejects_size)

    @classmethod
    @contextmanager
    def hold(cls, folder: Path, identity: Mapping[str, Any], rejects: Path | None = None) -> Iterator[Checkpoint]:
        """Lock the checkpoint in a folder and open its rejects file; CatalogError while another run holds it."""
        folder.mkdir(parents=True, exist_ok=True)
        busy = CatalogError(f"only one run at a time can write to an index, and another run uses {folder}")
        with exclusive_lock(folder / "lock", busy):
            path = (rejects or folder / "rejects.jsonl").absolute()
            path.parent.mkdir(parents=True, exist_ok=True)
            # Names and rows that are not UTF-8 are listed too: a lone byte E9 becomes "\udce9", which JSON can hold.
            with path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
                yield cls(folder, identity, stream)

    def _read(self) -> tuple[IndexingSummary, int]:
        try:
            saved = read_json(self._path) or {}
            summary, rejects_size = IndexingSummary(**saved["summary"]), saved["rejects_size"]
            complete = os.fstat(self._rejects.fileno()).st_size >= rejects_size
            if complete and saved["identity"] == self._identity:
                return summary, rejects_size
        except _DAMAGE:
            pass
        return IndexingSummary(), 0

    def advance(self, batch: IndexingSummary, rejects: Iterable[Reject]) -> None:
        """Move past a batch that Elasticsearch confirmed; saved on disk when this returns."""
        for reject in rejects:
            self._rejects.write(json.dumps(asdict(reject), ensure_ascii=False) + "\n")
        self._rejects.flush()
        os.fsync(self._rejects.fileno())
        self.summary = self.summary + batch
        size = os.fstat(self._rejects.fileno()).st_size
        write_json(self._path, {"identity": self._identity, "summary": asdict(self.summary), "rejects_size": size})

    def finish(self) -> None:
        """End the run: the next one starts at the beginning."""
        if self._path.exists():
            self._path.replace(self._path.with_name(_FINISHED))
