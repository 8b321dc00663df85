"""How far an unfinished indexing run came, what it read and what it rejected; all of it survives `kill -9`."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TextIO

from hashsearch.errors import CatalogError, ConfigError
from hashsearch.files import exclusive_lock, read_json, write_json
from hashsearch.indexing.catalog_ids import CatalogIds, saved_digest
from hashsearch.indexing.changes import Reject
from hashsearch.indexing.rejects import check_rejects_file

_UNFINISHED, _FINISHED, _IDS = "checkpoint.json", "finished.json", "ids.bin"
_DAMAGE = (OSError, ConfigError, KeyError, TypeError, ValueError, RecursionError)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class IndexingSummary:
    """What happened to the entries of a run, including those before an interruption.

    `indexed` images are new or their file changed; `replaced` ones had the picture of another source under their id.
    `missing` images are in the index and not in the catalog; `removed` of them were deleted.
    """

    indexed: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    replaced: int = 0
    missing: int = 0
    removed: int = 0

    def __add__(self, other: IndexingSummary) -> IndexingSummary:
        return IndexingSummary(*(getattr(self, name) + getattr(other, name) for name in _COUNTS))

    def __iter__(self) -> Iterator[int]:
        return iter((self.indexed, self.updated, self.unchanged, self.rejected, self.replaced))

    def __str__(self) -> str:
        replaced = f"{self.replaced} replaced (another picture under the same id), " if self.replaced else ""
        return (
            f"{self.entries} entries: {self.indexed} new, {replaced}{self.updated} metadata updated, "
            f"{self.unchanged} unchanged, {self.rejected} rejected"
        )

    @property
    def entries(self) -> int:
        """Number of all entries."""
        return sum(self)

    @classmethod
    def from_json(cls, saved: Any) -> IndexingSummary:
        """The summary as it was saved; ValueError if it is damaged."""
        if not isinstance(saved, dict) or not saved.keys() <= set(_COUNTS):
            raise ValueError(f"the counts must be some of {', '.join(_COUNTS)}")
        return cls(**{name: _count(value) for name, value in saved.items()})


_COUNTS = tuple(field.name for field in fields(IndexingSummary))


def last_run(folder: Path) -> IndexingSummary | None:
    """What happened to the entries of the last run in a folder, finished or not; None if there was none."""
    for name in (_UNFINISHED, _FINISHED):
        try:
            if saved := read_json(folder / name):
                return IndexingSummary.from_json(saved["summary"])
        except _DAMAGE:
            continue
    return None


@dataclass(frozen=True)
class _State:
    """What the checkpoint file saves: counts, how much of the two other files belongs to it.

    `nameless` entries were rejected before their id was known.
    """

    summary: IndexingSummary = IndexingSummary()
    nameless: int = 0
    rejects_size: int = 0
    ids_size: int = 0
    ids_digest: str = ""

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> _State:
        """The state as it was saved; ValueError or KeyError if it is damaged."""
        if saved["digest"] != _digest(saved):
            raise ValueError("its content and its digest differ")
        counts = {name: _count(saved[name]) for name in ("nameless", "rejects_size", "ids_size")}
        return cls(IndexingSummary.from_json(saved["summary"]), **counts, ids_digest=str(saved["ids_digest"]))


class Checkpoint:
    """The state of one run in a folder; made by `hold`.

    `identity` names the catalog, index and encoder. A run starts at the beginning when the saved identity is another
    one, when the checkpoint or the list of ids is damaged, or when the rejects file is no longer complete.

    Attributes
    ----------
    summary : IndexingSummary
        What happened to the entries so far.
    nameless : int
        Entries that were rejected before their id was known.
    ids : CatalogIds
        The ids of all entries so far.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], rejects: TextIO) -> None:
        self.folder = folder
        self._path = folder / _UNFINISHED
        self._identity = {**identity, "rejects": rejects.name}
        self._rejects = rejects
        self.rejects_path = Path(rejects.name)
        state = self._read()
        self.summary, self.nameless = state.summary, state.nameless
        self.ids = CatalogIds(folder / _IDS, state.ids_size)
        rejects.truncate(state.rejects_size)

    @classmethod
    @contextmanager
    def hold(cls, folder: Path, identity: Mapping[str, Any], rejects: Path | None = None) -> Iterator[Checkpoint]:
        """Lock the checkpoint in a folder and open its rejects file.

        CatalogError while another run holds it, ConfigError if `rejects` is a file of something else.
        """
        if rejects:
            check_rejects_file(rejects)
        folder.mkdir(parents=True, exist_ok=True)
        busy = CatalogError(f"only one run at a time can write to an index, and another run uses {folder}")
        with exclusive_lock(folder / "lock", busy):
            path = (rejects or folder / "rejects.jsonl").absolute()
            path.parent.mkdir(parents=True, exist_ok=True)
            # Names and rows that are not UTF-8 are listed too: a lone byte E9 becomes "\udce9", which JSON can hold.
            with path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
                yield cls(folder, identity, stream)

    def _read(self) -> _State:
        try:
            saved = read_json(self._path)
            if saved is None or saved["identity"] != self._identity:
                return _State()
            state = _State.from_json(saved)
        except _DAMAGE as error:
            reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
            _log.warning("the checkpoint %s is damaged: %s; this run starts at the beginning", self._path, reason)
            return _State()
        complete = os.fstat(self._rejects.fileno()).st_size >= state.rejects_size
        return state if complete and saved_digest(self.folder / _IDS, state.ids_size) == state.ids_digest else _State()

    def advance(self, batch: IndexingSummary, rejects: Iterable[Reject], ids: Iterable[str] = ()) -> None:
        """Move past a batch of entries with these ids that Elasticsearch confirmed; saved on disk when this returns."""
        for reject in rejects:
            self.nameless += reject.id is None
            self._rejects.write(json.dumps(asdict(reject), ensure_ascii=False) + "\n")
        self._rejects.flush()
        os.fsync(self._rejects.fileno())
        self.ids.add(ids)
        self.summary = self.summary + batch
        write_json(self._path, self._state())

    def finish(self, summary: IndexingSummary | None = None) -> None:
        """End the run, with this summary if it changed: the next one starts at the beginning."""
        self.summary = summary or self.summary
        write_json(self._path.with_name(_FINISHED), self._state())
        self._path.unlink(missing_ok=True)

    def _state(self) -> dict[str, Any]:
        rejects_size = os.fstat(self._rejects.fileno()).st_size
        state = _State(self.summary, self.nameless, rejects_size, self.ids.size, self.ids.digest)
        content = {"identity": self._identity, **asdict(state)}
        return {**content, "digest": _digest(content)}


def _digest(saved: Mapping[str, Any]) -> str:
    """A digest of all but the digest: a damaged number could leave images out of the index."""
    content = {name: value for name, value in saved.items() if name != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"a count must be a whole number, 0 or more, got {value!r}")
    return value
