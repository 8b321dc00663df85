"""A study: every recipe is trained on every data set, then all embedders are compared on held-out pictures."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING

from hashsearch.embedders import import_tensorflow
from hashsearch.errors import HashsearchError, TrainingError
from hashsearch.evaluation.compare.plan import ComparisonPlan, PlannedMethod, make_tasks, plan_of
from hashsearch.evaluation.compare.runner import ComparisonSummary, Runner
from hashsearch.evaluation.data.datasets import DataSet, data_of
from hashsearch.evaluation.methods.features import NetworkFeatures
from hashsearch.files import safe_name
from hashsearch.images.sources import DEFAULT_READER, ImageReader
from hashsearch.progress import Progress, no_progress
from hashsearch.training.hash_head import make_binarizer
from hashsearch.training.recipes import TrainingRecipe, read_recipe, read_table
from hashsearch.training.runs import classes_folder, identity_of, is_trained_with

if TYPE_CHECKING:
    from hashsearch.elastic.scratch import Scratch

Notify = Callable[[str], object]


@dataclass(frozen=True)
class Study:
    """A comparison's plan, and the recipes of the embedders that are trained on each of its data sets."""

    plan: ComparisonPlan
    recipes: tuple[TrainingRecipe, ...]


def read_study(path: Path, weights: Mapping[str, str], trained: Path) -> Study:
    """The study in a TOML file: a plan, and the files of `recipes` relative to it. ConfigError or TrainingError."""
    tables = read_table(path)
    files = tables.pop("recipes", [])
    if not isinstance(files, list) or not files:
        raise TrainingError(f"{path} must name recipes, a list of files, got {files!r}")
    recipes = tuple(read_recipe(path.parent / str(file)) for file in files)
    return Study(plan_of(tables, path, weights, trained), recipes)


class StudyRun:
    """Runs a study: embedders go to `out/embedders/DATA`, results to `out/results`. Those that exist are kept.

    Each training has its own process, because TensorFlow frees the memory of a network only when its process ends.
    """

    def __init__(
        self,
        study: Study,
        data_folder: Path,
        weights: Mapping[str, str],
        out: Path,
        open_scratch: Callable[[str], AbstractContextManager[Scratch]],
        reader: ImageReader = DEFAULT_READER,
    ) -> None:
        self.study, self.data_folder, self.weights, self.out = study, data_folder, weights, out
        self._open_scratch, self._reader = open_scratch, reader

    def run(self, notify: Notify, progress: Progress = no_progress) -> ComparisonSummary:
        """Train and compare, one data set after the other. A failure is reported, and the others continue.

        `notify` must be a module's function, which other processes can import.
        """
        made = kept = 0
        failed: dict[str, str] = {}
        for table in self.study.plan.data:
            data = data_of(table, self.data_folder, self.study.plan.seed, self._reader)
            methods = []
            for recipe in self.study.recipes:
                try:
                    methods += self._train(replace(recipe, data=table), data, notify)
                except HashsearchError as error:
                    failed[f"{data.name}/{recipe.name}"] = str(error)
                    notify(f"{data.name}/{recipe.name} failed: {error}")
            plan = replace(self.study.plan, data=(table,), methods=(*self.study.plan.methods, *methods))
            runner = Runner(plan, self.out / "results", self._open_scratch, make_binarizer)
            summary = runner.run(make_tasks(plan, self.data_folder, self._reader), notify, progress)
            made, kept, failed = made + summary.made, kept + summary.kept, failed | dict(summary.failed)
        return ComparisonSummary(made, kept, failed)

    def _train(self, recipe: TrainingRecipe, data: DataSet, notify: Notify) -> list[PlannedMethod]:
        """The embedders of a recipe, one or two, as methods of the comparison."""
        notify(f"{data.name}/{recipe.name}")
        out = self.out / "embedders" / safe_name(data.name)
        folder = out / recipe.name
        if not is_trained_with(folder, identity_of(recipe, data)):
            weights = self.weights.get(recipe.model.network)
            _train_in_own_process(recipe, data, out, Path(weights) if weights else None, notify)
        folders = [folder, *([classes_folder(folder)] if recipe.loss.probabilities else [])]
        return [PlannedMethod(path.name, "exact", NetworkFeatures(str(path)), {}) for path in folders]


def _train_in_own_process(
    recipe: TrainingRecipe, data: DataSet, out: Path, weights: Path | None, notify: Notify
) -> None:
    with ProcessPoolExecutor(1, get_context("spawn"), _begin) as process:
        try:
            process.submit(_train, recipe, data, out, weights, notify).result()
        except BrokenProcessPool as error:
            raise TrainingError("the training's process was killed, perhaps because memory ran out") from error


def _begin() -> None:
    """End this process when the study's process ends."""

    def follow() -> None:
        study = parent_process()
        assert study is not None
        study.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    import_tensorflow("to train networks")


def _train(recipe: TrainingRecipe, data: DataSet, out: Path, weights: Path | None, notify: Notify) -> None:
    from hashsearch.training.learning import train

    train(recipe, data, out, weights, notify)
