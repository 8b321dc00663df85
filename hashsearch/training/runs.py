"""A training on disk: the folder of its result, and the work folder from which it is resumed after a kill.

Both name the recipe, the photos and the teacher that they were made with. Neither is used for anything else.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hashsearch.embedders.trained import MANIFEST
from hashsearch.errors import ConfigError, TrainingError
from hashsearch.evaluation.data.datasets import DataSet
from hashsearch.files import exclusive_lock, read_json, write_json
from hashsearch.training.photos import fingerprint
from hashsearch.training.recipes import TrainingRecipe

Identity = Mapping[str, Any]  # as JSON: `recipe`, `data` with a `fingerprint` of the photos, perhaps `teacher`

_STATE = 2  # of work folders; a change of what is in them needs a new number
_IDENTITY, _LOCK = "identity.json", "lock"


def identity_of(recipe: TrainingRecipe, data: DataSet) -> Identity:
    """The identity of a training from labels."""
    return {"recipe": recipe.as_dict(), "data": {"name": data.name, "fingerprint": fingerprint(data.base)}}


def classes_folder(folder: Path) -> Path:
    """Where a recipe with `probabilities` saves the embedder of class probabilities; `folder` has the other one."""
    return folder.with_name(f"{folder.name}-classes")


def is_trained_with(folder: Path, identity: Identity) -> bool:
    """Whether `folder` is the result of a training with this identity; False when there is no such folder.

    TrainingError when it is anything else, because nothing is overwritten.
    """
    manifest = read_json(folder / MANIFEST)
    if manifest is None:
        if folder.is_dir() and any(folder.iterdir()):
            raise TrainingError(f"cannot write to {folder}: it exists and is not an embedder")
        return False
    _check_same(folder, manifest, identity)
    return True


@contextmanager
def work_folder(work: Path, identity: Identity) -> Iterator[None]:
    """Use the folder `work` for a training with this identity; it is removed at the end, and kept after an error.

    TrainingError when it belongs to another training, ConfigError while another process uses it.
    """
    work.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(work / _LOCK, ConfigError(f"another process is training in {work}")):
        _claim(work, {"state": _STATE, **identity})
        yield
        # In this order, so that a kill leaves a folder that counts as empty.
        (work / _IDENTITY).unlink()
        shutil.rmtree(work)


def _claim(work: Path, identity: Identity) -> None:
    entries = read_json(work / _IDENTITY)
    if entries is None:
        _forget(work)
        write_json(work / _IDENTITY, identity)
    else:
        _check_same(work, entries, identity)


def _forget(work: Path) -> None:
    """Remove what a training would resume from, left by another one of which nothing is known."""
    (work / "log.csv").unlink(missing_ok=True)
    shutil.rmtree(work / "views", ignore_errors=True)


def _check_same(folder: Path, entries: Mapping[str, Any], identity: Identity) -> None:
    """Raise TrainingError with what differs of the identity in `entries`, which may have other entries too."""
    entries, expected = _flat(entries), _flat(identity)
    names = {
        "recipe": "a different recipe",
        "photos": "different photos",
        "teacher": "a different teacher",
        "state": "another version of hashsearch",
    }
    if differing := [words for name, words in names.items() if entries[name] != expected[name]]:
        raise TrainingError(
            f"cannot resume: {folder} was made with {' and '.join(differing)}; remove it or choose another folder"
        )


def _flat(identity: Mapping[str, Any]) -> dict[str, Any]:
    plain = json.loads(json.dumps(identity))
    data = plain.get("data")
    photos = data.get("fingerprint") if isinstance(data, dict) else None
    return {**{name: plain.get(name) for name in ("recipe", "teacher", "state")}, "photos": photos}
