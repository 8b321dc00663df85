"""Fetching from a real server of bad manners, and the table of addresses that are not to be reached."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hashsearch.errors import FetchError
from hashsearch.images import fetching
from hashsearch.images.decoding import Limits
from hashsearch.images.fetching import fetch, is_public

BODY = bytes(range(256)) * 300


class BadServer(BaseHTTPRequestHandler):
    """The path says how the answer is given."""

    def do_GET(self) -> None:
        with_length = {"Content-Length": str(len(BODY))}
        way = self.path.split("?")[0].strip("/").split("/")
        if way[0] == "hop":
            left = int(way[1])
            self.answer(302, {"Location": f"/hop/{left - 1}" if left else "/ok"})
        elif way[0] == "loop":
            self.answer(302, {"Location": "/loop"})
        elif way[0] == "to":
            self.answer(302, {"Location": self.path.partition("?")[2]})
        elif way[0] == "drip":
            self.answer(200, with_length)
            self.drip()
        elif way[0] == "drip-headers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            self.drip()
        elif way[0] == "silent":
            time.sleep(3)
        elif way[0] == "endless":
            self.answer(200, {})
            while True:
                self.wfile.write(BODY)
        elif way[0] == "chunked":
            self.answer(200, {"Transfer-Encoding": "chunked"})
            self.wfile.write(b"%x\r\n%s\r\n" % (len(BODY), BODY) + (b"0\r\n\r\n" if way[1] == "whole" else b"5\r\nab"))
        elif way[0] == "announces":
            self.answer(200, {"Content-Length": way[1]})
            self.wfile.write(BODY)
        elif way[0] == "no-http":
            self.wfile.write(b"\x00\x01\x02 hello\r\n\r\n")
        elif way[0] == "echo":
            self.answer(200, {})
            self.wfile.write(self.path.encode())
        else:
            self.answer(200 if way[0] == "ok" else 404, with_length)
            self.wfile.write(BODY)

    def answer(self, status: int, headers: dict[str, str]) -> None:
        self.protocol_version = "HTTP/1.1"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def drip(self) -> None:
        while True:
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.1)

    def handle(self) -> None:
        with suppress(OSError):  # the client has gone, which is what most of these tests are about
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[int]:
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), BadServer)) as port:
        yield f"http://127.0.0.1:{port}"


def refusal(url: str, **options: Any) -> str:
    with pytest.raises(FetchError) as caught:
        fetch(url, **{"allow_private": True, **options})
    return str(caught.value)


@pytest.fixture
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waiting itself is tested with tenths of the seconds."""
    monkeypatch.setattr(fetching, "READ_SECONDS", 0.5)
    monkeypatch.setattr(fetching, "TOTAL_SECONDS", 1.0)


@pytest.mark.parametrize("path", ["/ok", "/ok?size=large&crop=1", "/chunked/whole", "/hop/2"])
def test_a_body_is_fetched(site: str, path: str) -> None:
    assert fetch(site + path, allow_private=True) == BODY


def test_a_host_name_is_resolved(site: str) -> None:
    assert fetch(site.replace("127.0.0.1", "localhost") + "/ok", allow_private=True) == BODY


def test_spaces_and_letters_of_other_alphabets_are_quoted(site: str) -> None:
    assert fetch(site + "/echo/Äpfel 1.jpg?q=ü%20x", allow_private=True) == b"/echo/%C3%84pfel%201.jpg?q=%C3%BC%20x"


def test_private_addresses_are_refused_unless_allowed(site: str) -> None:
    assert "must be public, 127.0.0.1 resolves to 127.0.0.1" in refusal(site + "/ok", allow_private=False)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost.", "LOCALHOST", "127.0.0.1", "127.1", "0x7f.1", "0177.0.0.1", "2130706433", "0"),
        *("[::1]", "[::]", "[::ffff:10.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::127.0.0.1]", "[fe80::1]", "[fd00::1]"),
        *("10.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1"),
    ],
)
def test_every_spelling_of_a_private_host_is_refused(host: str) -> None:
    """Refused before a connection is tried: none of them takes the time of one."""
    started = time.monotonic()
    message = refusal(f"http://{host}:9/x.jpg", allow_private=False)
    assert "must be public" in message or "failed: gaierror" in message
    assert time.monotonic() - started < 2


def test_a_redirect_is_checked_like_any_address(site: str) -> None:
    assert "must begin with http" in refusal(f"{site}/to?file:///etc/passwd")
    assert "must begin with http" in refusal(f"{site}/to?gopher://127.0.0.1/")


