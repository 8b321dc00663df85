"""A web server that publishes files as a storage bucket does: with ETags, ranges, redirects, and interruptions."""

from __future__ import annotations

import hashlib
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass(frozen=True)
class Wish:
    """What one request asked for."""

    path: str
    range: str | None = None
    condition: str | None = None
    status: int = 0  # of the response


@dataclass
class Publisher:
    """Files by their path, and addresses that redirect to another.

    Each request takes the next of `cuts`, if there is one: the bytes of its body after which the connection ends, or a
    status to answer with, negative. `tags` and `ranges` say whether the server knows ETags and ranges.
    """

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    cuts: deque[int | None] = field(default_factory=deque)
    tags: bool = True
    ranges: bool = True
    wishes: list[Wish] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def publish(self, name: str, content: bytes) -> str:
        """The address of a file with this content, new or changed."""
        self.files[f"/{name}"] = content
        return f"{self.url}/{name}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        cut = self.cuts.popleft() if self.cuts else None
        content = self.files.get(handler.path)
        if target := self.redirects.get(handler.path):
            return self._reply(handler, 302, b"", {"Location": target})
        if cut is not None and cut < 0:
            return self._reply(handler, -cut, b"busy")
        if content is None:
            return self._reply(handler, 404, b"no such file")
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        headers, status = {"ETag": tag} if self.tags else {}, 200
        wanted, condition = handler.headers["Range"], handler.headers["If-Range"]
        if self.ranges and wanted and condition == tag:
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if first >= len(content):
                return self._reply(handler, 416, b"", {"Content-Range": f"bytes */{len(content)}"})
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            content, status = content[first:], 206
        return self._reply(handler, status, content, headers, cut)

    def _reply(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        cut: int | None = None,
    ) -> None:
        self.wishes.append(Wish(handler.path, handler.headers["Range"], handler.headers["If-Range"], status))
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body if cut is None else body[:cut])
        handler.wfile.flush()
        if cut is not None and cut < len(body):
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def publisher() -> Iterator[Publisher]:
    """A running server on a free port."""
    published = Publisher()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            published.answer(self)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    published.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield published
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
