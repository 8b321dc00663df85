"""How far an unfinished indexing run came, and what it rejected; both survive `kill -9`."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from hashsearch.errors import CatalogError

_UNDER_WAY, _FINISHED = "checkpoint.json", "finished.json"


@dataclass(frozen=True)
class Summary:
    """What became of the entries of a run, those before a kill included."""

    indexed: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0

    def __add__(self, other: Summary) -> Summary:
        return Summary(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def __iter__(self) -> Iterator[int]:
        return iter((self.indexed, self.updated, self.unchanged, self.rejected))

    def __str__(self) -> str:
        return (
            f"{self.entries} entries: {self.indexed} indexed, {self.updated} with new text, "
            f"{self.unchanged} unchanged, {self.rejected} rejected"
        )

    @property
    def entries(self) -> int:
        """All entries dealt with."""
        return sum(self)


@dataclass(frozen=True)
class Reject:
    """An entry that could not be indexed: `error` is the error's code, `reason` the rule it breaks."""

    id: str | None
    source: str | None
    error: str
    reason: str


def last_run(folder: Path) -> Summary | None:
    """What became of the entries of the last run in a folder, as far as it came; None where there was none."""
    for name in (_UNDER_WAY, _FINISHED):
        try:
            return Summary(**json.loads((folder / name).read_text())["summary"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


class Checkpoint:
    """The state of one run in a folder; made by `hold`.

    `identity` says of which catalog, index and encoder it is; the state of another identity is not gone on from, nor
    one whose rejects are no longer where it left them.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], rejects: TextIO) -> None:
        self._path = folder / _UNDER_WAY
        self._identity = {**identity, "rejects": rejects.name}
        self._rejects = rejects
        self.rejects_path = Path(rejects.name)
        self.summary, rejects_size = self._read()
        rejects.truncate(rejects_size)

    @classmethod
    @contextmanager
    def hold(cls, folder: Path, identity: Mapping[str, Any], rejects: Path | None = None) -> Iterator[Checkpoint]:
        """The checkpoint in a folder, with its rejects file opened; CatalogError while another run holds it."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CatalogError(f"one run at a time may write an index, and another one holds {folder}") from error
            # A name or row that is no UTF-8 must be told too; "\udce9" is JSON's way to write a single byte E9.
            path = (rejects or folder / "rejects.jsonl").absolute()
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
                yield cls(folder, identity, stream)

    def _read(self) -> tuple[Summary, int]:
        try:
            saved = json.loads(self._path.read_text())
            summary, rejects_size = Summary(**saved["summary"]), saved["rejects_size"]
            same = saved["identity"] == self._identity and os.fstat(self._rejects.fileno()).st_size >= rejects_size
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        return (summary, rejects_size) if same else (Summary(), 0)

    def advance(self, batch: Summary, rejects: Iterable[Reject]) -> None:
        """Move on over a batch that Elasticsearch has confirmed; on disk before it returns."""
        for reject in rejects:
            self._rejects.write(json.dumps(asdict(reject), ensure_ascii=False) + "\n")
        self._rejects.flush()
        os.fsync(self._rejects.fileno())
        self.summary = self.summary + batch
        size = os.fstat(self._rejects.fileno()).st_size
        saved = {"identity": self._identity, "summary": asdict(self.summary), "rejects_size": size}
        draft = self._path.with_suffix(".new")
        with draft.open("w") as file:
            json.dump(saved, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)

    def finish(self) -> None:
        """The run came to its end: the next one starts from the beginning."""
        if self._path.exists():
            self._path.replace(self._path.with_name(_FINISHED))
