"""Batches and prefetching, so that reading, computing and writing overlap."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Started = TypeVar("Started")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size` items in order, the last one shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def prefetch(items: Iterable[Item], start: Callable[[Item], Started], ahead: int) -> Iterator[Started]:
    """The results of `start` for each item, in order; it is called up to `ahead` items before a result is taken."""
    started: deque[Started] = deque()
    for item in items:
        started.append(start(item))
        if len(started) > ahead:
            yield started.popleft()
    yield from started
