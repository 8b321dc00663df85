"""Line charts: precision against recall, quality against latency, right first hits by strength of a distortion."""

from __future__ import annotations

from collections.abc import Sequence

from hashsearch.evaluation.metrics import ranking as metrics
from hashsearch.evaluation.report.robustness import DistortionSeries, accuracy
from hashsearch.evaluation.report.sections import MAIN, Result, Section, named
from hashsearch.reporting.axes import EndLabel, Scale, axes, end_labels, widened
from hashsearch.reporting.scatter import pareto_front, point_labels
from hashsearch.reporting.svg import DASHES, Point, drawing, element, kind_class, marker, path, title


def most_telling(section: Section, baseline: Result | None, limit: int = 7) -> list[Result]:
    """At most `limit` methods to draw, best first: each kind's best, the baseline, then the next best.

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
    drawn: dict[str, int] = {}
    lines = {}
    for result in results:
        lines[result.method] = DASHES[drawn.get(result.kind, 0) % len(DASHES)]
        drawn[result.kind] = drawn.get(result.kind, 0) + 1
    return lines


def _line(result: Result, points: Sequence[Point], dash: str | None) -> str:
    look = f"line {kind_class(result.kind)}"
    return element("path", title(result.method), d=path(points), class_=look, stroke_dasharray=dash)


def precision_recall(section: Section, results: Sequence[Result]) -> str:
    """Mean precision against mean recall of the first 1, 2, ... hits; each line carries its method's name."""
    width, height = 640, 360
    curves = {result.method: _precision_recall(section, result) for result in results}
    furthest = max((points[-1][0] for points in curves.values()), default=1.0)
    x = Scale(0, max(furthest * 1.02, 0.01), 44, width - 200)
    y = Scale(0, 1, height - 42, 22)
    lines = dashes(results)
    parts = [axes(x, y, "recall", "precision")]
    labels = []
    for result in results:
        points = [(x(recall), y(precision)) for recall, precision in curves[result.method]]
        parts.append(_line(result, points, lines[result.method]))
        parts.append(marker(result.kind, *points[0], size=3.5))
        labels.append(EndLabel(result.method, points[-1], kind_class(result.kind)))
    parts.append(end_labels(labels, width - 188, 24, height - 44))
    names = ", ".join(result.method for result in results)
    return drawing(width, height, "".join(parts), f"precision against recall of {names}")


def _precision_recall(section: Section, result: Result) -> list[Point]:
    """(recall, precision) after 1, 2, ... hits, means over queries; a hit that is missing is a wrong one."""
    precision, recall = metrics.precision_recall(section.hits(result), section.relevant_counts)
    return list(zip(recall.tolist(), precision.tolist()))


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
    front = pareto_front(point for _, point in places)
    parts = [axes(x, y, "median latency of a query, ms (logarithmic)", named(MAIN))]
    parts.append(element("path", d=path(front), class_="front"))
    parts += [marker(result.kind, *point, note=_note(result)) for result, point in places]
    first = {*front, *(point for result, point in places if result is baseline)}
    labels = [(result.method, point, f"name {kind_class(result.kind)}") for result, point in places]
    labels.sort(key=lambda label: label[1] not in first)
    parts.append(point_labels(labels, (46, 8, width, height - 42)))
    return drawing(width, height, "".join(parts), "average precision against latency of every method")


def _note(result: Result) -> str:
    return f"{result.method}: {result.main:.3f}, {result.number('latency_ms', 'p50'):.2f} ms"


def _rounded(values: Sequence[float]) -> tuple[float, float]:
    """A logarithmic range around the values, at least a factor of four wide."""
    low, high = min(values) / 1.5, max(values) * 1.5
    return low, max(high, low * 4)


def robustness(series: DistortionSeries, results: Sequence[Result]) -> str:
    """One distortion: strength in the order given, and each method's share of right first hits."""
    width, height = 250, 190
    x = Scale(-0.3, len(series.strengths) - 0.7, 34, width - 10)
    y = Scale(0, 1.02, height - 40, 24)
    every = 1 + len(series.strengths) // 8
    marks = [(at, words) for at, words in enumerate(series.strengths) if at % every == 0]
    parts = [axes(x, y, series.name, "first hit right", marks)]
    lines = dashes(results)
    alone = len(series.strengths) == 1
    for place, result in reversed(list(enumerate(results))):
        aside = (place - (len(results) - 1) / 2) * 0.06 if alone else 0  # beside each other, not on top of each other
        known = [(at, accuracy(result, group)) for at, group in enumerate(series.groups)]
        points = [(x(at + aside), y(value)) for at, value in known if value is not None]
        if points:
            parts.append(_line(result, points, lines[result.method]))
            parts += [marker(result.kind, *point, size=2.6) for point in points]
    return drawing(width, height, "".join(parts), f"share of right first hits by strength of {series.name}")
