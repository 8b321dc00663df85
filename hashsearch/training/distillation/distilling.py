"""The whole way from a recipe to shipped weights: photos, views, fitting, and what the result is worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hashsearch.embedders import BIT, Embedder, load
from hashsearch.errors import TrainingError
from hashsearch.evaluation.metrics.ranking import average_precision_at, precision_at, rank_same_class
from hashsearch.images.decoding import decode
from hashsearch.training.distillation.fitting import FitRecipe, Phase, fit
from hashsearch.training.distillation.views import PhotoSet, ViewRecipe, cut_views, read_photo_set
from hashsearch.training.recipes import read_table


@dataclass(frozen=True)
class Recipe:
    """A recipe file: which network, taught by which, from which photos, how."""

    seed: int
    network: str
    teacher: str
    views: ViewRecipe
    fit: FitRecipe
    train: list[dict[str, Any]]
    held_out: list[dict[str, Any]]


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file. Raises TrainingError for one that is not complete or has names of its own."""
    try:
        found = read_table(path)
        phases = [Phase(**phase) for phase in found["fit"].pop("phases")]
        return Recipe(**found | {"views": ViewRecipe(**found["views"]), "fit": FitRecipe(phases, **found["fit"])})
    except (KeyError, TypeError) as error:
        raise TrainingError(f"{path} must be a training recipe: {error!r}") from error


def distil(recipe: Recipe, data: Path, teacher_weights: Path, out: Path) -> dict[str, dict[str, float]]:
    """Train the recipe's network and save it as `out/<network>.npz`; returns `measure` of teacher and student.

    The held-out photos are looked at now and then while it learns, for the log; nothing is chosen by them.
    """
    out.mkdir(parents=True, exist_ok=True)
    teacher = load(recipe.teacher, teacher_weights)
    weights = out / f"{recipe.network}.npz"
    train, held_out = (
        [read_photo_set(data, source) for source in sources] for sources in (recipe.train, recipe.held_out)
    )
    views = cut_views(train, teacher, recipe.views, recipe.seed, out / "views")

    def look(parameters: dict[str, np.ndarray]) -> dict[str, float]:
        save_weights(weights, parameters)
        found = measure(load(recipe.network, weights), held_out)
        return {name: value for name, value in found.items() if name.endswith("AP@10")}

    save_weights(weights, fit(BIT[recipe.network], recipe.fit, views, out, recipe.seed, look))
    embedders = {"teacher": teacher, "student": load(recipe.network, weights)}
    return {role: measure(embedder, held_out) for role, embedder in embedders.items()}


def save_weights(path: Path, parameters: dict[str, np.ndarray]) -> None:
    """Write a checkpoint in half precision: half the size, and no figure changes in its third digit."""
    np.savez(path, **{name: value.astype(np.float16) for name, value in parameters.items()})  # type: ignore[arg-type]


def measure(embedder: Embedder, photo_sets: list[PhotoSet]) -> dict[str, float]:
    """Precision at 1 and average precision at 10, each photo of a set a query against all others of that set."""
    found = {}
    for photos in photo_sets:
        images = [embedder.prepare(decode(path.read_bytes())) for path in photos.paths]
        relevant = rank_same_class(embedder.embed(images), photos.labels, 10)
        found[f"{photos.name} P@1"] = precision_at(relevant, 1)
        found[f"{photos.name} AP@10"] = average_precision_at(relevant, 10)
    return found
