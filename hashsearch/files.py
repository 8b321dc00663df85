"""Atomic files and folders, validated reading, exclusive locks between processes, and names that are safe in a path."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from hashsearch.errors import ConfigError, HashsearchError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@contextmanager
def atomic_file(path: Path, mode: str = "wb", **options: Any) -> Iterator[IO[Any]]:
    """A file to write that replaces `path` when it is complete and on disk; after an error `path` is unchanged.

    `mode` is "wb" or "w", `options` are those of `open`. Parent folders are created. A killed process leaves its draft
    behind as `path` with the suffix `.new`; the next write overwrites it.
    """
    with atomic_files([path], mode, **options) as (file,):
        yield file


@contextmanager
def atomic_files(paths: Sequence[Path], mode: str = "wb", **options: Any) -> Iterator[list[IO[Any]]]:
    """Files to write that replace `paths` when all of them are complete and on disk, as `atomic_file` does for one."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    drafts = [path.with_name(f"{path.name}.new") for path in paths]
    try:
        with ExitStack() as opened:
            files = [opened.enter_context(draft.open(mode, **options)) for draft in drafts]
            yield files
            for file in files:
                file.flush()
                os.fsync(file.fileno())
        for draft, path in zip(drafts, paths):
            draft.replace(path)
    except BaseException:
        for draft in drafts:
            draft.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path for a library that writes by name; it replaces `path` when complete; after an error `path` is unchanged.

    The draft is `path` with the prefix `.new-`, so that it keeps the ending. A killed process leaves it behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".new-{path.name}")
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(folder: Path, prefix: str = ".") -> Iterator[Path]:
    """An empty folder to fill, which becomes `folder` at the end; after an error `folder` does not exist.

    `folder` must not exist or must be empty, else OSError. A killed process leaves its draft behind, in a folder beside
    it whose name starts with `prefix`.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder.parent) as scratch:
        draft = Path(scratch) / folder.name
        draft.mkdir()
        yield draft
        draft.replace(folder)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file atomically; ValueError for NaN or infinity, which JSON cannot represent."""
    with atomic_file(path, "w", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(content, file, allow_nan=False, ensure_ascii=False)
        file.write("\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, None if the file does not exist. ConfigError if it is not one JSON object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must contain one JSON object, got a {type(content).__name__}")
    return content


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays in an `.npz` file; OSError if it cannot be read, ValueError if it is damaged or something else."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as saved:
            return {name: saved[name] for name in saved.files}
    except OSError:
        raise
    except Exception as error:  # zip and numpy's own parser of headers raise errors of many types
        raise ValueError(f"it is not a complete .npz file: {type(error).__name__}: {error}") from error


@contextmanager
def exclusive_lock(path: Path, busy: HashsearchError | None = None) -> Iterator[None]:
    """Hold an exclusive lock on the file `path`, whose folder must exist. It is released even by kill -9.

    If another process holds the lock, raise `busy`, or wait if `busy` is None.
    """
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            assert busy is not None
            raise busy from error
        yield


def safe_name(name: str) -> str:
    """The name if it is safe in a path, else its safe characters and a digest that keeps names distinct."""
    if re.fullmatch(r"[a-zA-Z0-9_+][a-zA-Z0-9 ._+-]{0,99}", name):
        return name
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{re.sub(r'[^a-zA-Z0-9_+-]+', '_', name)[:80]}-{digest}"
