"""The files that images were indexed from: which are still there, and which are one file under several names."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from hashsearch.duplicates.keeping import Record

State = Literal["present", "missing", "changed", "unchecked"]
_CLOCKS = 3600  # seconds that the clocks of two machines may differ
_CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class Original:
    """The file that an image was indexed from. Those of two images with equal `identity` are one file.

    `state` is `present`; `missing` (no file, or one that cannot be read); `changed` (now with other content); or
    `unchecked` (an address, a relative path, or no path at all).
    """

    state: State
    identity: Hashable

    @property
    def gone(self) -> bool:
        """Whether the indexed picture is no longer at its path."""
        return self.state in ("missing", "changed")


def find_original(image_id: str, record: Record) -> Original:
    """The file of an indexed image.

    Links are followed. The content is read only if the file changed since the image was indexed.
    """
    uri = record.get("uri")
    if not uri:
        return Original("unchecked", ("id", image_id))
    if not Path(uri).is_absolute():
        return Original("unchecked", ("uri", uri))
    try:
        status = Path(uri).stat()
        identity = (status.st_dev, status.st_ino) if status.st_ino else str(Path(uri).resolve())
        if not stat.S_ISREG(status.st_mode) or not os.access(uri, os.R_OK):
            return Original("missing", identity)
        return Original("changed" if _changed(uri, status, record) else "present", identity)
    except (OSError, ValueError):  # ValueError: a null character
        return Original("missing", ("uri", uri))


def _changed(path: str, status: os.stat_result, record: Record) -> bool:
    """Whether the file's content is not what was indexed; only a file with a later time is read."""
    sha256, indexed_at = record.get("sha256"), _seconds(record.get("indexed_at"))
    changed_at = max(status.st_mtime, status.st_ctime)  # a file that was moved here keeps its mtime
    if not sha256 or indexed_at is None or changed_at < indexed_at - _CLOCKS:
        return False
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() != str(sha256)


def _seconds(indexed_at: str | None) -> float | None:
    """A stored time since 1970, 0 if it cannot be read, None for a record without one."""
    if not indexed_at:
        return None
    try:
        time = datetime.fromisoformat(indexed_at)
    except ValueError:
        return 0.0
    return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()
