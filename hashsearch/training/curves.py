"""A training log as a picture."""

from __future__ import annotations

import json
from pathlib import Path

from hashsearch.errors import ConfigError
from hashsearch.training.fitting import LOSSES


def draw_curves(log: Path, picture: Path) -> None:
    """Draw the losses and the measured figures of a `log.jsonl` over the epochs, as PNG. Raises ConfigError."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(f"training curves need matplotlib (the 'report' extra): {error}") from error
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    figure = Figure(figsize=(10, 4), layout="constrained")
    losses, measured = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    for name in LOSSES:
        values = [row[name] for row in rows]
        losses.plot(epochs, [value / values[0] for value in values], label=f"{name} (first: {values[0]:.2f})")
    for name in sorted({name for row in rows for name in row} - {"epoch", "size", "seconds", *LOSSES}):
        points = [(row["epoch"], row[name]) for row in rows if name in row]
        measured.plot(*zip(*points, strict=True), marker=".", label=name)
    losses.set(title="losses, as share of the first epoch's", xlabel="epoch", ylim=(0, 1))
    measured.set(title="held-out photos", xlabel="epoch", ylim=(0, 1))
    for axes in (losses, measured):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=110, format="png")
