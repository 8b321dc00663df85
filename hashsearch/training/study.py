"""A study: every recipe trained on every data set, then all embedders judged on what they have not seen."""

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
from hashsearch.progress import Progress, no_progress
from hashsearch.training.recipes import Recipe, read_recipe, read_table

if TYPE_CHECKING:
    from hashsearch.elastic.scratch import Scratch

Say = Callable[[str], object]


@dataclass(frozen=True)
class Study:
    """A comparison's plan, and the recipes of the embedders that are trained on each of its data sets."""

    plan: ComparisonPlan
    recipes: tuple[Recipe, ...]


def read_study(path: Path, weights: Mapping[str, str], trained: Path) -> Study:
    """The study in a TOML file: a plan, and `recipes`, from the file's folder. ConfigError or TrainingError."""
    found = read_table(path)
    named = found.pop("recipes", [])
    if not isinstance(named, list) or not named:
        raise TrainingError(f"{path} must name recipes, a list of files, got {named!r}")
    return Study(plan_of(found, path, weights, trained), tuple(read_recipe(path.parent / str(name)) for name in named))


class Studying:
    """Runs a study; embedders go to `out/embedders/DATA`, results to `out/results`. What there is stays.

    Each training has a process of its own: TensorFlow gives the memory of a network back with its process only.
    """

    def __init__(
        self,
        study: Study,
        data_folder: Path,
        weights: Mapping[str, str],
        out: Path,
        open_scratch: Callable[[str], AbstractContextManager[Scratch]],
    ) -> None:
        self.study, self.data_folder, self.weights, self.out = study, data_folder, weights, out
        self._open_scratch = open_scratch

    def run(self, notify: Say, progress: Progress = no_progress) -> ComparisonSummary:
        """Train and judge, one data set after the other. What fails is told and the rest goes on.

        `say` must be a function of a module, which other processes can import.
        """
        made = kept = 0
        failed: dict[str, str] = {}
        for table in self.study.plan.data:
            data = data_of(table, self.data_folder, self.study.plan.seed)
            entries = []
            for recipe in self.study.recipes:
                try:
                    entries += self._trained(replace(recipe, data=table), data, notify)
                except HashsearchError as error:
                    failed[f"{data.name}/{recipe.name}"] = str(error)
                    notify(f"{data.name}/{recipe.name} failed: {error}")
            plan = replace(self.study.plan, data=(table,), methods=(*self.study.plan.methods, *entries))
            summary = Runner(plan, self.out / "results", self._open_scratch).run(
                make_tasks(plan, self.data_folder), notify, progress
            )
            made, kept, failed = made + summary.made, kept + summary.kept, failed | dict(summary.failed)
        return ComparisonSummary(made, kept, failed)

    def _trained(self, recipe: Recipe, data: DataSet, notify: Say) -> list[PlannedMethod]:
        """The embedders of a recipe, one or two, as methods of the comparison."""
        begun = self.weights.get(recipe.model.network)
        notify(f"{data.name}/{recipe.name}")
        import_tensorflow()
        from hashsearch.training.learning import is_done

        out = self.out / "embedders" / safe_name(data.name)
        folder = out / recipe.name
        if not is_done(recipe, data, out):
            _train_alone(recipe, data, out, Path(begun) if begun else None, notify)
        folders = [folder, *([folder.with_name(f"{folder.name}-classes")] if recipe.loss.probabilities else [])]
        return [PlannedMethod(one.name, "exact", NetworkFeatures(str(one)), {}) for one in folders]


def _train_alone(recipe: Recipe, data: DataSet, out: Path, weights: Path | None, notify: Say) -> None:
    from hashsearch.training.learning import train

    with ProcessPoolExecutor(1, get_context("spawn"), _begin) as alone:
        try:
            alone.submit(train, recipe, data, out, weights, notify).result()
        except BrokenProcessPool as error:
            raise TrainingError("the training's process was ended from outside, perhaps for want of memory") from error


def _begin() -> None:
    """What a process does before it trains: see to it that it does not outlive the study."""

    def follow() -> None:
        study = parent_process()
        assert study is not None
        study.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    import_tensorflow()
