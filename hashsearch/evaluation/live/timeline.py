"""The history of an index as one page: plots of the nights, what got worse, and the nights in a table.

The page needs no server, no script and no other file; it is light or dark as the reader's system is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from hashsearch.evaluation.live.history import History, Night, moment

_WIDE, _HIGH = 680, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 10, 24
_TOLD = 60  # nights in the table


@dataclass(frozen=True)
class Point:
    """A night's place in a plot: seconds, value and interval."""

    at: float
    value: float
    low: float
    high: float
    told: str


Series = tuple[str, list[Point]]

_PLOTS = (
    ("Recall and precision", ("recall@10", "precision@1", "precision@10", "labelled recall@10", "labelled mrr")),
    ("Time of a search by id, ms", ("p50 ms", "p95 ms")),
    ("Images", ("images",)),
    ("Share of rejected entries in the last indexing run", ("rejected share",)),
)


def keep(history: History) -> Path:
    """The path of the history's page, written anew beside it."""
    page = history.path.with_suffix(".html")
    draft = page.with_suffix(".new")
    draft.write_text(draw(history.nights), encoding="utf-8")
    draft.replace(page)
    return page


def draw(nights: Sequence[Night]) -> str:
    """The page, as HTML, of one night or more, oldest first."""
    last = nights[-1]
    plots = [(title, [series for name in names if (series := _figure(nights, name))[1]]) for title, names in _PLOTS]
    plots.append(("Drift: Fréchet distance of embeddings to a week before", _parts(nights, "drift", _DRIFT)))
    plots.append(("Probes: the same searches as a week before", _parts(nights, "probes", _PROBES)))
    drawn = "".join(f"<h2>{escape(title)}</h2>{_plot(series)}" for title, series in plots if series)
    return _PAGE.format(
        title=escape(f"{last['index']}: {len(nights)} nights"),
        state="bad" if last["worse"] else "good",
        summary=escape(last["summary"]),
        plots=drawn,
        rows="".join(_row(night) for night in reversed(nights[-_TOLD:])),
        categories=_categories(last),
    )


_DRIFT = {"distance": "distance", "noise": "chance makes up to"}
_PROBES = {"same_hits": "former hits that are hits still", "gone": "probes gone", "changed": "embeddings changed"}


def _figure(nights: Sequence[Night], name: str) -> Series:
    return name, [
        Point(moment(night).timestamp(), figure["value"], figure["low"], figure["high"], _told(night, name, figure))
        for night in nights
        if (figure := night["figures"].get(name))
    ]


def _told(night: Night, name: str, figure: dict[str, float]) -> str:
    return f"{night['at'][:10]} {name} {figure['value']:.4g} ({figure['low']:.4g} to {figure['high']:.4g})"


def _parts(nights: Sequence[Night], part: str, names: dict[str, str]) -> list[Series]:
    """Series of the numbers in a part of the nights that may be missing."""
    having = [night for night in nights if night.get(part)]
    series = []
    for name, words in names.items():
        values = [(night, night[part][name]) for night in having if math.isfinite(night[part][name])]
        points = [
            Point(moment(night).timestamp(), value, value, value, f"{night['at'][:10]} {words} {value:.4g}")
            for night, value in values
        ]
        if points:
            series.append((words, points))
    return series


