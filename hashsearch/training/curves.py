"""Training logs as charts."""

from __future__ import annotations

from pathlib import Path

from hashsearch.files import atomic_file
from hashsearch.reporting.lines import LineChart, LineSeries, line_chart_file
from hashsearch.training.log import Row, read_rows

_NO_FIGURES = ("epoch", "learning_rate")


def draw_log(log: Path, picture: Path, name: str) -> None:
    """Draw the losses and the other figures of the log of a training over its epochs, as an SVG file."""
    rows = read_rows(log)
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in _NO_FIGURES]
    losses = [name for name in names if "loss" in name]
    charts = [
        LineChart("losses", _series(rows, losses), "epoch", y_low=0),
        LineChart("validation", _series(rows, [name for name in names if name not in losses]), "epoch", y_high=1),
    ]
    with atomic_file(picture, "w", encoding="utf-8") as file:
        file.write(line_chart_file(charts, f"Losses and validation figures of {name} over the epochs"))


def _series(rows: list[Row], names: list[str]) -> list[LineSeries]:
    return [LineSeries(name, [(row["epoch"], row[name]) for row in rows if name in row]) for name in names]
