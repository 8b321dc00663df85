"""Stages of the work on one image, so that an unexpected error in one concerns this image alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from hashsearch.errors import FetchError, ImageError, ProcessingFailed

_log = logging.getLogger(__name__)


@contextmanager
def stage(name: str, source: str) -> Iterator[None]:
    """Turn an error that is not about the image or its address into ProcessingFailed; its traceback is logged."""
    try:
        yield
    except (FetchError, ImageError):
        raise
    except Exception as error:
        _log.exception("%s of '%s' failed", name, source)
        detail = f": {error}" if str(error) else ""
        raise ProcessingFailed(f"{name} failed: {type(error).__name__}{detail}") from error
