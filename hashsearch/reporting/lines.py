"""Line charts: values over time, epochs or settings, one or more lines in each, for a page or as an SVG file.

    chart = LineChart("loss", [LineSeries("training", [(1, 2.3), (2, 1.9)])], x_title="epoch")
    line_chart(chart)                        # an <svg> for a page that has `page_style`
    line_chart_file([chart, other], "run")   # an SVG file with both beside each other, light and dark

Lines are told apart by colour and dashes, and carry their names at their right ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hashsearch.reporting.axes import EndLabel, Scale, axes, end_labels, fitted, label_width
from hashsearch.reporting.svg import DASHES, Point, drawing, drawing_file, element, path, text, title

_COLOURS = 10  # classes colour-0 to colour-9
_LEFT, _TOP, _BOTTOM = 46, 22, 38
_WIDTH, _HEIGHT, _HEADING = 560, 300, 34  # of a chart in a file, its heading not counted


@dataclass(frozen=True)
class LineSeries:
    """A line through `points` (x, y), from left to right.

    `band` has an interval (low, high) for each point, drawn as an area; `notes` a tooltip for each. Both may be empty.
    """

    name: str
    points: Sequence[Point]
    band: Sequence[tuple[float, float]] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class LineChart:
    """One or more lines with common axes. Lines without points are left out.

    The y axis spans the values, or from `y_low` to `y_high` where those are given. `x_log` and `y_log` make an axis
    logarithmic; its values must be above zero. `x_labels` are numbers on the x axis with their words, instead of ticks.
    """

    title: str
    series: Sequence[LineSeries]
    x_title: str = ""
    y_title: str = ""
    y_low: float | None = None
    y_high: float | None = None
    x_log: bool = False
    y_log: bool = False
    x_labels: Sequence[tuple[float, str]] | None = None


def line_chart(chart: LineChart, width: float = 680, height: float = 240) -> str:
    """The chart as an `<svg>` for a page; "" when no line has points."""
    names = [series.name for series in chart.series if series.points]
    return drawing(width, height, _content(chart, width, height), f"{chart.title}: {', '.join(names)}") if names else ""


def line_chart_file(charts: Sequence[LineChart], label: str, columns: int = 2) -> str:
    """The charts in rows of `columns` as an SVG file, each below its title; `label` says in words what they show."""
    drawn = [chart for chart in charts if any(series.points for series in chart.series)]
    columns = max(min(columns, len(drawn)), 1)
    rows = max(-(-len(drawn) // columns), 1)
    parts = []
    for at, chart in enumerate(drawn):
        left, top = at % columns * _WIDTH, at // columns * (_HEIGHT + _HEADING)
        content = text(_LEFT - 6, 22, chart.title, class_="heading")
        content += element("g", _content(chart, _WIDTH, _HEIGHT), transform=f"translate(0 {_HEADING})")
        parts.append(element("g", content, transform=f"translate({left} {top})"))
    return drawing_file(columns * _WIDTH, rows * (_HEIGHT + _HEADING), "".join(parts), label)


def _content(chart: LineChart, width: float, height: float) -> str:
    lines = [series for series in chart.series if series.points]
    right = width - label_width([series.name for series in lines]) - 12
    x, y = _x_scale(chart, lines, right), _y_scale(chart, lines, height)
    parts = [axes(x, y, chart.x_title, chart.y_title, chart.x_labels or _whole_ticks(x, lines))]
    labels = []
    for at, series in enumerate(lines):
        points = [(x(across), y(value)) for across, value in series.points]
        colour = f"colour-{at % _COLOURS}"
        parts += _line(series, points, [(y(low), y(high)) for low, high in series.band], colour, DASHES[at % 5])
        labels.append(EndLabel(series.name, points[-1], colour))
    return "".join(parts) + end_labels(labels, right + 16, _TOP + 2, height - _BOTTOM - 8)


def _line(
    series: LineSeries, points: Sequence[Point], band: Sequence[Point], colour: str, dash: str | None
) -> Iterator[str]:
    if band:
        lower = [(x, low) for (x, _), (low, _) in zip(points, band)]
        upper = [(x, high) for (x, _), (_, high) in zip(points, band)]
        yield element("path", d=path([*lower, *reversed(upper)]) + "z", class_=f"band {colour}")
    yield element("path", title(series.name), d=path(points), class_=f"line {colour}", stroke_dasharray=dash)
    for at, (x, y) in enumerate(points):
        note = title(series.notes[at]) if series.notes else ""
        yield element("circle", note, cx=float(x), cy=float(y), r=3, class_=f"mark {colour}")


def _x_scale(chart: LineChart, lines: Sequence[LineSeries], right: float) -> Scale:
    values = [x for series in lines for x, _ in series.points] + [x for x, _ in chart.x_labels or ()]
    low, high = min(values), max(values)
    if chart.x_log:
        return Scale(low / 1.1, high * 1.1, _LEFT, right, log=True)
    return Scale(low, high if high > low else low + 1, _LEFT, right)


def _y_scale(chart: LineChart, lines: Sequence[LineSeries], height: float) -> Scale:
    values = [y for series in lines for _, y in series.points]
    values += [end for series in lines for ends in series.band for end in ends]
    values += [end for end in (chart.y_low, chart.y_high) if end is not None]
    scale = fitted(values, height - _BOTTOM, _TOP, chart.y_log)
    low = scale.low if chart.y_low is None else chart.y_low
    high = scale.high if chart.y_high is None else chart.y_high
    return Scale(low, high, scale.start, scale.end, scale.log)


def _whole_ticks(x: Scale, lines: Sequence[LineSeries]) -> list[tuple[float, str]] | None:
    """Ticks at whole numbers where all values are whole, such as epochs; None otherwise."""
    if x.log or not all(float(value).is_integer() for series in lines for value, _ in series.points):
        return None
    return [(tick, f"{tick:,.0f}") for tick in x.ticks() if tick.is_integer()]
