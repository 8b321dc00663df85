"""The pictures in a folder and its sub-folders, and what is passed over there, by reason."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hashsearch.errors import CatalogError
from hashsearch.images.formats import format_of

# Files with these endings are images or are rejected with the reason; of other files the first bytes decide.
_IMAGE_ENDINGS = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .webp .avif .gif .bmp .tif .tiff".split(),
)
# Raw formats of cameras begin like TIFF, but what a TIFF reader finds in them is a thumbnail.
_RAW_ENDINGS = frozenset(".arw .cr2 .cr3 .dng .nef .nrw .orf .pef .raf .rw2 .sr2 .srw".split())
_OTHER_ENDINGS = frozenset(".ai .eps .heic .heics .heif .hif .ico .jp2 .jxl .pdf .psd .svg .tga .xcf".split())
_HEIF = frozenset(b"ftyp" + brand for brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"))
# Thumbnails, recycle bins and snapshots that file servers and systems keep; hidden folders are passed over too.
_SYSTEM_FOLDERS = frozenset(
    (
        *("@eadir", "@recycle", "#recycle", "#snapshot", "__macosx"),
        *("$recycle.bin", "system volume information", "lost+found"),
    )
)
_HEAD = 64
_SHOWN = 8  # reasons in one line


@dataclass(frozen=True)
class PassedOver:
    """What is in a folder and no entry of the catalog: paths within the folder, by the reason.

    As text it is one line: "12 files passed over: 7 .heic (not supported), 3 in @eaDir, 2 not readable".
    """

    by_reason: dict[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self.by_reason.values()))

    def __str__(self) -> str:
        counts: Counter[str] = Counter()
        for reason, paths in self.by_reason.items():
            counts["link to a file of this folder" if reason.startswith("link to ") else reason] += len(paths)
        if len(counts) == 1 and len(self) == 1:
            counts = Counter({next(iter(self.by_reason)): 1})
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        parts = [f"{count} {reason}" for reason, count in ranked[:_SHOWN]]
        if rest := sum(count for _, count in ranked[_SHOWN:]):
            parts.append(f"{rest} for other reasons")
        return f"{len(self)} {'file' if len(self) == 1 else 'files'} passed over: {', '.join(parts)}"


def scan(root: Path) -> tuple[list[Path], PassedOver]:
    """The image files in a folder and its sub-folders, sorted, and what is passed over.

    Files are images by their ending or else by their first bytes. Linked folders are read once, after the others. A
    link to a file that is an image of this folder itself is passed over. CatalogError if the folder cannot be read.
    """
    return _Scan(root).run()


class _Scan:
    """One walk over a folder. Folders and links are known by their real paths, so that none is read twice."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._images: list[Path] = []
        self._real_images: dict[str, str] = {}  # the path within the root, by the real path
        self._links: list[tuple[str, str]] = []
        self._linked_folders: deque[tuple[str, str]] = deque()
        self._read: set[str] = set()
        self._passed: dict[str, list[str]] = {}

    def run(self) -> tuple[list[Path], PassedOver]:
        try:
            os.scandir(self._root).close()
        except OSError as error:
            raise CatalogError(f"the folder '{self._root}' cannot be read: {error.strerror}") from error
        self._walk(str(self._root), os.path.realpath(self._root))
        while self._linked_folders:
            path, real = self._linked_folders.popleft()
            if real in self._read or self._contains_root(real):
                self._pass_over("linked folders that are read already", path)
            else:
                self._walk(path, real)
        for path, real in sorted(self._links):
            if real in self._real_images:
                self._pass_over(f"link to {self._real_images[real]}", path)
            else:
                self._judge(path, real)
        passed = {reason: sorted(paths) for reason, paths in sorted(self._passed.items())}
        return sorted(self._images), PassedOver(passed)

    def _contains_root(self, real: str) -> bool:
        return os.path.realpath(self._root).startswith(f"{real.rstrip('/')}/")

    def _walk(self, path: str, real: str) -> None:
        waiting = [(path, real)]
        while waiting:
            path, real = waiting.pop()
            if real in self._read:
                self._pass_over("linked folders that are read already", path)
                continue
            self._read.add(real)
            try:
                with os.scandir(path) as found:
                    entries = sorted(found, key=lambda entry: entry.name)
            except OSError:
                self._pass_over("not readable", path)
                continue
            for entry in entries:
                if self._is_folder_to_read(entry):
                    waiting.append((entry.path, f"{real}/{entry.name}"))
                elif not entry.is_dir(follow_symlinks=False):
                    self._file(entry, f"{real}/{entry.name}")

    def _is_folder_to_read(self, entry: os.DirEntry[str]) -> bool:
        if not entry.is_dir(follow_symlinks=False):
            return False
        if _is_system(entry.name):
            for file in _files_under(entry.path):
                self._pass_over(f"in {_printable(entry.name)}", file)
            return False
        return True

    def _file(self, entry: os.DirEntry[str], real: str) -> None:
        if entry.name.startswith("."):
            self._pass_over("hidden", entry.path)
            return
        try:
            mode = entry.stat().st_mode
        except FileNotFoundError:
            self._pass_over("broken link", entry.path)
        except OSError as error:
            self._pass_over("link loop" if error.errno == errno.ELOOP else "not readable", entry.path)
        else:
            self._by_type(entry, mode, real)

    def _by_type(self, entry: os.DirEntry[str], mode: int, real: str) -> None:
        if stat.S_ISDIR(mode) and _is_system(entry.name):
            self._pass_over(f"in {_printable(entry.name)}", entry.path)
        elif stat.S_ISDIR(mode):
            self._linked_folders.append((entry.path, os.path.realpath(entry.path)))
        elif not stat.S_ISREG(mode):
            self._pass_over("not a regular file", entry.path)
        elif entry.is_symlink():
            self._links.append((entry.path, os.path.realpath(entry.path)))
        else:
            self._judge(entry.path, real)

    def _judge(self, path: str, real: str) -> None:
        """An image, or passed over with the reason."""
        if reason := _reason_against(path):
            self._pass_over(reason, path)
        else:
            self._images.append(Path(path))
            self._real_images.setdefault(real, self._inside(path))

    def _pass_over(self, reason: str, path: str) -> None:
        self._passed.setdefault(reason, []).append(self._inside(path))

    def _inside(self, path: str) -> str:
        return _printable(Path(path).relative_to(self._root).as_posix())


def _is_system(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _SYSTEM_FOLDERS


def _files_under(folder: str) -> Iterator[str]:
    for path, _, names in os.walk(folder):
        yield from (f"{path}/{name}" for name in names)


def _reason_against(path: str) -> str | None:
    """Why a file is no image, None if it is one."""
    ending = Path(path).suffix.lower()
    if ending in _IMAGE_ENDINGS:
        return None
    if ending in _RAW_ENDINGS:
        return f"{ending} (not supported)"
    try:
        with Path(path).open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return "not readable"
    if format_of(head):
        return None
    known = ending in _OTHER_ENDINGS or head[4:12] in _HEIF
    return f"{_printable(ending) or 'without ending'} ({'not supported' if known else 'not a picture'})"


def _printable(text: str) -> str:
    """The text with bytes that are not UTF-8, and control characters, as escapes."""
    shown = text.encode("utf-8", "backslashreplace").decode()
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in shown)
