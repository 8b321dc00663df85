"""The JSON API."""

from __future__ import annotations

from dataclasses import replace

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import BadRequest

from hashsearch.web.answers import Answerer
from hashsearch.web.request import read

_HEALTH_SECONDS = 3


def blueprint(answerer: Answerer) -> Blueprint:
    """`POST /api/search`, `POST /api/explain/<id>`, `GET /api/images/<id>`, `GET /healthz`."""
    routes = Blueprint("api", __name__)
    index, encoder = answerer.searcher.index, answerer.searcher.encoder

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
        return jsonify(id=image_id, **index.record(image_id))

    @routes.get("/healthz")
    def health() -> Response:
        """Whether a search would be answered now."""
        hurried = replace(index, client=index.client.options(request_timeout=_HEALTH_SECONDS))
        return jsonify(status="ok", index=index.alias, count=hurried.count(), encoder=encoder.fingerprint)

    return routes
