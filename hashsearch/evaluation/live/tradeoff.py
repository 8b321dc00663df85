"""The trials of a tuning, as a table for a terminal and as a chart of recall against time."""

from __future__ import annotations

from collections.abc import Sequence

from hashsearch.evaluation.live.tuning import Trial, Tuning
from hashsearch.reporting.axes import Scale, axes, widened
from hashsearch.reporting.scatter import pareto_front
from hashsearch.reporting.svg import Point, drawing_file, element, kind_class, marker, path, text

# Shapes and colours of the comparisons' charts.
_KINDS = {"scan": "exact", "sub_codes": "codes", "graph": "local"}
_WIDTH, _HEIGHT = 640, 360
_MEASURED = ("recall", "lower", "p50 ms", "p95 ms")


def table(tuning: Tuning) -> str:
    """The trials as lines, by strategy and recall; `*` marks the choice, `now` the current setting."""
    head = ["     strategy  ", f"{'limit':>16}{'candidates':>12}", *(f"{name:>9}" for name in _MEASURED)]
    ordered = sorted(tuning.trials, key=lambda trial: (trial.strategy, trial.recall["value"], trial.p50_ms["value"]))
    lines = [_line("*" if trial is tuning.choice else "", trial) for trial in ordered]
    return "\n".join(["".join(head), _line("now", tuning.now), *lines])


def _line(sign: str, trial: Trial) -> str:
    setting = f"{sign:>4} {trial.strategy:<10}{_limit(trial):>16}{trial.candidates:>12,}"
    recall = f"{trial.recall['value']:>9.4f}{trial.recall['low']:>9.4f}"
    return setting + recall + f"{trial.p50_ms['value']:>9.1f}{trial.p95_ms['value']:>9.1f}"


def _limit(trial: Trial) -> str:
    if trial.compared is not None:
        return f"{trial.compared:,} compared"
    return "" if trial.probes is None else f"{trial.probes} probes"


def draw(tuning: Tuning) -> str:
    """An SVG file: trials by median time (logarithmic) and recall, a line for each strategy, a ring at the choice."""
    trials = [*tuning.trials, tuning.now]
    times = [trial.p50_ms["value"] for trial in trials]
    low, high = widened(min(*(trial.recall["value"] for trial in trials), tuning.target), 1.0)
    x = Scale(min(times) / 1.3, max(times) * 1.3, 52, _WIDTH - 120, log=True)
    y = Scale(low - 0.03 * (high - low), high, _HEIGHT - 42, 26)
    target, now = y(tuning.target), _place(tuning.now, x, y)
    parts = [
        axes(x, y, "median latency of a query, ms (logarithmic)", f"recall@{tuning.k}"),
        element("path", d=path([(x.start, target), (x.end, target)]), class_="target"),
        text(x.end + 6, target + 4, f"target {tuning.target:g}"),
        *(_strategy(tuning.trials, strategy, x, y) for strategy in _KINDS),
        text(now[0] + 8, now[1] + 14, "now"),
        marker("other", *now, 3, note="current setting"),
    ]
    if tuning.choice is not None:
        across, up = _place(tuning.choice, x, y)
        parts.append(element("circle", cx=across, cy=up, r=9, class_="ring"))
    return drawing_file(_WIDTH, _HEIGHT, "".join(parts), f"recall and latency of settings of {tuning.index}")


def _strategy(trials: Sequence[Trial], strategy: str, x: Scale, y: Scale) -> str:
    """A strategy's trials, with a line through its Pareto front that carries its name."""
    own = [trial for trial in trials if trial.strategy == strategy]
    if not own:
        return ""
    kind = _KINDS[strategy]
    front = pareto_front(_place(trial, x, y) for trial in own)
    parts = [element("path", d=path(front), class_=f"line {kind_class(kind)}")]
    for trial in own:
        note = f"{_limit(trial)} {trial.candidates:,} candidates: {trial.recall['value']:.4f}".strip()
        parts.append(marker(kind, *_place(trial, x, y), 4, note))
    parts.append(text(front[-1][0] + 9, front[-1][1] + 4, strategy, class_=f"name {kind_class(kind)}"))
    return "".join(parts)


def _place(trial: Trial, x: Scale, y: Scale) -> Point:
    return x(trial.p50_ms["value"]), y(trial.recall["value"])
