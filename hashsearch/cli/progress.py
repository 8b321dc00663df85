"""How far a long step is: a bar on a terminal, elsewhere a log line every half minute."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from hashsearch import telemetry

if TYPE_CHECKING:
    from tqdm import tqdm

Item = TypeVar("Item")
EVERY = 30.0  # seconds between log lines
_log = logging.getLogger(__name__)
_bars: list[tqdm[Any]] = []  # those on the terminal now


class Progress:
    """One step with a name, the unit it counts, and the total where that is known. Used as a context.

    `update` takes how many more are done, `show` how many are done of how many: either is a callback for the library.
    """

    def __init__(
        self, step: str, unit: str = "", total: int | None = None, every: float = EVERY, depth: int = 0
    ) -> None:
        self.step = step
        self.unit = unit
        self.total = total
        self.done = 0
        self._before: int | None = None  # done when the step began, by an earlier run
        self._every = every
        self._depth = depth
        self._bar: tqdm[Any] | None = None

    @classmethod
    def over(cls, items: Sequence[Item], step: str, unit: str) -> Iterator[Item]:
        """The items one by one; each counts as done when the next is taken."""
        with cls(step, unit, len(items)) as progress:
            for item in items:
                yield item
                progress.update()

    def __enter__(self) -> Progress:
        self._began = self._logged = monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
            _bars.remove(self._bar)
            if not _bars and (log := telemetry.current()):
                log.sink = telemetry.to_stderr

    def update(self, count: int = 1) -> None:
        """Report that `count` more are done."""
        self._before = self._before or 0
        self.show(self.done + count, self.total)

    def show(self, done: int, total: int | None = None) -> None:
        """Report that `done` of `total` are done. What the first call says was done before the step began."""
        self._before = done if self._before is None else self._before
        self.done, self.total = done, total
        if self._bar is None and _on_terminal():
            self._bar = self._start_bar()
        if self._bar is not None:
            self._bar.total = total
            self._bar.update(done - self._bar.n)
        elif monotonic() - self._logged >= self._every:
            self._logged = monotonic()
            _log.info("%s", self._line(), extra={"done": done, "total": total})

    def _start_bar(self) -> tqdm[Any]:
        from tqdm import tqdm

        if log := telemetry.current():
            log.sink = partial(tqdm.write, file=sys.stderr)
        bar: tqdm[Any] = tqdm(
            total=self.total,
            initial=self._before or 0,
            desc="  " * self._depth + self.step,
            unit=f" {self.unit}" if self.unit else "it",
            leave=not self._depth,
        )
        _bars.append(bar)
        return bar

    def _line(self) -> str:
        of = f" of {self.total:,}" if self.total else ""
        rate = (self.done - (self._before or 0)) / (monotonic() - self._began)
        left = f", {(self.total - self.done) / rate:,.0f} s left" if self.total and rate else ""
        return f"{self.step}: {' '.join(filter(None, (f'{self.done:,}{of}', self.unit)))}, {rate:,.1f} a second{left}"


class Stages:
    """Steps within steps, as a callback `(stage, done, total)`. Used as a context.

    A new stage is within those that are not done; a report of an outer stage ends the inner ones.
    """

    def __init__(self, every: float = EVERY) -> None:
        self._every = every
        self._open: list[Progress] = []

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            self._open.pop().__exit__()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that `done` of `total` steps of the stage are done."""
        if stage not in [progress.step for progress in self._open]:
            self._open.append(Progress(stage, every=self._every, depth=len(self._open)).__enter__())
        while self._open[-1].step != stage:
            self._open.pop().__exit__()
        self._open[-1].show(done, total)
        if done >= total:
            self._open.pop().__exit__()


def _on_terminal() -> bool:
    log = telemetry.current()
    return log is not None and log.form == "text" and sys.stderr.isatty()
