"""Emblems and patterns, one small function each, in two name tables."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from PIL import Image, ImageDraw

from hashsearch.demo.canvas import Colour, Point, curve

Draw = ImageDraw.ImageDraw


def star_points(x: float, y: float, radius: float, count: int, inner: float = 1, turn: float = -90) -> list[Point]:
    """Corners of a regular polygon, or of a star where `inner` (a part of the radius) is below 1."""
    steps = count if inner == 1 else count * 2
    found = []
    for step in range(steps):
        angle = math.radians(turn + 360 * step / steps)
        reach = radius * (inner if inner != 1 and step % 2 else 1)
        found.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    return found


def disc(draw: Draw, x: float, y: float, radius: float, fill: Colour | None, outline: Colour | None = None, width: float = 0) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill, outline=outline, width=round(width))


def _petal(x: float, y: float, length: float, width: float, degrees: float) -> list[Point]:
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    half = curve((0, 0), (length * 0.3, width), (length * 0.8, width * 0.7), (length, 0))
    outline = half + [(u, -v) for u, v in reversed(half)]
    return [(x + u * cosine - v * sine, y + u * sine + v * cosine) for u, v in outline]


# Every emblem: draw, middle, radius, its colour, a second colour, the ground it lies on.


def _sun(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    draw.polygon(star_points(x, y, r, 12, 0.68), fill=a)
    disc(draw, x, y, r * 0.58, ground)
    disc(draw, x, y, r * 0.46, b)


def _mountain(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    disc(draw, x + r * 0.35, y - r * 0.45, r * 0.3, b)
    draw.polygon([(x - r, y + r * 0.7), (x - r * 0.2, y - r * 0.7), (x + r * 0.35, y + r * 0.7)], fill=a)
    draw.polygon([(x - r * 0.1, y + r * 0.7), (x + r * 0.45, y - r * 0.1), (x + r, y + r * 0.7)], fill=a)
    draw.line([(x - r * 0.46, y - r * 0.2), (x - r * 0.28, y - r * 0.34), (x - r * 0.16, y - r * 0.16), (x + r * 0.02, y - r * 0.3)], fill=ground, width=max(1, round(r * 0.08)), joint="curve")


def _leaf(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    draw.polygon(_petal(x - r * 0.75, y + r * 0.75, r * 2.1, r * 0.75, -45), fill=a)
    draw.line((x - r * 0.9, y + r * 0.9, x + r * 0.35, y - r * 0.35), fill=ground, width=max(1, round(r * 0.08)))
    for step in (-0.35, 0, 0.3):
        draw.line((x + r * step, y - r * step, x + r * (step + 0.38), y - r * (step - 0.05)), fill=ground, width=max(1, round(r * 0.06)))


def _flower(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    for step in range(8):
        draw.polygon(_petal(x, y, r, r * 0.3, step * 45), fill=a)
    disc(draw, x, y, r * 0.3, ground)
    disc(draw, x, y, r * 0.22, b)


def _wave(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    disc(draw, x, y, r, a)
    for row, shade in ((0.05, b), (0.4, ground), (0.72, b)):
        line = [(x - r + step * r / 20, y + r * row + math.sin(step / 40 * math.tau * 1.5) * r * 0.13) for step in range(41)]
        inside = [(u, v) for u, v in line if (u - x) ** 2 + (v - y) ** 2 < (r * 0.97) ** 2]
        if len(inside) > 1:
            draw.line(inside, fill=shade, width=max(1, round(r * 0.13)), joint="curve")


def _boat(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    draw.polygon([(x - r * 0.06, y - r), (x - r * 0.06, y + r * 0.3), (x - r * 0.75, y + r * 0.3)], fill=b)
    draw.polygon([(x + r * 0.06, y - r * 0.75), (x + r * 0.06, y + r * 0.3), (x + r * 0.65, y + r * 0.3)], fill=a)
    draw.polygon([(x - r * 0.95, y + r * 0.42), (x + r * 0.95, y + r * 0.42), (x + r * 0.6, y + r * 0.85), (x - r * 0.6, y + r * 0.85)], fill=a)


def _hexagon(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    draw.polygon(star_points(x, y, r, 6), fill=a)
    draw.polygon(star_points(x, y, r * 0.66, 6), fill=ground)
    outer = star_points(x, y, r * 0.5, 6)
    for step, shade in ((0, b), (2, a), (4, b)):
        draw.polygon([(x, y), outer[step], outer[step + 1], outer[(step + 2) % 6]], fill=shade)


def _rings(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    for reach, shade in ((1, a), (0.8, ground), (0.62, b), (0.42, ground), (0.25, a)):
        disc(draw, x, y, r * reach, shade)


def _blocks(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    side = r * 0.84
    draw.rectangle((x - side, y - side, x - side * 0.08, y + side), fill=a)
    draw.pieslice((x + side * 0.08 - side, y - side, x + side, y + side * 0.84), -90, 90, fill=b)
    draw.rectangle((x - side * 0.08, y - side, x + side * 0.08, y + side), fill=ground)
    draw.rectangle((x + side * 0.08, y + side * 0.3, x + side, y + side), fill=a)


def _note(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    for dx, dy in ((-0.5, 0.6), (0.5, 0.42)):
        draw.ellipse((x + r * (dx - 0.36), y + r * (dy - 0.26), x + r * (dx + 0.36), y + r * (dy + 0.3)), fill=a)
    for dx, top, bottom in ((-0.22, -0.62, 0.6), (0.78, -0.82, 0.42)):
        draw.line((x + r * dx, y + r * top, x + r * dx, y + r * bottom), fill=a, width=max(1, round(r * 0.15)))
    draw.polygon([(x - r * 0.29, y - r * 0.72), (x + r * 0.85, y - r * 0.98), (x + r * 0.85, y - r * 0.62), (x - r * 0.29, y - r * 0.36)], fill=b)


def _moon(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    disc(draw, x, y, r * 0.95, a)
    disc(draw, x + r * 0.38, y - r * 0.22, r * 0.78, ground)
    draw.polygon(star_points(x + r * 0.45, y - r * 0.2, r * 0.34, 5, 0.42), fill=b)


def _drop(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    side = curve((x, y - r), (x + r * 0.15, y - r * 0.45), (x + r * 0.95, y + r * 0.05), (x + r * 0.66, y + r * 0.6))
    base = curve((x + r * 0.66, y + r * 0.6), (x + r * 0.4, y + r * 1.05), (x, y + r))
    half = side + base
    draw.polygon(half + [(2 * x - u, v) for u, v in reversed(half)], fill=a)
    draw.arc((x - r * 0.48, y - r * 0.2, x + r * 0.48, y + r * 0.76), 80, 170, fill=b, width=max(1, round(r * 0.13)))


def _wheat(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    draw.line((x, y - r * 0.3, x, y + r), fill=a, width=max(1, round(r * 0.09)))
    for step in range(4):
        level = y + r * (0.62 - step * 0.36)
        for degrees in (-38, -142):
            draw.polygon(_petal(x, level, r * 0.62, r * 0.17, degrees), fill=a if step % 2 else b)
    draw.polygon(_petal(x, y - r * 0.38, r * 0.62, r * 0.17, -90), fill=a)


def _wheel(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    disc(draw, x, y, r * 0.95, None, a, max(1, r * 0.16))
    for step in range(10):
        u, v = math.cos(step * math.tau / 10), math.sin(step * math.tau / 10)
        draw.line((x, y, x + u * r * 0.85, y + v * r * 0.85), fill=a, width=max(1, round(r * 0.05)))
    disc(draw, x, y, r * 0.22, b)


def _bolt(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    disc(draw, x, y, r, a)
    shape = [(0.15, -0.72), (-0.42, 0.12), (-0.04, 0.12), (-0.16, 0.72), (0.42, -0.16), (0.04, -0.16)]
    draw.polygon([(x + r * u, y + r * v) for u, v in shape], fill=b)


def _star(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    draw.polygon(star_points(x, y, r, 8, 0.5), fill=a)
    draw.polygon(star_points(x, y, r * 0.5, 4, 0.35), fill=b)


def _balloon(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    disc(draw, x, y - r * 0.25, r * 0.72, a)
    draw.ellipse((x - r * 0.3, y - r * 0.97, x + r * 0.3, y + r * 0.47), fill=b)
    draw.polygon([(x - r * 0.5, y + r * 0.24), (x + r * 0.5, y + r * 0.24), (x + r * 0.14, y + r * 0.68), (x - r * 0.14, y + r * 0.68)], fill=a)
    draw.rectangle((x - r * 0.16, y + r * 0.74, x + r * 0.16, y + r), fill=b)


def _shield(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    half = [(x, y - r * 0.95), (x + r * 0.8, y - r * 0.75), *curve((x + r * 0.8, y), (x + r * 0.72, y + r * 0.65), (x, y + r))]
    draw.polygon(half + [(2 * x - u, v) for u, v in reversed(half)], fill=a)
    draw.polygon([(x - r * 0.45, y + r * 0.05), (x, y - r * 0.42), (x + r * 0.45, y + r * 0.05), (x + r * 0.45, y + r * 0.33), (x, y - r * 0.14), (x - r * 0.45, y + r * 0.33)], fill=b)


def _cup(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    line = max(1, round(r * 0.13))
    draw.arc((x + r * 0.25, y - r * 0.1, x + r * 0.95, y + r * 0.5), -100, 100, fill=a, width=line)
    draw.pieslice((x - r * 0.8, y - r * 1.05, x + r * 0.6, y + r * 0.8), 0, 180, fill=a)
    draw.rounded_rectangle((x - r * 0.95, y + r * 0.82, x + r * 0.75, y + r * 0.98), r * 0.08, fill=b)
    for dx in (-0.45, -0.1, 0.25):
        steam = curve((x + r * dx, y - r * 0.3), (x + r * (dx - 0.25), y - r * 0.55), (x + r * (dx + 0.25), y - r * 0.7), (x + r * dx, y - r * 0.95))
        draw.line(steam, fill=b, width=max(1, round(r * 0.09)), joint="curve")


Emblem = Callable[[Draw, float, float, float, Colour, Colour, Colour], None]
EMBLEMS: dict[str, Emblem] = {
    "sun": _sun, "mountain": _mountain, "leaf": _leaf, "flower": _flower, "wave": _wave, "boat": _boat,
    "hexagon": _hexagon, "rings": _rings, "blocks": _blocks, "note": _note, "moon": _moon, "drop": _drop,
    "wheat": _wheat, "wheel": _wheel, "bolt": _bolt, "star": _star, "balloon": _balloon, "shield": _shield, "cup": _cup,
}  # fmt: skip


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
            draw.line((x, y, x + unit * 2 * math.cos(angle), y + unit * 2 * math.sin(angle)), fill=fill, width=round(unit * 0.45))
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
                box = (corner_x - step * reach, corner_y - step * reach, corner_x + step * reach, corner_y + step * reach)
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
        corners = [(u + lot.uniform(-0.3, 0.3) * size, v + lot.uniform(-0.3, 0.3) * size) for u, v in star_points(x, y, size, 5, 1, lot.uniform(0, 72))]
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
