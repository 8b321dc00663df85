"""Images of an index that a catalog does not have: counted after a complete run, and removed if wanted."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.maintenance import remove_images
from hashsearch.errors import ChangesNotAccepted
from hashsearch.indexing.catalog_ids import are_among
from hashsearch.indexing.checkpoint import IndexingSummary

_MANY, _MANY_PERCENT = 20, 10  # removing so many images, and more than this share, must be accepted


def count_missing(index: ImageIndex, known: NDArray[np.uint64], summary: IndexingSummary) -> int:
    """Number of images in the index whose ids are not among these sorted hashes.

    The summary of the complete run spares reading all ids where the index has no more images than the run confirmed.
    """
    if index.count() == summary.entries - summary.rejected:
        return 0
    return sum(map(len, _missing_ids(index, known)))


def remove_missing(index: ImageIndex, known: NDArray[np.uint64]) -> int:
    """Remove these images from the index; returns their number."""
    removed = 0
    for ids in _missing_ids(index, known):
        remove_images(index, ids)
        removed += len(ids)
    index.refresh()
    return removed


def _missing_ids(index: ImageIndex, known: NDArray[np.uint64]) -> Iterator[list[str]]:
    for ids in index.ids():
        if missing := list(compress(ids, ~are_among(ids, known))):
            yield missing


def check_removal(alias: str, images: int, summary: IndexingSummary, nameless: int) -> None:
    """Raise ChangesNotAccepted if removing the summary's missing images needs to be accepted.

    `images` is the number in the index now; those that this run added do not count, or a large new catalog would hide
    that it has nothing of the former one. `nameless` entries were rejected before their id was known.
    """
    if not summary.missing:
        return
    before = max(images - summary.indexed, summary.missing)
    if summary.missing >= _MANY and 100 * summary.missing > _MANY_PERCENT * before:
        raise ChangesNotAccepted(
            f"{summary.missing} of the {before} images that '{alias}' had before are not in this catalog; removing "
            f"more than {_MANY_PERCENT} % must be accepted with --accept-changes. Nothing was removed"
        )
    if nameless:
        raise ChangesNotAccepted(
            f"{nameless} rejected entries have no readable id, so they may be among the {summary.missing} images that "
            "are not in this catalog; removing these must be accepted with --accept-changes. Nothing was removed"
        )
