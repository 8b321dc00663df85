"""The demo catalog on disk: a folder of pictures, `catalog.csv`, and photos to search with that are not in it."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import PIL
from PIL import Image

from hashsearch.demo.designs import CATEGORIES, Design, make_designs
from hashsearch.demo.photos import cropped, photographed, product, recompressed, studio

PICTURES_PER_DESIGN = 4

# By category: the product's name, materials, lowest and highest price.
_GOODS: dict[str, tuple[str, tuple[str, ...], int, int]] = {
    "business cards": ("Business cards", ("350 g matt", "300 g linen", "400 g recycled"), 18, 49),
    "flyers": ("Flyer", ("135 g gloss", "170 g matt", "120 g recycled"), 24, 79),
    "posters": ("Poster", ("200 g satin", "180 g uncoated", "260 g photo paper"), 9, 39),
    "mugs": ("Mug", ("ceramic", "stoneware", "enamel"), 8, 19),
    "T-shirts": ("T-shirt", ("organic cotton", "cotton", "cotton and linen"), 15, 32),
    "pens": ("Pens", ("recycled plastic", "aluminium", "beech wood"), 12, 45),
    "packaging": ("Box", ("folding board", "corrugated board", "kraft board"), 22, 95),
    "labels": ("Label", ("PP film", "wet-strength paper", "kraft paper"), 14, 58),
    "stickers": ("Stickers", ("vinyl", "paper", "PP film"), 6, 28),
    "calendars": ("Calendar", ("250 g satin", "170 g recycled", "300 g matt"), 11, 27),
    "tote bags": ("Tote bag", ("organic cotton", "canvas", "jute"), 7, 22),
    "banners": ("Banner", ("polyester", "PVC-free mesh", "vinyl"), 59, 189),
}


@dataclass(frozen=True)
class QueryPhoto:
    """A photo to search with, not in the catalog, and the design it shows."""

    path: Path
    design: str


def draw_catalog(
    folder: Path, products: int = 600, seed: int = 7, progress: Callable[[int], object] | None = None
) -> Path:
    """Draw `products` pictures into the folder; returns the path of the `catalog.csv` that lists them.

    The four pictures of a design are near-duplicates and share the column `design`; `variant` names the edit. The same
    arguments and version of Pillow give the same bytes, and a complete folder is left as it is. `progress` is called
    with the number of pictures drawn since its last call.
    """
    listing, marker = folder / "catalog.csv", folder / "drawn.json"
    parameters = {"products": products, "seed": seed, "drawing": _fingerprint()}
    if listing.exists() and marker.exists() and json.loads(marker.read_text()) == parameters:
        return listing
    marker.unlink(missing_ok=True)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    designs = make_designs(-(-products // PICTURES_PER_DESIGN), seed)
    rows: list[dict[str, str]] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for drawn in pool.map(lambda design: _draw_design(design, folder), designs):
            rows += drawn
            if progress:
                progress(len(drawn))
    with listing.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, rows[0])
        writer.writeheader()
        writer.writerows(rows[:products])
    marker.write_text(json.dumps(parameters))
    return listing


def draw_queries(folder: Path, count: int = 4, products: int = 600, seed: int = 7) -> list[QueryPhoto]:
    """Draw photos at an angle of `count` designs of that catalog, each of another category, into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    designs = make_designs(-(-products // PICTURES_PER_DESIGN), seed)
    wanted = [CATEGORIES.index(category) for category in ("packaging", "posters", "mugs", "tote bags")]
    queries = []
    for design in [designs[(len(CATEGORIES) + place) % len(designs)] for place in wanted[:count]]:
        path = folder / f"{design.id}.jpg"
        _save(photographed(design, product(design), "query"), path, 85)
        queries.append(QueryPhoto(path, design.id))
    return queries


def _draw_design(design: Design, folder: Path) -> list[dict[str, str]]:
    cutout = product(design)
    original = studio(design, cutout)
    pictures = {"original": (original, design, 88), "recompressed": (recompressed(original), design, 38)}
    if design.lot("variant").random() < 0.5:
        pictures["cropped"] = (cropped(design, original), design, 85)
    else:
        other = design.recoloured()
        pictures["recoloured"] = (studio(other, product(other)), other, 88)
    pictures["photo"] = (photographed(design, cutout), design, 82)
    rows = []
    for variant, (picture, shown, quality) in pictures.items():
        path = f"images/{design.id}-{variant}.jpg"
        _save(picture, folder / path, quality)
        rows.append(_row(shown, variant, path))
    return rows


def _row(design: Design, variant: str, path: str) -> dict[str, str]:
    noun, materials, cheapest, dearest = _GOODS[design.category]
    lot = design.lot("goods")
    return {
        "id": f"{design.id}-{variant}",
        "path": path,
        "title": f"{noun} for {design.brand} {design.trade}, {design.palette.name}",
        "category": design.category,
        "brand": f"{design.brand} {design.trade}",
        "colour": design.palette.name,
        "material": lot.choice(materials),
        "price": f"{lot.randint(cheapest, dearest)}.90",
        "design": design.id,
        "variant": variant,
    }


def _save(picture: Image.Image, path: Path, quality: int) -> None:
    picture.save(path, "JPEG", quality=quality)


def _fingerprint() -> str:
    """A digest of the drawing code and the version of Pillow, either of which may change the pictures."""
    digest = hashlib.sha256(PIL.__version__.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
