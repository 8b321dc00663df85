"""Printed sheets cut out on a transparent stage: cards, flyers, posters, calendars."""

from __future__ import annotations

import calendar

from PIL import Image, ImageDraw

from hashsearch.demo.artwork import artwork, pattern
from hashsearch.demo.canvas import (
    BLACK,
    SIZE,
    WHITE,
    lit,
    mix,
    pile,
    quad,
    readable,
    turned,
    write,
)
from hashsearch.demo.designs import Design
from hashsearch.demo.emblems import disc
from hashsearch.demo.scenes import paint_scene


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
        return pile(
            turned(back, (660, 500), lot.uniform(7, 14), SIZE), turned(front, (420, 540), lot.uniform(-8, -3), SIZE)
        )
    fan = [turned(front, (345 + step * 175, 540 - 10 * step), -16 + step * 14, SIZE, 0.86) for step in range(3)]
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
        draw.rectangle(
            (rim, rim, framed.width - rim, framed.height - rim),
            fill=(250, 249, 246),
            outline=mix(wood, (0, 0, 0), 0.4),
            width=4,
        )
        framed.paste(art, (rim + mat, rim + mat))
        glass = Image.new("L", framed.size)
        ImageDraw.Draw(glass).polygon(
            [
                (framed.width * 0.55, 0),
                (framed.width * 0.8, 0),
                (framed.width * 0.25, framed.height),
                (0, framed.height),
            ],
            fill=26,
        )
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


_MONTHS = "January February March April May June July August September October November December".split()


def calendars(design: Design) -> Image.Image:
    return (_desk_calendar if design.lot("kind").random() < 0.4 else _wall_calendar)(design)


def _wall_calendar(design: Design) -> Image.Image:
    sheet = _calendar_sheet(design, (660, 900), (660, 486), (0, 486))
    layer = turned(lit(sheet), (520, 545), 0, SIZE)
    draw = ImageDraw.Draw(layer)
    for x in range(216, 840, 22):
        disc(draw, x, 112, 6, (70, 66, 66))
        draw.rounded_rectangle((x - 3, 78, x + 3, 114), 3, fill=(178, 178, 184))
    draw.arc((470, 30, 570, 130), 180, 360, fill=(150, 150, 156), width=6)
    return layer


def _desk_calendar(design: Design) -> Image.Image:
    """A tent of board, seen a little from the left or from the right."""
    sheet = _calendar_sheet(design, (860, 560), (430, 560), (430, 0))
    shift = design.lot("desk").choice((-1, 1)) * 60
    left, right, side = 110 + shift / 2, 930 + shift / 2, 960 if shift > 0 else 80
    layer = Image.new("RGBA", SIZE)
    draw, board = ImageDraw.Draw(layer), design.palette.main
    draw.polygon([(right if shift > 0 else left, 290), (side, 830), (side + shift, 790)], fill=mix(board, BLACK, 0.45))
    layer.alpha_composite(quad(lit(sheet), [(left, 290), (right, 290), (960, 830), (80, 830)], SIZE))
    draw.rectangle((80, 822, 960, 838), fill=mix(board, BLACK, 0.1))
    for step in range(30):
        x = left + 18 + step * (right - left - 36) / 29
        draw.rounded_rectangle((x - 4, 268, x + 4, 306), 4, fill=(60, 60, 64))
    return layer


def _calendar_sheet(
    design: Design, size: tuple[int, int], view_size: tuple[int, int], days_at: tuple[int, int]
) -> Image.Image:
    """A scene, and the days of one month of 2027 from `days_at` to the lower right corner."""
    palette, month = design.palette, design.lot("month").randint(1, 12)
    sheet, view = Image.new("RGB", size, (253, 252, 249)), Image.new("RGB", view_size)
    paint_scene(view, design.scene, palette, design.lot("scene"))
    sheet.paste(view)
    draw, (left, top) = ImageDraw.Draw(sheet), days_at
    broad, deep, main = size[0] - left, size[1] - top, readable(WHITE, palette.main, palette.ink)
    name, head = _MONTHS[month - 1], top + deep * 0.13
    write(draw, (left + broad * 0.08, head), name, deep * 0.11, main, anchor="l", bold=0.025, room=broad * 0.6)
    write(draw, (left + broad * 0.92, head), "2027", deep * 0.075, palette.ink, anchor="r")
    marked, grey = design.lot("day").randint(2, 27), mix(palette.ink, WHITE, 0.35)
    for column, weekday in enumerate(("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")):
        x, ink = left + broad * (0.13 + column * 0.123), main if column > 4 else palette.ink
        write(draw, (x, top + deep * 0.26), weekday, deep * 0.04, grey)
        for row, week in enumerate(calendar.Calendar().monthdayscalendar(2027, month)):
            y = top + deep * (0.36 + row * 0.093)
            number, shade = week[column], ink
            if number == marked:
                disc(draw, x, y, deep * 0.041, palette.accent)
                shade = readable(palette.accent, ink, WHITE)
            if number:
                write(draw, (x, y), str(number), deep * 0.052, shade, bold=0.02 if column > 4 else 0)
    maker, foot = f"{design.brand} {design.trade}", (left + broad / 2, top + deep * 0.945)
    write(draw, foot, maker, deep * 0.04, main, tracking=0.08, room=broad * 0.8)
    return sheet
