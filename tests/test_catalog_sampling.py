"""Samples of catalogs."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashsearch.catalog.reading import Catalog
from hashsearch.catalog.sampling import sample_labelled, sample_sources
from hashsearch.errors import CatalogError


def catalog(folder: Path, content: str) -> Catalog:
    (folder / "c.csv").write_text(content)
    return Catalog(folder / "c.csv")


def test_a_sample_has_the_size_that_was_requested_and_depends_on_the_seed(tmp_path: Path) -> None:
    photos = catalog(tmp_path, "id,path\n" + "".join(f"{n},/{n:03}.jpg\n" for n in range(100)))
    first, again, other = (sample_sources([photos], 10, seed) for seed in (1, 1, 2))
    assert first == again == sorted(first)
    assert len(set(first)) == 10
    assert first != other


def test_each_source_has_its_category(tmp_path: Path) -> None:
    photos = catalog(tmp_path, "id,path,category\na,/a.jpg,mugs\nb,/b.jpg,\n")
    assert sample_labelled([photos], 10, 0) == [("/a.jpg", "mugs"), ("/b.jpg", None)]


def test_a_catalog_smaller_than_the_sample_is_taken_whole(tmp_path: Path) -> None:
    photos = catalog(tmp_path, "id,path\n1,/images/1.jpg\n,/no-id.jpg\n2,https://example.com/2.jpg\n")
    assert sample_sources([photos], 10, 0) == ["/images/1.jpg", "https://example.com/2.jpg"]


def test_a_catalog_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="there are no images in "):
        sample_sources([catalog(tmp_path, "id,path\n")], 10, 0)
