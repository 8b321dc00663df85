"""Embedders written by training: folders with a network and a manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hashsearch.embedders.embedder import Embedder, digest_files
from hashsearch.embedders.preprocessing import Preprocessing
from hashsearch.errors import EmbedderError, WeightsMismatch, WeightsNotFound

FORMAT = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Trained:
    """The content of a manifest; `network` is the SavedModel folder, `digest` its sha256.

    `classes` are those of a classifier whose probabilities are the vectors, else empty.
    """

    name: str
    dims: int
    preprocessing: Preprocessing
    network: Path
    digest: str
    recipe: Mapping[str, Any]
    data: Mapping[str, Any]
    metrics: Mapping[str, Any]
    classes: tuple[str, ...] = ()


def is_trained(folder: Path) -> bool:
    """Whether a folder has a manifest, valid or not."""
    return (folder / MANIFEST).is_file()


def read_trained(folder: Path) -> Trained:
    """The manifest of a trained embedder, whose network is checked against it.

    Raises WeightsNotFound without a manifest or network, WeightsMismatch if the network was changed, EmbedderError for
    an invalid manifest.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT:
            raise ValueError(f"its format is {manifest['format']}, this version reads {FORMAT}")
        trained = _restore(folder, manifest)
    except OSError as error:
        raise WeightsNotFound(f"a trained embedder must be a folder with a {MANIFEST}: {error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EmbedderError(f"{folder} is not a trained embedder: {type(error).__name__}: {error}") from error
    if not trained.network.is_dir():
        raise WeightsNotFound(f"the trained embedder in {folder} must have its network, found no {trained.network}")
    if (digest := digest_files(trained.network)) != trained.digest:
        raise WeightsMismatch(
            f"the network in {folder} was changed since it was trained: its digest is {digest[:16]}, its manifest says "
            f"{trained.digest[:16]}"
        )
    return trained


def _restore(folder: Path, manifest: Mapping[str, Any]) -> Trained:
    words = {name: manifest[name] for name in ("name", "network", "digest")}
    tables = {name: manifest[name] for name in ("preprocessing", "recipe", "data", "metrics")}
    classes = {"classes": manifest.get("classes", [])}
    for kind, values in ((str, words), (dict, tables), (int, {"dims": manifest["dims"]}), (list, classes)):
        for name, value in values.items():
            if not isinstance(value, kind):
                raise ValueError(f"{name} must be of type {kind.__name__}, got {value!r}")
    if classes["classes"] and len(classes["classes"]) != manifest["dims"]:
        raise ValueError(f"classes must be one for each of {manifest['dims']} dims, got {len(classes['classes'])}")
    return Trained(
        words["name"],
        manifest["dims"],
        Preprocessing.of(tables["preprocessing"]),
        folder / words["network"],
        words["digest"],
        tables["recipe"],
        tables["data"],
        tables["metrics"],
        tuple(classes["classes"]),
    )


def load_trained(folder: Path, fields: Mapping[str, Any]) -> Embedder:
    """The embedder in a folder, with these fields of its preprocessing. Raises the errors of `read_trained`."""
    from hashsearch.embedders.saved import load_saved

    trained = read_trained(folder)
    embedder = load_saved(trained.name, replace(trained.preprocessing, **fields), str(trained.network), trained.classes)
    if embedder.dims != trained.dims:
        raise WeightsMismatch(f"the network in {folder} must return {trained.dims} dims, got {embedder.dims}")
    return embedder
