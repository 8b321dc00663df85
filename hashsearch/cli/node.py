"""`hashsearch node`: the local Elasticsearch, started, stopped and looked at."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from hashsearch.cli.commands import Group
from hashsearch.cli.options import as_json, with_settings
from hashsearch.cli.running import notify

if TYPE_CHECKING:
    from hashsearch.config import Settings
    from hashsearch.node.node import LocalNode, NodeStatus


@click.group(cls=Group)
def node() -> None:
    """A local Elasticsearch for trying and testing."""


nodes_option = click.option(
    "--nodes", default=1, show_default=True, type=click.IntRange(1, 9), help="Number of nodes, as one cluster."
)


@node.command()
@with_settings("home")
@nodes_option
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the first node.  [default: a free one]")
@as_json
def start(settings: Settings, nodes: int, port: int | None, as_json: bool) -> None:
    """Start the node unless it runs. The first start downloads Elasticsearch."""
    from hashsearch.node.node import start_cluster

    _print_status(start_cluster(_local_nodes(settings, nodes, port), notify), as_json)


@node.command()
@with_settings("home")
@nodes_option
def stop(settings: Settings, nodes: int) -> None:
    """Stop the node. Its indices are kept."""
    for local in _local_nodes(settings, nodes, None):
        click.echo(f"{local.name} {'stopped' if local.stop() else 'was not running'}")


@node.command()
@with_settings("home")
@nodes_option
@as_json
def status(settings: Settings, nodes: int, as_json: bool) -> None:
    """Show whether the node runs, its address and its health. Exit code 1 when it does not run."""
    statuses = [local.status() for local in _local_nodes(settings, nodes, None)]
    _print_status(statuses, as_json)
    sys.exit(0 if all(status.running for status in statuses) else 1)


def _local_nodes(settings: Settings, count: int, port: int | None) -> list[LocalNode]:
    from hashsearch.node.node import LocalNode

    if count == 1:
        return [LocalNode(settings.home, port=port)]
    ports = [None if port is None else port + place for place in range(count)]
    return [LocalNode(settings.home, f"node{place + 1}", ports[place], heap="512m") for place in range(count)]


def _print_status(statuses: Sequence[NodeStatus], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([asdict(status) for status in statuses], default=str))
        return
    for status in statuses:
        state = f"{status.health}, at {status.url} (process {status.pid})" if status.running else "not running"
        click.echo(f"{status.name}: Elasticsearch {status.version} {state}; {status.folder}")
