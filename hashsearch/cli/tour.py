"""The demo tour, from nothing to a served page: cluster, catalog, index, first answer, page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from hashsearch.catalog.reading import Catalog
from hashsearch.catalog.sampling import sample_sources
from hashsearch.cli.jobs.index_catalog import progress_bar
from hashsearch.config import Settings
from hashsearch.demo.catalog import draw_catalog, draw_queries
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.writing import BulkWriter
from hashsearch.encoder import Encoder
from hashsearch.indexing.pipeline import Indexer
from hashsearch.indexing.runs import index_catalog
from hashsearch.search.searcher import Searcher, SearchOptions, as_table
from hashsearch.services import connect_cluster
from hashsearch.web import create_app, server

PRODUCTS = 600


def show(settings: Settings, encoder: Encoder, catalog: Path | None, notify: Callable[[str], None]) -> None:
    """Index a catalog, by default the drawn one, answer a first query, serve the page until interrupted."""
    encoder.warm()
    client = connect_cluster(settings, notify)
    entries, root, question = _given(catalog) if catalog else _drawn(settings.home / "demo", notify)
    # An index is of one encoder and of one catalog, so both are in its name.
    name = f"demo-{entries.fingerprint[:6]}-{encoder.fingerprint[:6]}"
    index = ImageIndex.open_or_create(client, name, encoder)
    indexer = Indexer(encoder, index, BulkWriter(client, index.alias), settings.image_reader)
    with progress_bar(index.alias) as progress:
        summary, rejects = index_catalog(entries, indexer, settings.home / "jobs", progress=progress)
    notify(f"{summary}, listed in {rejects}" if summary.rejected else str(summary))
    searcher = Searcher(encoder, index)
    image = settings.image_reader.pixels(str(question))
    notify(f"\na first query, {question}:\n{as_table(searcher.by_image(image, SearchOptions(k=5)))}\n")
    app = create_app({name: searcher}, replace(settings, index=name, image_roots=(*settings.image_roots, root)))
    served = server(app, settings.host, settings.port)
    notify(f"search page: http://{settings.host}:{settings.port}/   (Ctrl-C ends it)")
    served.run()


def _given(path: Path) -> tuple[Catalog, Path, Path]:
    """A user's catalog, the folder of its pictures, and one of them to ask with."""
    entries = Catalog(path.absolute())
    root = path if path.is_dir() else path.parent
    return entries, root.absolute(), Path(sample_sources([entries], 1, seed=0)[0])


def _drawn(folder: Path, notify: Callable[[str], None]) -> tuple[Catalog, Path, Path]:
    """The drawn catalog, its folder, and a photo of one of its products that is not in it."""
    notify(f"a print shop's catalog of {PRODUCTS} pictures, in {folder}")
    with tqdm(total=PRODUCTS, unit=" pictures", desc="drawing", disable=(folder / "drawn.json").exists()) as bar:
        listing = draw_catalog(folder, PRODUCTS, progress=bar.update)
    return Catalog(listing), folder, draw_queries(folder / "queries", 1)[0].path
