"""Image bytes from an http or https address, guarded against server-side request forgery (SSRF).

The IP address is checked when the socket connects: after the name has been resolved, and again at every redirect. A
name that resolves differently the second time, a redirect to a private host, or an unusual spelling of 127.0.0.1 cannot
reach a private network. Proxy settings of the environment are ignored, since a proxy would make the connection instead
of this process.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, HTTPResponse
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from hashsearch.errors import FetchError
from hashsearch.images.decoding import DEFAULT, Limits

CONNECT_SECONDS, READ_SECONDS, TOTAL_SECONDS = 3.0, 5.0, 10.0
MAX_REDIRECTS = 3

# Special-purpose blocks of the IANA registries, with multicast and the class E block.
_NOT_PUBLIC_4 = tuple(
    IPv4Network(block)
    for block in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
)
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(IPv6Network(block) for block in ("2001:2::/48", "2001:10::/28", "2001:db8::/32", "3fff::/20"))
_IPV4_IN_IPV6 = tuple(IPv6Network(block) for block in ("::ffff:0:0/96", "::/96", "64:ff9b::/96"))
"""Blocks whose last 32 bits are an IPv4 address: mapped, compatible, and the prefix of NAT64."""


def fetch(url: str, limits: Limits = DEFAULT, allow_private: bool = False) -> bytes:
    """The body at `url`, at most `limits.max_bytes` long.

    Limits: 3 s to connect, 5 s for each read, 10 s in total, 3 redirects; the size is counted while bytes arrive.
    FetchError if a limit is exceeded, if the status is not 200, and if the address is not public (unless
    `allow_private`).
    """
    deadline = time.monotonic() + TOTAL_SECONDS
    for _ in range(MAX_REDIRECTS + 1):
        try:
            with _response(url, deadline, allow_private) as response:
                target = response.headers["Location"] if response.status in (301, 302, 303, 307, 308) else None
                if not target:
                    return _body(response, url, limits, deadline)
        except (OSError, HTTPException, ValueError) as error:
            _check_deadline(url, deadline)
            raise FetchError(f"fetching {url} failed: {type(error).__name__}: {error}") from error
        url = urljoin(url, target)
    raise FetchError(f"an image address may redirect at most {MAX_REDIRECTS} times, the next redirect is to {url}")


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet; an IPv4 address inside an IPv6 address is checked too."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv4Address):
        return not any(ip in block for block in _NOT_PUBLIC_4)
    if any(ip in block for block in _IPV4_IN_IPV6):
        return is_public(str(IPv4Address(int(ip) & 0xFFFFFFFF)))
    if ip not in _PUBLIC_6 or any(ip in block for block in _NOT_PUBLIC_6):
        return False
    return all(is_public(str(inner)) for inner in _tunnel_endpoints(ip))


def _tunnel_endpoints(ip: IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses to which packets for a 6to4, Teredo or ISATAP address are forwarded."""
    if ip.sixtofour:
        yield ip.sixtofour
    if ip.teredo:
        yield from ip.teredo
    if int(ip) >> 32 & 0xFDFFFFFF == 0x5EFE:
        yield IPv4Address(int(ip) & 0xFFFFFFFF)


@contextlib.contextmanager
def _response(url: str, deadline: float, allow_private: bool) -> Iterator[HTTPResponse]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise FetchError(f"an image address must begin with http:// or https:// and name a host, got {url}")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    connection = HTTPConnection(parts.hostname, port)
    sock = _connect(parts.hostname, port, deadline, allow_private)
    if parts.scheme == "https":
        sock = _tls().wrap_socket(sock, server_hostname=parts.hostname, do_handshake_on_connect=False)
    # The time limit of a read starts anew with every byte; this timer also ends slow bodies and headers.
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), _hang_up, (sock,))
    timer.daemon = True
    timer.start()
    try:
        sock.settimeout(READ_SECONDS)
        if isinstance(sock, ssl.SSLSocket):
            sock.do_handshake()
        connection.sock = sock
        path = quote(parts.path or "/", safe="/%!$&'()*+,;=:@~")
        query = quote(parts.query, safe="/%!$&'()*+,;=:@~?[]")
        headers = {"User-Agent": "hashsearch", "Accept": "image/*", "Connection": "close"}
        connection.request("GET", f"{path}?{query}" if query else path, headers=headers)
        with connection.getresponse() as response:
            yield response
    finally:
        timer.cancel()
        connection.close()
        sock.close()


def _connect(host: str, port: int, deadline: float, allow_private: bool) -> socket.socket:
    """A connected socket to the first address of the host that answers."""
    failure = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in _addresses(host, port, deadline):
        if not allow_private and not is_public(str(address[0])):
            raise FetchError(f"an image address must be public, {host} resolves to {address[0]}")
        sock = socket.socket(family, kind, protocol)
        sock.settimeout(max(0.01, min(CONNECT_SECONDS, deadline - time.monotonic())))
        try:
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


def _addresses(host: str, port: int, deadline: float) -> list[Any]:
    """What `socket.getaddrinfo` returns; its thread is left alone at the deadline, since it has no limit of its own."""
    answers: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

    def resolve() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=resolve, daemon=True).start()
    try:
        answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        raise TimeoutError(f"the name {host} is not resolved in time") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _hang_up(sock: socket.socket) -> None:
    # The plain socket's method: SSLSocket.shutdown would remove the TLS state while another thread reads.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _body(response: HTTPResponse, url: str, limits: Limits, deadline: float) -> bytes:
    if response.status != 200:
        status = f"{response.status} {response.reason}"
        raise FetchError(f"an image address must answer with status 200, {url} answered {status}")
    body = bytearray()
    while piece := response.read1(65536):
        body += piece
        if len(body) > limits.max_bytes:
            raise FetchError(f"an image may have at most {limits.max_bytes} bytes, {url} sends more")
    _check_deadline(url, deadline)
    if response.length:
        raise FetchError(f"{url} ended early: {response.length} bytes of its announced length are missing")
    return bytes(body)


def _check_deadline(url: str, deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise FetchError(f"an image must be fetched within {TOTAL_SECONDS:g} seconds, {url} took longer")
