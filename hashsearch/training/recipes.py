"""Recipe files (TOML) to values. A recipe trains from labels, or (with a `teacher`) by distillation.

Names in a recipe are checked when it is read; TensorFlow is not needed for that.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from hashsearch.embedders import BIT, names
from hashsearch.errors import TrainingError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Table = Mapping[str, Any]
Part = TypeVar("Part")

# The names that a recipe can use. The modules that implement them have tables with the same names.
NETWORKS = (*names(), "cnn")
LOSSES = ("softmax", "semi-hard-triplet", "hard-triplet", "contrastive")
OPTIMISERS = ("adam", "adamw", "sgd")
DECAYS = ("constant", "cosine", "bit")
AUGMENTATIONS = ("flip", "rotation", "zoom", "brightness", "contrast", "saturation", "blur", "crop")
PRECISIONS = ("float32", "mixed_bfloat16")
DISTILLATION_LOSSES = ("features", "neighbours", "labels")


@dataclass(frozen=True)
class NetworkRecipe:
    """The network to train: `network` with an optional dense head of `dims`.

    Only the last `trained_layers` layers with weights are trained: all if None, only what follows the network if 0.
    """

    network: str
    input_size: int
    photo_size: int | None = None  # side of the photos that crops of `input_size` are taken from, if larger
    dims: int | None = None
    pretrained: bool = True  # start from pretrained weights, if there are any for the network
    trained_layers: int | None = None
    dropout: float = 0.0  # before the classes


@dataclass(frozen=True)
class Step:
    """One kind of augmentation, applied to each image with probability `p`; `strength` depends on the kind."""

    kind: str
    strength: float = 0.0
    p: float = 1.0


@dataclass(frozen=True)
class Loss:
    """The loss; `margin` and `per_class` (images of a class in a batch) apply to losses over pairs and triplets."""

    name: str
    margin: float = 1.0
    per_class: int = 4
    smoothing: float = 0.0  # of the labels, with "softmax"
    probabilities: bool = False  # with "softmax": also make an embedder of the class probabilities


@dataclass(frozen=True)
class Optimiser:
    """One of Keras's optimizers by name; `decay` is the schedule of the learning rate."""

    name: str
    learning_rate: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    decay: str = "constant"


@dataclass(frozen=True)
class Schedule:
    """How long to train: at most `epochs`, fewer when `monitor` has not improved for `patience` of them.

    The learning rate is multiplied by `reduce_factor` after every `reduce_patience` epochs without improvement.
    Without a `monitor` the last epoch is the best.
    """

    epochs: int
    batch: int
    patience: int = 5
    monitor: str | None = "val_map"
    reduce_factor: float | None = None
    reduce_patience: int = 2
    validation: float = 0.1  # share of the photos of each class
    precision: str = "float32"  # on a CPU; a GPU computes in half precision


@dataclass(frozen=True)
class TrainingRecipe:
    """How to train from labels; `data` is a table as in a comparison's plan: folder, layout and its options."""

    name: str
    seed: int
    data: Table
    model: NetworkRecipe
    loss: Loss
    optimiser: Optimiser
    schedule: Schedule
    augmentation: tuple[Step, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The recipe as JSON stores it."""
        return {**asdict(self), "data": dict(self.data), "augmentation": [asdict(step) for step in self.augmentation]}


@dataclass(frozen=True)
class ViewRecipe:
    """How many views of each photo, the side of the student's, and the least share of the photo that a crop shows."""

    count: int
    size: int
    min_area: float


@dataclass(frozen=True)
class Phase:
    """Epochs with common settings: the side of the network's input, the share of whole photos, the losses' weights."""

    epochs: int
    size: int
    whole: float
    weights: Mapping[str, float]


@dataclass(frozen=True)
class FitRecipe:
    """The `[fit]` table of a distillation: phases, optimizer and losses."""

    phases: tuple[Phase, ...]  # one after the other
    batch: int
    learning_rate: float
    weight_decay: float
    warmup_epochs: int
    average_decay: float  # of the moving average of the weights, which is what is saved
    precision: str  # type of the activations: float32 or bfloat16
    temperature: float  # of the neighbour loss
    label_scale: float
    label_smoothing: float
    measure_every: int  # epochs

    @property
    def epochs(self) -> int:
        """Epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)


@dataclass(frozen=True)
class DistillationRecipe:
    """How to train the network `network` to imitate the embedder `teacher`; `train` and `held_out` are photos."""

    name: str
    seed: int
    network: str
    teacher: str
    views: ViewRecipe
    fit: FitRecipe
    train: tuple[Table, ...]
    held_out: tuple[Table, ...]

    def as_dict(self) -> dict[str, Any]:
        """The recipe as JSON stores it."""
        return asdict(self)


_PARTS = {"model": NetworkRecipe, "loss": Loss, "optimiser": Optimiser, "schedule": Schedule}


def read_table(path: Path) -> dict[str, Any]:
    """The tables of a recipe file, unchecked. Raises TrainingError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"a recipe must be a TOML file, but {path}: {error}") from error


