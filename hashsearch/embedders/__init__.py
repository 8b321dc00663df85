"""Images to vectors: `load(name)` makes an embedder. TensorFlow is imported with the first one."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hashsearch.embedders import zoo
from hashsearch.embedders.architectures import BIT
from hashsearch.embedders.embedder import Embedder, Preprocessing, read_preprocessing
from hashsearch.embedders.trained import is_trained, load_trained, read_trained
from hashsearch.embedders.zoo import APPLICATIONS
from hashsearch.errors import EmbedderError, UnknownEmbedder, WeightsNotFound

__all__ = [
    "APPLICATIONS",
    "BIT",
    "SAVED",
    "Embedder",
    "Preprocessing",
    "check",
    "load",
    "located",
    "names",
    "own_weights",
    "trained_names",
]

BUNDLED = Path(__file__).parent.parent / "models"


# Saved networks whose preprocessing is known by name; any other has it in a JSON file of the same keys.
SAVED = {"mobilenet-v2": Preprocessing(224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))}


def names() -> list[str]:
    """The names that `load` knows by itself."""
    return [*BIT, *SAVED, *APPLICATIONS]


def trained_names(trained: Path) -> list[str]:
    """Those of the trained embedders in a folder: the names of their own folders, less those that `load` knows."""
    folders = trained.iterdir() if trained.is_dir() else ()
    return sorted(folder.name for folder in folders if is_trained(folder) and folder.name not in names())


def located(name: str, trained: Path) -> str:
    """The name as `load` takes it: that of a trained embedder in the folder `trained` becomes its path."""
    return str(trained / name) if name not in names() and is_trained(trained / name) else name


def load(
    name: str,
    weights: str | Path | None = None,
    preprocessing: Mapping[str, Any] | None = None,
    trained: Path | None = None,
) -> Embedder:
    """The embedder called `name`: one of `names()`, a trained one's folder, or its name in the folder `trained`.

    `weights` is an `.npz` checkpoint, a SavedModel folder or a TensorFlow Hub address for the `bit-...` networks
    (`bit-tiny` has its own), and a `.keras` file, a SavedModel folder or a TensorFlow Hub address for all others; those
    of Keras applications also take an HDF5 file of weights, without `weights` the official one, which Keras downloads.
    Other networks are named by a `.json` file with the fields of `Preprocessing`; a saved encoder gives what it was
    fitted with as `preprocessing` instead. Raises EmbedderError.
    """
    name, known = _resolved(name, preprocessing, trained)
    if not known:
        return _load_folder(Path(name), weights)
    if name in APPLICATIONS and not weights:
        import_tensorflow()
        zoo.fetch(APPLICATIONS[name])
    source = str(weights or own_weights(name))
    import_tensorflow()
    return _load_network(name, source, preprocessing or {})


def check(name: str, weights: str | Path | None = None, trained: Path | None = None) -> int | None:
    """Refuse, without TensorFlow, what `load` would refuse: an unknown name, missing weights or preprocessing.

    Returns the length of the embedder's vectors where it is known without its weights, else None.
    """
    name, known = _resolved(name, None, trained)
    if not known:
        _check_no_weights(Path(name), weights)
        return read_trained(Path(name)).dims
    if weights:
        if not str(weights).startswith(("https://", "http://")) and not Path(weights).exists():
            raise WeightsNotFound(f"weights must be a file, a folder or an https address, found no {weights}")
    elif name not in APPLICATIONS:  # Keras downloads those
        own_weights(name)
    if name.endswith(".json"):
        read_preprocessing(Path(name))
    if name in BIT:
        return BIT[name].dims
    return APPLICATIONS[name].dims if name in APPLICATIONS else None


def _resolved(name: str, preprocessing: Mapping[str, Any] | None, trained: Path | None) -> tuple[str, bool]:
    """The name, that of a trained embedder as its path, and whether it is not a trained one. Raises UnknownEmbedder."""
    if trained is not None:
        name = located(name, trained)
    known = name in names() or name.endswith(".json") or bool(preprocessing)
    if not known and not Path(name).is_dir():
        listed = ", ".join([*names(), *(trained_names(trained) if trained else [])])
        raise UnknownEmbedder(
            f"an embedder must be one of {listed}, the folder of a trained one or a .json file, got '{name}'"
        )
    return name, known


def own_weights(name: str) -> Path:
    """The weights of a network for which none are named. WeightsNotFound when it has none, or not yet."""
    if name == "bit-tiny":
        return BUNDLED / "bit-tiny.npz"
    if name in APPLICATIONS:
        return zoo.official_weights(APPLICATIONS[name])
    raise WeightsNotFound(f"{name} does not ship with this package: its weights must be named, got none")


def _load_folder(folder: Path, weights: str | Path | None) -> Embedder:
    _check_no_weights(folder, weights)
    import_tensorflow()
    return load_trained(folder)


def _check_no_weights(folder: Path, weights: str | Path | None) -> None:
    if weights:
        raise EmbedderError(f"a trained embedder has its own weights, for {folder} got {weights}")


def _load_network(name: str, source: str, fields: Mapping[str, Any]) -> Embedder:
    from hashsearch.embedders.saved import load_saved

    if name in BIT and source.endswith(".npz"):
        from hashsearch.embedders.bit import load_bit

        return load_bit(name, BIT[name], Path(source))
    if name in APPLICATIONS and source.endswith(zoo.HDF5):
        return zoo.load_application(name, APPLICATIONS[name], Path(source), fields)
    if fields:
        return load_saved(name, Preprocessing(**fields), source)
    return load_saved(Path(name).stem, _preprocessing(name, source), source)


def _preprocessing(name: str, source: str) -> Preprocessing:
    """How images reach a saved network that no encoder describes."""
    if name in SAVED:
        return SAVED[name]
    if name in APPLICATIONS and source.endswith(".keras"):
        return APPLICATIONS[name].preprocessing
    if name in BIT or name in APPLICATIONS:  # as published on TensorFlow Hub, these take 0..1
        return Preprocessing(BIT[name].input_size if name in BIT else APPLICATIONS[name].preprocessing.input_size)
    return read_preprocessing(Path(name))


def import_tensorflow() -> None:
    """Import it without what it prints about devices and instruction sets, which no user can act on."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    shown = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        finally:
            os.dup2(shown, 2)
            os.close(shown)
