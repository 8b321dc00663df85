"""Thumbnails kept in a folder, so that each picture is decoded for its first viewer only."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from hashsearch.files import safe_name

_MAX_BYTES = 1_000_000_000
_KEPT = 0.8  # of these bytes, when there are more
_JPEG_END = b"\xff\xd9"
_log = logging.getLogger(__name__)


class ThumbnailCache:
    """Thumbnails by the digest of their image; the oldest are removed when there are too many bytes.

    It is never in the way: what cannot be written is not kept, and a file that is incomplete is not there.
    """

    def __init__(self, folder: Path, max_bytes: int = _MAX_BYTES) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._free = 0  # bytes that may be written before the folder is looked through, by this process

    def get(self, digest: str) -> bytes | None:
        """The thumbnail of the image with this SHA-256, if there is one."""
        try:
            jpeg = self._file(digest).read_bytes()
        except OSError:
            return None
        return jpeg if jpeg.endswith(_JPEG_END) else None

    def put(self, digest: str, jpeg: bytes) -> None:
        """Keep a thumbnail."""
        file = self._file(digest)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".new", delete=False) as draft:
                draft.write(jpeg)
            Path(draft.name).replace(file)
            self._free -= len(jpeg)
            if self._free < 0:
                self._free = self._max_bytes - self._shrink()
        except OSError as error:
            _log.warning("thumbnails cannot be kept in %s: %s", self._folder, error)

    def _file(self, digest: str) -> Path:
        name = safe_name(digest)
        return self._folder / name[:2] / f"{name}.jpg"

    def _shrink(self) -> int:
        """Remove the oldest files if there are too many bytes; how many bytes are left."""
        files = [(file, file.stat()) for file in self._folder.glob("*/*")]
        total = sum(status.st_size for _, status in files)
        if total <= self._max_bytes:
            return total
        for file, status in sorted(files, key=lambda item: item[1].st_mtime):
            if total <= _KEPT * self._max_bytes:
                break
            file.unlink(missing_ok=True)
            total -= status.st_size
        return total