def read_recipe(path: Path) -> TrainingRecipe:
    """The recipe in a file that trains from labels. TrainingError names what is missing, unknown or out of range."""
    tables = read_table(path)
    _check_names(tables, TrainingRecipe, path)
    parts: dict[str, Any] = {
        name: _part(kind, tables.get(name, {}), f"{path} [{name}]") for name, kind in _PARTS.items()
    }
    steps = tuple(
        _part(Step, step, f"{path} [[augmentation]] {number}")
        for number, step in enumerate(tables.get("augmentation", []), 1)
    )
    recipe = TrainingRecipe(path.stem, tables.get("seed", 0), tables.get("data", {}), augmentation=steps, **parts)
    _check(path, recipe)
    return recipe


def read_distillation(path: Path) -> DistillationRecipe:
    """The recipe in a file that has a teacher. TrainingError names what is missing, unknown or out of range."""
    tables = read_table(path)
    _check_names(tables, DistillationRecipe, path)
    fit = dict(tables.get("fit", {}))
    phases = tuple(
        _part(Phase, phase, f"{path} [[fit.phases]] {number}") for number, phase in enumerate(fit.pop("phases", []), 1)
    )
    parts = {
        **tables,
        "views": _part(ViewRecipe, tables.get("views", {}), f"{path} [views]"),
        "fit": _part(FitRecipe, {**fit, "phases": phases}, f"{path} [fit]"),
        **{name: tuple(tables.get(name, ())) for name in ("train", "held_out")},
    }
    recipe = _part(DistillationRecipe, {"name": path.stem, "seed": 0, **parts}, str(path))
    _check_distillation(path, recipe)
    return recipe


def check_name(rule: str, name: str, known: Collection[str]) -> None:
    """Raise TrainingError unless the name is known."""
    if name not in known:
        raise TrainingError(f"{rule} must be one of {', '.join(known)}, got '{name}'")


def _part(kind: type[Part], table: Table, where: str) -> Part:
    try:
        return kind(**table)
    except TypeError as error:
        options = ", ".join(field.name for field in fields(kind))  # type: ignore[arg-type]  # always a dataclass
        raise TrainingError(f"{where} must have some of {options}: {error}") from error


def _check_names(tables: Table, kind: type[TrainingRecipe] | type[DistillationRecipe], path: Path) -> None:
    known = {field.name for field in fields(kind)} - {"name"}
    if unknown := sorted(tables.keys() - known):
        raise TrainingError(f"{path} may hold {', '.join(sorted(known))}, got '{unknown[0]}'")


def _check(path: Path, recipe: TrainingRecipe) -> None:
    schedule, loss, optimiser = recipe.schedule, recipe.loss, recipe.optimiser
    check_name(f"{path}: a network to train", recipe.model.network, NETWORKS)
    check_name(f"{path}: a loss", loss.name, LOSSES)
    check_name(f"{path}: an optimiser", optimiser.name, OPTIMISERS)
    check_name(f"{path}: decay", optimiser.decay, DECAYS)
    check_name(f"{path}: precision", schedule.precision, PRECISIONS)
    for step in recipe.augmentation:
        check_name(f"{path}: an augmentation", step.kind, AUGMENTATIONS)
    rules = {
        "epochs must be at least 1": schedule.epochs >= 1,
        "batch must be at least 2": schedule.batch >= 2,
        "validation must be more than 0 and at most .5": 0 < schedule.validation <= 0.5,
        "per_class must be at least 2 and at most half of batch": 2 <= loss.per_class <= schedule.batch / 2,
        "margin must be more than 0": loss.margin > 0,
    }
    _check_rules(path, rules, asdict(schedule) | asdict(loss))


def _check_distillation(path: Path, recipe: DistillationRecipe) -> None:
    fit, views = recipe.fit, recipe.views
    check_name(f"{path}: network", recipe.network, BIT)
    check_name(f"{path}: precision", fit.precision, ("float32", "bfloat16"))
    for phase in fit.phases:
        if phase.weights.keys() != set(DISTILLATION_LOSSES):
            known, given = ", ".join(DISTILLATION_LOSSES), ", ".join(phase.weights)
            raise TrainingError(f"{path}: the weights of a phase must be those of {known}, got {given}")
    rules = {
        "there must be at least one phase of at least 1 epoch": min([p.epochs for p in fit.phases], default=0) >= 1,
        "batch must be at least 2": fit.batch >= 2,
        "measure_every must be at least 1": fit.measure_every >= 1,
        "warmup_epochs must be 0 to the number of all epochs": 0 <= fit.warmup_epochs <= fit.epochs,
        "average_decay must be at least 0 and less than 1": 0 <= fit.average_decay < 1,
        "count must be at least 2": views.count >= 2,
        "min_area must be more than 0 and at most 1": 0 < views.min_area <= 1,
        "there must be photos to train on": bool(recipe.train),
    }
    _check_rules(path, rules, asdict(fit) | asdict(views))


def _check_rules(path: Path, rules: Mapping[str, bool], values: Table) -> None:
    for rule, holds in rules.items():
        if not holds:
            raise TrainingError(f"{path}: {rule}, got {values}")
