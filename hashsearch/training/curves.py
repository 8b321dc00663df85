"""Training logs as pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hashsearch.errors import ConfigError
from hashsearch.training.distillation.fitting import LOSSES
from hashsearch.training.log import read_rows

Curves = Mapping[str, Sequence[tuple[float, float]]]


def draw_curves(log: Path, picture: Path) -> None:
    """Draw the losses and the measured figures of a distillation's `log.jsonl` over the epochs, as PNG."""
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    first = rows[0]
    losses = {
        f"{name} (first: {first[name]:.2f})": [(row["epoch"], row[name] / first[name]) for row in rows]
        for name in LOSSES
    }
    names = sorted({name for row in rows for name in row} - {"epoch", "size", "seconds", *LOSSES})
    _draw(picture, "losses, as share of the first epoch's", losses, _of(rows, names))


def draw_log(log: Path, picture: Path) -> None:
    """Draw the losses and the figures of a training's `log.csv` over the epochs, as PNG. Raises ConfigError."""
    rows = read_rows(log)
    names = [name for name in rows[0] if name not in ("epoch", "learning_rate")]
    losses = [name for name in names if "loss" in name]
    _draw(picture, "losses", _of(rows, losses), _of(rows, [name for name in names if name not in losses]))


def _of(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Curves:
    return {name: [(row["epoch"], row[name]) for row in rows if name in row] for name in names}


def require_drawing() -> None:
    """ConfigError unless curves can be drawn: better before a training than after it."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"training curves need matplotlib (the 'report' extra): {error}") from error


def _draw(picture: Path, title: str, losses: Curves, measured: Curves) -> None:
    require_drawing()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    halves = ((title, losses, None), ("validation", measured, 1))
    for axes, (above, curves, top) in zip(figure.subplots(1, 2), halves, strict=True):
        for name, points in curves.items():
            axes.plot(*zip(*points, strict=True), marker=".", label=name)
        axes.set(title=above, xlabel="epoch", ylim=(0, top))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=110, format="png")
