"""The Elasticsearch server itself: downloaded once from Maven Central, checked, unpacked."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from hashsearch.errors import NodeError

GROUP, ARTIFACT, VERSION = "org.elasticsearch.distribution.integ-test-zip", "elasticsearch", "8.19.21"
SHA256 = "215d5f3dbf0609a149f6218a9e47b6ae2df34ebbff3c5754e35f15a5e5393c8a"

Progress = Callable[[str], None]


def install(folder: Path, progress: Progress) -> Path:
    """The folder of the unpacked server, `folder/elasticsearch-VERSION`; downloads it if it is not there yet.

    Raises `NodeError` when the download fails or is not the expected file.
    """
    target = folder / f"elasticsearch-{VERSION}"
    if target.is_dir():
        return target
    make_folder(folder)
    with locked(folder / "lock"):
        if not target.is_dir():
            for leftover in folder.glob("unpacking-*"):
                shutil.rmtree(leftover)
            try:
                with tempfile.TemporaryDirectory(prefix="unpacking-", dir=folder) as scratch:
                    archive = _download(Path(scratch), progress)
                    _verify(archive)
                    progress(f"unpacking Elasticsearch {VERSION}")
                    _unpack(archive, Path(scratch)).rename(target)
            except (OSError, RuntimeError) as error:
                raise NodeError(f"Elasticsearch {VERSION} could not be had from Maven Central: {error}") from error
    return target


def make_folder(folder: Path) -> None:
    """Make a folder, its parents too, that every account may enter; raises `NodeError` where that is refused."""
    with _writing(folder):
        for path in reversed([folder, *folder.parents]):
            if not path.is_dir():
                path.mkdir(exist_ok=True)
                path.chmod(0o755)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; waits while another process or thread holds it."""
    with _writing(path.parent):
        file = path.open("w")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NodeError(f"the data folder '{folder}' must be writable (HASHSEARCH_HOME sets it): {error}") from error


def _download(scratch: Path, progress: Progress) -> Path:
    """The path of the zip: the one in the user's Maven repository if it is there, else a fresh one below `scratch`.

    jgo writes a download in place, so a broken one must never lie where a later start would take it for whole.
    """
    from jgo.constants import default_maven_repo
    from jgo.maven import MavenContext, PythonResolver

    resolver = PythonResolver(progress_callback=lambda _, total: _megabytes(total, progress))
    context = MavenContext(resolver, repo_cache=scratch, local_repos=[default_maven_repo()], timeout=60)
    return context.project(GROUP, ARTIFACT).at_version(VERSION).artifact(packaging="zip").resolve()


@contextlib.contextmanager
def _megabytes(total: int, progress: Progress) -> Iterator[Callable[[int], None]]:
    """A function that takes the bytes of each chunk and reports whole megabytes."""
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        if done // 10**6 < (done + count) // 10**6:
            progress(f"downloading Elasticsearch {VERSION}: {(done + count) // 10**6} of {total // 10**6} MB")
        done += count

    yield advance


def _verify(archive: Path) -> None:
    """Raise `NodeError` unless the file is the one this version of hashsearch was tested with."""
    digest = hashlib.sha256()
    with archive.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    if digest.hexdigest() != SHA256:
        raise NodeError(f"'{archive}' must have the sha256 {SHA256}, not {digest.hexdigest()}: delete it and try again")


def _unpack(archive: Path, scratch: Path) -> Path:
    """The unpacked server folder below `scratch`, readable by every account: the node may run as another one."""
    with zipfile.ZipFile(archive) as file:
        file.extractall(scratch)
        for entry in file.infolist():
            executable = entry.is_dir() or entry.external_attr >> 16 & 0o100
            (scratch / entry.filename).chmod(0o755 if executable else 0o644)
    return scratch / f"elasticsearch-{VERSION}"
