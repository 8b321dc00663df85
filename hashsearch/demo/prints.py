"""Flat products cut out on a transparent stage: cards, flyers, posters, calendars, stickers, banners."""

from __future__ import annotations

import calendar

import numpy as np
from PIL import Image, ImageDraw

from hashsearch.demo.artwork import artwork, mark, pattern
from hashsearch.demo.canvas import (
    WHITE,
    Colour,
    blurred,
    cast_shadow,
    curve,
    mix,
    quad,
    readable,
    shaded,
    turned,
    write,
)
from hashsearch.demo.designs import Design
from hashsearch.demo.ornaments import disc, star_points
from hashsearch.demo.scenes import paint_scene

STAGE = 1040
"""Side of the stage in pixels; pictures leave it at half that, which smooths every edge."""

SIZE = (STAGE, STAGE)


def pile(*layers: Image.Image) -> Image.Image:
    """The RGBA layers laid on one another, each casting a shadow on those below."""
    below = layers[0]
    for layer in layers[1:]:
        ground, outline = below.convert("RGB"), below.getchannel("A")
        cast_shadow(ground, layer.getchannel("A"), (5, 10), 14, 0.4)
        ground.putalpha(outline)
        ground.alpha_composite(layer)
        below = ground
    return below


def lit(sheet: Image.Image, dark: float = 0.93, bright: float = 1.05) -> Image.Image:
    """The sheet under light from the upper left."""
    across = np.linspace(bright, (bright + dark) / 2, sheet.width)[None, :]
    down = np.linspace(0, (dark - bright) / 2, sheet.height)[:, None]
    return shaded(sheet, across + down)


def business_cards(design: Design) -> Image.Image:
    lot, palette = design.lot("cards"), design.palette
    front, back = lit(artwork(design, 600, 380)), lit(pattern(design, 600, 380))
    manner = lot.randrange(3)
    if manner == 0:
        turn = lot.uniform(-14, -6)
        return pile(turned(back, (450, 360), turn, SIZE), turned(front, (580, 640), turn + lot.uniform(8, 16), SIZE))
    if manner == 1:
        layers = [turned(back, (520, 310), 0, SIZE, 1.15), turned(front, (520, 745), 0, SIZE, 1.15)]
        return pile(*layers)
    turn, edge = lot.uniform(-24, -12), Image.new("RGB", (600, 380), mix(palette.paper, (120, 120, 120), 0.25))
    stack = [turned(edge if step % 2 else front, (470, 690 - step * 5), turn, SIZE) for step in range(8)]
    leaf = Image.new("RGBA", SIZE)
    for layer in stack:
        leaf.alpha_composite(layer)
    return pile(leaf, turned(back, (640, 330), turn + 34, SIZE, 0.95), turned(front, (470, 650), turn, SIZE))


def flyers(design: Design) -> Image.Image:
    lot = design.lot("flyers")
    front = lit(artwork(design, 540, 762))
    back = lit(artwork(design, 540, 762, "corner" if design.layout != "corner" else "plate"))
    manner = lot.randrange(3)
    if manner == 0:
        return turned(front, (520, 520), lot.uniform(-7, 7), SIZE, 1.18)
    if manner == 1:
        return pile(turned(back, (660, 500), lot.uniform(7, 14), SIZE), turned(front, (420, 540), lot.uniform(-8, -3), SIZE))
    fan = [turned(front, (330 + step * 190, 540 - 10 * step), -16 + step * 14, SIZE, 0.92) for step in range(3)]
    return pile(*fan)


