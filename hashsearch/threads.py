"""The threads of BLAS, which numpy multiplies matrices with.

By default it uses all cores for each product, however small, and its threads go on spinning for a while: they take the
cores from Elasticsearch, which then answers a search in twice the time.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

from threadpoolctl import threadpool_limits


def calm() -> None:
    """Let BLAS use one thread from now on: for a process that answers queries."""
    threadpool_limits(1, "blas")


def all_cores() -> AbstractContextManager[object]:
    """Let BLAS use all cores within a block: for large products, as in fitting."""
    limits: AbstractContextManager[object] = threadpool_limits(os.cpu_count(), "blas")
    return limits


def one_core() -> AbstractContextManager[object]:
    """Let BLAS use one thread within a block."""
    limits: AbstractContextManager[object] = threadpool_limits(1, "blas")
    return limits
