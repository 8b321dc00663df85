"""What a run would do, without writing anything."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashsearch.catalog.reading import Catalog, Entry
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.embedders.bulk import BATCH
from hashsearch.encoder import Encoder
from hashsearch.images.sources import DEFAULT_READER, ImageReader
from hashsearch.indexing.catalog_ids import are_among, hashes_of
from hashsearch.indexing.changes import Change, ChangeFinder, NewImage, Reject, Unchanged
from hashsearch.indexing.checkpoint import IndexingSummary
from hashsearch.indexing.known_catalogs import KnownCatalogs
from hashsearch.indexing.missing import check_removal
from hashsearch.overlap import batched
from hashsearch.progress import Progress, no_progress


def preview_catalog(
    catalog: Catalog,
    encoder: Encoder,
    index: ImageIndex | None,
    state: Path,
    *,
    remove_missing: bool = False,
    accept_changes: bool = False,
    allow_empty: bool = False,
    reader: ImageReader = DEFAULT_READER,
    workers: int = 4,
    progress: Progress = no_progress,
) -> IndexingSummary:
    """What `index_catalog` would do with a catalog; nothing is written.

    Images are read and decoded, but not embedded: an unusable embedding is not known yet.

    Parameters
    ----------
    catalog : Catalog
        The entries.
    encoder : Encoder
        The encoder.
    index : ImageIndex or None
        The index, None if there is none yet.
    state : Path
        The folder for the checkpoints of all indices.
    remove_missing : bool
        Whether images that are not in the catalog would be removed.
    accept_changes : bool
        Whether the run would accept all changes.
    allow_empty : bool
        Whether the run would accept a catalog without images.
    reader : ImageReader
        Reads the images, within its limits.
    workers : int
        Threads that read images.
    progress : callable, optional
        Called with "preview", the number of finished entries and of all entries.

    Returns
    -------
    IndexingSummary
        What would happen to the entries, and how many images of the index are not in the catalog.

    Raises
    ------
    CatalogError, ChangesNotAccepted, ConfigError
        The run would refuse this.
    """
    catalog.check(allow_empty)
    index = index.patient() if index else None
    if index and not accept_changes:
        KnownCatalogs(state / index.alias, index).check(catalog)
    encoder.warm()  # load the embedder once, before several threads need it
    counts: Counter[str] = Counter()
    nameless, ids = 0, list[NDArray[np.uint64]]()
    finder = ChangeFinder(encoder, reader)
    with ThreadPoolExecutor(workers, "read") as readers:
        for entries in batched(catalog, BATCH):
            stored = index.records([entry.id for entry in entries if isinstance(entry, Entry)]) if index else {}
            counts.update(map(_kind, readers.map(finder.find, entries, repeat(partial(dict, stored)))))
            nameless += sum(entry.id is None for entry in entries)
            ids.append(hashes_of(entry.id for entry in entries if entry.id is not None))
            progress("preview", counts.total(), catalog.total)
    summary = IndexingSummary(**counts)
    if not index:
        return summary
    hashes = np.unique(np.concatenate(ids)) if ids else np.empty(0, np.uint64)
    summary = replace(summary, missing=sum(int((~are_among(page, hashes)).sum()) for page in index.ids()))
    if remove_missing and not accept_changes:
        check_removal(index.alias, index.count() + summary.indexed, summary, nameless)
    return summary


def _kind(change: Change) -> str:
    """The name of a change's count in a summary."""
    if isinstance(change, NewImage):
        return "replaced" if change.replaces else "indexed"
    return "rejected" if isinstance(change, Reject) else "unchanged" if isinstance(change, Unchanged) else "updated"
