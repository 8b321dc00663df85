"""All embedders by name, with their sizes, and where their weights are or which file is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashsearch.embedders import BIT, LITE, SAVED, own_weights, published, trained_names
from hashsearch.embedders.trained import read_trained
from hashsearch.embedders.zoo import APPLICATIONS
from hashsearch.errors import EmbedderError, WeightsNotFound


@dataclass(frozen=True)
class InventoryItem:
    """One embedder; `dims` and `input_size` are None if only its weights tell.

    `ready` means that it can be used without `--weights`; `weights` is where they are, or what is missing. A trained
    one also has the folder of its recipe's photos, the figure that its training monitored, as "val_map 0.912", and all
    metrics.
    """

    name: str
    dims: int | None
    input_size: int | None
    ready: bool
    weights: str
    data: str | None = None
    watched: str | None = None
    metrics: dict[str, Any] | None = None


def inventory(trained: Path, fetched: Path | None = None) -> list[InventoryItem]:
    """All embedders with a name; the trained ones, in the folder `trained`, come last.

    `fetched` is the folder of downloaded weights.
    """
    return [
        *(_lite(name) for name in LITE),
        *(_bit(name, fetched) for name in BIT),
        *(_saved(name) for name in SAVED),
        *(_application(name) for name in APPLICATIONS),
        *(_trained(name, trained) for name in trained_names(trained)),
    ]


def _lite(name: str) -> InventoryItem:
    net = LITE[name]
    try:
        own_weights(name)
    except WeightsNotFound as error:
        return InventoryItem(name, net.dims, net.input_size, False, str(error))
    return InventoryItem(name, net.dims, net.input_size, True, "installed")


def _bit(name: str, fetched: Path | None) -> InventoryItem:
    net = BIT[name]
    if name == "bit-tiny":
        return InventoryItem(name, net.dims, net.input_size, True, "bundled")
    missing = (
        f"hashsearch embedders fetch {name}; or --weights {published.FILES[name].name}, its SavedModel folder or "
        "TensorFlow Hub address"
    )
    return _published(name, net.dims, net.input_size, missing, fetched)


def _saved(name: str) -> InventoryItem:
    return InventoryItem(name, None, SAVED[name].input_size, False, "--weights FILE.keras or its SavedModel folder")


def _application(name: str) -> InventoryItem:
    net = APPLICATIONS[name]
    missing = f"hashsearch embedders fetch {name}; or {published.by_hand(name, None)}"
    return _published(name, net.dims, net.preprocessing.input_size, missing)


def _published(name: str, dims: int, size: int, missing: str, fetched: Path | None = None) -> InventoryItem:
    try:
        ready, weights = True, str(own_weights(name, fetched))
    except WeightsNotFound:
        ready, weights = False, missing
    except EmbedderError as error:
        ready, weights = False, str(error)
    return InventoryItem(name, dims, size, ready, weights)


def _trained(name: str, trained: Path) -> InventoryItem:
    try:
        embedder = read_trained(trained / name)
    except EmbedderError as error:
        return InventoryItem(name, None, None, False, str(error))
    size, data = embedder.preprocessing.input_size, _entry(embedder.recipe, "data", "folder")
    monitor = _entry(embedder.recipe, "schedule", "monitor")
    figure = _entry(embedder.metrics, "best", monitor)
    watched = f"{monitor} {figure:.3f}" if isinstance(figure, (int, float)) else None
    return InventoryItem(name, embedder.dims, size, True, str(embedder.network), data, watched, dict(embedder.metrics))


def _entry(tables: Mapping[str, Any], table: str, name: str | None) -> Any:
    """An entry of a table of a manifest, None without one: training may write any table."""
    return tables[table].get(name) if isinstance(tables.get(table), dict) else None
