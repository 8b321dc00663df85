"""The file that lists rejected entries: which files may be overwritten by one."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from hashsearch.errors import ConfigError
from hashsearch.indexing.changes import Reject

_COLUMNS = {field.name for field in fields(Reject)}


def check_rejects_file(path: Path) -> None:
    """ConfigError unless the path is free or an earlier rejects list, which the run may overwrite.

    A rejects list has only lines that a run writes; a killed run may have left an incomplete one at its end.
    """
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_file():
        raise _not_ours(path, "it is not a regular file")
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            torn = number > 1 and not line.endswith(b"\n")
            if not torn and not _is_reject(line):
                raise _not_ours(path, f"line {number} is something else")


def _is_reject(line: bytes) -> bool:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(values, dict) and values.keys() == _COLUMNS


def _not_ours(path: Path, reason: str) -> ConfigError:
    return ConfigError(
        "the rejects file must be a new file or an earlier list of rejects, which is overwritten, "
        f"got '{path}': {reason}"
    )
