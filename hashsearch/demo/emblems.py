"""Emblems, one small function each, in a name table."""

from __future__ import annotations

import math
from collections.abc import Callable

from PIL import ImageDraw

from hashsearch.demo.canvas import Colour, Point, curve

Draw = ImageDraw.ImageDraw


def star_points(x: float, y: float, radius: float, count: int, inner: float = 1, turn: float = -90) -> list[Point]:
    """Corners of a regular polygon, or of a star where `inner` (a part of the radius) is below 1."""
    steps = count if inner == 1 else count * 2
    corners = []
    for step in range(steps):
        angle = math.radians(turn + 360 * step / steps)
        reach = radius * (inner if inner != 1 and step % 2 else 1)
        corners.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    return corners


def disc(
    draw: Draw,
    x: float,
    y: float,
    radius: float,
    fill: Colour | int | None,
    outline: Colour | None = None,
    width: float = 0,
) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill, outline=outline, width=round(width))


def _petal(x: float, y: float, length: float, width: float, degrees: float) -> list[Point]:
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    half = curve((0, 0), (length * 0.3, width), (length * 0.8, width * 0.7), (length, 0))
    outline = half + [(u, -v) for u, v in reversed(half)]
    return [(x + u * cosine - v * sine, y + u * sine + v * cosine) for u, v in outline]


def _sun(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    draw.polygon(star_points(x, y, r, 12, 0.68), fill=a)
    disc(draw, x, y, r * 0.58, ground)
    disc(draw, x, y, r * 0.46, b)


def _mountain(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    disc(draw, x + r * 0.35, y - r * 0.45, r * 0.3, b)
    draw.polygon([(x - r, y + r * 0.7), (x - r * 0.2, y - r * 0.7), (x + r * 0.35, y + r * 0.7)], fill=a)
    draw.polygon([(x - r * 0.1, y + r * 0.7), (x + r * 0.45, y - r * 0.1), (x + r, y + r * 0.7)], fill=a)
    draw.line(
        [
            (x - r * 0.46, y - r * 0.2),
            (x - r * 0.28, y - r * 0.34),
            (x - r * 0.16, y - r * 0.16),
            (x + r * 0.02, y - r * 0.3),
        ],
        fill=ground,
        width=max(1, round(r * 0.08)),
        joint="curve",
    )


def _leaf(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    draw.polygon(_petal(x - r * 0.75, y + r * 0.75, r * 2.1, r * 0.75, -45), fill=a)
    draw.line((x - r * 0.9, y + r * 0.9, x + r * 0.35, y - r * 0.35), fill=ground, width=max(1, round(r * 0.08)))
    for step in (-0.35, 0, 0.3):
        draw.line(
            (x + r * step, y - r * step, x + r * (step + 0.38), y - r * (step - 0.05)),
            fill=ground,
            width=max(1, round(r * 0.06)),
        )


def _flower(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    for step in range(8):
        draw.polygon(_petal(x, y, r, r * 0.3, step * 45), fill=a)
    disc(draw, x, y, r * 0.3, ground)
    disc(draw, x, y, r * 0.22, b)


def _wave(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    disc(draw, x, y, r, a)
    for row, shade in ((0.05, b), (0.4, ground), (0.72, b)):
        line = [
            (x - r + step * r / 20, y + r * row + math.sin(step / 40 * math.tau * 1.5) * r * 0.13) for step in range(41)
        ]
        inside = [(u, v) for u, v in line if (u - x) ** 2 + (v - y) ** 2 < (r * 0.97) ** 2]
        if len(inside) > 1:
            draw.line(inside, fill=shade, width=max(1, round(r * 0.13)), joint="curve")


def _boat(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    draw.polygon([(x - r * 0.06, y - r), (x - r * 0.06, y + r * 0.3), (x - r * 0.75, y + r * 0.3)], fill=b)
    draw.polygon([(x + r * 0.06, y - r * 0.75), (x + r * 0.06, y + r * 0.3), (x + r * 0.65, y + r * 0.3)], fill=a)
    draw.polygon(
        [
            (x - r * 0.95, y + r * 0.42),
            (x + r * 0.95, y + r * 0.42),
            (x + r * 0.6, y + r * 0.85),
            (x - r * 0.6, y + r * 0.85),
        ],
        fill=a,
    )


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
    draw.polygon(
        [
            (x - r * 0.29, y - r * 0.72),
            (x + r * 0.85, y - r * 0.98),
            (x + r * 0.85, y - r * 0.62),
            (x - r * 0.29, y - r * 0.36),
        ],
        fill=b,
    )


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
    draw.polygon(
        [
            (x - r * 0.5, y + r * 0.24),
            (x + r * 0.5, y + r * 0.24),
            (x + r * 0.14, y + r * 0.68),
            (x - r * 0.14, y + r * 0.68),
        ],
        fill=a,
    )
    draw.rectangle((x - r * 0.16, y + r * 0.74, x + r * 0.16, y + r), fill=b)


def _shield(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    half = [
        (x, y - r * 0.95),
        (x + r * 0.8, y - r * 0.75),
        *curve((x + r * 0.8, y), (x + r * 0.72, y + r * 0.65), (x, y + r)),
    ]
    draw.polygon(half + [(2 * x - u, v) for u, v in reversed(half)], fill=a)
    draw.polygon(
        [
            (x - r * 0.45, y + r * 0.05),
            (x, y - r * 0.42),
            (x + r * 0.45, y + r * 0.05),
            (x + r * 0.45, y + r * 0.33),
            (x, y - r * 0.14),
            (x - r * 0.45, y + r * 0.33),
        ],
        fill=b,
    )


def _cup(draw: Draw, x: float, y: float, r: float, a: Colour, b: Colour, ground: Colour) -> None:
    line = max(1, round(r * 0.13))
    draw.arc((x + r * 0.25, y - r * 0.1, x + r * 0.95, y + r * 0.5), -100, 100, fill=a, width=line)
    draw.pieslice((x - r * 0.8, y - r * 1.05, x + r * 0.6, y + r * 0.8), 0, 180, fill=a)
    draw.rounded_rectangle((x - r * 0.95, y + r * 0.82, x + r * 0.75, y + r * 0.98), r * 0.08, fill=b)
    for dx in (-0.45, -0.1, 0.25):
        steam = curve(
            (x + r * dx, y - r * 0.3),
            (x + r * (dx - 0.25), y - r * 0.55),
            (x + r * (dx + 0.25), y - r * 0.7),
            (x + r * dx, y - r * 0.95),
        )
        draw.line(steam, fill=b, width=max(1, round(r * 0.09)), joint="curve")


Emblem = Callable[[Draw, float, float, float, Colour, Colour, Colour], None]


EMBLEMS: dict[str, Emblem] = {
    "sun": _sun, "mountain": _mountain, "leaf": _leaf, "flower": _flower, "wave": _wave, "boat": _boat,
    "hexagon": _hexagon, "rings": _rings, "blocks": _blocks, "note": _note, "moon": _moon, "drop": _drop,
    "wheat": _wheat, "wheel": _wheel, "bolt": _bolt, "star": _star, "balloon": _balloon, "shield": _shield, "cup": _cup,
}  # fmt: skip