def posters(design: Design) -> Image.Image:
    lot, palette = design.lot("posters"), design.palette
    layout = design.layout if design.layout in ("scene", "frame", "type", "plate") else lot.choice(("scene", "frame"))
    art, manner = artwork(design, 630, 890, layout), lot.randrange(3)
    if manner == 0:
        wood = lot.choice(((38, 36, 38), (196, 158, 112), (236, 234, 230), (110, 74, 48)))
        rim, mat = 20, lot.choice((0, 54))
        framed = Image.new("RGB", (art.width + 2 * (rim + mat), art.height + 2 * (rim + mat)), wood)
        draw = ImageDraw.Draw(framed)
        draw.rectangle((rim, rim, framed.width - rim, framed.height - rim), fill=(250, 249, 246), outline=mix(wood, (0, 0, 0), 0.4), width=4)
        framed.paste(art, (rim + mat, rim + mat))
        glass = Image.new("L", framed.size)
        ImageDraw.Draw(glass).polygon([(framed.width * 0.55, 0), (framed.width * 0.8, 0), (framed.width * 0.25, framed.height), (0, framed.height)], fill=26)
        framed.paste(WHITE, mask=glass)
        return turned(lit(framed), (520, 520), 0, SIZE, 0.98 * 980 / framed.height)
    if manner == 1:
        layer = turned(lit(art), (520, 520), lot.uniform(-2, 2), SIZE, 1.05)
        for x, y, turn in ((240, 70, -38), (800, 72, 36), (240, 968, 40), (800, 966, -36)):
            tape = Image.new("RGBA", (130, 42), (*mix(palette.accent, WHITE, 0.35), 205))
            layer.alpha_composite(turned(tape, (x, y), turn, SIZE))
        return layer
    layer = turned(lit(art), (520, 540), 0, SIZE)
    draw = ImageDraw.Draw(layer)
    wood = lot.choice(((176, 132, 88), (58, 50, 46), (212, 178, 134)))
    draw.line([(230, 96), (520, 12), (810, 96)], fill=(90, 80, 70), width=5, joint="curve")
    for y in (84, 966):
        for row in range(30):
            draw.line((194, y + row, 846, y + row), fill=mix(wood, (20, 10, 0), abs(row - 9) / 40))
    return layer


