"""The JSON API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest

from hashsearch.elastic.image_index import ImageIndex
from hashsearch.search.searcher import Searcher
from hashsearch.web.pictures import id_argument
from hashsearch.web.request import read_request
from hashsearch.web.service import SearchService, without_path

_HEALTH_SECONDS = 3


def blueprint(service: SearchService) -> Blueprint:
    """`POST /api/search`, `POST /api/explain/<id>`, `GET /api/images/<id>`, `GET /api/models`, `GET /healthz`.

    An id may also be in `?id=`.
    """
    routes = Blueprint("api", __name__)

    @routes.post("/api/search")
    def search() -> Response:
        """Hits for an image, an id or a vector."""
        return jsonify(service.search(read_request(request)).as_dict())

    @routes.post("/api/explain")
    @routes.post("/api/explain/<id:image_id>")
    def explain(image_id: str | None = None) -> Response:
        """Why the same search finds one image, or why it does not."""
        image_id = image_id or id_argument()
        search_request = read_request(request)
        if search_request.radius is not None:
            raise BadRequest("radius cannot be explained: every image within it is a hit")
        return jsonify(service.explain(search_request, image_id).as_dict())

    @routes.get("/api/images")
    @routes.get("/api/images/<id:image_id>")
    def record(image_id: str | None = None) -> Response:
        """The stored fields of one image."""
        image_id = image_id or id_argument()
        stored = service.searcher(request.args.get("model")).index.record(image_id)
        return jsonify(id=image_id, **without_path(stored))

    @routes.get("/api/models")
    def models() -> Response:
        """The models that can be searched, the default first."""
        return jsonify(models=[_described(name, searcher) for name, searcher in service.searchers.items()])

    @routes.get("/healthz")
    def health() -> Response:
        """Whether every model can be searched now."""
        counts = {name: _with_short_timeout(searcher.index).count() for name, searcher in service.searchers.items()}
        default = service.searcher(None)
        return jsonify(
            status="ok",
            index=default.index.alias,
            count=counts[service.default],
            encoder=default.encoder.fingerprint,
            counts=counts,
        )

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


def _with_short_timeout(index: ImageIndex) -> ImageIndex:
    return replace(index, client=index.client.options(request_timeout=_HEALTH_SECONDS))
