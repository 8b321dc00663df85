"""The training log: best epoch, falling rate, end."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from hashsearch.errors import TrainingError
from hashsearch.training.log import TrainingLog, best_epoch, falls, read_rows, write_rows
from hashsearch.training.optimisers import DECAYS, LearningRate, make_optimiser
from hashsearch.training.recipes import Optimiser, Schedule
from hashsearch.training.trainer import load_weights


def training_log(folder: Path, values: list[float], **options: object) -> TrainingLog:
    if values:
        write_rows(folder / "log.csv", [{"epoch": i + 1, "val_map": value} for i, value in enumerate(values)])
    schedule = Schedule(**{"epochs": 10, "batch": 8, "patience": 2, **options})  # type: ignore[arg-type]  # numbers of two types
    return TrainingLog(schedule, folder, LearningRate(0.1), lambda epoch: {}, print)


def test_the_best_epoch_is_the_first_that_no_other_exceeds_clearly() -> None:
    assert best_epoch([0.5, 0.7, 0.70005, 0.6], larger=True) == 1
    assert best_epoch([0.5, 0.3, 0.4], larger=False) == 1


def test_the_rate_falls_after_each_wait_without_improvement() -> None:
    losses = [1.0, 0.9, 0.95, 0.95, 0.95, 0.95, 0.8, 0.85]
    assert [falls(losses[:n], False, 2) for n in range(1, 9)] == [0, 0, 0, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("values", "ended"),
    [([], False), ([0.5, 0.4], False), ([0.5, 0.4, 0.3], True), ([0.1 * n for n in range(10)], True)],
)
def test_it_ends_without_improvement_or_after_all_epochs(tmp_path: Path, values: list[float], ended: bool) -> None:
    assert training_log(tmp_path, values).ended == ended


def test_a_monitor_that_is_no_figure_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"monitor must be one of epoch, val_map, got 'accuracy'"):
        _ = training_log(tmp_path, [0.5], monitor="accuracy").best


@pytest.mark.parametrize("content", ["epoch,loss\n1,x\n", "epoch,loss\n1,2,3\n", "epoch,loss\n1,\xe9\x00\n"])
def test_a_damaged_log_is_refused_with_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / "log.csv").write_text(content)
    with pytest.raises(TrainingError, match=rf"cannot resume: .*log\.csv is damaged: .*; remove {tmp_path} to start"):
        read_rows(tmp_path / "log.csv")


def test_damaged_weights_are_refused_with_what_to_do(tmp_path: Path) -> None:
    model = tf.keras.Sequential([tf.keras.layers.Input((2,)), tf.keras.layers.Dense(1)])
    path = tmp_path / "epoch-1.weights.h5"
    model.save_weights(path)
    whole = path.read_bytes()
    for damage in (b"", b"no weights", whole[: len(whole) // 2]):
        path.write_bytes(damage)
        with pytest.raises(TrainingError, match=r"epoch-1\.weights\.h5 is damaged: .*to start again"):
            load_weights(model, path)
    path.unlink()
    with pytest.raises(TrainingError, match="cannot resume: there is no"):
        load_weights(model, path)


def test_a_loss_that_is_not_finite_ends_the_training_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="must be a finite number, got nan in epoch 2, batch 4"):
        training_log(tmp_path, [0.5]).on_train_batch_end(3, {"loss": float("nan")})


def test_weights_of_the_best_and_the_last_epoch_are_kept(tmp_path: Path) -> None:
    model = tf.keras.Sequential([tf.keras.layers.Input((2,)), tf.keras.layers.Dense(1)])
    rate = LearningRate(0.1)
    model.compile(tf.keras.optimizers.SGD(rate), "mse")
    values = [0.5, 0.7, 0.6, 0.65]
    schedule = Schedule(4, 8, patience=3, reduce_factor=0.5, reduce_patience=1)
    run = TrainingLog(schedule, tmp_path, rate, lambda epoch: {"val_map": values[epoch - 1]}, print)
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


def test_without_a_monitor_the_last_epoch_is_the_best_and_none_ends_early(tmp_path: Path) -> None:
    log = training_log(tmp_path, [0.5, 0.4, 0.3, 0.2], monitor=None, patience=10)
    assert log.best == 3 and not log.ended


def test_a_row_has_the_figures_measured_in_its_epoch(tmp_path: Path) -> None:
    rows = [{"epoch": 1.0, "loss": 2.0}, {"epoch": 2.0, "loss": 1.0, "val AP@10": 0.0}]
    write_rows(tmp_path / "log.csv", rows)
    assert read_rows(tmp_path / "log.csv") == rows
    assert read_rows(tmp_path / "none.csv") == []


@pytest.mark.parametrize("decay", DECAYS)
def test_a_resumed_training_goes_on_with_the_lowered_rate_of_any_decay(tmp_path: Path, decay: str) -> None:
    optimiser, rate = make_optimiser(Optimiser("sgd", 0.1, decay=decay), photos=40, batch=8, epochs=10)
    first = [float(rate(step)) for step in range(8)]
    write_rows(tmp_path / "log.csv", [{"epoch": epoch, "val_map": 0.5} for epoch in (1.0, 2.0, 3.0, 4.0, 5.0)])
    schedule = Schedule(10, 8, patience=9, reduce_factor=0.5, reduce_patience=2)
    log = TrainingLog(schedule, tmp_path, rate, lambda epoch: {}, print)
    model = tf.keras.Sequential([tf.keras.layers.Input((2,)), tf.keras.layers.Dense(1)])
    model.compile(optimiser, "mse")
    log.set_model(model)
    log.on_train_begin()
    assert [float(rate(step)) for step in range(8)] == pytest.approx([value / 4 for value in first])
