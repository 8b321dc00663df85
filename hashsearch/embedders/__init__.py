"""Images to vectors: `load(name)` makes an embedder. TensorFlow is imported with the first one."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hashsearch.embedders.architectures import BIT
from hashsearch.embedders.embedder import Embedder, Preprocessing
from hashsearch.errors import UnknownEmbedder, WeightsNotFound

__all__ = ["BIT", "SAVED", "Embedder", "Preprocessing", "load", "names"]

BUNDLED = Path(__file__).parent.parent / "models"


# Saved networks whose preprocessing is known by name; any other has it in a JSON file of the same keys.
SAVED = {"mobilenet-v2": Preprocessing(224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))}


def names() -> list[str]:
    """The names that `load` knows."""
    return [*BIT, *SAVED]


def load(name: str, weights: str | Path | None = None, preprocessing: Mapping[str, Any] | None = None) -> Embedder:
    """The embedder called `name`.

    `weights` is an `.npz` checkpoint, a SavedModel folder or a TensorFlow Hub address for the `bit-...` networks
    (`bit-tiny` has its own), and a `.keras` file, a SavedModel folder or a TensorFlow Hub address for all others. Those
    are named by the table, or by a `.json` file with the fields of `Preprocessing`; a saved encoder gives what it was
    fitted with as `preprocessing` instead. Raises EmbedderError.
    """
    known = name in BIT or name in SAVED or name.endswith(".json") or preprocessing
    if not known:
        raise UnknownEmbedder(f"an embedder must be one of {', '.join(names())} or a .json file, got '{name}'")
    source = str(weights or (BUNDLED / "bit-tiny.npz" if name == "bit-tiny" else ""))
    if not source:
        raise WeightsNotFound(f"{name} does not ship with this package: its weights must be named, got none")
    import_tensorflow()
    if name in BIT and source.endswith(".npz"):
        from hashsearch.embedders.bit import load_bit

        return load_bit(name, BIT[name], Path(source))
    from hashsearch.embedders.saved import load_saved, read_preprocessing

    if preprocessing:
        return load_saved(name, Preprocessing(**preprocessing), source)
    if name in BIT:  # as published on TensorFlow Hub, these take 0..1
        return load_saved(name, Preprocessing(BIT[name].input_size), source)
    if name in SAVED:
        return load_saved(name, SAVED[name], source)
    return load_saved(Path(name).stem, read_preprocessing(Path(name)), source)


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
