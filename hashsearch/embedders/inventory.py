"""What can embed here: every embedder by name, its size, and where its weights are or which file is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashsearch.embedders import BIT, SAVED, own_weights, trained_names
from hashsearch.embedders.trained import read_trained
from hashsearch.embedders.zoo import APPLICATIONS, remedy
from hashsearch.errors import EmbedderError, WeightsNotFound


@dataclass(frozen=True)
class Item:
    """One embedder; `dims` and `input_size` are None where only its weights tell.

    `ready` is whether it runs without weights being named, `weights` where they are or what is missing. Of a trained
    one: the folder of its recipe's photos, the figure that its training watched, as "val_map 0.912", and all metrics.
    """

    name: str
    dims: int | None
    input_size: int | None
    ready: bool
    weights: str
    data: str | None = None
    watched: str | None = None
    metrics: dict[str, Any] | None = None


def inventory(trained: Path) -> list[Item]:
    """All embedders with a name here, the trained ones in the folder `trained` last."""
    return [
        *(_bit(name) for name in BIT),
        *(_saved(name) for name in SAVED),
        *(_application(name) for name in APPLICATIONS),
        *(_trained(name, trained) for name in trained_names(trained)),
    ]


def _bit(name: str) -> Item:
    net = BIT[name]
    if name == "bit-tiny":
        return Item(name, net.dims, net.input_size, True, "bundled")
    kind, size = name.split("-")[1:]
    missing = f"--weights BiT-{kind.upper()}-{size.capitalize()}.npz, its SavedModel folder or TensorFlow Hub address"
    return Item(name, net.dims, net.input_size, False, missing)


def _saved(name: str) -> Item:
    return Item(name, None, SAVED[name].input_size, False, "--weights FILE.keras or its SavedModel folder")


def _application(name: str) -> Item:
    net = APPLICATIONS[name]
    try:
        ready, weights = True, str(own_weights(name))
    except WeightsNotFound:
        ready, weights = False, f"Keras fetches them when first used; or {remedy(net)}"
    except EmbedderError as error:
        ready, weights = False, str(error)
    return Item(name, net.dims, net.preprocessing.input_size, ready, weights)


def _trained(name: str, trained: Path) -> Item:
    try:
        found = read_trained(trained / name)
    except EmbedderError as error:
        return Item(name, None, None, False, str(error))
    size, data = found.preprocessing.input_size, _entry(found.recipe, "data", "folder")
    monitor = _entry(found.recipe, "schedule", "monitor")
    figure = _entry(found.metrics, "best", monitor)
    watched = f"{monitor} {figure:.3f}" if isinstance(figure, (int, float)) else None
    return Item(name, found.dims, size, True, str(found.network), data, watched, dict(found.metrics))


def _entry(tables: Mapping[str, Any], table: str, name: str | None) -> Any:
    """What a table of a manifest says; None where it says nothing, for what tables hold is up to training."""
    return tables[table].get(name) if isinstance(tables.get(table), dict) else None
