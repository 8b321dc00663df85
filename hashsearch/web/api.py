"""The JSON API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest

from hashsearch.elastic.image_index import ImageIndex
from hashsearch.search.searcher import Searcher
from hashsearch.web.request import read
from hashsearch.web.service import SearchService

_HEALTH_SECONDS = 3


def blueprint(answerer: SearchService) -> Blueprint:
    """`POST /api/search`, `POST /api/explain/<id>`, `GET /api/images/<id>`, `GET /api/models`, `GET /healthz`."""
    routes = Blueprint("api", __name__)

    @routes.post("/api/search")
    def search() -> Response:
        """Hits for an image, an id or a vector."""
        return jsonify(answerer.answer(read(request)).as_dict())

    @routes.post("/api/explain/<id:image_id>")
    def explain(image_id: str) -> Response:
        """Why the same search finds one image, or why it does not."""
        asked = read(request)
        if asked.radius is not None:
            raise BadRequest("radius answers every image within it, so there is nothing to explain")
        return jsonify(answerer.explain(asked, image_id).as_dict())

    @routes.get("/api/images/<id:image_id>")
    def record(image_id: str) -> Response:
        """What is stored of one image."""
        return jsonify(id=image_id, **answerer.searcher(request.args.get("model")).index.record(image_id))

    @routes.get("/api/models")
    def models() -> Response:
        """The models that can be asked, the one that answers unless told otherwise first."""
        return jsonify(models=[_described(name, searcher) for name, searcher in answerer.searchers.items()])

    @routes.get("/healthz")
    def health() -> Response:
        """Whether a search would be answered now, by each of the models."""
        counts = {name: _hurried(searcher.index).count() for name, searcher in answerer.searchers.items()}
        first = answerer.searcher(None)
        told = {"index": first.index.alias, "count": counts[answerer.default], "encoder": first.encoder.fingerprint}
        return jsonify(status="ok", **told, counts=counts)

    return routes


def _described(name: str, searcher: Searcher) -> dict[str, Any]:
    index, encoder = searcher.index, searcher.encoder
    return {
        "name": name,
        "index": index.alias,
        "count": index.count(),
        "encoder": encoder.fingerprint,
        "embedder": encoder.spec.name,
        "dims": encoder.dims,
        "bits": encoder.bits,
        "classes": encoder.spec.classes,
    }


def _hurried(index: ImageIndex) -> ImageIndex:
    return replace(index, client=index.client.options(request_timeout=_HEALTH_SECONDS))
