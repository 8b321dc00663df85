"""Illustrations in a palette, landscapes and shapes, for posters, calendars and flyers, in a name table."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from PIL import Image, ImageDraw

from hashsearch.demo.canvas import WHITE, Colour, Point, curve, gradient, mix
from hashsearch.demo.designs import Palette
from hashsearch.demo.emblems import disc, star_points

Draw = ImageDraw.ImageDraw


def paint_scene(picture: Image.Image, name: str, palette: Palette, lot: random.Random) -> None:
    """Covers the RGB picture with the scene."""
    _SCENES[name](picture, picture.width, picture.height, palette, lot)


def _sky(picture: Image.Image, top: Colour, bottom: Colour) -> Draw:
    picture.paste(gradient(picture.size, (top, top, bottom, bottom)))
    return ImageDraw.Draw(picture)


def _ridge(w: int, h: int, level: float, height: float, lot: random.Random, rough: float = 0.5) -> list[Point]:
    """A skyline of hills, closed along the lower edge; `level` and `height` are parts of the picture's height."""
    waves = [(lot.uniform(0.6, 1.6) * 2**octave, lot.uniform(0, math.tau), rough**octave) for octave in range(5)]
    line = []
    for step in range(81):
        share = step / 80
        y = sum(size * math.sin(share * math.tau * pace + start) for pace, start, size in waves) / 2
        line.append((share * w, h * (level - height * y)))
    return [*line, (w, h), (0, h)]


def _peaks(w: int, h: int, level: float, height: float, count: int, lot: random.Random) -> list[Point]:
    line: list[Point] = [(-w * 0.1, h * level)]
    for number in range(count):
        middle = (number + lot.uniform(0.3, 0.7)) / count * w
        top = h * (level - height * lot.uniform(0.6, 1))
        line += [(middle, top), ((number + 1) / count * w, h * (level - height * lot.uniform(0.05, 0.3)))]
    return [*line, (w * 1.1, h), (-w * 0.1, h)]


def _mountains(picture: Image.Image, w: int, h: int, p: Palette, lot: random.Random) -> None:
    draw = _sky(picture, mix(p.second, p.paper, 0.2), mix(p.accent, p.paper, 0.55))
    disc(
        draw,
        w * lot.uniform(0.25, 0.75),
        h * lot.uniform(0.2, 0.36),
        min(w, h) * lot.uniform(0.1, 0.16),
        mix(p.accent, WHITE, 0.15),
    )
    for layer in range(4):
        shade = mix(mix(p.main, p.paper, 0.55), p.ink, layer * 0.26)
        draw.polygon(_peaks(w, h, 0.62 + layer * 0.11, 0.34 - layer * 0.06, 3 + layer, lot), fill=shade)


def _sea(picture: Image.Image, w: int, h: int, p: Palette, lot: random.Random) -> None:
    draw = _sky(picture, mix(p.main, p.paper, 0.35), mix(p.accent, p.paper, 0.45))
    x, horizon, r = w * lot.uniform(0.3, 0.7), h * lot.uniform(0.45, 0.6), min(w, h) * 0.17
    disc(draw, x, horizon - r * lot.uniform(0, 0.6), r, mix(p.accent, WHITE, 0.25))
    draw.rectangle((0, horizon, w, h), fill=mix(p.main, p.ink, 0.1))
    for row in range(9):
        level = horizon + (h - horizon) * ((row + 0.6) / 9) ** 1.3
        draw.line(
            [(u, level + math.sin(u / w * 26 + row * 2) * h * 0.006) for u in range(0, w + 6, 6)],
            fill=mix(p.main, p.second, 0.55 - row * 0.04),
            width=max(2, round(h * 0.007)),
        )
        reach = r * (1 - row / 12) * lot.uniform(0.6, 1)
        draw.rounded_rectangle(
            (x - reach, level - h * 0.006, x + reach, level + h * 0.006), h * 0.006, fill=mix(p.accent, WHITE, 0.3)
        )
    u, size = w * lot.choice((0.2, 0.8)), min(w, h) * 0.1
    draw.polygon([(u, horizon - size * 1.3), (u, horizon), (u - size * 0.6, horizon)], fill=p.paper)
    draw.polygon(
        [(u + size * 0.1, horizon - size), (u + size * 0.1, horizon), (u + size * 0.6, horizon)], fill=p.second
    )
    draw.polygon(
        [
            (u - size * 0.8, horizon + size * 0.1),
            (u + size * 0.8, horizon + size * 0.1),
            (u + size * 0.5, horizon + size * 0.4),
            (u - size * 0.5, horizon + size * 0.4),
        ],
        fill=p.ink,
    )


