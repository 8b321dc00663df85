"""TensorFlow, imported in one place: it is optional, takes seconds to start, and prints pages about the processor."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from hashsearch.errors import ConfigError


def import_tensorflow(purpose: str) -> None:
    """Import TensorFlow without its messages about devices and instruction sets, which no user can act on.

    Parameters
    ----------
    purpose : str
        What it is needed for: "to train a network".

    Raises
    ------
    ConfigError
        It is not installed.
    """
    if find_spec("tensorflow") is None:
        raise ConfigError(f"TensorFlow is needed {purpose}: pip install 'hashsearch[train]'")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    shown = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        finally:
            os.dup2(shown, 2)
            os.close(shown)
