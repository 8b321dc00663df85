"""Pictures of indexed images, as thumbnails made here from files inside the folders that may be shown."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Blueprint, request, url_for
from werkzeug import Response
from werkzeug.exceptions import NotFound
from werkzeug.routing import PathConverter

from hashsearch.errors import ImageError
from hashsearch.images.decoding import decode, thumbnail
from hashsearch.images.sources import file_within
from hashsearch.web.service import AT_ONCE, SearchService

if TYPE_CHECKING:
    from hashsearch.config import Settings

SIDE = 480  # pixels; twice what the page shows, for dense screens


class IdConverter(PathConverter):
    """Any image id, slashes anywhere included."""

    regex = "(?s:.+)"
    part_isolating = False


class Pictures:
    """Which pictures may be shown, and their thumbnails."""

    def __init__(self, settings: Settings) -> None:
        self.roots = settings.image_roots
        self.limits = settings.limits
        self._open = threading.Semaphore(AT_ONCE)

    def file(self, uri: str | None) -> Path | None:
        """The file at a path that lies, with links followed, inside one of the folders; else None."""
        return file_within(uri, self.roots)

    def address(self, image_id: str, uri: str | None, model: str | None) -> str | None:
        """Where a page finds the picture of a model's image; None when it cannot be shown."""
        if uri and uri.startswith(("http://", "https://")):
            return uri
        return url_for("pictures.picture", image_id=image_id, model=model) if self.file(uri) else None

    def jpeg(self, file: Path) -> bytes:
        """The thumbnail of a file, decoded and encoded anew; ImageError, OSError."""
        with self._open, file.open("rb") as stream:
            return thumbnail(decode(stream.read(self.limits.max_bytes + 1), self.limits), SIDE)


def blueprint(answerer: SearchService, pictures: Pictures) -> Blueprint:
    """`GET /images/<id>`."""
    routes = Blueprint("pictures", __name__)

    @routes.get("/images/<id:image_id>")
    def picture(image_id: str) -> Response:
        """The thumbnail of an indexed image."""
        record = answerer.searcher(request.args.get("model")).index.record(image_id)
        file = pictures.file(record.get("uri"))
        if file is None:
            raise NotFound(f"the picture of '{image_id}' lies in none of the folders that may be shown")
        tag = f"{record.get('sha256')}-{SIDE}"
        response = Response(mimetype="image/jpeg")
        response.set_etag(tag)
        response.cache_control.private = True
        response.cache_control.max_age = 3600
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        if tag not in request.if_none_match:
            try:
                response.set_data(pictures.jpeg(file))
            except (ImageError, OSError) as error:
                raise NotFound(f"the picture of '{image_id}' can no longer be read") from error
        return response.make_conditional(request)

    return routes
