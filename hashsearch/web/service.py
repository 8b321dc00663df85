"""What was asked to an answer. Images pass one gate: a few at once, a few more waiting, all others refused."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from werkzeug.exceptions import ServiceUnavailable

from hashsearch.encoder import Encoder
from hashsearch.errors import SearchError
from hashsearch.images.decoding import Limits, crop, decode
from hashsearch.search.explanation import Explanation
from hashsearch.search.searcher import Hit, Searcher
from hashsearch.web.request import SearchRequest

AT_ONCE = min(4, os.cpu_count() or 1)  # a pass uses several cores, an image of 50 million pixels 150 MB
WAITING = 8
_CLASSES = 5  # told of a classifier's answer


@dataclass(frozen=True)
class Timings:
    """Milliseconds of an image's decoding, crop and resizing; of the network's pass; of the search."""

    decode_ms: float = 0.0
    embed_ms: float = 0.0
    search_ms: float = 0.0


@dataclass(frozen=True)
class Answer:
    """Hits of a model, best first. `query` tells what they were searched with, `image` is that part of the upload."""

    model: str
    query: dict[str, Any]
    hits: list[Hit]
    timings: Timings
    took_ms: float
    image: NDArray[np.uint8] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The answer as JSON holds it."""
        return {
            "model": self.model,
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
    confidences: Mapping[str, float]


class SearchService:
    """Answers what was asked with the searcher of a model, within the limits of an image."""

    def __init__(self, searchers: Mapping[str, Searcher], limits: Limits) -> None:
        self.searchers = searchers
        self.limits = limits
        self.default = next(iter(searchers))
        self._gate = Gate(AT_ONCE, WAITING)

    def searcher(self, model: str | None) -> Searcher:
        """That of a model, None for the first; SearchError for one that is not served."""
        try:
            return self.searchers[model or self.default]
        except KeyError:
            raise SearchError(f"model must be one of {', '.join(self.searchers)}, got '{model}'") from None

    def answer(self, asked: SearchRequest) -> Answer:
        """ImageError, SearchError, HashingError, StoreError; ServiceUnavailable when too many images wait."""
        started = perf_counter()
        searcher = self.searcher(asked.model)
        seen = None if asked.image is None else self._see(searcher.encoder, asked.image, asked.crop)
        searching = perf_counter()
        hits = _search(searcher, asked, asked.vector if seen is None else seen.vector)
        ended = perf_counter()
        decode_ms, embed_ms = (seen.decode_ms, seen.embed_ms) if seen else (0.0, 0.0)
        return Answer(
            model=asked.model or self.default,
            query=_query(asked, seen),
            hits=hits,
            timings=Timings(decode_ms, embed_ms, _ms(searching, ended)),
            took_ms=_ms(started, ended),
            image=seen.image if seen else None,
        )

    def explain(self, asked: SearchRequest, image_id: str) -> Explanation:
        """Why what was asked finds an indexed image, or why not; the same errors, ImageNotFound for another id."""
        searcher = self.searcher(asked.model)
        query: str | NDArray[np.float32] | None = asked.vector if asked.id is None else asked.id
        if asked.image is not None:
            query = self._see(searcher.encoder, asked.image, asked.crop).vector
        assert query is not None  # one of image, id and vector was given
        return searcher.explain(query, image_id, asked.options)

    def _see(self, encoder: Encoder, data: bytes, box: list[float] | None) -> _Seen:
        with self._gate.passing():
            started = perf_counter()
            image = decode(data, self.limits)
            if box is not None:
                image = crop(image, box)
            prepared = encoder.embedder.prepare(image)
            decoded = perf_counter()
            vector = encoder.embed([prepared])[0]
            timings = _ms(started, decoded), _ms(decoded, perf_counter())
            return _Seen(image, vector, *timings, encoder.confidences(vector))


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


def _search(searcher: Searcher, asked: SearchRequest, vector: NDArray[np.float32] | None) -> list[Hit]:
    if asked.id is not None:
        if asked.radius is None:
            return searcher.by_id(asked.id, asked.options)
        return searcher.within_radius_of(asked.id, asked.radius, asked.options)
    assert vector is not None  # one of image, id and vector was given
    if asked.radius is None:
        return searcher.by_vector(vector, asked.options)
    return searcher.within_radius(vector, asked.radius, asked.options)


def _query(asked: SearchRequest, seen: _Seen | None) -> dict[str, Any]:
    if seen is not None:
        height, width = seen.image.shape[:2]
        told = {"by": "image", "width": width, "height": height}
        likely = [{"class": name, "confidence": share} for name, share in islice(seen.confidences.items(), _CLASSES)]
        return {**told, "classes": likely} if likely else told
    return {"by": "vector"} if asked.id is None else {"by": "id", "id": asked.id}


def _ms(start: float, end: float) -> float:
    return round((end - start) * 1000, 2)
