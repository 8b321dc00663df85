"""Random samples of catalogs, to learn from."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hashsearch.catalog.reading import Catalog, Entry
from hashsearch.errors import CatalogError


def sample_sources(catalogs: Sequence[Catalog], count: int, seed: int) -> list[str]:
    """Sources of at most `count` entries of all catalogs, drawn uniformly, in the order of the catalogs."""
    return [source for source, _ in sample_labelled(catalogs, count, seed)]


def sample_labelled(catalogs: Sequence[Catalog], count: int, seed: int) -> list[tuple[str, str | None]]:
    """The same sources, each with its category; CatalogError if there are no entries."""
    sources = [(entry.source, entry.category) for catalog in catalogs for entry in catalog if isinstance(entry, Entry)]
    if not sources:
        raise CatalogError(f"there are no images in {', '.join(str(catalog.path) for catalog in catalogs)}")
    chosen = random.Random(seed).sample(range(len(sources)), min(count, len(sources)))
    return [sources[position] for position in sorted(chosen)]
