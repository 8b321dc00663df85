"""A trained network to the folder that `hashsearch.embedders` loads by name."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from hashsearch.embedders import Preprocessing
from hashsearch.embedders.embedder import digest_files
from hashsearch.embedders.trained import FORMAT, MANIFEST

_NETWORK = "network"


def write_trained(
    folder: Path,
    network: tf.keras.Model,
    preprocessing: Preprocessing,
    told: Mapping[str, Any],
    beside: Sequence[Path],
) -> None:
    """Save a model of preprocessed images `(n, size, size, 3)` to embeddings `(n, dims)`, named as its new folder.

    Its manifest tells what is `told`; files and folders `beside` it are copied. All appears whole or not at all.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as scratch:
        draft = Path(scratch) / folder.name
        network.export(draft / _NETWORK, verbose=False)
        manifest = {
            "format": FORMAT,
            "name": folder.name,
            "dims": network.output_shape[-1],
            "preprocessing": preprocessing.as_dict(),
            "network": _NETWORK,
            "digest": digest_files(draft / _NETWORK),
            **told,
        }
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        for path in beside:
            (shutil.copytree if path.is_dir() else shutil.copy)(path, draft / path.name)
        draft.replace(folder)
