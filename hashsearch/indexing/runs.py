"""A whole indexing run: resumed from its checkpoint, and with the index merged or given a graph afterwards."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from hashsearch.catalog.reading import Catalog
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.maintenance import add_graph, merge
from hashsearch.errors import ChangesNotAccepted
from hashsearch.images.sources import remarks
from hashsearch.indexing.checkpoint import Checkpoint, IndexingSummary
from hashsearch.indexing.known_catalogs import KnownCatalogs
from hashsearch.indexing.missing import check_removal, count_missing, remove_missing
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
    remove: bool = False,
    accept_changes: bool = False,
    allow_empty: bool = False,
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
    remove : bool
        Whether images in the index that are not in the catalog are removed. Removing more than a tenth, and at least
        20, must be accepted.
    accept_changes : bool
        Accept that a catalog that was never indexed replaces pictures, and that many images are removed.
    allow_empty : bool
        Accept a catalog without images.
    progress : callable, optional
        Called with "index", the number of finished entries and of all entries: first with those of the resumed run,
        then after each batch.

    Returns
    -------
    summary : IndexingSummary
        What happened to the entries, and how many images of the index are not in the catalog.
    rejects : Path
        The file that lists the rejected entries.

    Raises
    ------
    CatalogError
        The catalog is unreadable or has nothing to index, as `Catalog.check` says, or another run writes to the index.
    ChangesNotAccepted
        The catalog would replace pictures of another one, and nothing was written; or many images would be removed,
        and the catalog is indexed, but nothing was removed.
    ConfigError
        The index cannot have a graph, no row has a column that the catalog names, or `rejects` is a file of something
        else.
    EncoderMismatch, VocabularyMismatch
        The index was written with another encoder or vocabulary.
    StoreError
        Elasticsearch failed; StoreUnavailable if it was unreachable or overloaded for too long.
    """
    catalog.check(allow_empty)
    index = indexer.patient_index
    if graph:
        index.check_quantizable()  # before the work, not after it
    identity = {"catalog": catalog.fingerprint, "index": list(index.uuids), "encoder": indexer.encoder.fingerprint}
    before = remarks()
    with Checkpoint.hold(state / index.alias, identity, rejects) as checkpoint:
        catalogs = KnownCatalogs(checkpoint.folder, index)
        if finished := checkpoint.summary.entries:
            _log.info("resuming after %d of %d entries", finished, catalog.total)
        elif not accept_changes:
            catalogs.check(catalog)
        catalogs.add(catalog)
        progress("index", finished, catalog.total)
        summary = indexer.run(
            catalog, checkpoint, lambda _: progress("index", checkpoint.summary.entries, catalog.total)
        )
        summary, refused = _compare_with_index(index, checkpoint, summary, remove, accept_changes)
    for remark, count in (remarks() - before).items():
        _log.warning("%d images: %s", count, remark)
    if graph and not index.graph:
        add_graph(index)
    elif summary.indexed * _MERGED_SHARE >= index.count() > 0:
        merge(index)
    if refused:
        raise refused
    return summary, checkpoint.rejects_path


def _compare_with_index(
    index: ImageIndex, checkpoint: Checkpoint, summary: IndexingSummary, remove: bool, accept_changes: bool
) -> tuple[IndexingSummary, ChangesNotAccepted | None]:
    """The summary with the images that are not in the catalog, removed if wanted; or why they were not removed."""
    known, refused = checkpoint.ids.sorted(), None
    summary = replace(summary, missing=count_missing(index, known, summary))
    if remove and not accept_changes:
        try:
            check_removal(index.alias, index.count(), summary, checkpoint.nameless)
        except ChangesNotAccepted as error:
            refused = ChangesNotAccepted(f"{error}. The catalog is indexed: {summary}")
    if remove and summary.missing and not refused:
        summary = replace(summary, removed=remove_missing(index, known))
    checkpoint.finish(summary)
    return summary, refused
