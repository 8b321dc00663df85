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
from hashsearch.files import exclusive_lock, read_json, write_json

Identity = Mapping[str, Any]  # as JSON: `recipe`, `data` with a `fingerprint` of the photos, perhaps `teacher`

_STATE = 2  # of work folders; a change of what is in them needs a new number
_IDENTITY, _LOCK = "identity.json", "lock"


def is_trained_with(folder: Path, identity: Identity) -> bool:
    """Whether `folder` is the result of a training with this identity; False when there is no such folder.

    TrainingError when it is anything else, because nothing is overwritten.
    """
    manifest = read_json(folder / MANIFEST)
    if manifest is None:
        if folder.is_dir() and any(folder.iterdir()):
            raise TrainingError(f"cannot write to {folder}: it exists and is not an embedder")
        return False
    if _essence(manifest) != _essence(identity):
        raise _different(folder)
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
    found = read_json(work / _IDENTITY)
    if found is None:
        _empty(work)
        write_json(work / _IDENTITY, identity)
    elif found != json.loads(json.dumps(identity)):
        raise _different(work)


def _empty(work: Path) -> None:
    """Remove the remains of a training that nothing is known of."""
    for path in work.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _LOCK:
            path.unlink()


def _essence(identity: Identity) -> list[Any]:
    """What must be equal: other entries of a manifest may differ."""
    plain = json.loads(json.dumps(identity))
    data = plain.get("data")
    return [plain.get("recipe"), data.get("fingerprint") if isinstance(data, dict) else None, plain.get("teacher")]


def _different(folder: Path) -> TrainingError:
    return TrainingError(
        f"cannot resume: {folder} was made with a different recipe, different photos, a different teacher or another "
        "version; remove it, or choose another folder"
    )
