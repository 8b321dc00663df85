"""What tuning measured, as a table for a terminal and as a drawing: recall against time, a line for each strategy."""

from __future__ import annotations

from hashsearch.evaluation.live.tuning import Trial, Tuning
from hashsearch.reporting.svg import Scale, axes, drawing, element, kind_class, marker, path, text, widened

# Shapes and colours of the comparisons' charts.
_KINDS = {"scan": "exact", "sub_codes": "codes", "graph": "local"}
_WIDE, _HIGH = 640, 360
_MEASURED = ("recall", "surely", "p50 ms", "p95 ms")
_STYLE = """
svg { font: 12px system-ui, sans-serif; background: #fff; color: #1d2126 }
text { fill: currentColor } .tick { font-size: 11px; fill: #68717b } .end { text-anchor: end }
.middle { text-anchor: middle } .grid { stroke: #d5dae0 } .axis { stroke: #68717b }
.line { fill: none; stroke: currentColor; stroke-width: 1.5 } .mark { fill: currentColor }
.target { stroke: #68717b; stroke-dasharray: 5 4 } .ring { fill: none; stroke: #1d2126; stroke-width: 1.5 }
.kind-codes { color: #1f6feb } .kind-exact { color: #68717b } .kind-local { color: #c2410c }
"""


def table(tuning: Tuning) -> str:
    """Lines of what was tried, by strategy and recall; `*` is the choice, `now` how the index is searched so far."""
    head = ["     strategy  ", f"{'limit':>16}{'candidates':>12}", *(f"{name:>9}" for name in _MEASURED)]
    tried = sorted(tuning.trials, key=lambda one: (one.strategy, one.recall["value"], one.p50_ms["value"]))
    chosen = [_line("*" if trial is tuning.choice else "", trial) for trial in tried]
    return "\n".join(["".join(head), _line("now", tuning.now), *chosen])


def _line(sign: str, trial: Trial) -> str:
    told = f"{sign:>4} {trial.strategy:<10}{_limit(trial):>16}{trial.candidates:>12,}"
    told += f"{trial.recall['value']:>9.4f}{trial.recall['low']:>9.4f}"
    return told + f"{trial.p50_ms['value']:>9.1f}{trial.p95_ms['value']:>9.1f}"


def _limit(trial: Trial) -> str:
    if trial.compared is not None:
        return f"{trial.compared:,} compared"
    return "" if trial.probes is None else f"{trial.probes} probes"


def draw(tuning: Tuning) -> str:
    """An SVG file: each strategy's trials by median time (logarithmic) and recall, the target, a ring at the choice."""
    trials = [*tuning.trials, tuning.now]
    times = [trial.p50_ms["value"] for trial in trials]
    low, high = widened(min(*(trial.recall["value"] for trial in trials), tuning.target), 1.0)
    x = Scale(min(times) / 1.3, max(times) * 1.3, 52, _WIDE - 120, log=True)
    y = Scale(low - 0.03 * (high - low), high, _HIGH - 42, 26)
    aim = [(x.start, y(tuning.target)), (x.end, y(tuning.target))]
    parts = [
        element("style", _STYLE),
        axes(x, y, "median time of a query, ms (logarithmic)", f"recall@{tuning.k}"),
        element("path", d=path(aim), class_="target"),
        text(x.end + 6, y(tuning.target) + 4, f"target {tuning.target:g}"),
        *(_drawn(tuning, strategy, x, y) for strategy in _KINDS),
        text(x(tuning.now.p50_ms["value"]) + 8, y(tuning.now.recall["value"]) + 14, "now"),
        marker("other", x(tuning.now.p50_ms["value"]), y(tuning.now.recall["value"]), 3, note="as it is searched now"),
    ]
    if tuning.choice is not None:
        place = x(tuning.choice.p50_ms["value"]), y(tuning.choice.recall["value"])
        parts.append(element("circle", cx=place[0], cy=place[1], r=9, class_="ring"))
    picture = drawing(_WIDE, _HIGH, "".join(parts), f"recall against time of settings of {tuning.index}")
    return picture.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def _drawn(tuning: Tuning, strategy: str, x: Scale, y: Scale) -> str:
    """A strategy's points, and a line through those that no other of them beats in both, with its name at the end."""
    own = [trial for trial in tuning.trials if trial.strategy == strategy]
    if not own:
        return ""
    kind, front = _KINDS[strategy], _front(own)
    points = [(x(trial.p50_ms["value"]), y(trial.recall["value"])) for trial in front]
    parts = [element("path", d=path(points), class_=f"line {kind_class(kind)}")]
    for trial in own:
        note = f"{_limit(trial)} {trial.candidates:,} candidates: {trial.recall['value']:.4f}".strip()
        parts.append(marker(kind, x(trial.p50_ms["value"]), y(trial.recall["value"]), 4, note))
    parts.append(text(points[-1][0] + 9, points[-1][1] + 4, strategy, class_=kind_class(kind)))
    return "".join(parts)


def _front(trials: list[Trial]) -> list[Trial]:
    """The trials that no other beats in both time and recall, quickest first."""
    front: list[Trial] = []
    for trial in sorted(trials, key=lambda trial: trial.p50_ms["value"]):
        if not front or trial.recall["value"] > front[-1].recall["value"]:
            front.append(trial)
    return front
