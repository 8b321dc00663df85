"""The search page and the JSON API: `create_app` makes them, `server` serves them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flask import Flask, send_file

from hashsearch.errors import ConfigError
from hashsearch.reporting.style import TOKENS
from hashsearch.web import api, failures, pages, pictures, security
from hashsearch.web.service import AT_ONCE, WAITING, SearchService

if TYPE_CHECKING:
    from hashsearch.config import Settings
    from hashsearch.search.searcher import Searcher

THREADS = AT_ONCE + WAITING + 4  # the last four go on answering what needs no network while images queue
_FORM_BYTES = 64 * 1024  # what a form may hold besides the image


def create_app(searchers: Mapping[str, Searcher], settings: Settings) -> Flask:
    """The application over models by name, the first unless asked for another.

    Their networks are loaded and have seen a first image when this returns.
    """
    for searcher in searchers.values():
        searcher.encoder.warm()
    app = Flask(__name__)
    app.config.update(MAX_CONTENT_LENGTH=settings.max_bytes + _FORM_BYTES, MAX_FORM_PARTS=20)
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.merge_slashes = False  # an id may hold two slashes in a row
    app.url_map.converters["id"] = pictures.IdConverter
    answerer, shown = SearchService(searchers, settings.limits), pictures.Pictures(settings)
    app.add_url_rule("/static/tokens.css", "tokens", lambda: send_file(TOKENS, conditional=True))
    failures.handle(app)
    security.guard(app, settings.host)
    app.register_blueprint(api.blueprint(answerer))
    app.register_blueprint(pictures.blueprint(answerer, shown))
    app.register_blueprint(pages.blueprint(answerer, shown))
    return app


def server(app: Flask, host: str, port: int) -> Any:
    """A waitress server that holds the port and answers once `run()` is called; ConfigError when it cannot."""
    from waitress import create_server

    # Waitress takes a whole body in before the application sees it. Twice the limit lets most uploads that are too
    # large be refused by the application, in its own words.
    most = 2 * app.config["MAX_CONTENT_LENGTH"]
    try:
        return create_server(app, host=host, port=port, threads=THREADS, max_request_body_size=most, ident=None)
    except OSError as error:
        raise ConfigError(f"the page cannot be served at {host}:{port}: {error}") from error
