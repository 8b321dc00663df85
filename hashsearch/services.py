"""The composition root: settings to cluster, encoder, index and searcher. They are wired here and nowhere else.

Heavy parts are imported when used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

    from hashsearch.config import Settings
    from hashsearch.elastic.image_index import ImageIndex
    from hashsearch.encoder import Encoder
    from hashsearch.search.searcher import Searcher

Notify = Callable[[str], None]  # takes a sentence for the person who waits


def quiet(sentence: str) -> None:
    """Report nothing."""


def connect_cluster(settings: Settings, notify: Notify = quiet) -> Elasticsearch:
    """A client of the settings' cluster, or of the local node, which is started unless it runs.

    StoreUnavailable when the cluster does not answer, NodeError when the node does not start.
    """
    from hashsearch.elastic.client import connect, store_errors
    from hashsearch.node.node import LocalNode

    url = settings.es_url or LocalNode(settings.home).start(notify).url
    assert url is not None  # a started node has one
    client = connect(url, settings)
    with store_errors(url):
        client.cluster.health()
    return client


def load_encoder(settings: Settings) -> Encoder:
    """The encoder of the settings, else the bundled one."""
    from hashsearch.encoder import Encoder

    return Encoder.load(settings.encoder) if settings.encoder else Encoder.bundled()


def open_index(settings: Settings, notify: Notify = quiet) -> tuple[Encoder, ImageIndex]:
    """The encoder of the settings, and their index opened with it."""
    from hashsearch.elastic.image_index import ImageIndex

    encoder = load_encoder(settings)
    return encoder, ImageIndex.open(connect_cluster(settings, notify), settings.index, encoder)


def open_searcher(settings: Settings, notify: Notify = quiet) -> Searcher:
    """A searcher of the settings' index, with its encoder."""
    from hashsearch.search.searcher import Searcher

    return Searcher(*open_index(settings, notify))


def open_searchers(settings: Settings, notify: Notify = quiet) -> dict[str, Searcher]:
    """A searcher for each of the settings' models, by its name; without models, one for their index, by its name."""
    from hashsearch.config import Model

    models = settings.models or (Model(settings.index, settings.index, settings.encoder),)
    return {
        model.name: open_searcher(replace(settings, index=model.index, encoder=model.encoder), notify)
        for model in models
    }
