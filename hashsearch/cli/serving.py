"""`hashsearch serve` and `hashsearch demo`: the search page and the API, on one's own index or on the demo's."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch.cli.commands import Command
from hashsearch.cli.options import with_settings
from hashsearch.cli.running import notify
from hashsearch.errors import ConfigError
from hashsearch.services import open_searchers

if TYPE_CHECKING:
    from hashsearch.config import Settings


@click.command(cls=Command)
@with_settings("index", "encoder", "models", "es_url", "home", "host", "port", "image_roots")
def serve(settings: Settings) -> None:
    """Serve the search page and the JSON API."""
    check_address(settings.host, settings.port)
    searchers = open_searchers(settings, notify)
    from hashsearch.web import create_app, server

    served = server(create_app(searchers, settings), settings.host, settings.port)
    notify(f"search page: http://{settings.host}:{settings.port}/   (Ctrl-C ends it)")
    served.run()


@click.command(cls=Command)
@click.option(
    "--catalog",
    type=click.Path(exists=True, path_type=Path),
    help="Your own images: a folder, or a file with a row each.",
)
@click.option(
    "--embedder",
    metavar="NAME",
    help="Network, as of `hashsearch fit`: an encoder is fitted to the catalog with it, once.  [default: the bundled "
    "encoder]",
)
@click.option("--weights", help="Its weights, as of `hashsearch fit`.")
@with_settings("es_url", "home", "host", "port", "allow_private")
def demo(settings: Settings, catalog: Path | None, embedder: str | None, weights: str | None) -> None:
    """Try it: index a catalog and serve the search page.

    The catalog is a drawn one, or your own. A first query is answered before the page is served, until Ctrl-C.
    """
    from hashsearch import embedders
    from hashsearch.catalog.reading import Catalog

    check_address(settings.host, settings.port)
    if catalog:
        Catalog(catalog).check()
    if embedder:
        embedders.check(embedder, weights, trained=settings.embedders, fetched=settings.weights)
    elif weights:
        raise click.UsageError("--weights goes with --embedder")
    from hashsearch.cli.tour import show
    from hashsearch.node.node import LocalNode

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    local = LocalNode(settings.home)
    started_here = not settings.es_url and not local.status().running
    try:
        show(settings, catalog, notify, embedder, weights)
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            click.echo(err=True)  # past the terminal's ^C
    finally:
        if started_here:
            notify("stopping Elasticsearch")
            local.stop()


def check_address(host: str, port: int) -> None:
    """ConfigError unless this process could listen there: better now than after the networks are loaded."""
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        raise ConfigError(f"the page cannot be served at {host}:{port}: {error}") from error
