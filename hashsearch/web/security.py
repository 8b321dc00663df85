"""Which requests are accepted, how many at once, and what a browser may do with the responses."""

from __future__ import annotations

import ipaddress
import re
import threading

from flask import Flask, Response, g, request
from werkzeug.exceptions import BadRequest, Forbidden, ServiceUnavailable

_HEADERS = {
    # Images of a catalog may be http(s) addresses; the browser fetches those itself, this server does not.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data: blob: http: https:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_LOOPBACK_NAMES = {"localhost", "127.0.0.1", "[::1]"}


def guard(app: Flask, host: str) -> None:
    """Refuse requests that another site sends, and add the headers above to every response."""
    names = _LOOPBACK_NAMES | {host.lower()} if _is_loopback(host) else None

    @app.before_request
    def refuse_foreign() -> None:
        name = re.sub(r":\d*$", "", request.headers.get("Host", "")).lower()
        if names is not None and name not in names:  # DNS rebinding: another site's name that resolves to this host
            raise BadRequest(f"this server only answers to {', '.join(sorted(names))}, got the host name '{name}'")
        if request.method == "POST" and request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            raise Forbidden("searches from pages of other sites are not allowed")

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def limit(app: Flask, at_once: int) -> None:
    """Refuse requests while so many are being answered, except for health checks, which always find a free thread."""
    places = threading.Semaphore(at_once)

    @app.before_request
    def enter() -> None:
        if request.endpoint == "api.health":
            return
        if not places.acquire(blocking=False):
            raise ServiceUnavailable("too many requests at once; try again in a moment", retry_after=1)
        g.has_place = True

    @app.teardown_request
    def leave(error: BaseException | None) -> None:
        if g.pop("has_place", False):
            places.release()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
