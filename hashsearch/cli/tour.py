"""The demo: a cluster, a catalog, its index, a first answer, the search page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hashsearch.catalog.reading import Catalog
from hashsearch.catalog.sampling import sample_sources
from hashsearch.cli.progress import Progress, Stages
from hashsearch.config import Settings
from hashsearch.demo.catalog import draw_catalog, draw_queries
from hashsearch.indexing.runs import index_catalog
from hashsearch.search.planner import SearchOptions
from hashsearch.search.searcher import Searcher, as_table
from hashsearch.services import load_encoder, open_indexer
from hashsearch.web import create_app, server

PRODUCTS = 600


def show(settings: Settings, catalog: Path | None, notify: Callable[[str], None]) -> None:
    """Index a catalog, by default the drawn one, answer a first query, serve the page until interrupted."""
    entries, root, photo = _given(catalog) if catalog else _drawn(settings.home / "demo", notify)
    # An index is of one encoder and of one catalog, so both are in its name.
    name = f"demo-{entries.fingerprint[:6]}-{load_encoder(settings).fingerprint[:6]}"
    indexer = open_indexer(replace(settings, index=name), notify)
    with Stages() as progress:
        summary, rejects = index_catalog(  # the index is only for this catalog, wherever it was before
            entries, indexer, settings.home / "jobs", accept_changes=True, progress=progress
        )
    notify(f"{summary}, listed in {rejects}" if summary.rejected else str(summary))
    searcher = Searcher(indexer.encoder, indexer.index)
    image = settings.image_reader.pixels(photo)
    notify(f"\na first query, {photo}:\n{as_table(searcher.by_image(image, SearchOptions(k=5)))}\n")
    app = create_app({name: searcher}, replace(settings, index=name, image_roots=(*settings.image_roots, root)))
    served = server(app, settings.host, settings.port)
    notify(f"search page: http://{settings.host}:{settings.port}/   (Ctrl-C ends it)")
    served.run()


def _given(path: Path) -> tuple[Catalog, Path, str]:
    """A user's catalog, the folder of its images, and one of them to search with."""
    entries = Catalog(path.absolute())
    root = path if path.is_dir() else path.parent
    return entries, root.absolute(), sample_sources([entries], 1, seed=0)[0]


def _drawn(folder: Path, notify: Callable[[str], None]) -> tuple[Catalog, Path, str]:
    """The drawn catalog, its folder, and a photo of one of its products that is not in it."""
    notify(f"a print shop's catalog of {PRODUCTS} pictures, in {folder}")
    with Progress("draw", "pictures", PRODUCTS) as progress:
        listing = draw_catalog(folder, PRODUCTS, progress=progress.update)
    return Catalog(listing), folder, str(draw_queries(folder / "queries", 1)[0].path)
