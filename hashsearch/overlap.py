"""Work begun ahead of its turn, so that reading, computing and writing go on at the same time."""

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
    """What `start` returns of each item, in order; it is called for up to `ahead` items before theirs is taken."""
    started: deque[Started] = deque()
    for item in items:
        started.append(start(item))
        if len(started) > ahead:
            yield started.popleft()
    yield from started
