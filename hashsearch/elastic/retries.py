"""How often and when a request is sent again to a cluster that is overloaded or cannot be reached."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from hashsearch.errors import StoreUnavailable

Result = TypeVar("Result")


@dataclass(frozen=True)
class RetryPolicy:
    """Retries for requests that may be sent twice: reads, and writes of whole documents.

    A request is sent again `retries` times, after delays in seconds with full jitter: uniform in 0 to
    min(max_delay, base_delay * 2^n).
    """

    retries: int = 8
    base_delay: float = 0.2
    max_delay: float = 60.0

    def attempts(self) -> Iterator[int]:
        """The numbers of the attempts, from 0; each waits before it is returned, except the first."""
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(random.uniform(0, min(self.max_delay, self.base_delay * 2**attempt)))
            yield attempt

    def call(self, request: Callable[[], Result]) -> Result:
        """The result of a request; StoreUnavailable when its last attempt fails."""
        for attempt in self.attempts():
            try:
                return request()
            except StoreUnavailable:
                if attempt == self.retries:
                    raise
        raise AssertionError("the last attempt returns or raises")


ONCE = RetryPolicy(retries=0)
PATIENT = RetryPolicy()
