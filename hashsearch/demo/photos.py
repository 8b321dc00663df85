"""Pictures of a product: the shop's own, and the near-duplicates that people send."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from hashsearch.demo import goods, prints, signs, textiles
from hashsearch.demo.canvas import BLACK, SIZE, WHITE, Colour, blurred, cast_shadow, gradient, grain, mix, quad, shaded
from hashsearch.demo.designs import Design

PRODUCTS: dict[str, Callable[[Design], Image.Image]] = {
    "business cards": prints.business_cards,
    "flyers": prints.flyers,
    "posters": prints.posters,
    "mugs": goods.mugs,
    "T-shirts": textiles.t_shirts,
    "pens": goods.pens,
    "packaging": goods.packaging,
    "labels": goods.labels,
    "stickers": signs.stickers,
    "calendars": prints.calendars,
    "tote bags": textiles.tote_bags,
    "banners": signs.banners,
}

_STANDING = ("mugs", "packaging", "labels", "banners")


def backdrop(design: Design, size: tuple[int, int]) -> Image.Image:
    """RGB studio ground in a light tint of the design's palette, brighter towards the upper left."""
    lot, palette = design.lot("backdrop"), design.palette
    tint = mix(
        lot.choice((palette.second, palette.paper, palette.accent, (214, 210, 204))),
        (240, 238, 235),
        lot.uniform(0.45, 0.8),
    )
    return gradient(size, (mix(tint, WHITE, 0.5), mix(tint, WHITE, 0.15), mix(tint, WHITE, 0.1), mix(tint, BLACK, 0.1)))


def product(design: Design) -> Image.Image:
    """The product cut out: RGBA on a transparent square stage, twice the size it is shown at."""
    return PRODUCTS[design.category](design)


def studio(design: Design, cutout: Image.Image) -> Image.Image:
    """The shop's picture, 520 x 520: the product before a soft ground."""
    ground = backdrop(design, SIZE)
    outline = cutout.getchannel("A")
    if design.category in _STANDING:
        _stand(ground, outline, design)
    else:
        cast_shadow(ground, outline, (14, 26), 30, 0.3)
        cast_shadow(ground, outline, (3, 5), 6, 0.25)
    ground.paste(cutout, mask=outline)
    return grain(ground.reduce(2), 1, design.lot("studio").randrange(2**32))


def _stand(ground: Image.Image, outline: Image.Image, design: Design) -> None:
    """A floor below the product, and the shadow of its foot: soft to the right, dark where it touches."""
    _, top, _, bottom = outline.getbbox() or (0, 0, *ground.size)
    if design.lot("floor").random() < 0.6:
        edge = bottom - (bottom - top) // 5
        floor = shaded(ground.crop((0, edge, *ground.size)), np.linspace(0.9, 1.02, ground.height - edge)[:, None])
        mask = Image.new("L", ground.size)
        mask.paste(255, (0, edge, *ground.size))
        lower = ground.copy()
        lower.paste(floor, (0, edge))
        ground.paste(lower, mask=blurred(mask, 6))
    solid = np.asarray(outline) > 128
    rows = np.arange(ground.height)[:, None]
    lowest = ground.height - 1 - solid[::-1].argmax(axis=0)[None, :]
    touching = solid.any(axis=0) & (lowest > bottom - 0.35 * (bottom - top))
    foot = Image.fromarray((touching & (rows > lowest - 60) & (rows < lowest + 8)).astype(np.uint8) * 255)
    cast_shadow(ground, foot, (70, -8), 34, 0.4)
    cast_shadow(ground, foot, (8, 2), 10, 0.5)


def recompressed(picture: Image.Image) -> Image.Image:
    """The picture as it comes back from a messenger: smaller; the writer saves it at low quality."""
    return picture.resize((384, 384), Image.Resampling.BILINEAR)


def cropped(design: Design, picture: Image.Image) -> Image.Image:
    """About three quarters of the picture, at another place and scale."""
    lot, side = design.lot("crop"), picture.width
    part = side * lot.uniform(0.72, 0.84)
    left, top = lot.uniform(0, side - part), lot.uniform(0, side - part)
    return picture.resize((480, 480), Image.Resampling.BICUBIC, box=(left, top, left + part, top + part))