def calendars(design: Design) -> Image.Image:
    lot, palette = design.lot("calendar"), design.palette
    month = lot.randint(1, 12)
    flat = lot.random() < 0.4
    width, height = (860, 560) if flat else (660, 900)
    sheet = Image.new("RGB", (width, height), (253, 252, 249))
    view = Image.new("RGB", (width // 2, height) if flat else (width, round(height * 0.54)))
    paint_scene(view, design.scene, palette, design.lot("scene"))
    sheet.paste(view)
    left, top = (width // 2, 0) if flat else (0, view.height)
    _month(ImageDraw.Draw(sheet), design, month, (left, top, width, height))
    if not flat:
        layer = turned(lit(sheet), (520, 545), 0, SIZE)
        draw = ImageDraw.Draw(layer)
        for x in range(216, 840, 22):
            disc(draw, x, 112, 6, (70, 66, 66))
            draw.rounded_rectangle((x - 3, 78, x + 3, 114), 3, fill=(178, 178, 184))
        draw.arc((470, 30, 570, 130), 180, 360, fill=(150, 150, 156), width=6)
        return layer
    shift = lot.choice((-1, 1)) * 60
    corners = [(110 + shift / 2, 290), (930 + shift / 2, 290), (960, 830), (80, 830)]
    layer = Image.new("RGBA", SIZE)
    draw = ImageDraw.Draw(layer)
    side = 960 if shift > 0 else 80
    draw.polygon([corners[1] if shift > 0 else corners[0], (side, 830), (side + shift, 790)], fill=mix(palette.main, (0, 0, 0), 0.45))
    layer.alpha_composite(quad(lit(sheet), corners, SIZE))
    draw.rectangle((80, 822, 960, 838), fill=mix(palette.main, (0, 0, 0), 0.1))
    for step in range(30):
        x = corners[0][0] + 18 + step * (corners[1][0] - corners[0][0] - 36) / 29
        draw.rounded_rectangle((x - 4, 268, x + 4, 306), 4, fill=(60, 60, 64))
    return layer


def _month(draw: ImageDraw.ImageDraw, design: Design, month: int, box: tuple[int, int, int, int]) -> None:
    palette, (left, top, right, bottom) = design.palette, box
    broad, deep = right - left, bottom - top
    main = readable(WHITE, palette.main, palette.ink)
    write(draw, (left + broad * 0.08, top + deep * 0.13), calendar.month_name[month], deep * 0.11, main, anchor="l", bold=0.025, room=broad * 0.6)
    write(draw, (right - broad * 0.08, top + deep * 0.13), "2027", deep * 0.075, palette.ink, anchor="r")
    step_x, step_y = broad * 0.86 / 7, deep * 0.56 / 6
    for column, day in enumerate(("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")):
        write(draw, (left + broad * 0.07 + (column + 0.5) * step_x, top + deep * 0.26), day, deep * 0.04, mix(palette.ink, WHITE, 0.35))
    for row, week in enumerate(calendar.Calendar().monthdayscalendar(2027, month)):
        for column, day in enumerate(week):
            x, y = left + broad * 0.07 + (column + 0.5) * step_x, top + deep * 0.36 + row * step_y
            if day and day == design.lot("day").randint(2, 27):
                disc(draw, x, y, step_y * 0.44, palette.accent)
            if day:
                write(draw, (x, y), str(day), deep * 0.052, main if column > 4 else palette.ink, bold=0.02 if column > 4 else 0)
    write(draw, (left + broad / 2, bottom - deep * 0.055), f"{design.brand} {design.trade}", deep * 0.04, main, tracking=0.08, room=broad * 0.8)


def stickers(design: Design) -> Image.Image:
    lot, side = design.lot("stickers"), 480
    shape = lot.choice(("circle", "square", "badge", "cut", "hexagon"))
    face = artwork(design, side, side, lot.choice(("centre", "plate", "type", "frame", "scene"))).convert("RGBA")
    inner, outer = Image.new("L", (side, side)), Image.new("L", (side, side))
    for picture, reach in ((inner, 0.455), (outer, 0.495)):
        draw, middle = ImageDraw.Draw(picture), side / 2
        if shape in ("circle", "cut"):
            disc(draw, middle, middle, side * reach, 255)  # type: ignore[arg-type]
        elif shape == "square":
            draw.rounded_rectangle((middle - side * reach, middle - side * reach, middle + side * reach, middle + side * reach), side * 0.11, fill=255)
        else:
            points = star_points(middle, middle, side * reach, 6) if shape == "hexagon" else star_points(middle, middle, side * reach, 22, 0.92)
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
    ground = design.lot("badge").choice((design.palette.main, design.palette.accent, design.palette.paper, design.palette.ink))
    face = Image.new("RGBA", (side, side), (*ground, 255))
    draw = ImageDraw.Draw(face)
    disc(draw, side / 2, side / 2, side * 0.4, None, readable(ground, design.palette.accent, design.palette.paper, design.palette.ink), side * 0.012)
    face.alpha_composite(mark(design, round(side * 0.58), round(side * 0.6), ground), (round(side * 0.21), round(side * 0.2)))
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
    outline = [*curve((380, 930), (360, 300), (390, 130), (520, 60)), *curve((520, 60), (720, 40), (730, 300), (640, 560)), *curve((640, 560), (610, 700), (590, 800), (560, 900)), (380, 930)]
    mask = Image.new("L", SIZE)
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    layer = Image.new("RGBA", SIZE)
    draw = ImageDraw.Draw(layer)
    draw.line([(376, 985), *curve((374, 930), (356, 300), (384, 130), (518, 56))], fill=(70, 72, 78), width=12, joint="curve")
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
            draw.line((pole - 9 + step, 230, pole - 9 + step, 930), fill=mix((226, 228, 232), (92, 94, 102), abs(step - 5) / 13))
        draw.ellipse((pole - 38, 918, pole + 38, 942), fill=(84, 86, 92))
    for x in range(84, 960, 109):
        for y in (286, 734):
            disc(draw, x, y, 11, (206, 206, 210))
            disc(draw, x, y, 5, (70, 70, 74))
    return layer
