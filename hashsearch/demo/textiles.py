"""Products of cloth cut out on a transparent stage: T-shirts and tote bags."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from hashsearch.demo.artwork import mark, pattern
from hashsearch.demo.canvas import (
    BLACK,
    SIZE,
    STAGE,
    WHITE,
    Colour,
    Point,
    blurred,
    curve,
    grain,
    lightness,
    mix,
    readable,
    shaded,
    write,
)
from hashsearch.demo.designs import Design
from hashsearch.demo.scenes import paint_scene


def folds(lot: random.Random, creases: Sequence[tuple[Point, Point]], depth: float) -> np.ndarray:
    """Light on cloth, `(STAGE, STAGE)`: soft dark and bright creases, each a little elsewhere, and a slow swell."""
    quarter = Image.new("L", (STAGE // 4, STAGE // 4), 128)
    draw = ImageDraw.Draw(quarter)
    for number, crease in enumerate(creases):
        line = [(x / 4 + lot.uniform(-5, 5), y / 4 + lot.uniform(-5, 5)) for x, y in crease]
        draw.line(line, fill=60 if number % 2 else 200, width=7)
    soft = np.asarray(blurred(quarter, 6).resize(SIZE, Image.Resampling.BICUBIC), dtype=np.float32)
    start_x, start_y = lot.uniform(0, math.tau), lot.uniform(0, math.tau)
    swell = np.sin(np.linspace(0, 7, STAGE) + start_x)[None, :] * np.sin(np.linspace(0, 4, STAGE) + start_y)[:, None]
    return 1 + depth * ((soft - 128) / 90 + 0.25 * swell)


def _dyed(colour: Colour) -> Colour:
    """The colour as cloth takes it: on black no fold would show."""
    return mix(colour, WHITE, 0.1) if lightness(colour) < 0.2 else colour


def _cloth(design: Design, outline: list[Point], ground: Colour, texture: float) -> tuple[Image.Image, Image.Image]:
    """The cloth as RGB, and its outline as a mask."""
    mask = Image.new("L", SIZE)
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    noise = grain(Image.new("RGB", (STAGE // 2, STAGE // 2), ground), texture, design.lot("cloth").randrange(2**32))
    return noise.resize(SIZE, Image.Resampling.BILINEAR), mask


def _print_on_cloth(cloth: Image.Image, design: Design, ground: Colour, box: tuple[int, int, int, int]) -> None:
    lot, (left, top, right, bottom) = design.lot("print"), box
    width, height = right - left, bottom - top
    if lot.random() < 0.6:
        emblem = mark(design, width, height, ground)
        cloth.paste(emblem, (left, top), emblem)
        return
    view, window = Image.new("RGB", (width, width)), Image.new("L", (width, width))
    paint_scene(view, design.scene, design.palette, design.lot("scene"))
    shape = ImageDraw.Draw(window)
    if lot.random() < 0.5:
        shape.ellipse((0, 0, width - 1, width - 1), fill=240)
    else:
        shape.rounded_rectangle((0, 0, width - 1, width - 1), 14, fill=240)
    cloth.paste(view, (left, top - 30), window)
    ink = readable(ground, design.palette.main, design.palette.paper, design.palette.ink)
    write(
        ImageDraw.Draw(cloth),
        ((left + right) / 2, top + width + 12),
        f"{design.brand} {design.trade}".upper(),
        width * 0.1,
        ink,
        tracking=0.1,
        room=width,
    )


def _mirrored(points: Sequence[Point]) -> list[Point]:
    return [(STAGE - x, y) for x, y in points]


def _shirt_outline() -> list[Point]:
    neck = curve((520, 224), (580, 222), (600, 138))
    shoulder, sleeve = curve((600, 138), (650, 150), (700, 172)), curve((700, 172), (800, 230), (918, 372))
    under, side = curve((836, 474), (770, 430), (746, 396)), curve((746, 396), (738, 640), (752, 920))
    half = [*neck, *shoulder, *sleeve, *under, *side, *curve((752, 920), (640, 940), (520, 940))]
    return half + _mirrored(half[::-1])


_SHIRT_SEAMS = (
    curve((746, 396), (716, 270), (700, 172)),
    curve((914, 352), (860, 410), (822, 458)),
    curve((592, 146), (574, 250), (520, 252)),
    curve((746, 916), (620, 936), (520, 936)),
)
_SHIRT_CREASES: tuple[tuple[Point, Point], ...] = (
    *(((746, 400), (690, 560)), ((740, 420), (650, 480)), ((294, 400), (360, 580)), ((300, 420), (390, 500))),
    *(((330, 900), (420, 700)), ((700, 900), (640, 720)), ((520, 260), (540, 330)), ((800, 300), (860, 400))),
    *(((240, 300), (190, 400)), ((450, 930), (470, 780)), ((590, 930), (600, 800))),
)


def t_shirts(design: Design) -> Image.Image:
    lot, palette = design.lot("shirt"), design.palette
    colours = (WHITE, palette.main, palette.ink, palette.paper, palette.second, (44, 44, 50), (178, 180, 184))
    ground = _dyed(lot.choice(colours))
    cloth, mask = _cloth(design, _shirt_outline(), ground, 2.5)
    _print_on_cloth(cloth, design, ground, (372, 320, 668, 650))
    draw, seam = ImageDraw.Draw(cloth), mix(ground, BLACK if lightness(ground) > 0.3 else WHITE, 0.16)
    for line in _SHIRT_SEAMS:
        draw.line(line, fill=seam, width=4)
        draw.line(_mirrored(line), fill=seam, width=4)
    face = shaded(cloth, folds(lot, _SHIRT_CREASES, 0.1))
    layer = Image.new("RGBA", SIZE)
    inside = ImageDraw.Draw(layer)
    inside.ellipse((440, 108, 600, 226), fill=mix(ground, BLACK, 0.35))
    inside.arc((440, 108, 600, 200), 180, 360, fill=mix(ground, BLACK, 0.12), width=20)
    layer.paste(face, mask=mask)
    return layer


_BAG_CREASES: tuple[tuple[Point, Point], ...] = (
    *(((300, 400), (380, 560)), ((740, 400), (670, 540)), ((300, 940), (400, 800))),
    *(((740, 940), (660, 820)), ((520, 400), (540, 520)), ((420, 960), (430, 880))),
)


def tote_bags(design: Design) -> Image.Image:
    lot, palette = design.lot("bag"), design.palette
    ground = _dyed(lot.choice(((236, 226, 206), (236, 226, 206), palette.main, palette.ink, palette.second, WHITE)))
    outline = [
        *curve((285, 372), (520, 384), (755, 372)),
        *curve((755, 372), (768, 640), (778, 950)),
        *curve((778, 950), (520, 972), (262, 950)),
        *curve((262, 950), (272, 640), (285, 372)),
    ]
    cloth, mask = _cloth(design, outline, ground, 3 + 6 * lightness(ground))
    if lot.random() < 0.25:
        cloth.paste(pattern(design, 560, 250), (250, 720))
        _print_on_cloth(cloth, design, ground, (400, 440, 640, 690))
    else:
        _print_on_cloth(cloth, design, ground, (350, 480, 690, 840))
    draw = ImageDraw.Draw(cloth)
    seam = mix(ground, BLACK if sum(ground) > 230 else WHITE, 0.2)
    draw.line(curve((280, 402), (520, 414), (760, 402)), fill=seam, width=3)
    light = folds(lot, _BAG_CREASES, 0.1)
    layer = Image.new("RGBA", SIZE)
    strap = ImageDraw.Draw(layer)
    for lift, shade in ((0, 0.34), (34, 0.06)):
        for side in (0, 36):
            band = curve((392, 392), (370 - lift, 40 + lift), (670 + lift, 40 + lift), (648, 392), steps=40)
            strap.line(
                band,
                fill=mix(mix(ground, BLACK, shade), BLACK, 0.1 if side else 0),
                width=40 if not side else 3,
                joint="curve",
            )
    face = shaded(cloth, light)
    layer.paste(face, mask=mask)
    front = ImageDraw.Draw(layer)
    for x in (392, 648):
        front.rectangle((x - 20, 376, x + 20, 440), fill=mix(ground, BLACK, 0.06), outline=seam, width=2)
        front.line([(x - 14, 394), (x + 14, 434), (x + 14, 394), (x - 14, 434)], fill=seam, width=2)
    return layer
