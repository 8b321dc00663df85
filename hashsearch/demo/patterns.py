"""Patterns that cover a surface, one small function each, in a name table."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from PIL import Image, ImageDraw

from hashsearch.demo.canvas import Colour
from hashsearch.demo.emblems import Draw, disc, star_points


def paint_pattern(picture: Image.Image, name: str, colours: tuple[Colour, Colour, Colour], lot: random.Random) -> None:
    """Covers the picture with the pattern: the first colour is its ground."""
    picture.paste(colours[0], (0, 0, *picture.size))
    _PATTERNS[name](ImageDraw.Draw(picture), picture.width, picture.height, colours[1], colours[2], lot)


def _stripes(draw: Draw, w: int, h: int, a: Colour, b: Colour, lot: random.Random) -> None:
    step, lean = min(w, h) / lot.choice((6, 8, 11)), lot.choice((0, h * 0.5, h))
    for number in range(-int(h / step) - 2, int(w / step) + 2, 2):
        x = number * step
        draw.polygon([(x, h), (x + lean, 0), (x + lean + step, 0), (x + step, h)], fill=b if number % 6 == 0 else a)


def _dots(draw: Draw, w: int, h: int, a: Colour, b: Colour, lot: random.Random) -> None:
    step, size = min(w, h) / lot.choice((6, 8, 10)), lot.uniform(0.18, 0.32)
    for row in range(int(h / step) + 2):
        for column in range(int(w / step) + 2):
            disc(draw, (column + row % 2 / 2) * step, row * step, step * size, b if (row + column * 2) % 5 == 0 else a)


def _waves(draw: Draw, w: int, h: int, a: Colour, b: Colour, lot: random.Random) -> None:
    step, length = min(w, h) / lot.choice((7, 9, 12)), min(w, h) / lot.choice((2, 3, 4))
    for row in range(-1, int(h / step) + 2):
        line = [(x, row * step + math.sin(x / length * math.tau) * step * 0.45) for x in range(-4, w + 8, 4)]
        draw.line(line, fill=b if row % 3 == 0 else a, width=round(step * 0.34), joint="curve")


def _confetti(draw: Draw, w: int, h: int, a: Colour, b: Colour, lot: random.Random) -> None:
    unit = min(w, h) / 22
    for _ in range(int(w * h / unit / unit / 9)):
        x, y, fill = lot.uniform(0, w), lot.uniform(0, h), lot.choice((a, b))
        count = lot.choice((0, 3, 4, 2))
        if count == 2:
            angle = lot.uniform(0, math.tau)
            draw.line(
                (x, y, x + unit * 2 * math.cos(angle), y + unit * 2 * math.sin(angle)),
                fill=fill,
                width=round(unit * 0.45),
            )
        elif count:
            draw.polygon(star_points(x, y, unit * 0.9, count, 1, lot.uniform(0, 360)), fill=fill)
        else:
            disc(draw, x, y, unit * 0.55, fill)


def _checker(draw: Draw, w: int, h: int, a: Colour, b: Colour, lot: random.Random) -> None:
    step = min(w, h) / lot.choice((5, 6, 8))
    for row in range(int(h / step) + 1):
        for column in range(row % 2, int(w / step) + 1, 2):
            fill = b if lot.random() < 0.12 else a
            draw.rectangle((column * step, row * step, (column + 1) * step - 1, (row + 1) * step - 1), fill=fill)


def _sunburst(draw: Draw, w: int, h: int, a: Colour, b: Colour, lot: random.Random) -> None:
    x, y, count = w * lot.choice((0.5, 0.1, 0.9)), h * lot.choice((0.5, 0.9, 1.05)), lot.choice((18, 24, 32))
    for step in range(0, count, 2):
        first, last = step * math.tau / count, (step + 1) * math.tau / count
        reach = (w + h) * 1.2
        rim = [(x + reach * math.cos(angle), y + reach * math.sin(angle)) for angle in (first, last)]
        draw.polygon([(x, y), *rim], fill=a)
    disc(draw, x, y, min(w, h) * 0.18, b)


def _arcs(draw: Draw, w: int, h: int, a: Colour, b: Colour, lot: random.Random) -> None:
    step = min(w, h) / lot.choice((3, 4, 5))
    for row in range(int(h / step) + 1):
        for column in range(int(w / step) + 1):
            x, y, turn = column * step, row * step, lot.randrange(4)
            corner_x, corner_y = x + step * (turn in (1, 2)), y + step * (turn in (2, 3))
            for reach, fill in ((1.0, a), (0.5, b)):
                box = (
                    corner_x - step * reach,
                    corner_y - step * reach,
                    corner_x + step * reach,
                    corner_y + step * reach,
                )
                draw.pieslice(box, turn * 90, turn * 90 + 90, fill=fill)


def _triangles(draw: Draw, w: int, h: int, a: Colour, b: Colour, lot: random.Random) -> None:
    step = min(w, h) / lot.choice((4, 5, 7))
    for row in range(int(h / step) + 1):
        for column in range(int(w / step) + 1):
            x, y = column * step, row * step
            square = [(x, y), (x + step, y), (x + step, y + step), (x, y + step)]
            square.pop(lot.randrange(4))
            draw.polygon(square, fill=b if lot.random() < 0.25 else a)


def _scallops(draw: Draw, w: int, h: int, a: Colour, b: Colour, lot: random.Random) -> None:
    ground, step = draw.im.getpixel((0, 0)), min(w, h) / lot.choice((4, 5, 6))
    for row in range(-1, int(h / step * 2) + 3):
        for column in range(-1, int(w / step) + 2):
            x, y = (column + row % 2 / 2) * step, row * step / 2
            for reach, fill in ((0.5, a), (0.42, ground), (0.3, b), (0.22, ground)):
                disc(draw, x, y, step * reach, fill)


def _contours(draw: Draw, w: int, h: int, a: Colour, b: Colour, lot: random.Random) -> None:
    for x, y in [(lot.uniform(0, w), lot.uniform(0, h)) for _ in range(3)]:
        shape = [lot.uniform(0.75, 1.25) for _ in range(4)]
        for ring in range(1, 9):
            reach = ring * min(w, h) / 13
            line = [
                (x + reach * math.cos(t / 60 * math.tau) * (1 + 0.2 * math.sin(t / 60 * math.tau * 2 + shape[0] * 9)),
                 y + reach * math.sin(t / 60 * math.tau) * (1 + 0.15 * math.cos(t / 60 * math.tau * 3 + shape[1] * 9)))
                for t in range(61)
            ]  # fmt: skip
            draw.line(line, fill=b if ring % 4 == 0 else a, width=max(2, round(min(w, h) / 110)), joint="curve")


def _terrazzo(draw: Draw, w: int, h: int, a: Colour, b: Colour, lot: random.Random) -> None:
    unit = min(w, h) / 14
    for _ in range(int(w * h / unit / unit / 2.2)):
        x, y, size = lot.uniform(0, w), lot.uniform(0, h), unit * lot.uniform(0.25, 0.9)
        corners = [
            (u + lot.uniform(-0.3, 0.3) * size, v + lot.uniform(-0.3, 0.3) * size)
            for u, v in star_points(x, y, size, 5, 1, lot.uniform(0, 72))
        ]
        draw.polygon(corners, fill=lot.choice((a, a, b)))


def _crosses(draw: Draw, w: int, h: int, a: Colour, b: Colour, lot: random.Random) -> None:
    step = min(w, h) / lot.choice((6, 8, 10))
    for row in range(int(h / step) + 1):
        for column in range(int(w / step) + 1):
            x, y, size = (column + 0.5) * step, (row + 0.5) * step, step * 0.27
            fill = b if (row + column) % 4 == 0 else a
            draw.line((x - size, y, x + size, y), fill=fill, width=round(step * 0.16))
            draw.line((x, y - size, x, y + size), fill=fill, width=round(step * 0.16))


_PATTERNS: dict[str, Callable[[Draw, int, int, Colour, Colour, random.Random], None]] = {
    "stripes": _stripes, "dots": _dots, "waves": _waves, "confetti": _confetti, "checker": _checker,
    "sunburst": _sunburst, "arcs": _arcs, "triangles": _triangles, "scallops": _scallops, "contours": _contours,
    "terrazzo": _terrazzo, "crosses": _crosses,
}  # fmt: skip
