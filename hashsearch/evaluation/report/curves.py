"""Line charts: precision against recall, quality against latency, how far a method stands a distortion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hashsearch.evaluation.metrics import ranking as metrics
from hashsearch.evaluation.report.sections import MAIN, Result, Section, named
from hashsearch.reporting.svg import (
    Point,
    Scale,
    axes,
    drawing,
    element,
    kind_class,
    marker,
    path,
    spread,
    text,
    title,
    widened,
)

_DASHES = (None, "7 3", "2 3", "9 3 2 3", "4 2")


def telling(section: Section, baseline: Result | None, limit: int = 7) -> list[Result]:
    """At most `limit` methods whose lines say the most, best first: each kind's best, the baseline, then the next best.

    A drawing of twenty lines can be read by nobody.
    """
    chosen: list[Result] = []
    kinds: set[str] = set()
    for result in section.working:
        if result.kind not in kinds or result is baseline:
            chosen.append(result)
        kinds.add(result.kind)
    chosen += [result for result in section.working if result not in chosen]
    kept = chosen[:limit]
    if baseline is not None and baseline not in kept:
        kept[-1:] = [baseline]
    return [result for result in section.working if result in kept]


def dashes(results: Sequence[Result]) -> dict[str, str | None]:
    """The line of each method: unbroken for the best of its kind (its colour), then dashed, dotted and so on."""
    seen: dict[str, int] = {}
    lines = {}
    for result in results:
        lines[result.method] = _DASHES[seen.get(result.kind, 0) % len(_DASHES)]
        seen[result.kind] = seen.get(result.kind, 0) + 1
    return lines


def line(result: Result, points: Sequence[Point], dash: str | None, note: str) -> str:
    """A method's line."""
    return element("path", title(note), d=path(points), class_=f"line {kind_class(result.kind)}", stroke_dasharray=dash)


def precision_recall(section: Section, results: Sequence[Result]) -> str:
    """Mean precision against mean recall of the first 1, 2, ... hits; each line carries its method's name."""
    width, height = 640, 360
    curves = {result.method: _precision_recall(section, result) for result in results}
    furthest = max((points[-1][0] for points in curves.values()), default=1.0)
    x = Scale(0, max(furthest * 1.02, 0.01), 44, width - 200)
    y = Scale(0, 1, height - 42, 22)
    lines = dashes(results)
    parts = [axes(x, y, "recall", "precision")]
    ends = {}
    for result in results:
        points = [(x(recall), y(precision)) for recall, precision in curves[result.method]]
        parts.append(line(result, points, lines[result.method], result.method))
        parts.append(marker(result.kind, *points[0], size=3.5))
        ends[result] = points[-1]
    parts.append(_end_labels(ends, width - 188, 24, height - 44))
    return drawing(width, height, "".join(parts), "precision against recall of " + _names(results))


def _precision_recall(section: Section, result: Result) -> list[Point]:
    """(recall, precision) after 1, 2, ... hits, means over queries; a hit that is missing is a wrong one."""
    precision, recall = metrics.precision_recall(section.hits(result), section.relevant_counts)
    return list(zip(recall.tolist(), precision.tolist()))


def _end_labels(ends: Mapping[Result, Point], left: float, top: float, bottom: float) -> str:
    """Names beside the ends of lines, moved apart, each with a hair to its line."""
    places = spread([y for _, y in ends.values()], 15, top, bottom)
    parts = []
    for (result, (x, y)), place in zip(ends.items(), places):
        parts.append(element("path", d=path([(x + 3, y), (left - 10, place), (left - 4, place)]), class_="hair"))
        parts.append(_name(result, left, place + 4))
    return "".join(parts)


def _name(result: Result, x: float, y: float, **attributes: object) -> str:
    attributes.setdefault("class_", f"name {kind_class(result.kind)}")
    return text(x, y, shorten(result.method, 28), **attributes)


def shorten(words: str, length: int) -> str:
    """The words, with dots in their middle where they are longer than `length` characters."""
    if len(words) <= length:
        return words
    kept = length - 1
    return words[: kept - kept // 3] + "…" + words[-(kept // 3) :]


def _names(results: Sequence[Result]) -> str:
    return ", ".join(result.method for result in results)


def quality_against_latency(section: Section, baseline: Result | None) -> str:
    """All methods by median latency (logarithmic) and average precision; a line through those none beats in both."""
    measured = [
        (result, latency, result.main)
        for result in section.working
        if (latency := result.number("latency_ms", "p50")) and latency > 0 and result.main >= 0
    ]
    if not measured:
        return ""
    width, height = 640, 360
    x = Scale(*_rounded([latency for _, latency, _ in measured]), 44, width - 16, log=True)
    values = [value for _, _, value in measured]
    low, high = widened(min(values), max(values))
    y = Scale(max(low - 0.06 * (high - low), 0), min(high + 0.08 * (high - low), 1.02), height - 42, 22)
    places = [(result, (x(latency), y(value))) for result, latency, value in measured]
    front = _front([point for _, point in places])
    parts = [axes(x, y, "median latency of a query, ms (logarithmic)", named(MAIN))]
    parts.append(element("path", d=path(front), class_="front"))
    parts += [marker(result.kind, *point, note=_note(result)) for result, point in places]
    wanted = [*front, *(point for result, point in places if result is baseline)]
    parts.append(_point_labels(places, wanted, width, height))
    return drawing(width, height, "".join(parts), "average precision against latency of every method")


def _note(result: Result) -> str:
    return f"{result.method}: {result.main:.3f}, {result.number('latency_ms', 'p50'):.2f} ms"


def _rounded(values: Sequence[float]) -> tuple[float, float]:
    """A logarithmic range around the values, at least a factor of four wide."""
    low, high = min(values) / 1.5, max(values) * 1.5
    return low, max(high, low * 4)


def _front(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats in both, left to right; on the drawing up is a smaller y."""
    front: list[Point] = []
    for point in sorted(points):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front


def _point_labels(places: Sequence[tuple[Result, Point]], wanted: Sequence[Point], width: float, height: float) -> str:
    """Names beside points where there is room, those of `wanted` points first; the others are left to the pointer."""
    taken = [(x - 6, y - 6, x + 6, y + 6) for _, (x, y) in places]
    parts = []
    for result, (x, y) in sorted(places, key=lambda place: place[1] not in wanted):
        name = shorten(result.method, 30)
        long = 6.9 * len(name)
        for left, down in (
            (x + 9, 4),
            (x - 9 - long, 4),
            (x - long / 2, -10),
            (x - long / 2, 18),
            (x + 7, 16),
            (x + 7, -9),
        ):
            box = (left, y + down - 10, left + long, y + down + 3)
            inside = box[0] > 46 and box[2] < width and box[1] > 8 and box[3] < height - 42
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                parts.append(text(left, y + down, name, class_=f"name {kind_class(result.kind)}"))
                break
    return "".join(parts)


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
