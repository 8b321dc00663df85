"""The drawn catalog: what is listed is there, the same seed draws the same, near-duplicates look alike."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashsearch.demo import draw_catalog, draw_queries
from hashsearch.demo.designs import CATEGORIES, make_designs
from hashsearch.demo.photos import PRODUCTS, photographed, product, studio
from hashsearch.descriptors.phash import STORED
from hashsearch.images.decoding import decode

PRODUCTS_DRAWN = 48  # a design of every category


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    draw_catalog(folder, products=PRODUCTS_DRAWN)
    return folder


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "catalog.csv").open(newline="", encoding="utf-8") as listing:
        return list(csv.DictReader(listing))


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("**/*.jpg"))}


def test_every_listed_picture_is_there_and_no_other(folder: Path, rows: list[dict[str, str]]) -> None:
    assert len(rows) == PRODUCTS_DRAWN == len({row["id"] for row in rows})
    assert {row["path"] for row in rows} == {f"images/{path.name}" for path in (folder / "images").iterdir()}
    for row in rows:
        height, width, _ = decode((folder / row["path"]).read_bytes()).shape
        assert 384 <= width <= 640 and 384 <= height <= 520
        assert all(row.values()), "no column is empty"


def test_categories_and_near_duplicates(rows: list[dict[str, str]]) -> None:
    assert {row["category"] for row in rows} == set(CATEGORIES)
    for design in {row["design"] for row in rows}:
        group = [row for row in rows if row["design"] == design]
        variants = {row["variant"] for row in group}
        assert len(group) == 4 and variants >= {"original", "recompressed", "photo"}
        assert variants & {"cropped", "recoloured"}
        assert len({(row["brand"], row["price"], row["material"]) for row in group}) == 1
        assert len({row["colour"] for row in group}) == (2 if "recoloured" in variants else 1)


def test_the_whole_catalog_is_small(rows: list[dict[str, str]], folder: Path) -> None:
    size = sum((folder / row["path"]).stat().st_size for row in rows)
    assert size / PRODUCTS_DRAWN * 600 < 40_000_000


def test_same_seed_same_bytes_and_another_seed_other_pictures(tmp_path: Path) -> None:
    draw_catalog(tmp_path / "first", products=4, seed=7)
    draw_catalog(tmp_path / "again", products=4, seed=7)
    draw_catalog(tmp_path / "other", products=4, seed=8)
    first, again, other = (digests(tmp_path / name) for name in ("first", "again", "other"))
    assert first == again
    assert not set(first.values()) & set(other.values())


def test_a_complete_folder_is_left_alone(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.glob("**/*")}
    draw_catalog(folder, products=PRODUCTS_DRAWN)
    assert {path: path.stat().st_mtime_ns for path in folder.glob("**/*")} == before


def test_an_incomplete_folder_is_drawn_again(tmp_path: Path) -> None:
    calls: list[int] = []
    listing = draw_catalog(tmp_path, products=3, progress=calls.append)
    assert sum(calls) == 4, "whole designs are drawn"
    (tmp_path / "drawn.json").unlink()
    listing.write_text("id\n")
    draw_catalog(tmp_path, products=3)
    assert len(listing.read_text().splitlines()) == 4


def test_near_duplicates_are_nearer_than_other_designs(folder: Path, rows: list[dict[str, str]]) -> None:
    codes = {row["id"]: STORED.hash([decode((folder / row["path"]).read_bytes())])[0] for row in rows}
    designs = sorted({row["design"] for row in rows})

    def distance(one: str, other: str) -> int:
        return int(np.unpackbits(codes[one] ^ codes[other]).sum())

    for design in designs:
        assert distance(f"{design}-original", f"{design}-recompressed") <= 6
    strangers = [distance(f"{one}-original", f"{two}-original") for one in designs for two in designs if one < two]
    assert np.median(strangers) > 16


def test_queries_are_new_photos_of_catalogued_designs(folder: Path, rows: list[dict[str, str]], tmp_path: Path) -> None:
    queries = draw_queries(tmp_path / "first", count=2, products=PRODUCTS_DRAWN)
    draw_queries(tmp_path / "again", count=2, products=PRODUCTS_DRAWN)
    drawn = digests(tmp_path / "first")
    assert drawn == digests(tmp_path / "again")
    assert len(drawn) == 2 and not set(drawn.values()) & set(digests(folder).values())
    for query in queries:
        assert query.design in {row["design"] for row in rows}
        assert decode(query.path.read_bytes()).shape == (480, 640, 3)


@pytest.mark.parametrize("category", CATEGORIES)
def test_products_stand_on_the_stage_and_stand_out(category: str) -> None:
    """Every category, two designs: the product fills a fair part of its picture and is not lost in the ground."""
    assert category in PRODUCTS
    for design in [design for design in make_designs(24, seed=3) if design.category == category]:
        cutout = product(design)
        share = np.asarray(cutout.getchannel("A")).astype(bool).mean()
        assert cutout.mode == "RGBA" and 0.04 < share < 0.9
        for picture, size in ((studio(design, cutout), (520, 520)), (photographed(design, cutout), (640, 480))):
            assert picture.mode == "RGB" and picture.size == size
            assert np.asarray(picture.convert("L")).std() > 8


def test_no_two_designs_of_a_catalog_share_customer_and_palette() -> None:
    designs = make_designs(150, seed=7)
    assert len({(design.brand, design.trade, design.palette.name) for design in designs}) == 150
    assert len({design.id for design in designs}) == 150


def test_pictures_are_in_colour(folder: Path, rows: list[dict[str, str]]) -> None:
    tones = [np.asarray(Image.open(folder / row["path"]).convert("HSV"))[..., 1].max() for row in rows]
    assert min(tones) > 30
