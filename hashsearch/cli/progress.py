"""How far a long step is: a bar on a terminal, elsewhere a log line every half minute."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from hashsearch import telemetry

if TYPE_CHECKING:
    from tqdm import tqdm

Item = TypeVar("Item")
EVERY = 30.0  # seconds between log lines
_log = logging.getLogger(__name__)


class Progress:
    """One step with a name, the unit it counts, and the total where that is known.

    Used as a context. `update` takes how many more are done and `show` how many are done of how many: one of the two
    is what a library function takes as its callback.
    """

    def __init__(self, step: str, unit: str, total: int | None = None, done: int = 0, every: float = EVERY) -> None:
        self.step = step
        self.unit = unit
        self.total = total
        self.done = self._before = done
        self._every = every
        self._bar: tqdm[None] | None = None

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

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()
            if log := telemetry.current():
                vars(log).pop("write", None)

    def update(self, count: int = 1) -> None:
        """So many more are done."""
        self.show(self.done + count, self.total)

    def show(self, done: int, total: int | None = None) -> None:
        """So many are done, of so many."""
        more, self.done, self.total = done - self.done, done, total
        if self._bar is None and _on_terminal():
            self._bar = self._start_bar(done - more)
        if self._bar is not None:
            self._bar.total = total
            self._bar.update(more)
        elif monotonic() - self._logged >= self._every:
            self._logged = monotonic()
            _log.info("%s", self._line(), extra={"done": done, "total": total})

    def _start_bar(self, done: int) -> tqdm[None]:
        from tqdm import tqdm

        if log := telemetry.current():
            log.write = partial(tqdm.write, file=sys.stderr)  # type: ignore[method-assign]
        return tqdm(total=self.total, initial=done, desc=self.step, unit=f" {self.unit}")

    def _line(self) -> str:
        of = f" of {self.total:,}" if self.total else ""
        rate = (self.done - self._before) / (monotonic() - self._began)
        left = f", {(self.total - self.done) / rate:,.0f} s left" if self.total and rate else ""
        return f"{self.step}: {self.done:,}{of} {self.unit}, {rate:,.1f} a second{left}"


def _on_terminal() -> bool:
    log = telemetry.current()
    return log is not None and log.form == "text" and sys.stderr.isatty()
