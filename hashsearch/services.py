"""The composition root: settings -> cluster, encoder, index, indexer and searchers. They are wired nowhere else.

What can be refused without a network is refused first; TensorFlow is loaded last. Heavy modules are imported when used.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from hashsearch.errors import EncoderMismatch, IndexNotFound

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

    from hashsearch.config import Settings
    from hashsearch.descriptors.words import Vocabulary
    from hashsearch.elastic.image_index import ImageIndex
    from hashsearch.elastic.scratch import Scratch
    from hashsearch.encoder import Encoder
    from hashsearch.indexing.pipeline import Indexer
    from hashsearch.search.by_keypoints import KeypointSearcher
    from hashsearch.search.by_phash import PerceptualSearcher
    from hashsearch.search.searcher import Searcher

Notify = Callable[[str], None]  # takes a sentence for whoever waits


def quiet(sentence: str) -> None:
    """Report nothing."""


def connect_cluster(settings: Settings, notify: Notify = quiet) -> Elasticsearch:
    """A client of the settings' cluster, or of the local node, which is started unless it runs.

    Parameters
    ----------
    settings : Settings
        `es_url` names the cluster, `es_api_key`, `es_user`, `es_password` and `es_ca` open it; without `es_url` the
        node in `home` is used.
    notify : callable
        Takes sentences about a node that is downloaded or started.

    Returns
    -------
    elasticsearch.Elasticsearch
        A client of a cluster that answers.

    Raises
    ------
    StoreUnavailable
        The cluster does not answer.
    NodeError
        The local node does not start.
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
    """The encoder in the settings' folder, or the bundled one. Its network is loaded when first used.

    Parameters
    ----------
    settings : Settings
        `encoder` is the folder, None for the bundled encoder.

    Returns
    -------
    Encoder

    Raises
    ------
    EncoderError
        The folder is not a complete encoder.
    """
    from hashsearch.encoder import Encoder

    return Encoder.load(settings.encoder) if settings.encoder else Encoder.bundled()


def open_index(settings: Settings, notify: Notify = quiet) -> tuple[Encoder, ImageIndex]:
    """The settings' encoder, and their index opened with it.

    Parameters
    ----------
    settings : Settings
        `index` is the name, `encoder` the folder of the encoder that wrote it.
    notify : callable
        Takes sentences about a local node that is started.

    Returns
    -------
    tuple of Encoder and ImageIndex

    Raises
    ------
    IndexNotFound
        There is no index of that name.
    EncoderMismatch
        Another encoder wrote the index.
    """
    from hashsearch.elastic.templates import alias_of

    alias_of(settings.index)
    encoder = load_encoder(settings)
    return _opened(connect_cluster(settings, notify), settings, encoder)


def _opened(client: Elasticsearch, settings: Settings, encoder: Encoder) -> tuple[Encoder, ImageIndex]:
    """The index with its encoder: where none is chosen, the bundled one that wrote the index, now or in the past."""
    from hashsearch.elastic.image_index import ImageIndex
    from hashsearch.encoder import Encoder

    try:
        return encoder, ImageIndex.open(client, settings.index, encoder)
    except EncoderMismatch as mismatch:
        before = None if settings.encoder else Encoder.bundled_before()
        if before is None or before.fingerprint != mismatch.indexed_with:
            raise
        return before, ImageIndex.open(client, settings.index, before)


def open_indexer(
    settings: Settings,
    notify: Notify = quiet,
    *,
    vocabulary: Vocabulary | None = None,
    workers: int = 4,
) -> Indexer:
    """An indexer that writes to the settings' index, which is made if there is none.

    Parameters
    ----------
    settings : Settings
        `index` is the name, `encoder` the folder of the encoder that writes, or wrote, the index.
    notify : callable
        Takes sentences about a local node that is started.
    vocabulary : Vocabulary, optional
        Also index visual words: for a new index, then always the same vocabulary.
    workers : int
        Threads that read and decode images.

    Returns
    -------
    Indexer

    Raises
    ------
    EncoderMismatch
        Another encoder wrote the index.
    VocabularyMismatch
        The images in the index have other words, or none.
    """
    from hashsearch.elastic.image_index import ImageIndex
    from hashsearch.elastic.maintenance import set_vocabulary
    from hashsearch.elastic.templates import alias_of
    from hashsearch.elastic.writing import BulkWriter
    from hashsearch.indexing.pipeline import Indexer

    alias_of(settings.index)
    encoder = load_encoder(settings)
    client = connect_cluster(settings, notify)
    try:
        encoder, index = _opened(client, settings, encoder)
    except IndexNotFound:
        encoder.warm()  # before an index is made for it: its network may be missing
        index = ImageIndex.create(client, settings.index, encoder)
    index = set_vocabulary(index, vocabulary.fingerprint if vocabulary else None)
    writer = BulkWriter(client, index.alias)
    return Indexer(encoder, index, writer, settings.image_reader, workers, vocabulary)


def open_searcher(settings: Settings, notify: Notify = quiet) -> Searcher:
    """A searcher of the settings' index, with its encoder.

    Parameters
    ----------
    settings : Settings
        `index` is the name, `encoder` the folder of the encoder that wrote it.
    notify : callable
        Takes sentences about a local node that is started.

    Returns
    -------
    Searcher

    Raises
    ------
    IndexNotFound
        There is no index of that name.
    EncoderMismatch
        Another encoder wrote the index.
    """
    from hashsearch.search.searcher import Searcher

    return Searcher(*open_index(settings, notify))


def open_searchers(settings: Settings, notify: Notify = quiet) -> dict[str, Searcher]:
    """A searcher for each of the settings' models, by its name; without models, one for their index, by its name."""
    from hashsearch.config import Model
    from hashsearch.elastic.templates import alias_of

    models = settings.models or (Model(settings.index, settings.index, settings.encoder),)
    for model in models:
        alias_of(model.index)
    return {
        model.name: open_searcher(replace(settings, index=model.index, encoder=model.encoder), notify)
        for model in models
    }


def open_phash_searcher(settings: Settings, notify: Notify = quiet) -> PerceptualSearcher:
    """A searcher of the settings' index by perceptual hash."""
    from hashsearch.search.by_phash import PerceptualSearcher

    return PerceptualSearcher(open_index(settings, notify)[1])


def open_keypoint_searcher(settings: Settings, vocabulary: Vocabulary, notify: Notify = quiet) -> KeypointSearcher:
    """A searcher of the settings' index by keypoints; VocabularyMismatch for another vocabulary than the index's."""
    from hashsearch.search.by_keypoints import KeypointSearcher

    return KeypointSearcher(open_index(settings, notify)[1], vocabulary, settings.image_reader)


def open_scratch(settings: Settings, prefix: str, notify: Notify = quiet) -> AbstractContextManager[Scratch]:
    """Temporary indices on the settings' cluster, named with the prefix and removed at the end."""
    from hashsearch.elastic.scratch import Scratch

    return Scratch.clearing(connect_cluster(settings, notify), prefix)
