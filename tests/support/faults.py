"""A proxy in front of a real Elasticsearch with the faults of networks and overloaded clusters.

Each bulk request, or request of another kind, gets the next planned fault; without one it is forwarded unchanged.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

NODE_HEADERS = {
    "Content-Type": "application/vnd.elasticsearch+json;compatible-with=8",
    "X-Elastic-Product": "Elasticsearch",
}


@dataclass
class Exchange:
    """One request, and what can be done with it."""

    handler: BaseHTTPRequestHandler
    target: str
    body: bytes

    def forward(self, body: bytes | None = None) -> tuple[int, bytes]:
        """The node's status and response to the request."""
        connection = http.client.HTTPConnection(self.target, timeout=60)
        headers = {
            name: self.handler.headers[name] for name in ("Content-Type", "Accept") if name in self.handler.headers
        }
        connection.request(self.handler.command, self.handler.path, self.body if body is None else body, headers)
        answer = connection.getresponse()
        content = answer.status, answer.read()
        connection.close()
        return content

    def reply(
        self, status: int, body: bytes, length: int | None = None, headers: Mapping[str, str] = NODE_HEADERS
    ) -> None:
        self.handler.send_response(status)
        for name, value in headers.items():
            self.handler.send_header(name, value)
        self.handler.send_header("Content-Length", str(len(body) if length is None else length))
        self.handler.end_headers()
        if self.handler.command != "HEAD":
            self.handler.wfile.write(body)

    def hang_up(self) -> None:
        self.handler.close_connection = True
        self.handler.connection.shutdown(socket.SHUT_RDWR)


Fault = Callable[[Exchange], None]


def passes(exchange: Exchange) -> None:
    """No fault."""
    exchange.reply(*exchange.forward())


def answers(status: int, kind: str = "es_rejected_execution_exception") -> Fault:
    """This response, without forwarding the request."""
    error = {"error": {"type": kind, "reason": "made by the test"}, "status": status}
    return lambda exchange: exchange.reply(status, json.dumps(error).encode())


def answers_html(status: int) -> Fault:
    """A load balancer whose cluster is unreachable."""
    return lambda exchange: exchange.reply(
        status, b"<html>Service Unavailable</html>", headers={"Content-Type": "text/html"}
    )


def refuses_over(limit: int, status: int = 413) -> Fault:
    """A proxy that passes requests of at most so many bytes; nginx's default is 1 MiB."""

    def fault(exchange: Exchange) -> None:
        if len(exchange.body) > limit:
            return answers_html(status)(exchange)
        return passes(exchange)

    return fault


def loses_the_reply(exchange: Exchange) -> None:
    """The node executes the request, but its response is lost."""
    exchange.forward()
    exchange.hang_up()


def loses_the_request(exchange: Exchange) -> None:
    """The connection ends before the request is forwarded."""
    exchange.hang_up()


def cuts_the_reply(exchange: Exchange) -> None:
    """The connection ends in the middle of the response."""
    status, body = exchange.forward()
    exchange.reply(status, body[: len(body) // 2], length=len(body))
    exchange.hang_up()


def halves_the_json(exchange: Exchange) -> None:
    """The response is complete, but has only half of the JSON."""
    status, body = exchange.forward()
    exchange.reply(status, body[: len(body) // 2])


def rewrites(change: Callable[[Any], object]) -> Fault:
    """The response is changed."""

    def fault(exchange: Exchange) -> None:
        status, body = exchange.forward()
        answer = json.loads(body)
        change(answer)
        exchange.reply(status, json.dumps(answer).encode())

    return fault


def overloads_items(status: int, *ids: str, kind: str = "es_rejected_execution_exception") -> Fault:
    """These documents of a bulk request are rejected, the others are written."""

    def fault(exchange: Exchange) -> None:
        pairs = bulk_pairs(exchange.body)
        kept = [line for image_id, lines in pairs if image_id not in ids for line in lines]
        answer: Any = json.loads(exchange.forward(b"".join(kept))[1]) if kept else {"took": 1, "items": []}
        taken = {item["index"]["_id"]: item for item in answer["items"]}
        for image_id in ids:
            error = {"type": kind, "reason": "made by the test"}
            taken[image_id] = {"index": {"_index": "i", "_id": image_id, "status": status, "error": error}}
        answer.update(errors=True, items=[taken[image_id] for image_id, _ in pairs])
        exchange.reply(200, json.dumps(answer).encode())

    return fault


def bulk_pairs(body: bytes) -> list[tuple[str, tuple[bytes, bytes]]]:
    """Ids of a bulk request with their action and source lines."""
    lines = body.splitlines(keepends=True)
    return [(json.loads(action)["index"]["_id"], (action, source)) for action, source in zip(lines[::2], lines[1::2])]


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # connections that come at once; others would be reset


class FaultProxy:
    """The proxy; requests whose path ends with `kind` get faults.

    `sent` lists the ids of each bulk request that arrived.
    """

    def __init__(self, node_url: str, kind: str = "_bulk") -> None:
        self.target = urlsplit(node_url).netloc
        self.kind = kind
        self.sent: list[list[str]] = []
        self.planned: deque[Fault] = deque()
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def plan(self, *faults: Fault) -> None:
        """Faults of the next requests, one each."""
        self.planned.extend(faults)

    def start(self) -> None:
        """Listen, on the same port as before."""
        self.server = _Server(("127.0.0.1", self.port), self._handler())
        self.port = self.server.server_address[1]
        Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        self.server.shutdown()
        self.server.server_close()

    def _handler(proxy) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                exchange = Exchange(self, proxy.target, self.rfile.read(int(self.headers.get("Content-Length", 0))))
                if not urlsplit(self.path).path.endswith(proxy.kind):
                    return passes(exchange)
                if proxy.kind == "_bulk":
                    proxy.sent.append([image_id for image_id, _ in bulk_pairs(exchange.body)])
                return (proxy.planned.popleft() if proxy.planned else passes)(exchange)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any

            def log_message(self, *arguments: Any) -> None:
                """Print nothing."""

        return Handler