def _plot(series: Sequence[Series]) -> str:
    """An SVG of lines with their intervals as bands, and its legend."""
    points = [point for _, line in series for point in line]
    ticks = _ticks(min(point.low for point in points), max(point.high for point in points))
    first, last = min(point.at for point in points), max(point.at for point in points)

    def x(at: float) -> float:
        return _LEFT + (at - first) / ((last - first) or 1) * (_WIDE - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HIGH - _BOTTOM - (value - ticks[0]) / (ticks[-1] - ticks[0]) * (_HIGH - _TOP - _BOTTOM)

    drawn = [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDE - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:,.6g}</text>'
        for tick in ticks
    ]
    ends = [min(points, key=lambda point: point.at), max(points, key=lambda point: point.at)]
    for end, anchor in zip(ends[: 1 + (last > first)], ("start", "end")):
        drawn.append(f'<text x="{x(end.at):.1f}" y="{_HIGH - 6}" text-anchor="{anchor}">{end.told[:10]}</text>')
    for number, (_, line) in enumerate(series):
        upper = [f"{x(point.at):.1f},{y(point.high):.1f}" for point in line]
        lower = [f"{x(point.at):.1f},{y(point.low):.1f}" for point in reversed(line)]
        middle = [f"{x(point.at):.1f},{y(point.value):.1f}" for point in line]
        drawn.append(f'<polygon class="s{number}" points="{" ".join(upper + lower)}"/>')
        drawn.append(f'<polyline class="s{number}" points="{" ".join(middle)}"/>')
        drawn += [
            f'<circle class="s{number}" cx="{x(point.at):.1f}" cy="{y(point.value):.1f}" r="3">'
            f"<title>{escape(point.told)}</title></circle>"
            for point in line
        ]
    legend = "".join(f'<span class="s{number}">{escape(name)}</span>' for number, (name, _) in enumerate(series))
    return f'<svg viewBox="0 0 {_WIDE} {_HIGH}" role="img">{"".join(drawn)}</svg><p class="legend">{legend}</p>'


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, three to seven, from below the lowest value to above the highest."""
    if high <= low:
        low, high = low - abs(low) * 0.1 - 1e-3, high + abs(high) * 0.1 + 1e-3
    rough = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    return [step * place for place in range(math.floor(low / step), math.ceil(high / step) + 1)]


def _row(night: Night) -> str:
    cells = [night["at"][:16].replace("T", " "), *(_cell(night, name) for name in _COLUMNS)]
    told = "; ".join(night["worse"]) or "-"
    notes = "".join(f"<br><small>{escape(note)}</small>" for note in night["notes"])
    row = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr class="{"bad" if night["worse"] else ""}">{row}<td class="words">{escape(told)}{notes}</td></tr>'


_COLUMNS = ("images", "recall@10", "precision@1", "precision@10", "p50 ms", "p95 ms", "rejected share")


def _cell(night: Night, name: str) -> str:
    figure = night["figures"].get(name)
    return f"{figure['value']:,.4g}" if figure and name != "images" else f"{figure['value']:,.0f}" if figure else "-"


def _categories(night: Night) -> str:
    if not night.get("by_category"):
        return ""
    rows = "".join(
        f"<tr><td class=words>{escape(name)}</td><td>{told['queries']}</td><td>{told['precision@1']:.3f}</td>"
        f"<td>{told['precision@10']:.3f}</td></tr>"
        for name, told in night["by_category"].items()
    )
    head = "<tr><th class=words>category</th><th>queries</th><th>precision@1</th><th>precision@10</th></tr>"
    return f"<h2>Last night by category</h2><table>{head}{rows}</table>"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ink: #1d2126; --paper: #fff; --line: #d5dae0; --pale: #68717b;
  --s0: #1f6feb; --s1: #c2410c; --s2: #15803d; --s3: #9333ea; --s4: #a16207; --good: #15803d; --bad: #c81e1e; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e6e9ed; --paper: #14171b; --line: #343a42; --pale: #98a2ad;
  --s0: #6ea8fe; --s1: #fb923c; --s2: #4ade80; --s3: #c084fc; --s4: #facc15; --good: #4ade80; --bad: #f87171; }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; }} h2 {{ font-size: 1.05rem; margin: 1.6rem 0 .3rem; }}
.summary {{ border-left: 4px solid var(--good); padding: .3rem .8rem; }} .summary.bad {{ border-color: var(--bad); }}
svg {{ width: 100%; max-width: 46rem; display: block; break-inside: avoid; }}
svg text {{ font-size: 11px; fill: var(--pale); }} .grid {{ stroke: var(--line); }}
.s0 {{ --own: var(--s0); }} .s1 {{ --own: var(--s1); }} .s2 {{ --own: var(--s2); }}
.s3 {{ --own: var(--s3); }} .s4 {{ --own: var(--s4); }}
polyline {{ fill: none; stroke: var(--own); stroke-width: 2; }} circle {{ fill: var(--own); }}
polygon {{ fill: var(--own); opacity: .18; }} .legend span::before {{ content: "● "; color: var(--own); }}
.legend {{ margin: 0; }} .legend span {{ margin-right: 1.2rem; }}
.scroll {{ overflow-x: auto; }} table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top; }}
.words {{ text-align: left; }} tr.bad td.words {{ color: var(--bad); }} small {{ color: var(--pale); }}
</style></head><body>
<h1>{title}</h1>
<p class="summary {state}">{summary}</p>
{plots}
{categories}
<h2>Nights</h2>
<div class="scroll"><table><tr><th>at (UTC)</th><th>images</th><th>recall@10</th><th>precision@1</th>
<th>precision@10</th><th>p50 ms</th><th>p95 ms</th><th>rejected</th>
<th class="words">worse than a week before, and notes</th></tr>
{rows}</table></div>
<p><small>Bands are 95 % intervals. Recall is against exact cosine over all stored re-rank vectors. Something is worse
when it changed by more than a little and the intervals of the two nights do not overlap.</small></p>
</body></html>
"""
