"""`hashsearch tune`: find the quickest search settings that reach a recall, and save them in the index."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch.cli.commands import Command
from hashsearch.cli.options import OUTPUT_FOLDER, with_settings
from hashsearch.cli.progress import Stages
from hashsearch.cli.running import EXIT_REJECTS, notify
from hashsearch.services import open_searcher

if TYPE_CHECKING:
    from hashsearch.catalog.reading import Catalog
    from hashsearch.config import Settings
    from hashsearch.encoder import Encoder
    from hashsearch.hashing.vectors import Vectors
    from hashsearch.images.sources import ImageReader


@click.command(cls=Command)
@with_settings("index", "encoder", "es_url", "home", "allow_private")
@click.option(
    "--target",
    default=0.99,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Recall to reach: the share of the exact nearest images that are found.",
)
@click.option(
    "-k", default=10, show_default=True, type=click.IntRange(1, 10_000), help="Number of nearest images to find."
)
@click.option(
    "--queries",
    type=click.Path(exists=True, path_type=Path),
    help="Catalog of images to search with, which are not indexed.  [default: indexed images, which do not find "
    "themselves]",
)
@click.option(
    "--sample", default=500, show_default=True, type=click.IntRange(1, 10_000), help="Queries at most, a random sample."
)
@click.option("--out", type=OUTPUT_FOLDER, help="Folder for curve.svg and tune.json.")
@click.option("--dry-run", is_flag=True, help="Only measure; do not save anything in the index.")
def main(
    settings: Settings, target: float, k: int, queries: Path | None, sample: int, out: Path | None, dry_run: bool
) -> None:
    """Find the quickest search settings that reach a recall.

    Strategy, candidates and limits are saved in the index. Recall is measured against exact cosine over all images,
    latency with one client on this machine. Searches use the saved values for every option that is not given; a running
    server must be restarted to use them.

    Exit code: 0 done, 1 the run failed or no setting reaches the target, so nothing was saved, 2 wrong options, 3 done,
    but some of the --queries could not be read.
    """
    from hashsearch.catalog.reading import Catalog
    from hashsearch.elastic.maintenance import save_tuning
    from hashsearch.evaluation.live.tradeoff import draw, table
    from hashsearch.evaluation.live.tuning import of_index, of_vectors, tune
    from hashsearch.files import write_json

    catalog = Catalog(queries) if queries else None
    if catalog:
        catalog.check()
    searcher = open_searcher(settings, notify)
    rejects = 0
    with Stages() as progress:
        if catalog:
            vectors, rejects = _embed(searcher.encoder, catalog, sample, settings.image_reader)
            measured = of_vectors(searcher, vectors, k, progress)
        else:
            measured = of_index(searcher, sample, k, progress)
        tuning = tune(searcher, measured, target, progress)
    click.echo(table(tuning))
    if out is not None:
        write_json(out / "tune.json", tuning.as_dict())
        (out / "curve.svg").write_text(draw(tuning), encoding="utf-8")
    tuned = tuning.tuned()
    if not dry_run:
        save_tuning(searcher.index, tuned)
        notify(f"searches of '{settings.index}' now use these values by default")
    sys.exit(EXIT_REJECTS if rejects else 0)


def _embed(encoder: Encoder, catalog: Catalog, most: int, reader: ImageReader) -> tuple[Vectors, int]:
    """Vectors `(n, dims)` of a sample of a catalog's images, and how many could not be read or compared."""
    import numpy as np

    from hashsearch.catalog.sampling import sample_sources
    from hashsearch.embedders.bulk import embed_sources

    batches = list(embed_sources(encoder.embedder, sample_sources([catalog], most, seed=0), reader))
    for batch in batches:
        for source, error in batch.errors.items():
            notify(f"left out {source}: {error}")
    vectors = np.concatenate([batch.vectors for batch in batches])
    usable = encoder.encodable(vectors)
    rejects = sum(len(batch.errors) for batch in batches) + int(np.count_nonzero(~usable))
    return vectors[usable], rejects
