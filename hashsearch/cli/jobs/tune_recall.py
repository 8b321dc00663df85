"""Find what to search an index with, and keep it there: `python -m jobs.tune_recall --target 0.99`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch.cli.options import EXIT_REJECTS, notify, with_settings

if TYPE_CHECKING:
    from hashsearch.config import Settings
    from hashsearch.encoder import Encoder
    from hashsearch.hashing.vectors import Vectors


@click.command()
@with_settings("index", "encoder", "es_url", "home")
@click.option(
    "--target",
    default=0.99,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Recall wanted: the share of the truly nearest that is found.",
)
@click.option("-k", default=10, show_default=True, type=click.IntRange(1, 10_000), help="How many nearest are wanted.")
@click.option(
    "--queries",
    type=click.Path(exists=True, path_type=Path),
    help="Catalog of photos to ask with that are not indexed.  [default: indexed images, themselves left out]",
)
@click.option(
    "--sample", default=500, show_default=True, type=click.IntRange(1, 10_000), help="Queries at most, at random."
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for curve.svg and tune.json.")
@click.option("--dry-run", is_flag=True, help="Only measure and tell; leave the index as it is.")
def main(
    settings: Settings, target: float, k: int, queries: Path | None, sample: int, out: Path | None, dry_run: bool
) -> None:
    """Find the quickest strategy, candidates and limits that reach a recall on the index, and keep them in it.

    Recall is measured against exact cosine over all images, latency with one client on this machine. Searches take
    what was kept where they are asked for nothing else; a server has to be started again to know it.

    Exit code: 0 done, 1 the run failed or no setting reaches the target, so nothing was kept, 2 wrong options, 3 done,
    but some of the --queries could not be read.
    """
    from hashsearch.elastic.maintenance import save_tuning
    from hashsearch.evaluation.live.tradeoff import draw, table
    from hashsearch.evaluation.live.tuning import of_index, of_vectors, tune
    from hashsearch.files import write_json
    from hashsearch.services import open_searcher

    searcher = open_searcher(settings)
    if queries is None:
        asked, rejects = of_index(searcher, sample, k), 0
    else:
        vectors, rejects = _embedded(searcher.encoder, queries, sample)
        asked = of_vectors(searcher, vectors, k)
    tuning = tune(searcher, asked, target)
    click.echo(table(tuning))
    if out is not None:
        write_json(out / "tune.json", tuning.as_dict())
        (out / "curve.svg").write_text(draw(tuning), encoding="utf-8")
    tuned = tuning.tuned()
    if not dry_run:
        save_tuning(searcher.index, tuned)
        notify(f"'{settings.index}' is searched so from now on, where nothing else is asked for")
    sys.exit(EXIT_REJECTS if rejects else 0)


def _embedded(encoder: Encoder, catalog: Path, most: int) -> tuple[Vectors, int]:
    """Vectors of at most so many of a catalog's images, and how many could not be read or compared."""
    import numpy as np

    from hashsearch.catalog.reading import Catalog
    from hashsearch.catalog.sampling import sample_sources
    from hashsearch.embedders.bulk import embed_sources

    batches = list(embed_sources(encoder.embedder, sample_sources([Catalog(catalog)], most, seed=0)))
    for batch in batches:
        for source, error in batch.errors.items():
            notify(f"left out {source}: {error}")
    vectors = np.concatenate([batch.vectors for batch in batches])
    usable = encoder.encodable(vectors)
    rejects = sum(len(batch.errors) for batch in batches) + int(np.count_nonzero(~usable))
    return vectors[usable], rejects
