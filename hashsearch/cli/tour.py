"""The demo: a cluster, a catalog, its index, a first answer, the search page."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hashsearch.catalog.reading import Catalog
from hashsearch.catalog.sampling import sample_labelled, sample_sources
from hashsearch.cli.jobs.fit_encoder import embed_sampled
from hashsearch.cli.progress import Progress, Stages
from hashsearch.config import Settings
from hashsearch.demo.catalog import draw_catalog, draw_queries
from hashsearch.embedders import load
from hashsearch.encoder import EmbedderSpec, Encoder
from hashsearch.files import safe_name
from hashsearch.hashing.binarizers import make_binarizer
from hashsearch.hashing.rerank_vectors import MAX_DIMS, RerankVectors
from hashsearch.hashing.sub_codes import cells_for, make_sub_codes
from hashsearch.indexing.runs import index_catalog
from hashsearch.search.planner import SearchOptions
from hashsearch.search.searcher import Searcher, as_table
from hashsearch.services import load_encoder, open_indexer
from hashsearch.web import create_app, server

PRODUCTS = 600
SAMPLE = 20_000  # pictures to fit an encoder to, at most


def show(
    settings: Settings,
    catalog: Path | None,
    notify: Callable[[str], None],
    embedder: str | None = None,
    weights: str | None = None,
) -> None:
    """Index a catalog, by default the drawn one, answer a first query, serve the page until interrupted.

    With an embedder, by an encoder of its own that is fitted to the catalog.
    """
    entries, root, photo = _given(catalog) if catalog else _drawn(settings.home / "demo", notify)
    if embedder:
        settings = replace(settings, encoder=fitted(entries, embedder, weights, settings, notify))
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


def fitted(
    entries: Catalog, embedder: str, weights: str | None, settings: Settings, notify: Callable[[str], None]
) -> Path:
    """The folder of an encoder on a network, fitted to a catalog now unless an earlier demo did it."""
    network = load(embedder, weights, trained=settings.embedders, fetched=settings.weights)
    spec = EmbedderSpec.of(network)
    key = hashlib.sha256(json.dumps([spec.identity(), entries.fingerprint], sort_keys=True).encode()).hexdigest()
    folder = settings.home / "encoders" / f"{safe_name(spec.name)}-{key[:16]}"
    if folder.exists():
        return folder
    notify(f"an encoder on {spec.name}, fitted to the catalog, in {folder}")
    sampled = sample_labelled([entries], SAMPLE, seed=0)
    vectors, _ = embed_sampled(network, sampled, settings.image_reader)
    terms = make_sub_codes("cells", cells=cells_for(len(sampled)), seed=0)
    stored = RerankVectors(512 if spec.dims > MAX_DIMS else None, seed=0)
    return Encoder.fit(spec, vectors, make_binarizer("rotation", bits=1024, seed=0), terms, stored).save(folder)


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
