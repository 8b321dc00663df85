"""The course of a training: its rows, one an epoch, decide when it is best, when the rate falls and when it ends.

The rows are the log file, so that a run which was killed decides as if it never had been. An epoch counts once it has
its row; the weights that it left, with the optimizer's state, lie in a file of its own by then.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from hashsearch.errors import TrainingError
from hashsearch.training.recipes import Schedule

Row = dict[str, float]
_MIN_GAIN = 1e-4  # that counts as an improvement


def best_epoch(values: Sequence[float], larger: bool) -> int:
    """The place of the best of the values, the first of those that are hardly better."""
    best = 0
    for place, value in enumerate(values):
        if (value - values[best] if larger else values[best] - value) > _MIN_GAIN:
            best = place
    return best


def falls(values: Sequence[float], larger: bool, patience: int) -> int:
    """How often `patience` epochs in a row have gone by without improvement; each time the count begins anew."""
    count = since = 0
    for place in range(1, len(values)):
        improved = best_epoch(values[: place + 1], larger) == place
        since = 0 if improved else since + 1
        if since == patience:
            count, since = count + 1, 0
    return count


def read_rows(path: Path) -> list[Row]:
    """The rows of a log, none if there is no file yet."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Put the log into its place at once."""
    draft = path.with_suffix(".new")
    with draft.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    draft.replace(path)


class TrainingLog(tf.keras.callbacks.Callback):
    """Logs each epoch, keeps the best weights, lowers the learning rate, and ends the training.

    `judge` gives an epoch's further figures. TrainingError when the loss is no longer a number, or when the recipe's
    `monitor` is no figure of an epoch.
    """

    def __init__(
        self,
        schedule: Schedule,
        folder: Path,
        rate: float,
        judge: Callable[[], Row],
        notify: Callable[[str], object],
    ) -> None:
        super().__init__()
        self.schedule = schedule
        self.folder = folder
        self.first_rate = rate
        self.judge = judge
        self.notify = notify
        self.rows = read_rows(folder / "log.csv")

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to do."""
        done = len(self.rows)
        return done >= self.schedule.epochs or (done > 0 and done - 1 - self.best >= self.schedule.patience)

    @property
    def best(self) -> int:
        """The place of the best epoch so far."""
        return best_epoch(self._monitored(), self._larger)

    @property
    def _larger(self) -> bool:
        return "loss" not in self.schedule.monitor

    def weights(self, epoch: int) -> Path:
        """Where the weights are that an epoch (counted from 1) left; those of the best and of the last are kept."""
        return self.folder / f"epoch-{epoch}.weights.h5"

    def _monitored(self) -> list[float]:
        if self.rows and self.schedule.monitor not in self.rows[0]:
            known = ", ".join(self.rows[0])
            raise TrainingError(f"monitor must be one of {known}, got '{self.schedule.monitor}'")
        return [row[self.schedule.monitor] for row in self.rows]

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            epoch = len(self.rows) + 1
            raise TrainingError(
                f"the loss must be a finite number, got {(logs or {})['loss']} in epoch {epoch}, batch {batch + 1}: "
                "try a smaller learning rate"
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        figures = {name: float(value) for name, value in (logs or {}).items()}
        self.rows.append({"epoch": epoch + 1, **figures, **self.judge()})
        self._lower_rate()
        self._keep()
        self.model.stop_training = self.ended
        self.notify("  ".join(f"{name} {value:.4g}" for name, value in self.rows[-1].items()))

    def _keep(self) -> None:
        draft = self.folder / "draft.weights.h5"
        self.model.save_weights(draft, overwrite=True)
        draft.replace(self.weights(len(self.rows)))
        write_rows(self.folder / "log.csv", self.rows)
        wanted = {self.weights(self.best + 1), self.weights(len(self.rows))}
        for path in set(self.folder.glob("epoch-*.weights.h5")) - wanted:
            path.unlink()

    def _lower_rate(self) -> None:
        if self.schedule.reduce_factor:
            times = falls(self._monitored(), self._larger, self.schedule.reduce_patience)
            self.model.optimizer.learning_rate.assign(self.first_rate * self.schedule.reduce_factor**times)
