"""The one exact top k in numpy: exact neighbours, best scores, largest counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating[Any]] | NDArray[np.signedinteger[Any]]


def top_k(scores: Scores, k: int) -> NDArray[np.intp]:
    """Columns of the k largest scores of each row, largest first, equal ones by column: `(n, m) -> (n, min(k, m))`.

    Of one row: `(m,) -> (min(k, m),)`. Negated distances give the nearest. Scores must not be NaN.
    """
    rows: Scores = np.atleast_2d(scores)  # type: ignore[assignment]  # numpy joins the two types
    columns = _largest(rows, min(k, rows.shape[1]))
    order = np.lexsort((columns, -np.take_along_axis(rows, columns, axis=1)), axis=1)
    ranked = np.take_along_axis(columns, order, axis=1)
    return ranked[0] if np.ndim(scores) == 1 else ranked


def _largest(rows: Scores, k: int) -> NDArray[np.intp]:
    """Columns `(n, k)` of the k largest of each row, unordered; the first columns where scores tie at the cut."""
    count, width = rows.shape
    if not 0 < k < width:
        return np.tile(np.arange(width)[:k], (count, 1))
    columns: NDArray[np.intp]
    if k == 1:
        columns = np.argmax(rows, axis=1, keepdims=True)
        return columns
    columns = np.argpartition(rows, width - k, axis=1)[:, width - k :]
    lowest = np.take_along_axis(rows, columns[:, :1], axis=1)  # the pivot of the partition, which is the k-th largest
    for row in np.flatnonzero(np.count_nonzero(rows >= lowest, axis=1) > k):
        above = np.flatnonzero(rows[row] > lowest[row])
        tied = np.flatnonzero(rows[row] == lowest[row])
        columns[row] = np.concatenate([above, tied[: k - len(above)]])
    return columns
