"""Recall and precision of an index against exact cosine: `python benchmarks/recall.py --index NAME`.

Queries are indexed images at regular intervals, each left out of its own answer. Exact neighbours come from numpy over
all stored re-rank vectors; a hit counts when its cosine reaches that of the exact k-th neighbour, so that identical
pictures do not count as misses. Precision is by category. `benchmarks/rerank_vectors.py` measures what smaller re-rank
vectors lose against the embeddings.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from hashsearch.cli.options import with_settings
from hashsearch.cli.running import notify, run_reporting_errors
from hashsearch.hashing.vectors import normalised
from hashsearch.services import open_searcher

if TYPE_CHECKING:
    from hashsearch.config import Settings
    from hashsearch.elastic.image_index import ImageIndex

PAGE = 500


@click.command()
@with_settings("index", "encoder", "es_url", "home")
@click.option("--queries", default=1000, show_default=True, help="Most queries to run.")
@click.option("--of", type=(str, str), metavar="NAME VALUE", help="Only query with images that have this attribute.")
@click.option("-k", default=10, show_default=True, help="Neighbours per query.")
@click.option("--candidates", default=None, type=int, help="Candidates.  [default: the tuned or built-in value]")
@click.option("--strategy", default=None, help="Search strategy.  [default: the tuned or built-in one]")
@click.option(
    "--compared", default=None, type=int, help="Codes compared, with cells.  [default: the tuned or built-in value]"
)
@click.option("--probes", default=None, type=int, help="Probes, with blocks.  [default: the tuned or built-in value]")
def main(settings: Settings, queries: int, of: tuple[str, str] | None, k: int, **options: Any) -> None:
    """Print recall@k against exact cosine, precision@1 and query latency."""
    from hashsearch.search.searcher import SearchOptions

    searcher = open_searcher(settings, notify)
    encoder, index = searcher.encoder, searcher.index
    chosen = SearchOptions(k=k, **{name: value for name, value in options.items() if value is not None})
    ids, vectors, records = everything(index)
    wanted = [row for row, record in enumerate(records) if of is None or record["attributes"].get(of[0]) == of[1]]
    picked = wanted[:: max(1, len(wanted) // queries)][:queries]
    recalls, firsts, seconds = [], [], []
    for row in picked:
        began = time.perf_counter()
        hits = searcher.by_id(ids[row], chosen)
        seconds.append(time.perf_counter() - began)
        cosines = vectors @ vectors[row]
        cosines[row] = -1
        kth = np.partition(cosines, -k)[-k]
        recalls.append(sum(hit.cosine >= kth - 1e-6 for hit in hits) / k)
        firsts.append(bool(hits) and hits[0].category == records[row]["category"])
    click.echo(f"{settings.index}: {len(ids)} images, encoder {encoder.fingerprint} on {encoder.spec.name}; {chosen}")
    click.echo(
        f"{len(picked)} queries: recall@{k} {np.mean(recalls):.4f}, precision@1 {np.mean(firsts):.4f}, "
        f"by id p50 {np.median(seconds) * 1e3:.1f} ms, p95 {np.percentile(seconds, 95) * 1e3:.1f} ms"
    )


def everything(index: ImageIndex) -> tuple[list[str], np.ndarray, list[dict[str, Any]]]:
    """Ids, unit re-rank vectors `(n, dims) float32`, and records of all images of an index."""
    ids = [image_id for page, _ in index.codes([]) for image_id in page]
    vectors: list[np.ndarray] = []
    records: list[dict[str, Any]] = []
    for start in range(0, len(ids), PAGE):
        page = ids[start : start + PAGE]
        stored, described = index.vectors(page), index.records(page)
        vectors += [stored[image_id].rerank_vector for image_id in page]
        records += [described[image_id] for image_id in page]
    return ids, normalised(np.stack(vectors)), records


if __name__ == "__main__":
    run_reporting_errors(main)