def test_a_redirect_to_a_private_host_is_refused(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one server there is lives on 127.0.0.1, so that block counts as public here, and the others do not."""
    blocks = [block for block in fetching._NOT_PUBLIC_4 if not block.is_loopback]
    monkeypatch.setattr(fetching, "_NOT_PUBLIC_4", blocks)
    assert fetch(f"{site}/hop/1") == BODY
    for host in ("169.254.169.254", "10.0.0.1", "[::1]", "[fd00::1]"):
        assert "must be public" in refusal(f"{site}/to?http://{host}/latest/meta-data", allow_private=False)


def test_more_redirects_than_the_limit_are_refused(site: str) -> None:
    assert "at most 3 times" in refusal(f"{site}/hop/3")
    assert "at most 3 times" in refusal(f"{site}/loop")


def test_endless_body_is_cut_at_the_byte_limit(site: str) -> None:
    assert "at most 1000000 bytes" in refusal(f"{site}/endless", limits=Limits(max_bytes=1_000_000))


def test_a_body_as_long_as_the_limit_is_fetched(site: str) -> None:
    assert fetch(f"{site}/ok", Limits(max_bytes=len(BODY)), allow_private=True) == BODY
    assert "at most 76799 bytes" in refusal(f"{site}/ok", limits=Limits(max_bytes=len(BODY) - 1))


@pytest.mark.parametrize("path", ["/announces/99999999999", f"/announces/{len(BODY) + 1}"])
def test_a_body_shorter_than_announced_is_refused(site: str, path: str) -> None:
    assert "bytes of its announced length are missing" in refusal(site + path)


def test_more_than_announced_is_left_unread(site: str) -> None:
    assert fetch(f"{site}/announces/7", allow_private=True) == BODY[:7]


def test_broken_chunks_are_refused(site: str) -> None:
    assert "IncompleteRead" in refusal(f"{site}/chunked/broken")


def test_a_status_other_than_200_is_refused(site: str) -> None:
    assert "answered 404 Not Found" in refusal(f"{site}/missing.jpg")


def test_a_response_that_is_not_http_is_refused(site: str) -> None:
    assert "BadStatusLine" in refusal(f"{site}/no-http")


@pytest.mark.usefixtures("short_times")
@pytest.mark.parametrize("path", ["/drip", "/drip-headers"])
def test_a_slow_response_ends_at_the_total_time(site: str, path: str) -> None:
    started = time.monotonic()
    assert "within 1 seconds" in refusal(site + path)
    assert 0.9 < time.monotonic() - started < 3


@pytest.mark.usefixtures("short_times")
def test_a_silent_server_ends_at_the_read_time(site: str) -> None:
    started = time.monotonic()
    assert "timed out" in refusal(f"{site}/silent")
    assert time.monotonic() - started < 0.95


@pytest.mark.usefixtures("short_times")
def test_a_name_server_that_does_not_answer_ends_at_the_total_time(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer.wait(60))
    started = time.monotonic()
    assert "within 1 seconds" in refusal("http://slow.example/a.jpg")
    assert time.monotonic() - started < 3
    answer.set()


def test_a_port_that_nobody_listens_on_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "refused" in refusal(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://example.org/a.jpg", "//example.org/a.jpg", "a.jpg", "http:///a.jpg", "http://", ""],
)
def test_other_schemes_and_missing_hosts_are_refused(url: str) -> None:
    assert "must begin with http:// or https:// and name a host" in refusal(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999/", "http://[::1/", f"http://{'a' * 70}.example/", "http://a..b/"]
)
def test_malformed_addresses_are_refused(url: str) -> None:
    assert "failed" in refusal(url)


def test_proxies_of_the_environment_are_not_used(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetch(f"{site}/ok", allow_private=True) == BODY


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate of this test")
def test_https_needs_a_valid_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), BadServer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server) as port:
        assert "CERTIFICATE_VERIFY_FAILED" in refusal(f"https://localhost:{port}/ok")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        fetching._tls.cache_clear()
        assert fetch(f"https://localhost:{port}/ok", allow_private=True) == BODY
        assert "CERTIFICATE_VERIFY_FAILED" in refusal(f"https://127.0.0.1:{port}/ok")
        fetching._tls.cache_clear()


# After the table of imgproxy's privatenet test: both ends of every block and their public neighbours.
@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1"),
        *(
            "127.255.255.255",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
        ),
        *("192.168.0.0", "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.7", "203.0.113.7", "224.0.0.1"),
        *("239.255.255.255", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%lo", "febf::1", "fc00::1", "fdff::1", "ff02::1", "100::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::10.0.0.1", "::127.0.0.1"),
        *("64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::10.0.0.1", "64:ff9b:1::8.8.8.8"),
        *("2002:a00:1::", "2002:7f00:1::1", "2002:c0a8:101::1", "2002:a9fe:a9fe::"),
        *("2001:0:4136:e378:8000:63bf:f5ff:fffe", "2001:0:a00:1:0:0:f7f7:f7f7"),
        *("2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:192.168.0.1"),
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
        *(
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
        ),
        *("198.17.255.255", "198.20.0.0", "223.255.255.255"),
        *("2606:4700:4700::1111", "2a00:1450:4001::200e", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"),
        *("2001:0:808:808:0:0:f7f7:f7f7", "2606:4700::5efe:8.8.8.8", "2606:4700::200:5efe:8.8.8.8"),
    ],
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)
