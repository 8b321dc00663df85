"""What was asked to an answer. Images pass one gate: a few at once, a few more waiting, all others refused."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from werkzeug.exceptions import ServiceUnavailable

from hashsearch.explanation import Explanation
from hashsearch.images import Limits, crop, decode
from hashsearch.search import Hit, Searcher
from hashsearch.web.request import Asked

AT_ONCE = min(4, os.cpu_count() or 1)  # a pass uses several cores, an image of 50 million pixels 150 MB
WAITING = 8


@dataclass(frozen=True)
class Timings:
    """Milliseconds of an image's decoding, crop and resizing; of the network's pass; of the search."""

    decode_ms: float = 0.0
    embed_ms: float = 0.0
    search_ms: float = 0.0


@dataclass(frozen=True)
class Answer:
    """Hits, best first. `query` tells what they were searched with, `image` is the part of the upload searched with."""

    query: dict[str, Any]
    hits: list[Hit]
    timings: Timings
    took_ms: float
    image: NDArray[np.uint8] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The answer as JSON holds it."""
        return {
            "query": self.query,
            "took_ms": self.took_ms,
            "timings": asdict(self.timings),
            "hits": [hit.as_dict() for hit in self.hits],
        }


@dataclass(frozen=True)
class _Seen:
    """An uploaded image after its way through the network."""

    image: NDArray[np.uint8]
    vector: NDArray[np.float32]
    decode_ms: float
    embed_ms: float


class Answerer:
    """Answers what was asked with a searcher, within the limits of an image."""

    def __init__(self, searcher: Searcher, limits: Limits) -> None:
        self.searcher = searcher
        self.limits = limits
        self._gate = Gate(AT_ONCE, WAITING)

    def answer(self, asked: Asked) -> Answer:
        """ImageError, SearchError, HashingError, StoreError; ServiceUnavailable when too many images wait."""
        started = perf_counter()
        seen = None if asked.image is None else self._see(asked.image, asked.crop)
        searching = perf_counter()
        hits = self._search(asked, asked.vector if seen is None else seen.vector)
        ended = perf_counter()
        decode_ms, embed_ms = (seen.decode_ms, seen.embed_ms) if seen else (0.0, 0.0)
        return Answer(
            query=_query(asked, seen),
            hits=hits,
            timings=Timings(decode_ms, embed_ms, _ms(searching, ended)),
            took_ms=_ms(started, ended),
            image=seen.image if seen else None,
        )

    def explain(self, asked: Asked, image_id: str) -> Explanation:
        """Why what was asked finds an indexed image, or why not; the same errors, ImageNotFound for another id."""
        query: str | NDArray[np.float32] | None = asked.vector if asked.id is None else asked.id
        if asked.image is not None:
            query = self._see(asked.image, asked.crop).vector
        assert query is not None  # one of image, id and vector was given
        return self.searcher.explain(query, image_id, asked.options)

    def _see(self, data: bytes, box: list[float] | None) -> _Seen:
        encoder = self.searcher.encoder
        with self._gate.passing():
            started = perf_counter()
            image = decode(data, self.limits)
            if box is not None:
                image = crop(image, box)
            prepared = encoder.embedder.prepare(image)
            decoded = perf_counter()
            vector = encoder.embed([prepared])[0]
            return _Seen(image, vector, _ms(started, decoded), _ms(decoded, perf_counter()))

    def _search(self, asked: Asked, vector: NDArray[np.float32] | None) -> list[Hit]:
        if asked.id is not None:
            if asked.radius is None:
                return self.searcher.by_id(asked.id, asked.options)
            return self.searcher.within_radius_of(asked.id, asked.radius, asked.options)
        assert vector is not None  # one of image, id and vector was given
        if asked.radius is None:
            return self.searcher.by_vector(vector, asked.options)
        return self.searcher.within_radius(vector, asked.radius, asked.options)


class Gate:
    """Lets `at_once` callers through at a time and `waiting` more wait; ServiceUnavailable for any other."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._room = threading.Semaphore(at_once + waiting)
        self._open = threading.Semaphore(at_once)

    @contextmanager
    def passing(self) -> Iterator[None]:
        """The time spent inside."""
        if not self._room.acquire(blocking=False):
            raise ServiceUnavailable("too many images are being searched with, try again in a moment", retry_after=1)
        try:
            with self._open:
                yield
        finally:
            self._room.release()


def _query(asked: Asked, seen: _Seen | None) -> dict[str, Any]:
    if seen is not None:
        height, width = seen.image.shape[:2]
        return {"by": "image", "width": width, "height": height}
    return {"by": "vector"} if asked.id is None else {"by": "id", "id": asked.id}


def _ms(start: float, end: float) -> float:
    return round((end - start) * 1000, 2)
