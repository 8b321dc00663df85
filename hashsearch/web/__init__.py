"""The search page and the JSON API: `create_app` makes the application, `server` the server that runs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flask import Flask, send_file

from hashsearch.errors import ConfigError
from hashsearch.reporting.style import TOKENS
from hashsearch.web import api, failures, pages, pictures, security
from hashsearch.web.service import SearchService
from hashsearch.web.thumbnail_cache import ThumbnailCache

if TYPE_CHECKING:
    from hashsearch.config import Settings
    from hashsearch.search.searcher import Searcher

# More than can wait for images and thumbnails, so that the rest is still answered while they do.
REQUESTS = 48
THREADS = REQUESTS + 2  # health checks always find a free one
_CONNECTIONS = 800  # below the usual limit of 1,024 open files
_IDLE_SECONDS = 30  # after which a connection without a request is closed
_FORM_BYTES = 64 * 1024  # allowed in a form besides the image


def create_app(
    searchers: Mapping[str, Searcher], settings: Settings, clock: Callable[[], float] = time.monotonic
) -> Flask:
    """The application that serves models by name; the first is the default.

    Their networks are loaded and have embedded a first image when this returns. `clock` gives a time in seconds.
    """
    for searcher in searchers.values():
        searcher.encoder.warm()
    app = Flask(__name__)
    app.config.update(
        MAX_IMAGE_BYTES=settings.max_bytes,
        MAX_CONTENT_LENGTH=settings.max_bytes + _FORM_BYTES,
        MAX_FORM_PARTS=20,
    )
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the default JSON provider, which the base class lacks
    app.url_map.merge_slashes = False  # an id may contain two slashes in a row
    app.url_map.converters["id"] = pictures.IdConverter
    service = SearchService(searchers, settings.image_reader)
    cache = ThumbnailCache(settings.home / f"thumbnails-{pictures.SIDE}")
    thumbnails = pictures.Thumbnails(settings.image_roots, settings.image_reader, cache)
    app.add_url_rule("/static/tokens.css", "tokens", lambda: send_file(TOKENS, conditional=True))
    failures.handle(app)
    security.guard(app, settings.host)
    security.limit(app, REQUESTS)
    app.register_blueprint(api.blueprint(service))
    app.register_blueprint(pictures.blueprint(service, thumbnails))
    app.register_blueprint(pages.blueprint(service, thumbnails, clock))
    return app


def server(app: Flask, host: str, port: int) -> Any:
    """A waitress server bound to the port, which answers once `run()` is called; ConfigError if it cannot bind."""
    from waitress import create_server

    # Waitress reads a whole body before the application gets it. With twice the limit, most uploads that are too large
    # are refused by the application, with its own message.
    max_body = 2 * app.config["MAX_CONTENT_LENGTH"]
    try:
        return create_server(
            app,
            host=host,
            port=port,
            threads=THREADS,
            max_request_body_size=max_body,
            ident=None,
            connection_limit=_CONNECTIONS,
            channel_timeout=_IDLE_SECONDS,
            cleanup_interval=_IDLE_SECONDS // 3,
            asyncore_use_poll=True,
        )
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error}") from error
