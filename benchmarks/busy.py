"""The health check of a busy endpoint: `python benchmarks/busy.py --url URL`, with a server that shows pictures.

While some clients ask for thumbnails without a pause and many connections are open and idle, `/healthz` is asked for
over a new connection each time. Prints its median and longest time, and what the thumbnail clients got.
"""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from urllib.parse import urlsplit

import click
import numpy as np


@click.command()
@click.option("--url", default="http://127.0.0.1:5800", show_default=True, help="Address of the server.")
@click.option("--clients", default=24, show_default=True, help="Clients that ask for thumbnails.")
@click.option("--idle", default=110, show_default=True, help="Connections without a request.")
@click.option("--seconds", default=20.0, show_default=True)
def main(url: str, clients: int, idle: int, seconds: float) -> None:
    """Measure health checks on a running server."""
    host = urlsplit(url).netloc
    status, page = get(host, "/")
    pictures = re.findall(r'src="(/images/[^"]+)"', page.decode())
    if not pictures:
        raise click.ClickException(f"the page at {url} shows no pictures of its own (status {status})")
    statuses, end = Counter[int](), time.monotonic() + seconds
    checks = []
    with ExitStack() as opened:
        for _ in range(idle):
            opened.enter_context(closing(socket.create_connection((urlsplit(url).hostname, urlsplit(url).port))))
        threads = [threading.Thread(target=look, args=(host, pictures, end, statuses)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        while time.monotonic() < end:
            began = time.perf_counter()
            status, _ = get(host, "/healthz")
            if status != 200:
                raise click.ClickException(f"/healthz answered {status}")
            checks.append(time.perf_counter() - began)
            time.sleep(0.05)
        for thread in threads:
            thread.join()
    click.echo(f"{clients} thumbnail clients, {idle} idle connections, {seconds:g} s")
    click.echo(f"/healthz: {len(checks)} times, median {np.median(checks):.3f} s, longest {max(checks):.3f} s")
    click.echo(f"thumbnails by status: {dict(statuses)}")


def look(host: str, pictures: list[str], end: float, statuses: Counter[int]) -> None:
    """Ask for the pictures, one after the other, until the end; after a refusal wait as it says."""
    while time.monotonic() < end:
        for picture in pictures:
            status, _ = get(host, picture)
            statuses[status] += 1
            if status == 503:
                time.sleep(1)


def get(host: str, path: str) -> tuple[int, bytes]:
    """Status and body of a page."""
    with closing(http.client.HTTPConnection(host, timeout=60)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


if __name__ == "__main__":
    main()
