"""Batches and prefetching: in order, and no further ahead than requested."""

from __future__ import annotations

import pytest

from hashsearch.overlap import batched, prefetch


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (3, [3]), (4, [3, 1]), (6, [3, 3]), (7, [3, 3, 1])])
def test_batches_hold_everything_in_order(count: int, sizes: list[int]) -> None:
    batches = list(batched(range(count), 3))
    assert [len(batch) for batch in batches] == sizes
    assert [item for batch in batches for item in batch] == list(range(count))


@pytest.mark.parametrize("ahead", [0, 1, 2, 10])
def test_prefetch_starts_as_many_items_ahead_as_requested_in_order(ahead: int) -> None:
    started: list[int] = []

    def start(item: int) -> int:
        started.append(item)
        return item * 10

    for taken, result in enumerate(prefetch(range(5), start, ahead)):
        assert result == taken * 10
        assert started == list(range(min(5, taken + 1 + ahead)))
    assert started == list(range(5))
