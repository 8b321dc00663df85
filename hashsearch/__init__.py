"""hashsearch: image search by binary codes and exact cosine on stock Elasticsearch.

The names below are the public interface; each is imported when it is first used. A folder of images becomes searchable
like this::

    from pathlib import Path
    from hashsearch import Catalog, SearchOptions, Settings, index_catalog, open_indexer, open_searcher

    settings = Settings.from_environment()
    summary, rejects = index_catalog(Catalog(Path("photos")), open_indexer(settings), settings.home / "jobs")
    searcher = open_searcher(settings)
    for hit in searcher.by_image(settings.image_reader.pixels("photo.jpg"), SearchOptions(k=5)):
        print(hit.cosine, hit.id)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashsearch.provenance import VERSION

if TYPE_CHECKING:
    from hashsearch.catalog.reading import Catalog
    from hashsearch.config import Settings
    from hashsearch.elastic.image_index import ImageIndex
    from hashsearch.embedders import load as load_embedder
    from hashsearch.encoder import Encoder
    from hashsearch.errors import HashsearchError
    from hashsearch.images.sources import ImageReader
    from hashsearch.indexing.pipeline import Indexer
    from hashsearch.indexing.runs import index_catalog
    from hashsearch.search.planner import SearchOptions
    from hashsearch.search.searcher import Hit, Searcher
    from hashsearch.services import connect_cluster, load_encoder, open_index, open_indexer, open_searcher

__version__ = VERSION

__all__ = [
    "Catalog",
    "Encoder",
    "HashsearchError",
    "Hit",
    "ImageIndex",
    "ImageReader",
    "Indexer",
    "SearchOptions",
    "Searcher",
    "Settings",
    "connect_cluster",
    "index_catalog",
    "load_embedder",
    "load_encoder",
    "open_index",
    "open_indexer",
    "open_searcher",
]

_PLACES = {
    "Catalog": "hashsearch.catalog.reading:Catalog",
    "Encoder": "hashsearch.encoder:Encoder",
    "HashsearchError": "hashsearch.errors:HashsearchError",
    "Hit": "hashsearch.search.searcher:Hit",
    "ImageIndex": "hashsearch.elastic.image_index:ImageIndex",
    "ImageReader": "hashsearch.images.sources:ImageReader",
    "Indexer": "hashsearch.indexing.pipeline:Indexer",
    "SearchOptions": "hashsearch.search.planner:SearchOptions",
    "Searcher": "hashsearch.search.searcher:Searcher",
    "Settings": "hashsearch.config:Settings",
    "connect_cluster": "hashsearch.services:connect_cluster",
    "index_catalog": "hashsearch.indexing.runs:index_catalog",
    "load_embedder": "hashsearch.embedders:load",
    "load_encoder": "hashsearch.services:load_encoder",
    "open_index": "hashsearch.services:open_index",
    "open_indexer": "hashsearch.services:open_indexer",
    "open_searcher": "hashsearch.services:open_searcher",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'hashsearch' has no attribute '{name}'")
    from importlib import import_module

    module, _, attribute = _PLACES[name].partition(":")
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
