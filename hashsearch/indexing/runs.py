"""A whole indexing run: resumed from its checkpoint, and with the index merged or given a graph afterwards."""

from __future__ import annotations

import logging
from pathlib import Path

from hashsearch.catalog.reading import Catalog
from hashsearch.elastic.maintenance import add_graph, merge
from hashsearch.images.sources import remarks
from hashsearch.indexing.checkpoint import Checkpoint, IndexingSummary
from hashsearch.indexing.pipeline import Indexer
from hashsearch.progress import Progress, no_progress

_MERGED_SHARE = 10  # an index is merged when at least one in ten of its images is new
_log = logging.getLogger(__name__)


def index_catalog(
    catalog: Catalog,
    indexer: Indexer,
    state: Path,
    rejects: Path | None = None,
    *,
    graph: bool = False,
    progress: Progress = no_progress,
) -> tuple[IndexingSummary, Path]:
    """Bring a catalog into the indexer's index, resuming the last unfinished run of the same catalog.

    Where at least a tenth of the images are new, the index is merged afterwards.

    Parameters
    ----------
    catalog : Catalog
        The entries.
    indexer : Indexer
        The indexer, with its encoder and index.
    state : Path
        A folder for the checkpoints of all indices.
    rejects : Path, optional
        The JSON lines file for rejected entries; default: `rejects.jsonl` beside the checkpoint.
    graph : bool
        Whether the index gets a graph, unless it has one.
    progress : callable, optional
        Called with "index", the number of finished entries and of all entries: first with those of the resumed run,
        then after each batch.

    Returns
    -------
    summary : IndexingSummary
        What happened to the entries.
    rejects : Path
        The file that lists the rejected entries.

    Raises
    ------
    CatalogError
        The catalog is unreadable, or another run writes to the index.
    ConfigError
        The index cannot have a graph.
    EncoderMismatch, VocabularyMismatch
        The index was written with another encoder or vocabulary.
    StoreError
        Elasticsearch failed; StoreUnavailable if it was unreachable or overloaded for too long.
    """
    index = indexer.index
    if graph:
        index.check_quantizable()  # before the work, not after it
    identity = {"catalog": catalog.fingerprint, "index": list(index.uuids), "encoder": indexer.encoder.fingerprint}
    before = remarks()
    with Checkpoint.hold(state / index.alias, identity, rejects) as checkpoint:
        if finished := checkpoint.summary.entries:
            _log.info("resuming after %d of %d entries", finished, catalog.total)
        progress("index", finished, catalog.total)
        summary = indexer.run(
            catalog, checkpoint, lambda _: progress("index", checkpoint.summary.entries, catalog.total)
        )
    for remark, count in (remarks() - before).items():
        _log.warning("%d images: %s", count, remark)
    if graph and not index.graph:
        add_graph(index)
    elif summary.indexed * _MERGED_SHARE >= index.count() > 0:
        merge(index)
    return summary, checkpoint.rejects_path
