"""The demo from nothing to a served page: node, catalog, index, first query."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from elasticsearch import Elasticsearch
from tqdm import tqdm

from hashsearch.catalog import Catalog, sample_sources
from hashsearch.config import Settings
from hashsearch.demo.catalog import draw_catalog, draw_queries
from hashsearch.embedding import read_source
from hashsearch.encoder import Encoder
from hashsearch.images import decode
from hashsearch.index.store import ImageIndex
from hashsearch.index.writing import BulkWriter
from hashsearch.indexing import Indexer, index_catalog
from hashsearch.search import Hit, Searcher, SearchOptions

PRODUCTS = 600


def prepare(
    settings: Settings, client: Elasticsearch, encoder: Encoder, catalog: Path | None, say: Callable[[str], None]
) -> tuple[Searcher, Settings, Path]:
    """Index a catalog (the user's, else the drawn one) and return its searcher, its settings and a picture to ask with."""
    folder = settings.home / "demo"
    if catalog is None:
        listing, question = _drawn(folder, say)
        root, name = folder, "demo"
    else:
        listing, question = catalog, Path(sample_sources(Catalog(catalog), 1, seed=0)[0])
        root, name = (catalog if catalog.is_dir() else catalog.parent), f"demo-{_slug(catalog)}"
    settings = replace(settings, index=name, image_roots=(*settings.image_roots, root.absolute()))
    index = ImageIndex.open_or_create(client, name, encoder)
    indexer = Indexer(encoder, index, BulkWriter(client, index.alias), settings.limits)
    summary, rejects = index_catalog(Catalog(listing), indexer, settings.home / "jobs")
    say(f"{summary}" + (f", listed in {rejects}" if summary.rejected else ""))
    return Searcher(encoder, index), settings, question


def first_answer(searcher: Searcher, question: Path, settings: Settings) -> Sequence[Hit]:
    """The five nearest of a picture."""
    image = decode(read_source(str(question), settings.limits), settings.limits)
    return searcher.by_image(image, SearchOptions(k=5, candidates=100))


def _drawn(folder: Path, say: Callable[[str], None]) -> tuple[Path, Path]:
    say(f"drawing a print shop's catalog of {PRODUCTS} pictures in {folder}")
    with tqdm(total=PRODUCTS, unit=" pictures", desc="drawing") as bar:
        listing = draw_catalog(folder, PRODUCTS, progress=bar.update)
    return listing, draw_queries(folder / "queries", 1)[0].path


def _slug(path: Path) -> str:
    return re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "catalog"
