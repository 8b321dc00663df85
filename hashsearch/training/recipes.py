"""Recipe files (TOML) to values: data, model, augmentation, loss, optimiser, schedule; every name in them is known."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from hashsearch.errors import TrainingError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Table = Mapping[str, Any]
Part = TypeVar("Part")


@dataclass(frozen=True)
class Model:
    """The network that learns: `network` with an optional dense head of `dims`.

    `trained_layers` are the network's last layers with weights that learn: None all, 0 only what stands behind it.
    """

    network: str
    input_size: int
    photo_size: int | None = None  # the side of the photos that a crop of `input_size` is taken of, if larger
    dims: int | None = None
    pretrained: bool = True  # with weights to begin with, where there are any for the network
    trained_layers: int | None = None
    dropout: float = 0.0  # before the classes


@dataclass(frozen=True)
class Step:
    """One kind of augmentation, done to each image with probability `p`; what `strength` means depends on the kind."""

    kind: str
    strength: float = 0.0
    p: float = 1.0


@dataclass(frozen=True)
class Loss:
    """What is made small; `margin` and `per_class` (images of a class in a batch) of losses over pairs and triplets."""

    name: str
    margin: float = 1.0
    per_class: int = 4
    smoothing: float = 0.0  # of the labels, with "softmax"
    probabilities: bool = False  # with "softmax": also make an embedder of the class probabilities


@dataclass(frozen=True)
class Optimiser:
    """One of Keras's optimizers by name; `decay` is what becomes of the learning rate."""

    name: str
    learning_rate: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    decay: str = "constant"


@dataclass(frozen=True)
class Schedule:
    """How long: at most `epochs`, fewer when `monitor` has not improved for `patience` of them.

    `reduce_factor` is what the learning rate is multiplied with after `reduce_patience` epochs without improvement.
    """

    epochs: int
    batch: int
    patience: int = 5
    monitor: str = "val_map"
    reduce_factor: float | None = None
    reduce_patience: int = 2
    validation: float = 0.1  # share of the photos of each class
    precision: str = "float32"  # on a processor; a GPU computes in half precision


@dataclass(frozen=True)
class Recipe:
    """All of a recipe file; `data` is a table as in a comparison's plan: folder, layout and its options."""

    name: str
    seed: int
    data: Table
    model: Model
    loss: Loss
    optimiser: Optimiser
    schedule: Schedule
    augmentation: tuple[Step, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The recipe as JSON holds it."""
        return {**asdict(self), "data": dict(self.data), "augmentation": [asdict(step) for step in self.augmentation]}


_PARTS = {"model": Model, "loss": Loss, "optimiser": Optimiser, "schedule": Schedule}


def read_table(path: Path) -> dict[str, Any]:
    """The tables of a recipe file as they are. Raises TrainingError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"a recipe must be a TOML file, but {path}: {error}") from error


def read_recipe(path: Path) -> Recipe:
    """The recipe in a file. TrainingError names the table that lacks something, or has names of its own."""
    found = read_table(path)
    known = {field.name for field in fields(Recipe)} - {"name"}
    if unknown := sorted(found.keys() - known):
        raise TrainingError(f"{path} may hold {', '.join(sorted(known))}, got '{unknown[0]}'")
    parts: dict[str, Any] = {
        name: _part(kind, found.get(name, {}), f"{path} [{name}]") for name, kind in _PARTS.items()
    }
    steps = tuple(
        _part(Step, step, f"{path} [[augmentation]] {number}")
        for number, step in enumerate(found.get("augmentation", []), 1)
    )
    _check(parts["schedule"], parts["loss"], path)
    return Recipe(path.stem, found.get("seed", 0), found.get("data", {}), augmentation=steps, **parts)


def _part(kind: type[Part], table: Table, where: str) -> Part:
    try:
        return kind(**table)
    except TypeError as error:
        names = ", ".join(field.name for field in fields(kind))  # type: ignore[arg-type]
        raise TrainingError(f"{where} must have some of {names}: {error}") from error


def _check(schedule: Schedule, loss: Loss, path: Path) -> None:
    rules = {
        "epochs must be at least 1": schedule.epochs >= 1,
        "batch must be at least 2": schedule.batch >= 2,
        "validation must be more than 0 and at most .5": 0 < schedule.validation <= 0.5,
        "per_class must be at least 2 and at most half of batch": 2 <= loss.per_class <= schedule.batch / 2,
        "margin must be more than 0": loss.margin > 0,
    }
    for rule, holds in rules.items():
        if not holds:
            raise TrainingError(f"{path}: {rule}, got {asdict(schedule) | asdict(loss)}")
