"""Charts as SVG text: shapes, scales, axes and labels. Colours are the page's own, so they follow light and dark.

A shape takes its colour from its class (`kind-codes` sets `color`), by `currentColor`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]


def element(tag: str, content: str = "", **attributes: object) -> str:
    """`<tag ...>content</tag>`: `class_` is class, other underscores are hyphens; escapes values, not the content."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{written}>{content}</{tag}>" if content else f"<{tag}{written}/>"


def _short(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def text(x: float, y: float, content: str, **attributes: object) -> str:
    """A line of text, escaped."""
    return element("text", escape(content), x=float(x), y=float(y), **attributes)


def title(content: str) -> str:
    """What a pointer held over a shape shows, and what a reader of the page says of it."""
    return element("title", escape(content))


def drawing(width: float, height: float, content: str, label: str) -> str:
    """The whole picture; `label` is what it shows, in words."""
    return element("svg", content, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label, class_="chart")


def path(points: Sequence[Point]) -> str:
    """The `d` of a line through points."""
    return "M" + "L".join(f"{_short(float(x))} {_short(float(y))}" for x, y in points)


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high` -> places from `start` to `end`, even in the logarithm where `log`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Round numbers within the scale: about `wanted`; of a logarithmic one 1, 2 and 5 of each power of ten."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = (1, 2, 5) if len(powers) < 5 else (1,)
            marks = [step * 10.0**power for power in powers for step in steps]
            return [mark for mark in marks if self.low <= mark <= self.high]
        rough = (self.high - self.low) / wanted
        power = 10 ** math.floor(math.log10(rough))
        step = next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def widened(low: float, high: float) -> tuple[float, float]:
    """A range that a scale can span, for numbers of which all may be the same."""
    return (low, high) if high - low > 1e-6 else (low - 0.05, high + 0.05)


def axes(x: Scale, y: Scale, x_title: str, y_title: str, x_labels: Sequence[tuple[float, str]] | None = None) -> str:
    """Grid lines, ticks and titles; `x_labels` are places (numbers on the scale) and words instead of ticks."""
    left, right, bottom, top = x.start, x.end, y.start, y.end
    parts = []
    for tick in y.ticks():
        parts.append(element("path", d=path([(left, y(tick)), (right, y(tick))]), class_="grid"))
        parts.append(text(left - 6, y(tick) + 3.5, label(tick), class_="tick end"))
    for place, words in x_labels or [(tick, label(tick)) for tick in x.ticks()]:
        parts.append(text(x(place), bottom + 15, words, class_="tick middle"))
    parts.append(element("path", d=path([(left, bottom), (right, bottom)]), class_="axis"))
    parts.append(text((left + right) / 2, bottom + 32, x_title, class_="axis-title middle"))
    if y_title:
        parts.append(text(left - 6, top - 9, y_title, class_="axis-title"))
    return "".join(parts)


def label(number: float) -> str:
    """A tick in few characters: .25, 20, 1,000."""
    if number == 0:
        return "0"
    if abs(number) < 1:
        return f"{number:.3f}".rstrip("0").lstrip("0").replace("-0", "-")
    return f"{number:,.1f}".removesuffix(".0")


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """The places moved apart as little as needed to lie `gap` from each other between `low` and `high`."""
    order = sorted(range(len(places)), key=lambda at: places[at])
    gap = min(gap, (high - low) / max(len(places) - 1, 1))
    moved = [min(max(place, low), high) for place in places]
    for before, at in itertools.pairwise(order):
        moved[at] = max(moved[at], moved[before] + gap)
    limit = high
    for at in reversed(order):
        moved[at] = min(moved[at], limit)
        limit = moved[at] - gap
    return moved


# Shapes beside colours, for eyes and printers that do not tell the colours apart: kind -> marker.
_MARKERS = {
    "codes": "circle",
    "exact": "square",
    "hash": "triangle",
    "local": "diamond",
    "classes": "cross",
    "fusion": "star",
    "histogram": "bar",
}


def marker(kind: str, x: float, y: float, size: float = 5, note: str = "") -> str:
    """A point's shape by its method's kind; `note` is shown under the pointer."""
    shape = _MARKERS.get(kind, "circle")
    look = {"class_": f"mark {kind_class(kind)}", "d": _outline(shape, x, y, size)}
    return element("path", title(note) if note else "", **look)


def _outline(shape: str, x: float, y: float, size: float) -> str:
    if shape == "circle":
        return (
            f"M{_short(x - size)} {_short(y)}a{size} {size} 0 1 0 {2 * size:g} 0a{size} {size} 0 1 0 {-2 * size:g} 0z"
        )
    corners = {
        "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        "triangle": [(0, -1.15), (1.1, 0.85), (-1.1, 0.85)],
        "diamond": [(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)],
        "bar": [(-1.2, -0.45), (1.2, -0.45), (1.2, 0.45), (-1.2, 0.45)],
        "star": [_around(turn / 10, 1.35 if turn % 2 == 0 else 0.6) for turn in range(10)],
        "cross": [(right, down) for right, down in _PLUS],
    }[shape]
    return path([(x + size * right, y + size * down) for right, down in corners]) + "z"


_PLUS = [(-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4), (1.2, 0.4), (0.4, 0.4)]
_PLUS += [(-right, -down) for right, down in _PLUS]


def _around(turn: float, radius: float) -> Point:
    return radius * math.sin(2 * math.pi * turn), -radius * math.cos(2 * math.pi * turn)


def kind_class(kind: str) -> str:
    """The class that gives a kind its colour; a kind unknown to the page is grey."""
    return f"kind-{kind}" if kind in _MARKERS else "kind-other"
