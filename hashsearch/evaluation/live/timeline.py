"""The history of an index as one page: charts over the nights, what got worse, and the nights in a table.

The page needs no server, no script and no other file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hashsearch.evaluation.live.history import History, Night, moment
from hashsearch.files import atomic_file
from hashsearch.reporting.lines import LineChart, LineSeries, line_chart
from hashsearch.reporting.pages import render_page
from hashsearch.reporting.tables import NO_VALUE
from hashsearch.reporting.words import counted

_TEMPLATE = Path(__file__).parent / "templates" / "history.html"
_LISTED = 60  # nights in the table
_COLUMNS = {
    "images": "images",
    "recall@10": "recall@10",
    "precision@1": "precision@1",
    "precision@10": "precision@10",
    "p50 ms": "p50 ms",
    "p95 ms": "p95 ms",
    "rejected share": "rejected",
}
_CHARTS = (
    ("Recall and precision", ("recall@10", "precision@1", "precision@10", "labelled recall@10", "labelled mrr")),
    ("Latency of a search by id, ms", ("p50 ms", "p95 ms")),
    ("Images", ("images",)),
    ("Share of rejected entries in the last indexing run", ("rejected share",)),
)
_PARTS = (
    ("Drift: Fréchet distance of embeddings from a week before", "drift", {"distance": "drift", "noise": "chance"}),
    (
        "Probes: the searches of a week before, repeated",
        "probes",
        {"same_hits": "hits still found", "gone": "probes deleted", "changed": "embeddings changed"},
    ),
)


def keep(history: History) -> Path:
    """The path of the history's page, written anew beside it."""
    page = history.path.with_suffix(".html")
    with atomic_file(page, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(draw(history.nights))
    return page


def draw(nights: Sequence[Night]) -> str:
    """The page, as HTML, of one night or more, oldest first."""
    last = nights[-1]
    charts = [_chart(title, [_figure(nights, name) for name in names]) for title, names in _CHARTS]
    charts += [
        _chart(title, [_number(nights, part, name, words) for name, words in names.items()])
        for title, part, names in _PARTS
    ]
    return render_page(
        _TEMPLATE,
        title=f"{last['index']}: {counted(len(nights), 'night')}",
        last=last,
        charts=[(chart.title, drawn) for chart in charts if (drawn := line_chart(chart))],
        columns=list(_COLUMNS.values()),
        nights=[(night, [_cell(night, name) for name in _COLUMNS]) for night in reversed(nights[-_LISTED:])],
        left_out=max(len(nights) - _LISTED, 0),
    )


def _chart(title: str, series: Sequence[LineSeries]) -> LineChart:
    """A chart over time; its x axis has the dates of the first and the last point."""
    times = [x for line in series for x, _ in line.points]
    dates = [(time, _date(time)) for time in sorted({min(times), max(times)})] if times else None
    return LineChart(title, series, x_labels=dates)


def _date(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, timezone.utc).date().isoformat()


def _figure(nights: Sequence[Night], name: str) -> LineSeries:
    """A figure with its intervals, of the nights that have it."""
    measured = [(night, night["figures"][name]) for night in nights if name in night["figures"]]
    return LineSeries(
        name,
        [(moment(night).timestamp(), figure["value"]) for night, figure in measured],
        [(figure["low"], figure["high"]) for _, figure in measured],
        [f"{night['at'][:10]} {name} {_with_interval(figure)}" for night, figure in measured],
    )


def _with_interval(figure: Mapping[str, Any]) -> str:
    return f"{figure['value']:.4g} ({figure['low']:.4g} to {figure['high']:.4g})"


def _number(nights: Sequence[Night], part: str, name: str, words: str) -> LineSeries:
    """A number in a part of the nights that may be missing."""
    having = [night for night in nights if night.get(part) and math.isfinite(night[part][name])]
    return LineSeries(
        words,
        [(moment(night).timestamp(), night[part][name]) for night in having],
        notes=[f"{night['at'][:10]} {words} {night[part][name]:.4g}" for night in having],
    )


def _cell(night: Night, name: str) -> str:
    figure = night["figures"].get(name)
    if figure is None:
        return NO_VALUE
    return f"{figure['value']:,.0f}" if name == "images" else f"{figure['value']:,.4g}"
