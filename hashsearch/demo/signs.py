"""Stickers and banners cut out on a transparent stage."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from hashsearch.demo.artwork import artwork, mark, pattern
from hashsearch.demo.canvas import (
    SIZE,
    WHITE,
    Colour,
    blurred,
    curve,
    lit,
    mix,
    pile,
    quad,
    readable,
    shaded,
    turned,
)
from hashsearch.demo.designs import Design
from hashsearch.demo.emblems import disc, star_points


def stickers(design: Design) -> Image.Image:
    lot, side = design.lot("stickers"), 480
    shape = lot.choice(("circle", "square", "badge", "cut", "hexagon"))
    face = artwork(design, side, side, lot.choice(("centre", "plate", "type", "frame", "scene"))).convert("RGBA")
    inner, outer = Image.new("L", (side, side)), Image.new("L", (side, side))
    for picture, reach in ((inner, 0.455), (outer, 0.495)):
        draw, middle = ImageDraw.Draw(picture), side / 2
        if shape in ("circle", "cut"):
            disc(draw, middle, middle, side * reach, 255)
        elif shape == "square":
            draw.rounded_rectangle(
                (middle - side * reach, middle - side * reach, middle + side * reach, middle + side * reach),
                side * 0.11,
                fill=255,
            )
        else:
            points = (
                star_points(middle, middle, side * reach, 6)
                if shape == "hexagon"
                else star_points(middle, middle, side * reach, 22, 0.92)
            )
            draw.polygon(points, fill=255)
    if shape == "cut":
        emblem = mark(design, side - 60, side - 60, WHITE)
        face = Image.new("RGBA", (side, side), (255, 255, 255, 0))
        face.alpha_composite(emblem, (30, 30))
        inner = face.getchannel("A")
        outer = blurred(inner, 16).point([255 if level > 18 else 0 for level in range(256)])
    else:
        face = _badge(design, side) if shape in ("circle", "badge", "hexagon") else face
    cut = Image.new("RGBA", (side, side), (255, 255, 255, 0))
    cut.paste((252, 252, 252, 255), mask=outer)
    cut.paste(face, mask=inner)
    cut = lit(cut)
    places = lot.choice(
        (
            ((350, 350, -12, 1.1), (730, 440, 10, 0.85), (480, 770, 5, 0.95)),
            ((520, 520, lot.uniform(-10, 10), 1.75),),
            ((330, 640, 12, 1.15), (720, 350, -9, 1.05)),
        )
    )
    return pile(*(turned(cut, (x, y), turn, SIZE, scale) for x, y, turn, scale in places))


def _badge(design: Design, side: int) -> Image.Image:
    ground = design.lot("badge").choice(
        (design.palette.main, design.palette.accent, design.palette.paper, design.palette.ink)
    )
    face = Image.new("RGBA", (side, side), (*ground, 255))
    draw = ImageDraw.Draw(face)
    disc(
        draw,
        side / 2,
        side / 2,
        side * 0.4,
        None,
        readable(ground, design.palette.accent, design.palette.paper, design.palette.ink),
        side * 0.012,
    )
    face.alpha_composite(
        mark(design, round(side * 0.58), round(side * 0.6), ground), (round(side * 0.21), round(side * 0.2))
    )
    return face


def banners(design: Design) -> Image.Image:
    lot = design.lot("banners")
    return (_rollup, _flag, _hanging)[lot.choice((0, 0, 1, 2))](design, lot.uniform(0, 6))


def _rollup(design: Design, turn: float) -> Image.Image:
    art = lit(artwork(design, 380, 850), 0.88, 1.06)
    layer = quad(art, [(330, 60), (710, 60 + turn * 3), (710, 940), (330, 940)], SIZE)
    draw = ImageDraw.Draw(layer)
    for row in range(46):
        shade: Colour = mix((226, 228, 232), (96, 98, 106), abs(row - 12) / 40)
        draw.line((312, 938 + row, 728, 938 + row), fill=shade)
    for x in (360, 680):
        draw.ellipse((x - 46, 974, x + 46, 996), fill=(84, 86, 92))
    draw.rounded_rectangle((326, 50, 714, 68), 6, fill=(176, 178, 184))
    return layer


def _flag(design: Design, turn: float) -> Image.Image:
    outline = [
        *curve((380, 930), (360, 300), (390, 130), (520, 60)),
        *curve((520, 60), (720, 40), (730, 300), (640, 560)),
        *curve((640, 560), (610, 700), (590, 800), (560, 900)),
        (380, 930),
    ]
    mask = Image.new("L", SIZE)
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    layer = Image.new("RGBA", SIZE)
    draw = ImageDraw.Draw(layer)
    draw.line(
        [(376, 985), *curve((374, 930), (356, 300), (384, 130), (518, 56))], fill=(70, 72, 78), width=12, joint="curve"
    )
    draw.ellipse((290, 965, 470, 1000), fill=(58, 60, 66))
    cloth = pattern(design, 400, 900)
    ground = design.palette.main
    cloth.paste(ground, (0, 180, 400, 760))
    emblem = mark(design, 500, 230, ground, stacked=False).rotate(90, expand=True)
    cloth.paste(emblem, (44, 220), emblem)
    folds = 1 + 0.09 * np.sin(np.linspace(0, 9 + turn, 400))[None, :] * np.linspace(0.4, 1, 900)[:, None]
    face = Image.new("RGBA", SIZE)
    face.paste(shaded(cloth, folds), (355, 40))
    layer.paste(face, mask=mask)
    return layer


def _hanging(design: Design, turn: float) -> Image.Image:
    art = artwork(design, 900, 480)
    art = shaded(art, 1 + 0.07 * np.sin(np.linspace(0, 16 + turn, 900))[None, :] * np.linspace(0.6, 1, 480)[:, None])
    layer = turned(art, (520, 510), 0, SIZE, 1.0)
    draw = ImageDraw.Draw(layer)
    for pole, edge in ((40, 84), (1000, 956)):
        for y in (300, 724):
            draw.line((edge, y, pole, y), fill=(150, 146, 140), width=5)
        for step in range(18):
            draw.line(
                (pole - 9 + step, 230, pole - 9 + step, 930),
                fill=mix((226, 228, 232), (92, 94, 102), abs(step - 5) / 13),
            )
        draw.ellipse((pole - 38, 918, pole + 38, 942), fill=(84, 86, 92))
    for x in range(84, 960, 109):
        for y in (286, 734):
            disc(draw, x, y, 11, (206, 206, 210))
            disc(draw, x, y, 5, (70, 70, 74))
    return layer
