"""A trained network as the folder that `hashsearch.embedders` loads by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from hashsearch.embedders import Preprocessing
from hashsearch.embedders.embedder import digest_files
from hashsearch.embedders.trained import FORMAT, MANIFEST
from hashsearch.files import atomic_folder
from hashsearch.provenance import versions

_NETWORK = "network"


def write_trained(
    folder: Path,
    network: tf.keras.Model,
    preprocessing: Preprocessing,
    details: Mapping[str, Any],
    beside: Sequence[Path],
) -> None:
    """Save a model of preprocessed images `(n, size, size, 3)` to embeddings `(n, dims)` as a new folder, atomically.

    The embedder is named like the folder. The manifest has the `details` and the versions in use; those of the files
    and folders `beside` that exist are copied into the folder.
    """
    with atomic_folder(folder) as draft:
        network.export(draft / _NETWORK, verbose=False)
        manifest = {
            "format": FORMAT,
            "name": folder.name,
            "dims": network.output_shape[-1],
            "preprocessing": preprocessing.as_dict(),
            "network": _NETWORK,
            "digest": digest_files(draft / _NETWORK),
            **details,
            "versions": {**versions(), "tensorflow": tf.__version__},
        }
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        for path in beside:
            if path.exists():
                (shutil.copytree if path.is_dir() else shutil.copy)(path, draft / path.name)
