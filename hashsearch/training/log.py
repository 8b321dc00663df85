"""The log of a training, a row for each epoch: it decides which is best, when the rate falls, and when to end.

The rows are read from the log file, so that a resumed run decides as if it had not been killed. An epoch counts once
it has its row; its weights, with the optimizer's state, are in a file of their own by then.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from hashsearch.embedders.weights import first_line
from hashsearch.errors import TrainingError
from hashsearch.files import atomic_file, atomic_path
from hashsearch.training.optimisers import LearningRate
from hashsearch.training.recipes import Schedule

Row = dict[str, float]
_MIN_GAIN = 1e-4  # least improvement that counts


def best_epoch(values: Sequence[float], larger: bool) -> int:
    """The index of the best value, where a value must improve on an earlier one by at least 1e-4."""
    best = 0
    for place, value in enumerate(values):
        if (value - values[best] if larger else values[best] - value) > _MIN_GAIN:
            best = place
    return best


def falls(values: Sequence[float], larger: bool, patience: int) -> int:
    """How often there were `patience` epochs in a row without improvement; the count starts anew each time."""
    count = since = 0
    for place in range(1, len(values)):
        improved = best_epoch(values[: place + 1], larger) == place
        since = 0 if improved else since + 1
        if since == patience:
            count, since = count + 1, 0
    return count


def read_rows(path: Path) -> list[Row]:
    """The rows of a log, each with the figures that were measured in its epoch; empty without a file.

    TrainingError for a damaged file.
    """
    if not path.exists():
        return []
    try:
        with path.open(newline="") as file:
            return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    except (ValueError, TypeError, csv.Error) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> TrainingError:
    """The error for a damaged file of a work folder."""
    return TrainingError(f"cannot resume: {path} is damaged: {first_line(error)}; remove {path.parent} to start again")


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Replace the log; figures that an epoch lacks are left empty."""
    names = dict.fromkeys(name for row in rows for name in row)
    with atomic_file(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(names))
        writer.writeheader()
        writer.writerows(rows)


class TrainingLog(tf.keras.callbacks.Callback):
    """Logs every epoch, keeps the weights of the best and the last one, lowers the learning rate, ends the training.

    `measure` returns further figures of an epoch, counted from 1. TrainingError when the loss is not finite, or when
    the recipe's `monitor` is no figure of an epoch.
    """

    def __init__(
        self,
        schedule: Schedule,
        folder: Path,
        rate: LearningRate,
        measure: Callable[[int], Row],
        notify: Callable[[str], object],
    ) -> None:
        super().__init__()
        self.schedule = schedule
        self.folder = folder
        self.rate = rate
        self.measure = measure
        self.notify = notify
        self.rows = read_rows(folder / "log.csv")

    @property
    def ended(self) -> bool:
        """Whether no epoch is left."""
        done = len(self.rows)
        return done >= self.schedule.epochs or (done > 0 and done - 1 - self.best >= self.schedule.patience)

    @property
    def best(self) -> int:
        """The index of the best epoch so far, of the last one without a monitor."""
        return best_epoch(self._monitored(), self._larger) if self.schedule.monitor else len(self.rows) - 1

    @property
    def _larger(self) -> bool:
        return "loss" not in (self.schedule.monitor or "")

    def weights(self, epoch: int) -> Path:
        """The file of the weights after an epoch, counted from 1; those of the best and the last one are kept."""
        return self.folder / f"epoch-{epoch}.weights.h5"

    def _monitored(self) -> list[float]:
        monitor = self.schedule.monitor
        if monitor is None:
            return []
        if self.rows and monitor not in self.rows[0]:
            raise TrainingError(f"monitor must be one of {', '.join(self.rows[0])}, got '{monitor}'")
        return [row[monitor] for row in self.rows]

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._lower_rate()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            epoch = len(self.rows) + 1
            raise TrainingError(
                f"the loss must be a finite number, got {(logs or {})['loss']} in epoch {epoch}, batch {batch + 1}: "
                "try a smaller learning rate"
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        figures = {name: float(value) for name, value in (logs or {}).items()}
        self.rows.append({"epoch": epoch + 1, **figures, **self.measure(epoch + 1)})
        self._lower_rate()
        self._save()
        self.model.stop_training = self.ended
        self.notify("  ".join(f"{name} {value:.4g}" for name, value in self.rows[-1].items()))

    def _save(self) -> None:
        with atomic_path(self.weights(len(self.rows))) as draft:
            self.model.save_weights(draft, overwrite=True)
        write_rows(self.folder / "log.csv", self.rows)
        kept = {self.weights(self.best + 1), self.weights(len(self.rows))}
        for path in set(self.folder.glob("epoch-*.weights.h5")) - kept:
            path.unlink()

    def _lower_rate(self) -> None:
        if self.schedule.reduce_factor:
            times = falls(self._monitored(), self._larger, self.schedule.reduce_patience)
            self.rate.factor.assign(self.schedule.reduce_factor**times)
