"""The course of a training: best epoch, falling rate, end; the log as what decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from hashsearch.errors import TrainingError
from hashsearch.training.log import TrainingLog, best_epoch, falls, read_rows, write_rows
from hashsearch.training.recipes import Schedule


def course(folder: Path, values: list[float], **options: Any) -> TrainingLog:
    if values:
        write_rows(folder / "log.csv", [{"epoch": i + 1, "val_map": value} for i, value in enumerate(values)])
    schedule = Schedule(**{"epochs": 10, "batch": 8, "patience": 2, **options})
    return TrainingLog(schedule, folder, 0.1, dict, print)


def test_the_best_epoch_is_the_first_that_others_hardly_exceed() -> None:
    assert best_epoch([0.5, 0.7, 0.70005, 0.6], larger=True) == 1
    assert best_epoch([0.5, 0.3, 0.4], larger=False) == 1


def test_the_rate_falls_after_each_wait_in_vain() -> None:
    losses = [1.0, 0.9, 0.95, 0.95, 0.95, 0.95, 0.8, 0.85]
    assert [falls(losses[:n], False, 2) for n in range(1, 9)] == [0, 0, 0, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("values", "ended"),
    [([], False), ([0.5, 0.4], False), ([0.5, 0.4, 0.3], True), ([0.1 * n for n in range(10)], True)],
)
def test_it_ends_without_improvement_or_after_all_epochs(tmp_path: Path, values: list[float], ended: bool) -> None:
    assert course(tmp_path, values).ended == ended


def test_a_figure_that_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"monitor must be one of epoch, val_map, got 'accuracy'"):
        _ = course(tmp_path, [0.5], monitor="accuracy").best


def test_a_loss_that_is_no_number_ends_it_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="must be a finite number, got nan in epoch 2, batch 4"):
        course(tmp_path, [0.5]).on_train_batch_end(3, {"loss": float("nan")})


def test_weights_of_the_best_and_the_last_epoch_are_kept(tmp_path: Path) -> None:
    model = tf.keras.Sequential([tf.keras.layers.Input((2,)), tf.keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    values = iter([0.5, 0.7, 0.6, 0.65])
    run = TrainingLog(
        Schedule(4, 8, patience=3, reduce_factor=0.5, reduce_patience=1),
        tmp_path,
        0.1,
        lambda: {"val_map": next(values)},
        print,
    )
    run.set_model(model)
    for epoch in range(4):
        model.layers[0].bias.assign([float(epoch)])
        run.on_epoch_end(epoch, {"loss": 1.0})
    assert sorted(path.name for path in tmp_path.glob("*.h5")) == ["epoch-2.weights.h5", "epoch-4.weights.h5"]
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1 / 4)
    model.load_weights(run.weights(run.best + 1))
    assert model.layers[0].bias.numpy() == [1.0]
    assert [row["val_map"] for row in read_rows(tmp_path / "log.csv")] == [0.5, 0.7, 0.6, 0.65]
    assert model.stop_training