def _tree(draw: Draw, x: float, y: float, size: float, fill: Colour, trunk: Colour) -> None:
    draw.line((x, y, x, y - size * 0.5), fill=trunk, width=max(2, round(size * 0.08)))
    draw.ellipse((x - size * 0.3, y - size * 1.1, x + size * 0.3, y - size * 0.28), fill=fill)


def _hills(picture: Image.Image, w: int, h: int, p: Palette, lot: random.Random) -> None:
    draw = _sky(picture, mix(p.second, p.paper, 0.35), p.paper)
    disc(draw, w * lot.uniform(0.2, 0.8), h * 0.25, min(w, h) * 0.12, p.accent)
    for layer in range(4):
        level = 0.52 + layer * 0.13
        draw.polygon(
            _ridge(w, h, level, 0.09, lot, 0.35), fill=mix(mix(p.second, p.main, layer / 3), p.ink, layer * 0.06)
        )
        for _ in range(5 - layer):
            _tree(
                draw,
                lot.uniform(0.05, 0.95) * w,
                h * (level + 0.07),
                min(w, h) * (0.06 + layer * 0.025),
                mix(p.main, p.ink, 0.35),
                p.ink,
            )


def _city(picture: Image.Image, w: int, h: int, p: Palette, lot: random.Random) -> None:
    draw = _sky(picture, mix(p.main, p.paper, 0.4), mix(p.accent, p.paper, 0.6))
    disc(draw, w * lot.uniform(0.2, 0.8), h * 0.3, min(w, h) * 0.13, mix(p.paper, WHITE, 0.5))
    for layer, (low, high) in enumerate(((0.35, 0.7), (0.25, 0.55), (0.12, 0.38))):
        x, fill = -0.02 * w, mix(mix(p.main, p.paper, 0.5 - layer * 0.25), p.ink, layer * 0.3)
        while x < w:
            broad, top = w * lot.uniform(0.08, 0.16), h * (1 - lot.uniform(low, high))
            draw.rectangle((x, top, x + broad, h), fill=fill)
            if lot.random() < 0.3:
                draw.polygon([(x, top), (x + broad / 2, top - broad * 0.5), (x + broad, top)], fill=fill)
            unit = broad / 5
            for row in range(1, int((h - top) / unit / 1.6)):
                for column in (1, 3):
                    if lot.random() < 0.3 + layer * 0.15:
                        u, v = x + column * unit, top + row * unit * 1.6
                        draw.rectangle(
                            (u, v, u + unit * 0.8, v + unit * 0.9), fill=mix(p.accent, fill, 0.25 if layer else 0.7)
                        )
            x += broad * lot.uniform(0.95, 1.2)


def _forest(picture: Image.Image, w: int, h: int, p: Palette, lot: random.Random) -> None:
    draw = _sky(picture, mix(p.second, p.paper, 0.15), p.paper)
    disc(draw, w * lot.uniform(0.3, 0.7), h * 0.3, min(w, h) * 0.14, mix(p.accent, p.paper, 0.15))
    for layer in range(4):
        fill = mix(mix(p.main, p.paper, 0.6 - layer * 0.2), p.ink, layer * 0.12)
        base = 0.66 + layer * 0.1
        draw.rectangle((0, h * base, w, h), fill=fill)
        for number in range(13 - layer * 2):
            x, size = (
                (number + lot.uniform(0, 1)) / (12 - layer * 2) * w,
                h * lot.uniform(0.16, 0.3) * (0.7 + layer * 0.2),
            )
            for tier in range(3):
                top, reach = h * base - size * (1 - tier * 0.25), size * (0.13 + tier * 0.07)
                draw.polygon([(x, top), (x - reach, top + size * 0.5), (x + reach, top + size * 0.5)], fill=fill)