def photographed(design: Design, cutout: Image.Image, part: str = "photo") -> Image.Image:
    """A hand-held photo, 640 x 480: the product on a table or before a wall, at an angle, in the light of a room."""
    lot, size = design.lot(part), (960, 720)
    seed = lot.randrange(2**32)
    scene = lot.choice((_wood, _stone, _linen, _plain))(size, lot, seed)
    scale, tilt = lot.uniform(0.62, 0.74), 0.05 if design.category in _STANDING else 0.16
    turn = math.radians(lot.uniform(-5, 5) if design.category in _STANDING else lot.uniform(-26, 26))
    x, y = 480 + lot.uniform(-50, 50), 360 + lot.uniform(-20, 20)
    corners = []
    for u, v in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        right, down = u * math.cos(turn) - v * math.sin(turn), u * math.sin(turn) + v * math.cos(turn)
        near = (1 + tilt * down + tilt * 0.5 * right) * scale * 520
        corners.append((x + right * near, y + down * near * (1 - tilt)))
    layer = quad(cutout.reduce(2), corners, size)
    outline = layer.getchannel("A")
    direction = lot.choice((-1, 1))
    cast_shadow(scene, outline, (direction * 20, 22), 18, 0.42)
    cast_shadow(scene, outline, (direction * 4, 6), 5, 0.35)
    scene.paste(layer, mask=outline)
    return _developed(scene.resize((640, 480), Image.Resampling.BILINEAR), lot, seed)


def _developed(photo: Image.Image, lot: random.Random, seed: int) -> Image.Image:
    """Light falling off to one side, a tint of the lamp, a lens not quite sharp, and the noise of the sensor."""
    width, height = photo.size
    down, across = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    lamp = lot.choice((0.1, 0.9)), lot.uniform(-0.1, 0.4)
    light = 1.22 - lot.uniform(0.25, 0.5) * np.hypot(across - lamp[0], down - lamp[1])
    photo = shaded(photo.filter(ImageFilter.GaussianBlur(lot.uniform(0.3, 1.0))), light)
    tint = lot.choice(((1.05, 1.0, 0.9), (0.94, 0.99, 1.06), (1.02, 1.0, 0.97)))
    levels = np.asarray(photo, dtype=np.float32) * tint
    return grain(Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)), lot.uniform(2, 5), seed)


def _wood(size: tuple[int, int], lot: random.Random, seed: int) -> Image.Image:
    colour: Colour = lot.choice(((176, 128, 84), (132, 90, 58), (206, 170, 126), (92, 66, 50)))
    noise = np.random.default_rng(seed)
    fibre = Image.fromarray(noise.integers(0, 256, (size[1] // 2, 14), dtype=np.uint8)).resize(
        size, Image.Resampling.BICUBIC
    )
    streak = np.asarray(fibre, dtype=np.float32) / 255
    boards = np.repeat(noise.uniform(0.86, 1.1, 6), size[1] // 6)[:, None]
    picture = shaded(Image.new("RGB", size, colour), (0.88 + 0.2 * streak) * boards)
    draw = ImageDraw.Draw(picture)
    for board in range(1, 6):
        draw.line((0, board * size[1] // 6, size[0], board * size[1] // 6), fill=mix(colour, (0, 0, 0), 0.55), width=3)
    return picture


def _stone(size: tuple[int, int], lot: random.Random, seed: int) -> Image.Image:
    """Marble or concrete: clouds of several sizes."""
    colour: Colour = lot.choice(((226, 224, 222), (178, 176, 174), (72, 74, 80)))
    noise, cloud = np.random.default_rng(seed), np.zeros((size[1], size[0]), dtype=np.float32)
    for cells, weight in ((5, 0.5), (12, 0.3), (40, 0.2)):
        patches = Image.fromarray(noise.integers(0, 256, (cells, cells), dtype=np.uint8)).resize(
            size, Image.Resampling.BICUBIC
        )
        cloud += weight * np.asarray(patches, dtype=np.float32) / 255
    veins = np.exp(-((cloud - 0.5) ** 2) / 0.0004) * 0.12
    return shaded(Image.new("RGB", size, colour), 0.86 + 0.28 * cloud - veins)


def _linen(size: tuple[int, int], lot: random.Random, seed: int) -> Image.Image:
    colour: Colour = lot.choice(((214, 204, 188), (120, 134, 140), (188, 158, 146), (96, 108, 92)))
    noise = np.random.default_rng(seed)
    threads = (
        noise.normal(0, 0.05, (size[1], 1))
        + noise.normal(0, 0.05, (1, size[0]))
        + noise.normal(0, 0.03, (size[1], size[0]))
    )
    return shaded(Image.new("RGB", size, colour), 1 + threads)


def _plain(size: tuple[int, int], lot: random.Random, seed: int) -> Image.Image:
    """A painted desk or wall."""
    colour: Colour = lot.choice(((236, 232, 226), (58, 70, 92), (206, 190, 170), (148, 170, 164), (222, 186, 170)))
    return grain(
        gradient(size, (mix(colour, (255, 255, 255), 0.2), colour, colour, mix(colour, (0, 0, 0), 0.2))), 2, seed
    )
