"""The training loop, for every kind of training: Keras's `fit` in stages, resumed from the training log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from hashsearch.embedders.weights import DAMAGE
from hashsearch.errors import TrainingError
from hashsearch.training.log import TrainingLog, damaged
from hashsearch.training.recipes import PRECISIONS

LossFunction = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Stage:
    """Epochs with common settings, up to and including epoch `end`, counted from 1 over all stages.

    `losses` are one function of targets and output, or one for each of the model's named outputs with its `weights`.
    `batches` makes the data for an epoch count that is done already.
    """

    end: int
    losses: LossFunction | Mapping[str, LossFunction]
    batches: Callable[[int], tf.data.Dataset]
    weights: Mapping[str, float] | None = None
    validation: tf.data.Dataset | None = None


def fit(model: tf.keras.Model, optimiser: Any, stages: Sequence[Stage], log: TrainingLog) -> None:
    """Train for all epochs that are left.

    Every stage starts from the weights and the optimizer's state on disk, as a resumed run does.
    """
    if log.rows and not log.ended:
        log.notify(f"resuming after epoch {len(log.rows)}")
    for stage in stages:
        done = len(log.rows)
        if done >= stage.end or log.ended:
            continue
        model.compile(optimizer=optimiser, loss=stage.losses, loss_weights=stage.weights)
        if done:
            _restore(model, log.weights(done))
        batches = stage.batches(done)
        prepare(model, batches)
        model.fit(
            batches,
            validation_data=stage.validation,
            initial_epoch=done,
            epochs=stage.end,
            callbacks=[log, *_tensorboard(log.folder / "tensorboard")],
            shuffle=False,  # batches have their own order
            verbose=0,
        )


def prepare(model: tf.keras.Model, batches: tf.data.Dataset) -> None:
    """Make the variables of losses and optimizer, of a compiled model: `fit` traces a step that makes them twice."""
    model.optimizer.build(model.trainable_variables)
    images, targets = tf.nest.map_structure(
        lambda spec: tf.zeros([size or 1 for size in spec.shape], spec.dtype), batches.element_spec
    )
    model.compute_loss(images, targets, model(images, training=False))


@contextmanager
def averaged(model: tf.keras.Model) -> Iterator[None]:
    """The model with the moving averages of its weights instead of the weights, in a `with` block."""
    values = [variable.value.numpy() for variable in model.trainable_variables]
    model.optimizer.finalize_variable_values(model.trainable_variables)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, values, strict=True):
            variable.assign(value)


@contextmanager
def precision_policy(precision: str) -> Iterator[None]:
    """Make layers with this precision in a `with` block, in half precision on a GPU. TrainingError if unknown."""
    before = tf.keras.config.dtype_policy()
    policy = "mixed_float16" if tf.config.list_physical_devices("GPU") else precision
    try:
        tf.keras.config.set_dtype_policy(policy)
    except ValueError as error:
        raise TrainingError(f"precision must be one of {', '.join(PRECISIONS)}, got '{precision}'") from error
    try:
        yield
    finally:
        tf.keras.config.set_dtype_policy(before)


def load_weights(model: tf.keras.Model, path: Path) -> None:
    """Set the model's weights to those after an epoch; TrainingError if their file is missing or damaged."""
    if not path.is_file():
        raise TrainingError(f"cannot resume: there is no {path}; remove {path.parent} to start again")
    try:
        model.load_weights(path)
    except DAMAGE as error:
        raise damaged(path, error) from error


def _restore(model: tf.keras.Model, path: Path) -> None:
    model.optimizer.build(model.trainable_variables)
    load_weights(model, path)


def _tensorboard(folder: Path) -> list[Any]:
    """A writer of events for TensorBoard, if that is installed."""
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        return []
    return [tf.keras.callbacks.TensorBoard(folder, write_graph=False)]
