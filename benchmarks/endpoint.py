"""Latency of image queries, and how much of it is the network: `python benchmarks/endpoint.py IMAGES... --url URL`.

Posts images one after another to a running server over one connection. Prints median and 95th percentile, in
milliseconds, of the whole request as the client sees it, of the forward pass as the server reports it, and of the rest.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

import click
import numpy as np

_BOUNDARY = "-" * 20 + "endpoint"


def form(image: bytes) -> bytes:
    """A multipart form with the image."""
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="query"\r\n\r\n'
    return head.encode() + image + f"\r\n--{_BOUNDARY}--\r\n".encode()


def post(connection: http.client.HTTPConnection, body: bytes) -> tuple[float, float]:
    """Milliseconds of the whole request, and of the forward pass within it."""
    started = perf_counter()
    connection.request("POST", "/api/search", body, {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"})
    answer = connection.getresponse()
    text = answer.read()
    total = (perf_counter() - started) * 1000
    if answer.status != 200:
        raise click.ClickException(f"{answer.status}: {text.decode()}")
    return total, json.loads(text)["timings"]["embed_ms"]


def bodies(images: tuple[Path, ...]) -> Iterator[bytes]:
    """Forms of the images and of all files in folders, repeated without end."""
    files = [file for path in images for file in (sorted(path.rglob("*.*")) if path.is_dir() else [path])]
    return cycle([form(file.read_bytes()) for file in files])


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--url", default="http://127.0.0.1:5800", show_default=True, help="Address of the server.")
@click.option("-n", "--queries", default=200, show_default=True, help="Queries to measure, after 20 warm-up queries.")
def main(images: tuple[Path, ...], url: str, queries: int) -> None:
    """Measure image queries on a running server."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    measured = np.array([post(connection, body) for body in islice(bodies(images), queries + 20)])[20:]
    total, network = measured.T
    click.echo(f"{queries} queries      median     p95  (ms)")
    for name, values in (("whole request", total), ("network", network), ("the rest", total - network)):
        click.echo(f"{name:16} {np.median(values):8.1f} {np.quantile(values, 0.95):7.1f}")


if __name__ == "__main__":
    main()
