"""The vectors of a whole index on disk, of which only a few are in memory at a time."""

from __future__ import annotations

import os
import tempfile
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


class Spool:
    """Rows `(n, dims)` of one dtype in an unnamed temporary file, which ends with the process.

    It is in the folder `TMPDIR`. OSError when that is full.
    """

    def __init__(self, dims: int, dtype: str) -> None:
        self.dims = dims
        self.dtype = np.dtype(dtype)
        self._file = tempfile.TemporaryFile(prefix="hashsearch-")  # noqa: SIM115  (closed with the spool, below)
        weakref.finalize(self, self._file.close)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, rows: NDArray[Any]) -> None:
        """Append rows `(n, dims)`."""
        self._file.write(np.ascontiguousarray(rows, self.dtype).tobytes())
        self._file.flush()
        self._count += len(rows)

    def read(self, start: int, count: int) -> NDArray[Any]:
        """At most `count` rows from `start` on; safe to call from several threads."""
        return self._rows(self._bytes(start, count))

    def take(self, rows: Rows) -> NDArray[Any]:
        """These rows, in this order. A memory map would be shorter, but mapped pages count as memory of the process."""
        return self._rows(b"".join(self._bytes(row, 1) for row in rows.tolist()))

    def _bytes(self, start: int, count: int) -> bytes:
        size = self.dims * self.dtype.itemsize
        return os.pread(self._file.fileno(), count * size, start * size)

    def _rows(self, data: bytes) -> NDArray[Any]:
        return np.frombuffer(data, self.dtype).reshape(-1, self.dims)
