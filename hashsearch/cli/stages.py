"""Progress bars for the stages of a measurement, as `hashsearch.evaluation.progress` reports them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from tqdm import tqdm


@contextmanager
def stage_bars() -> Iterator[Callable[[str, int, int], None]]:
    """A callback (stage, done, total) that draws a bar for each stage, inner stages below the outer ones.

    A finished stage's bar is cleared, unless it is the outermost.
    """
    bars: dict[str, tqdm[NoReturn]] = {}

    def report(stage: str, done: int, total: int) -> None:
        if stage not in bars:
            bars[stage] = tqdm(total=total, desc="  " * len(bars) + stage, leave=not bars)
        while next(reversed(bars)) != stage:  # an inner stage that ended early
            bars.popitem()[1].close()
        bars[stage].update(done - bars[stage].n)
        if done >= total:
            bars.pop(stage).close()

    try:
        yield report
    finally:
        for bar in reversed(bars.values()):
            bar.close()
