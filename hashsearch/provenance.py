"""When, on what machine and with which versions a result was made."""

from __future__ import annotations

import os
import platform
import re
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import hashsearch

_LIBRARIES = "elasticsearch imagehash keras numpy opencv-python-headless pillow scikit-learn tensorflow-cpu tensorflow"


def machine() -> dict[str, Any]:
    """What this runs on."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "load": round(os.getloadavg()[0], 2),
    }


def _cpu() -> str:
    try:
        told = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        told = None
    return told[1].strip() if told else platform.processor()


def versions() -> dict[str, str]:
    """Of this package, of Python and of the libraries that change a figure, those that are installed."""
    found = {"hashsearch": hashsearch.__version__, "python": platform.python_version()}
    for library in _LIBRARIES.split():
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def now() -> str:
    """The time in UTC; results of the same second must differ, for fusions tell by it what they are of."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")
