"""Thumbnails of indexed images, made from files inside the folders that may be shown."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from flask import Blueprint, request, url_for
from werkzeug import Response
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.routing import PathConverter

from hashsearch.errors import ImageError
from hashsearch.images.decoding import thumbnail
from hashsearch.images.sources import ImageReader, file_within, is_address
from hashsearch.images.stages import stage
from hashsearch.web.service import AT_ONCE, SearchService

SIDE = 480  # pixels; twice what the page shows, for screens of high density


class IdConverter(PathConverter):
    """Any image id, with slashes anywhere."""

    regex = "(?s:.+)"
    part_isolating = False


def id_argument() -> str:
    """The image id in `?id=`, for ids that a client would change in a path, such as `a/../b`; BadRequest without it."""
    image_id = request.args.get("id")
    if not image_id:
        raise BadRequest("an address must have the id of an image, as ?id=ID or in its path")
    return image_id


class Thumbnails:
    """Which pictures may be shown, and their thumbnails."""

    def __init__(self, roots: Sequence[Path], reader: ImageReader) -> None:
        self.roots = roots
        self.reader = reader
        self._slots = threading.Semaphore(AT_ONCE)

    def file(self, uri: str | None) -> Path | None:
        """The file of an image if it is inside one of the folders after links are resolved, else None."""
        return file_within(uri, self.roots)

    def address(self, image_id: str, uri: str | None, model: str | None) -> str | None:
        """The address from which a page gets the picture of a model's image; None if it cannot be shown."""
        if uri and is_address(uri):
            return uri
        if self.file(uri) is None:
            return None
        # In a path, a browser would turn the address of `a/../b` into that of `b`.
        place = "id" if {".", ".."} & set(image_id.split("/")) else "image_id"
        return url_for("pictures.picture", **{place: image_id}, model=model)  # type: ignore[arg-type]  # values of any type go into an address

    def jpeg(self, file: Path) -> bytes:
        """The thumbnail of a file, decoded and encoded again; ImageError if it cannot be read."""
        with (
            self._slots,
            stage("making a thumbnail", str(file)),
            self.reader.decoded(self.reader.read(str(file))) as image,
        ):
            return thumbnail(image, SIDE)


def blueprint(service: SearchService, thumbnails: Thumbnails) -> Blueprint:
    """`GET /images?id=<id>`, which takes all ids, and `GET /images/<id>`."""
    routes = Blueprint("pictures", __name__)

    @routes.get("/images")
    @routes.get("/images/<id:image_id>")
    def picture(image_id: str | None = None) -> Response:
        """The thumbnail of an indexed image."""
        image_id = image_id or id_argument()
        record = service.searcher(request.args.get("model")).index.record(image_id)
        file = thumbnails.file(record.get("uri"))
        if file is None:
            raise NotFound(f"the picture of '{image_id}' cannot be shown: its file is missing or in no shown folder")
        tag = f"{record.get('sha256')}-{SIDE}"
        response = Response(mimetype="image/jpeg")
        response.set_etag(tag)
        response.cache_control.private = True
        response.cache_control.max_age = 3600
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        if tag not in request.if_none_match:
            try:
                response.set_data(thumbnails.jpeg(file))
            except ImageError as error:
                raise NotFound(f"the picture of '{image_id}' cannot be shown: its file cannot be read") from error
        return response.make_conditional(request)

    return routes
