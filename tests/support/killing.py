"""Processes that are killed at a chosen moment."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LONGEST = 300  # seconds


def kill_when(reached: Callable[[], object], command: Sequence[str]) -> None:
    """Start a command, and kill -9 it and its children as soon as `reached()` is true; it must not end before."""
    with subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        started = time.monotonic()
        while not reached():
            assert process.poll() is None, f"{command} ended with {process.returncode} before it could be killed"
            assert time.monotonic() - started < _LONGEST, f"{command} did not reach the moment to kill it"
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def finish(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, which must be a success."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done