def _desert(picture: Image.Image, w: int, h: int, p: Palette, lot: random.Random) -> None:
    draw = _sky(picture, mix(p.accent, p.paper, 0.35), mix(p.paper, p.accent, 0.15))
    disc(draw, w * lot.uniform(0.3, 0.7), h * 0.33, min(w, h) * 0.2, mix(p.accent, p.main, 0.25))
    for layer in range(3):
        draw.polygon(
            _ridge(w, h, 0.62 + layer * 0.14, 0.08, lot, 0.25),
            fill=mix(mix(p.second, p.paper, 0.2), p.main, layer * 0.4),
        )
    for _ in range(3):
        x, y, size = w * lot.uniform(0.1, 0.9), h * lot.uniform(0.82, 0.95), min(w, h) * lot.uniform(0.12, 0.22)
        line, fill = round(size * 0.2), mix(p.main, p.ink, 0.55)
        draw.rounded_rectangle((x - line / 2, y - size, x + line / 2, y), line / 2, fill=fill)
        for side, level in ((-1, 0.45), (1, 0.6)):
            arm = [
                (x, y - size * (level - 0.1)),
                (x + side * size * 0.32, y - size * (level - 0.1)),
                (x + side * size * 0.32, y - size * (level + 0.22)),
            ]
            draw.line(arm, fill=fill, width=round(line * 0.75), joint="curve")
            disc(draw, *arm[2], line * 0.37, fill)


def _botanical(picture: Image.Image, w: int, h: int, p: Palette, lot: random.Random) -> None:
    draw = _sky(picture, p.paper, mix(p.paper, p.second, 0.35))
    disc(draw, w * 0.5, h * 0.42, min(w, h) * 0.36, mix(p.second, p.paper, 0.3))
    for stem in range(7):
        x = w * (0.2 + stem * 0.1)
        tip = (w * (0.5 + (stem - 3) * 0.15), h * lot.uniform(0.14, 0.42))
        line = curve((w * 0.5 + (stem - 3) * w * 0.015, h), (x, h * 0.75), tip)
        draw.line(line, fill=mix(p.main, p.ink, 0.35), width=max(2, round(w * 0.008)), joint="curve")
        if stem % 2:
            size = min(w, h) * lot.uniform(0.07, 0.11)
            for shade, reach in ((p.accent, 1.0), (mix(p.accent, WHITE, 0.4), 0.62)):
                draw.polygon(star_points(*tip, size * reach, 9, 0.72, lot.uniform(0, 40)), fill=shade)
            disc(draw, *tip, size * 0.25, p.ink)
        else:
            for place in range(4, 17, 2):
                u, v = line[place]
                size = min(w, h) * 0.075 * (1.15 - place / 24)
                for side in (-1, 1):
                    leaf = curve(
                        (u, v), (u + side * size, v - size * 0.9), (u + side * size * 1.5, v - size * 0.6)
                    ) + curve((u + side * size * 1.5, v - size * 0.6), (u + side * size, v + size * 0.2), (u, v))
                    draw.polygon(leaf, fill=mix(p.main, p.second, (place % 4) * 0.2))


