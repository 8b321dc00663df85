"""Thumbnails of indexed images, made from files inside the folders that may be shown."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from flask import Blueprint, request, url_for
from werkzeug import Response
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.routing import PathConverter

from hashsearch.errors import ImageError
from hashsearch.images.decoding import thumbnail
from hashsearch.images.sources import ImageReader, file_within, is_address, path_within
from hashsearch.images.stages import stage
from hashsearch.web.service import AT_ONCE, Gate, SearchService
from hashsearch.web.thumbnail_cache import ThumbnailCache

SIDE = 480  # pixels; twice what the page shows, for screens of high density
WAITING = 24  # thumbnails; as many as a page has


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

    def __init__(self, roots: Sequence[Path], reader: ImageReader, cache: ThumbnailCache) -> None:
        self.roots = roots
        self.reader = reader
        self.cache = cache
        self._gate = Gate(AT_ONCE, WAITING, "thumbnails")

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

    def why_hidden(self, uri: str | None) -> str:
        """Why there is no file to show of an image that is not at an address."""
        if path_within(uri, self.roots):
            return "the file is no longer there"
        return "the file is not inside a folder given with --images"

    def jpeg(self, file: Path, digest: str) -> bytes:
        """The thumbnail of a file, decoded and encoded again; it is kept if the file has this SHA-256.

        ImageError if the file cannot be read, ServiceUnavailable if too many thumbnails are being made.
        """
        if kept := self.cache.get(digest):
            return kept
        with self._gate.passing(), stage("making a thumbnail", str(file)):
            data = self.reader.read(str(file))
            with self.reader.decoded(data, least_side=2 * SIDE) as image:
                jpeg = thumbnail(image, SIDE)
        if hashlib.sha256(data).hexdigest() == digest:  # the file is still the one that was indexed
            self.cache.put(digest, jpeg)
        return jpeg


def blueprint(service: SearchService, thumbnails: Thumbnails) -> Blueprint:
    """`GET /images?id=<id>`, which takes all ids, and `GET /images/<id>`."""
    routes = Blueprint("pictures", __name__)

    @routes.get("/images")
    @routes.get("/images/<id:image_id>")
    def picture(image_id: str | None = None) -> Response:
        """The thumbnail of an indexed image."""
        image_id = image_id or id_argument()
        record = service.searcher(request.args.get("model")).index.record(image_id)
        uri = record.get("uri")
        file = thumbnails.file(uri)
        if file is None:
            raise NotFound(f"the picture of '{image_id}' cannot be shown: {thumbnails.why_hidden(uri)}")
        digest = record.get("sha256") or ""
        tag = f"{digest}-{SIDE}"
        response = Response(mimetype="image/jpeg")
        response.set_etag(tag)
        response.cache_control.private = True
        response.cache_control.max_age = 3600
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        if tag not in request.if_none_match:
            try:
                response.set_data(thumbnails.jpeg(file, digest))
            except ImageError as error:
                raise NotFound(f"the picture of '{image_id}' cannot be shown: the file cannot be read") from error
        return response.make_conditional(request)

    return routes
