"""The version of this package, and the time, machine and versions that a report records."""

from __future__ import annotations

import os
import platform
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

VERSION = "0.2.0"
_LIBRARIES = (
    "elasticsearch imagehash keras numpy opencv-python-headless openvino pillow scikit-learn tensorflow-cpu tensorflow"
)


def machine() -> dict[str, Any]:
    """The processor, memory, system and current load."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "load": round(os.getloadavg()[0], 2),
    }


def _cpu() -> str:
    try:
        model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        model = None
    return model[1].strip() if model else platform.processor()


def versions() -> dict[str, str]:
    """Versions of this package, of Python and of the installed libraries that affect results."""
    from importlib.metadata import PackageNotFoundError, version

    installed = {"hashsearch": VERSION, "python": platform.python_version()}
    for library in _LIBRARIES.split():
        try:
            installed[library] = version(library)
        except PackageNotFoundError:
            continue
    return installed


def now() -> str:
    """The time in UTC, with microseconds: fusions identify their members' results by it."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")
