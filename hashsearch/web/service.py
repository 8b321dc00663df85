"""Search requests to results. Images pass a gate: a few at once, a few more wait, all others are refused."""

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
from hashsearch.images.decoding import crop, reduced
from hashsearch.images.sources import ImageReader, is_address
from hashsearch.search.explanation import Explanation
from hashsearch.search.searcher import Hit, Searcher
from hashsearch.web.request import SearchRequest

AT_ONCE = min(4, os.cpu_count() or 1)  # the network uses several cores, an image of 50 million pixels 150 MB
WAITING = 8
_SHOWN_PIXELS, _SHOWN_SIDE = 4_000_000, 960  # of an upload: larger ones are reduced, a page shows 480 pixels a side
_TOP_CLASSES = 5


@dataclass(frozen=True)
class Timings:
    """Milliseconds of decoding, cropping and resizing an image; of the network; of the search."""

    decode_ms: float = 0.0
    embed_ms: float = 0.0
    search_ms: float = 0.0


@dataclass(frozen=True)
class SearchResults:
    """Hits of a model, best first.

    `query` describes the request, `image` is what to show of an upload, `note` says why there are no hits.
    """

    model: str
    query: dict[str, Any]
    hits: list[Hit]
    timings: Timings
    took_ms: float
    image: NDArray[np.uint8] | None = None
    note: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The results as JSON holds them."""
        return {
            "model": self.model,
            "query": self.query,
            "took_ms": self.took_ms,
            "timings": asdict(self.timings),
            "hits": [without_path(hit.as_dict()) for hit in self.hits],
            **({"note": self.note} if self.note else {}),
        }


@dataclass(frozen=True)
class _EmbeddedUpload:
    """An uploaded image, reduced if it is large, its own size and its vector; `confidences` by class."""

    image: NDArray[np.uint8]
    width: int
    height: int
    vector: NDArray[np.float32]
    decode_ms: float
    embed_ms: float
    confidences: Mapping[str, float]


class SearchService:
    """Runs search requests with the searcher of the model that they name."""

    def __init__(self, searchers: Mapping[str, Searcher], reader: ImageReader) -> None:
        self.searchers = searchers
        self.reader = reader
        self.default = next(iter(searchers))
        self._gate = Gate(AT_ONCE, WAITING, "searches with images")

    def searcher(self, model: str | None) -> Searcher:
        """The searcher of a model, of the default for None; SearchError for an unknown model."""
        try:
            return self.searchers[model or self.default]
        except KeyError:
            raise SearchError(f"model must be one of {', '.join(self.searchers)}, got '{model}'") from None

    def search(self, request: SearchRequest) -> SearchResults:
        """Raises ImageError, SearchError, HashingError, StoreError; ServiceUnavailable if too many images wait."""
        started = perf_counter()
        searcher = self.searcher(request.model)
        searcher.check_filters(request.options)
        upload = None if request.image is None else self._embed(searcher.encoder, request.image, request.crop)
        searching = perf_counter()
        hits = _search(searcher, request, request.vector if upload is None else upload.vector)
        ended = perf_counter()
        decode_ms, embed_ms = (upload.decode_ms, upload.embed_ms) if upload else (0.0, 0.0)
        return SearchResults(
            model=request.model or self.default,
            query=_description(request, upload),
            hits=hits,
            timings=Timings(decode_ms, embed_ms, _ms(searching, ended)),
            took_ms=_ms(started, ended),
            image=upload.image if upload else None,
            note=searcher.note(hits, request.options),
        )

    def explain(self, request: SearchRequest, image_id: str) -> Explanation:
        """Why the request finds an indexed image, or why not; the same errors, ImageNotFound for an unknown id."""
        searcher = self.searcher(request.model)
        searcher.check_filters(request.options)
        query: str | NDArray[np.float32] | None = request.vector if request.id is None else request.id
        if request.image is not None:
            query = self._embed(searcher.encoder, request.image, request.crop).vector
        assert query is not None  # a request has an image, an id or a vector
        return searcher.explain(query, image_id, request.options)

    def _embed(self, encoder: Encoder, data: bytes, box: list[float] | None) -> _EmbeddedUpload:
        with self._gate.passing():
            started = perf_counter()
            with self.reader.decoded(data) as image:
                part = image if box is None else crop(image, box)
                (height, width), prepared = part.shape[:2], encoder.embedder.prepare(part)
                shown = part if width * height <= _SHOWN_PIXELS else reduced(part, _SHOWN_SIDE)
            decoded = perf_counter()
            vector = encoder.embed([prepared])[0]
            timings = _ms(started, decoded), _ms(decoded, perf_counter())
            return _EmbeddedUpload(shown, width, height, vector, *timings, encoder.confidences(vector))


def without_path(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an image as the API gives them: `uri` only if it is an address, not a path on this machine."""
    uri = record.get("uri")
    return {**record, "uri": uri if uri and is_address(uri) else None}


class Gate:
    """Lets `at_once` callers in at a time while `waiting` more wait; ServiceUnavailable for all others.

    `what` names in the message what there are too many of.
    """

    def __init__(self, at_once: int, waiting: int, what: str) -> None:
        self._what = what
        self._places = threading.Semaphore(at_once + waiting)
        self._slots = threading.Semaphore(at_once)

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Wait for a slot and keep it within the `with` block."""
        if not self._places.acquire(blocking=False):
            raise ServiceUnavailable(f"too many {self._what} at once; try again in a moment", retry_after=1)
        try:
            with self._slots:
                yield
        finally:
            self._places.release()


def _search(searcher: Searcher, request: SearchRequest, vector: NDArray[np.float32] | None) -> list[Hit]:
    if request.id is not None:
        if request.radius is None:
            return searcher.by_id(request.id, request.options)
        return searcher.within_radius_of(request.id, request.radius, request.options)
    assert vector is not None  # a request has an image, an id or a vector
    if request.radius is None:
        return searcher.by_vector(vector, request.options)
    return searcher.within_radius(vector, request.radius, request.options)


def _description(request: SearchRequest, upload: _EmbeddedUpload | None) -> dict[str, Any]:
    if upload is None:
        return {"by": "vector"} if request.id is None else {"by": "id", "id": request.id}
    size = {"by": "image", "width": upload.width, "height": upload.height}
    likeliest = islice(upload.confidences.items(), _TOP_CLASSES)
    classes = [{"class": name, "confidence": confidence} for name, confidence in likeliest]
    return {**size, "classes": classes} if classes else size


def _ms(start: float, end: float) -> float:
    return round((end - start) * 1000, 2)
