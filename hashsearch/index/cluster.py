"""Which Elasticsearch is used: the one of the settings, else the local node. Decided here and nowhere else."""

from __future__ import annotations

from elasticsearch import Elasticsearch

from hashsearch.config import Settings
from hashsearch.index.client import connect, store_errors
from hashsearch.index.node import LocalNode
from hashsearch.index.server import Progress


def connect_cluster(settings: Settings, progress: Progress) -> Elasticsearch:
    """A client of the settings' cluster, or of the local node, which is started unless it runs.

    StoreUnavailable when the cluster does not answer, NodeError when the node does not start.
    """
    url = settings.es_url or LocalNode(settings.home).start(progress).url
    assert url is not None  # a started node has one
    client = connect(url, settings)
    with store_errors(url):
        client.cluster.health()
    return client
