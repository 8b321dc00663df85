"""The Elasticsearch server itself: downloaded once from Maven Central, checked, unpacked."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from hashsearch.errors import NodeError
from hashsearch.files import atomic_folder, exclusive_lock

GROUP, ARTIFACT, VERSION = "org.elasticsearch.distribution.integ-test-zip", "elasticsearch", "8.19.21"
SHA256 = "215d5f3dbf0609a149f6218a9e47b6ae2df34ebbff3c5754e35f15a5e5393c8a"

NOTIFY_EVERY = 5.0  # seconds
Notify = Callable[[str], None]  # takes a sentence for the person who waits

_DRAFT = "unpacking-"  # prefix of temporary folders


def install(folder: Path, notify: Notify) -> Path:
    """The folder of the unpacked server, `folder/elasticsearch-VERSION`; downloads the server unless it exists.

    Raises `NodeError` when the download fails or is not the expected file.
    """
    target = folder / f"elasticsearch-{VERSION}"
    if target.is_dir():
        return target
    make_folder(folder)
    with locked(folder / "lock"):
        if not target.is_dir():
            for leftover in folder.glob(f"{_DRAFT}*"):
                shutil.rmtree(leftover)
            try:
                _download_and_unpack(target, notify)
            except (OSError, RuntimeError) as error:
                raise NodeError(f"cannot download Elasticsearch {VERSION} from Maven Central: {error}") from error
    return target


def _download_and_unpack(target: Path, notify: Notify) -> None:
    with tempfile.TemporaryDirectory(prefix=_DRAFT, dir=target.parent) as downloads:
        archive = _download(Path(downloads), notify)
        _verify(archive)
        notify(f"unpacking Elasticsearch {VERSION}")
        with atomic_folder(target, _DRAFT) as draft:
            _unpack(archive, draft)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents so that every account may enter them; raises `NodeError` if that is not allowed."""
    with _writing(folder):
        for path in reversed([folder, *folder.parents]):
            if not path.is_dir():
                path.mkdir(exist_ok=True)
                path.chmod(0o755)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; waits while another process or thread holds it."""
    with contextlib.ExitStack() as stack:
        with _writing(path.parent):
            stack.enter_context(exclusive_lock(path))
        yield


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NodeError(f"the data folder '{folder}' must be writable (HASHSEARCH_HOME sets it): {error}") from error


def _download(scratch: Path, notify: Notify) -> Path:
    """The path of the zip: from the user's Maven repository if it is there, otherwise downloaded to `scratch`.

    jgo writes a download in place; in `scratch`, an incomplete one is never taken for complete by a later start.
    """
    from jgo.constants import default_maven_repo
    from jgo.maven import MavenContext, PythonResolver

    resolver = PythonResolver(progress_callback=lambda _, total: _megabytes(total, notify))
    context = MavenContext(resolver, repo_cache=scratch, local_repos=[default_maven_repo()], timeout=60)
    return context.project(GROUP, ARTIFACT).at_version(VERSION).artifact(packaging="zip").resolve()


@contextlib.contextmanager
def _megabytes(total: int, notify: Notify) -> Iterator[Callable[[int], None]]:
    """A function that takes the number of bytes of each chunk, and reports megabytes at once and every few seconds."""
    done, reported = 0, -NOTIFY_EVERY

    def advance(count: int) -> None:
        nonlocal done, reported
        if time.monotonic() >= reported + NOTIFY_EVERY:
            reported = time.monotonic()
            notify(f"downloading Elasticsearch {VERSION}: {done // 10**6} of {total // 10**6} MB")
        done += count

    yield advance


def _verify(archive: Path) -> None:
    """Raise `NodeError` unless the file is the one that this version of hashsearch was tested with."""
    digest = hashlib.sha256()
    with archive.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != SHA256:
        raise NodeError(f"'{archive}' must have the sha256 {SHA256}, got {digest.hexdigest()}: delete it and try again")


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack the server into a folder, readable by every account: the node may run as another one."""
    folder.chmod(0o755)
    with zipfile.ZipFile(archive) as file:
        for entry in file.infolist():
            executable = entry.is_dir() or entry.external_attr >> 16 & 0o100
            entry.filename = entry.filename.partition("/")[2]  # without the archive's one top folder
            if entry.filename:
                Path(file.extract(entry, folder)).chmod(0o755 if executable else 0o644)
