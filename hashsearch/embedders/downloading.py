"""Large files by their address: resumed where they were interrupted, checked before they get their name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import cast
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from hashsearch.errors import ConfigError, WeightsMismatch, WeightsNotFound
from hashsearch.files import exclusive_lock, read_json, write_json

Progress = Callable[[int, int | None], None]  # takes the bytes that are there, and those of the whole file where known
SECONDS = 30.0  # to connect, and between two pieces
_PIECE = 1 << 18
_FAILURES = (OSError, HTTPException, ValueError)  # ValueError: what is no address


def silent(done: int, total: int | None) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Draft:
    """What a partial file is of: the version by its ETag or date, None where the server names none, and its size."""

    address: str
    version: str | None = None
    size: int | None = None


def download(address: str, path: Path, check: Callable[[Path], None], progress: Progress = silent) -> None:
    """Download a file. What an interrupted download has written is kept beside it, and the next one continues there.

    Parameters
    ----------
    address : str
        An http or https address.
    path : Path
        Where the file goes, in a folder that is made if there is none. Nothing is there before the end.
    check : callable
        Takes the path of the complete draft, and raises WeightsMismatch to refuse it; it is removed then.
    progress : callable
        Takes how many bytes are there, and how many there will be.

    Raises
    ------
    WeightsNotFound
        The address cannot be reached, or answers with an error.
    WeightsMismatch
        The file is not the one that `check` expects.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    busy = WeightsNotFound(f"another process downloads into {path.parent} now: wait until it is done")
    with exclusive_lock(path.parent / ".downloading", busy):
        partial, record = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.json")
        _complete(address, partial, record, progress)
        try:
            check(partial)
        except WeightsMismatch:
            partial.unlink()
            record.unlink(missing_ok=True)
            raise
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
        record.unlink(missing_ok=True)


def _complete(address: str, partial: Path, record: Path, progress: Progress) -> None:
    """Transfer until the draft is complete, again after an interruption unless it brought nothing."""
    while True:
        before = _size(partial)
        try:
            if _transfer(address, partial, record, progress):
                return
            failure: Exception = ConnectionError(f"the connection ended after {_size(partial)} bytes")
        except HTTPError as error:
            error.close()
            raise WeightsNotFound(f"{address} could not be downloaded: {error}") from error
        except _FAILURES as error:
            failure = error
        if _size(partial) <= before:
            raise WeightsNotFound(f"{address} could not be downloaded: {_sentence(failure)}") from failure


def _transfer(address: str, partial: Path, record: Path, progress: Progress) -> bool:
    """One request for what the draft lacks; whether it is complete then."""
    known = _known(record)
    at = _size(partial) if known.address == address and known.version else 0
    if at and at == known.size:
        return True
    headers = {"User-Agent": "hashsearch", "Accept-Encoding": "identity"}
    if at and known.version:
        headers |= {"Range": f"bytes={at}-", "If-Range": known.version}
    try:
        response = cast("HTTPResponse", urlopen(Request(address, headers=headers), timeout=SECONDS))
    except HTTPError as error:
        if error.code != 416 or not at:
            raise
        error.close()
        partial.unlink()  # longer than the file: what it is of is unknown
        return _transfer(address, partial, record, progress)
    with response:
        if response.status != 206:
            at = 0  # the server knows no ranges, or has another version
        elif not (response.headers["Content-Range"] or "").startswith(f"bytes {at}-"):
            raise ValueError(f"it was asked for the bytes from {at}, and sends {response.headers['Content-Range']}")
        draft = Draft(address, _version(response), at + response.length if response.length is not None else None)
        with partial.open("ab" if at else "wb") as file:
            write_json(record, asdict(draft))
            progress(at, draft.size)
            while piece := response.read(_PIECE):
                file.write(piece)
                at += len(piece)
                progress(at, draft.size)
    return draft.size is None or at == draft.size


def _version(response: HTTPResponse) -> str | None:
    """What `If-Range` may name: a strong ETag, else the date of the last change."""
    tag = response.headers["ETag"]
    return tag if tag and not tag.startswith("W/") else response.headers["Last-Modified"]


def _known(record: Path) -> Draft:
    """What the record says that the draft is of; of nothing without one."""
    try:
        return Draft(**(read_json(record) or {"address": ""}))
    except (ConfigError, TypeError):
        return Draft("")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sentence(error: Exception) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    return str(reason) or type(error).__name__