def _night(picture: Image.Image, w: int, h: int, p: Palette, lot: random.Random) -> None:
    draw = _sky(picture, mix(p.ink, (0, 0, 20), 0.3), mix(p.main, p.ink, 0.25))
    for _ in range(70):
        disc(
            draw,
            lot.uniform(0, w),
            lot.uniform(0, h * 0.75),
            min(w, h) * lot.choice((0.002, 0.003, 0.006)),
            mix(p.paper, p.second, lot.random()),
        )
    x, y, r = w * lot.uniform(0.3, 0.7), h * lot.uniform(0.22, 0.38), min(w, h) * 0.16
    for ring in range(4, 0, -1):
        disc(draw, x, y, r * (1 + ring * 0.22), mix(mix(p.main, p.ink, 0.4), p.accent, 0.16 - ring * 0.03))
    disc(draw, x, y, r, mix(p.accent, WHITE, 0.45))
    for dx, dy, size in ((-0.3, -0.2, 0.2), (0.25, 0.3, 0.26), (0.3, -0.35, 0.12)):
        disc(draw, x + r * dx, y + r * dy, r * size, mix(p.accent, WHITE, 0.3))
    for layer in range(3):
        draw.polygon(
            _ridge(w, h, 0.72 + layer * 0.1, 0.09, lot), fill=mix(mix(p.main, p.ink, 0.45), p.ink, layer * 0.4)
        )


def _balloons(picture: Image.Image, w: int, h: int, p: Palette, lot: random.Random) -> None:
    draw = _sky(picture, mix(p.second, p.paper, 0.25), p.paper)
    for _ in range(5):
        x, y, size = lot.uniform(0, w), lot.uniform(0.1, 0.8) * h, min(w, h) * lot.uniform(0.06, 0.11)
        for dx, dy, part in ((-0.9, 0.2, 0.7), (0, 0, 1), (0.9, 0.25, 0.65)):
            disc(draw, x + size * dx, y + size * dy, size * part, mix(p.paper, WHITE, 0.8))
    for number in range(5):
        x, y = w * (0.15 + 0.7 * ((number * 0.381 + lot.uniform(0, 0.1)) % 1)), h * (0.16 + number * 0.14)
        r, colours = min(w, h) * lot.uniform(0.09, 0.17), lot.sample((p.main, p.accent, p.second, p.ink), 2)
        for reach, fill in ((1.0, colours[0]), (0.62, colours[1]), (0.22, colours[0])):
            draw.ellipse((x - r * reach, y - r, x + r * reach, y + r), fill=fill)
        for side in (-1, 1):
            draw.line(
                (x + side * r * 0.5, y + r * 0.84, x + side * r * 0.18, y + r * 1.4),
                fill=p.ink,
                width=max(1, round(r * 0.03)),
            )
        draw.rounded_rectangle(
            (x - r * 0.2, y + r * 1.38, x + r * 0.2, y + r * 1.68), r * 0.06, fill=mix(p.accent, p.ink, 0.5)
        )


def _abstract(picture: Image.Image, w: int, h: int, p: Palette, lot: random.Random) -> None:
    draw = _sky(picture, p.paper, mix(p.paper, p.second, 0.2))
    columns = lot.choice((3, 4))
    step = w / columns
    for row in range(int(h / step) + 1):
        for column in range(columns):
            x, y = column * step, row * step
            ground, first, last = lot.sample((p.main, p.accent, p.second, p.paper, p.ink), 3)
            draw.rectangle((x, y, x + step, y + step), fill=ground)
            kind, turn = lot.randrange(5), lot.randrange(4) * 90
            if kind == 0:
                disc(draw, x + step / 2, y + step / 2, step * 0.4, first)
                disc(draw, x + step / 2, y + step / 2, step * 0.18, last)
            elif kind == 1:
                draw.pieslice((x, y, x + step, y + step), turn, turn + 180, fill=first)
            elif kind == 2:
                draw.polygon(
                    [(x, y), (x + step, y), (x, y + step)]
                    if turn < 180
                    else [(x + step, y), (x + step, y + step), (x, y + step)],
                    fill=first,
                )
            elif kind == 3:
                for line in range(4):
                    draw.rectangle((x, y + step * line / 4, x + step, y + step * (line + 0.5) / 4), fill=first)
            else:
                draw.polygon(star_points(x + step / 2, y + step / 2, step * 0.45, 8, 0.6), fill=first)


_SCENES: dict[str, Callable[[Image.Image, int, int, Palette, random.Random], None]] = {
    "mountains": _mountains, "sea": _sea, "hills": _hills, "city": _city, "forest": _forest, "desert": _desert,
    "botanical": _botanical, "night": _night, "balloons": _balloons, "abstract": _abstract,
}  # fmt: skip
