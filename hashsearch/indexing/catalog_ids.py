"""The ids of all entries that a run has read, on disk as 8 bytes each, so that a resumed run knows them too."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_BYTES = 8  # of a hash: among ten million ids, a wrong match has a probability of 5e-13


class CatalogIds:
    """Hashes of ids in a file, of which the first `size` bytes are kept. `digest` is that of all bytes."""

    def __init__(self, path: Path, size: int = 0) -> None:
        self._path = path
        with path.open("ab") as file:
            file.truncate(size)
        self.size = size
        self._digest = blake2b(path.read_bytes(), digest_size=_BYTES)

    @property
    def digest(self) -> str:
        """A digest of the file: a damaged hash would count an image as missing, and remove it."""
        return self._digest.hexdigest()

    def add(self, ids: Iterable[str]) -> None:
        """Add ids; saved on disk when this returns."""
        added = hashes_of(ids).tobytes()
        self._digest.update(added)
        with self._path.open("ab") as file:
            file.write(added)
            file.flush()
            os.fsync(file.fileno())
            self.size = file.tell()

    def sorted(self) -> NDArray[np.uint64]:
        """All hashes, each once, for `are_among`."""
        return np.unique(np.fromfile(self._path, np.uint64))


def are_among(ids: Sequence[str], hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which of the ids are among sorted hashes: `(n,) bool`."""
    wanted = hashes_of(ids)
    if not len(hashes):
        return np.zeros(len(wanted), dtype=bool)
    places = np.minimum(np.searchsorted(hashes, wanted), len(hashes) - 1)
    among: NDArray[np.bool_] = hashes[places] == wanted
    return among


def saved_digest(path: Path, size: int) -> str:
    """The digest of the first `size` bytes of a file of hashes, of as many as it has, none if it does not exist."""
    content = path.read_bytes()[:size] if path.exists() else b""
    return blake2b(content, digest_size=_BYTES).hexdigest()


def hashes_of(ids: Iterable[str]) -> NDArray[np.uint64]:
    """A hash of each id `(n,)`."""
    digests = (blake2b(image_id.encode("utf-8", "surrogatepass"), digest_size=_BYTES).digest() for image_id in ids)
    return np.frombuffer(b"".join(digests), np.uint64)
