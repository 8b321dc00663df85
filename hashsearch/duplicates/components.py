"""Connected components of pairs."""

from __future__ import annotations

import numpy as np

from hashsearch.duplicates.spool import Rows


class Components:
    """Connected components of `count` rows, by the pairs joined so far; 8 bytes a row, whatever the number of pairs.

    Each row points to a lower one of its component or, as its root, to itself. All pairs of a batch are joined at once:
    each root is linked to the lowest root that a pair connects it with, until no pair has two (Shiloach and Vishkin
    1982).
    """

    def __init__(self, count: int) -> None:
        self._above: Rows = np.arange(count)

    def join(self, firsts: Rows, seconds: Rows) -> None:
        """Put the two rows of each pair `(pairs,), (pairs,)` into one component."""
        while len(firsts):
            firsts, seconds = self._roots(firsts), self._roots(seconds)
            apart = firsts != seconds
            firsts, seconds = firsts[apart], seconds[apart]
            np.minimum.at(self._above, np.maximum(firsts, seconds), np.minimum(firsts, seconds))

    def groups(self) -> list[Rows]:
        """The rows of each component of two or more, ascending; the component with the lowest row first."""
        roots = self._roots(np.arange(len(self._above)))
        members = np.flatnonzero(np.bincount(roots, minlength=1)[roots] > 1)
        ordered = members[np.argsort(roots[members], kind="stable")]
        ends = np.flatnonzero(np.diff(roots[ordered])) + 1
        return np.split(ordered, ends) if len(ordered) else []

    def _roots(self, rows: Rows) -> Rows:
        roots = self._above[rows]
        while not np.array_equal(higher := self._above[roots], roots):
            roots = higher
        self._above[rows] = roots
        return roots
