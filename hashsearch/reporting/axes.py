"""Axes of charts: scales with round ticks, grid lines and titles, and labels that do not cover each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from hashsearch.reporting.svg import Point, element, path, text
from hashsearch.reporting.words import shorten

_LETTER = 6.9  # width of a letter of a name


@dataclass(frozen=True)
class Scale:
    """Numbers from `low` to `high` -> places from `start` to `end`, linear, or logarithmic with `log`."""

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
        """Round numbers within the scale: about `wanted`; on a logarithmic one 1, 2 and 5 of each power of ten."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = (1, 2, 5) if len(powers) < 5 else (1,)
            marks = [step * 10.0**power for power in powers for step in steps]
            return [mark for mark in marks if self.low <= mark <= self.high]
        step = _round_step(self.high - self.low, wanted)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def _round_step(span: float, wanted: int) -> float:
    """The least of 1, 2, 2.5 and 5 times a power of ten that divides the span into at most `wanted` steps."""
    rough = span / wanted
    power = 10 ** math.floor(math.log10(rough))
    return float(next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough * 0.999))


def widened(low: float, high: float) -> tuple[float, float]:
    """A range that a scale can span, also where all numbers are the same."""
    return (low, high) if high - low > 1e-6 else (low - 0.05, high + 0.05)


def fitted(values: Sequence[float], start: float, end: float, log: bool = False) -> Scale:
    """A scale that holds the values and ends at ticks; on a logarithmic one the values must be above zero."""
    low, high = min(values), max(values)
    if log:
        return Scale(low / 1.1, high * 1.1, start, end, log=True)
    if high <= low:
        low, high = low - abs(low) * 0.1 - 1e-3, high + abs(high) * 0.1 + 1e-3
    step = _round_step(high - low, 4)
    return Scale(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, start, end)


def axes(x: Scale, y: Scale, x_title: str, y_title: str, x_labels: Sequence[tuple[float, str]] | None = None) -> str:
    """Grid lines, ticks and titles; `x_labels` are numbers on the scale with their words, instead of ticks."""
    left, right, bottom, top = x.start, x.end, y.start, y.end
    parts = []
    for tick in y.ticks():
        parts.append(element("path", d=path([(left, y(tick)), (right, y(tick))]), class_="grid"))
        parts.append(text(left - 6, y(tick) + 3.5, tick_label(tick), class_="tick end"))
    for place, words in x_labels or [(tick, tick_label(tick)) for tick in x.ticks()]:
        parts.append(text(x(place), bottom + 15, words, class_="tick middle"))
    parts.append(element("path", d=path([(left, bottom), (right, bottom)]), class_="axis"))
    if x_title:
        parts.append(text((left + right) / 2, bottom + 32, x_title, class_="axis-title middle"))
    if y_title:
        parts.append(text(left - 6, top - 9, y_title, class_="axis-title"))
    return "".join(parts)


def tick_label(number: float) -> str:
    """A tick in few characters: .25, 20, 1,000."""
    if abs(number) < 1:
        return f"{number:.3g}".replace("0.", ".", 1) if number else "0"
    return f"{number:,.2f}".rstrip("0").rstrip(".")


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


@dataclass(frozen=True)
class EndLabel:
    """A line's name, the point where the line ends, and the class that gives both their colour."""

    name: str
    end: Point
    colour: str


def end_labels(labels: Sequence[EndLabel], left: float, top: float, bottom: float) -> str:
    """Names to the right of lines, moved apart, each with a hairline to its line's end."""
    places = spread([label.end[1] for label in labels], 15, top, bottom)
    parts = []
    for label, place in zip(labels, places):
        x, y = label.end
        parts.append(element("path", d=path([(x + 3, y), (left - 10, place), (left - 4, place)]), class_="hair"))
        parts.append(text(left, place + 4, shorten(label.name, 28), class_=f"name {label.colour}"))
    return "".join(parts)


def label_width(names: Sequence[str]) -> float:
    """The room that `end_labels` needs for these names and their hairlines."""
    return _LETTER * max((min(len(name), 28) for name in names), default=0) + 16
