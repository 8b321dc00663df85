"""Errors as responses: the one place that maps errors to statuses. JSON for programs, a page for people.

A message may name what the client sent, never what is behind the server: hosts, paths and stack traces go to the log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from flask import Flask, Response, jsonify, render_template, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from hashsearch import errors

STATUS: dict[type[errors.HashsearchError], int] = {
    errors.EmptyImage: 400,
    errors.NotAnImage: 415,
    errors.TruncatedImage: 422,
    errors.ImageTooLarge: 413,
    errors.TooManyPixels: 413,
    errors.ImageTooCostly: 422,
    errors.InvalidCrop: 422,
    errors.SearchError: 422,
    errors.HashingError: 422,
    errors.EncoderError: 422,  # a zero vector
    errors.EncoderMismatch: 500,
    errors.ImageNotFound: 404,
    errors.StoreUnavailable: 503,
    errors.IndexNotFound: 503,
    errors.StoreError: 502,
    errors.HashsearchError: 500,
}
_PUBLIC_MESSAGES = {
    500: "something went wrong on the server; its log has the details",
    502: "the search index could not process the request; the server's log has the details",
    503: "the search index is not available right now; try again in a moment",
}
_RETRY_AFTER = "5"  # seconds

_HEADLINES = {
    400: "The request is not valid",
    404: "Not found",
    413: "That image is too large",
    415: "That is not an image",
    422: "The search is not possible",
    502: "The search is not available right now",
    503: "The search is not available right now",
}


@dataclass(frozen=True)
class ErrorResponse:
    """An error as clients get it."""

    status: int
    code: str
    message: str
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, error: Exception, max_bytes: int) -> ErrorResponse:
        """The response to an error; `max_bytes` is the limit of an image."""
        if isinstance(error, errors.HashsearchError):
            status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
            message = _PUBLIC_MESSAGES.get(status, str(error))
            return cls(status, error.code, message, {"Retry-After": _RETRY_AFTER} if status == 503 else {})
        if isinstance(error, RequestEntityTooLarge) and error.description == RequestEntityTooLarge.description:
            return cls(413, _snake(error), f"a request may have at most {max_bytes / 1e6:g} MB and 20 parts")
        if isinstance(error, HTTPException):
            headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
            return cls(error.code or 500, _snake(error), error.description or error.name, headers)
        return cls(500, "internal_server_error", _PUBLIC_MESSAGES[500])

    @property
    def headline(self) -> str:
        """What happened, in a few words."""
        return _HEADLINES.get(self.status, "Something went wrong")


def handle(app: Flask) -> None:
    """Respond to every error of the application."""

    def respond(error: Exception) -> Response | HTTPException | tuple[Response | str, int, dict[str, str]]:
        if isinstance(error, HTTPException) and (error.code or 500) < 400:
            return error  # a redirect
        problem = ErrorResponse.of(error, app.config["MAX_IMAGE_BYTES"])
        if problem.status >= 500 and not isinstance(error, HTTPException):
            trace = error if problem.status == 500 else None
            app.logger.error("%s %s: %s", request.method, request.path, error, exc_info=trace)
        if f"{request.path}/".startswith(("/api/", "/healthz/")):
            body: Response | str = jsonify(error={"code": problem.code, "message": problem.message})
        else:
            body = render_template("page.html", problem=problem)
        return body, problem.status, problem.headers

    app.register_error_handler(Exception, respond)


def _snake(error: Exception) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
