"""Progress of long work, reported to a callback: the library draws nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Progress = Callable[[str, int, int], object]  # stage, steps done so far, steps of the stage


def no_progress(stage: str, done: int, total: int) -> None:
    """Report nothing."""


def tracked(items: Sequence[Item], stage: str, progress: Progress) -> Iterator[Item]:
    """The items; each is reported as done when the next one is taken."""
    progress(stage, 0, len(items))
    for done, item in enumerate(items, 1):
        yield item
        progress(stage, done, len(items))
