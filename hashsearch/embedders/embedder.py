"""An embedder: its preprocessing, and a network behind one function."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hashsearch.embedders.preprocessing import Preprocessing
from hashsearch.hashing.vectors import normalised

BATCH = 128  # images that are prepared before the network gets them


class Embedder:
    """Images to vectors. `forward` takes `(n, input_size, input_size, 3) uint8` to `(n, dims) float32`.

    Where the vectors are probabilities of a classifier, `classes` are the names of its classes; otherwise it is empty.
    """

    def __init__(
        self,
        name: str,
        dims: int,
        digest: str,
        preprocessing: Preprocessing,
        weights: Path,
        forward: Callable[[np.ndarray], np.ndarray],
        classes: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.dims = dims
        self.digest = digest  # sha256 of the weights, hex
        self.input_size = preprocessing.input_size
        self.preprocessing: dict[str, Any] = preprocessing.as_dict()  # what changes a vector, besides the weights
        self.weights = weights
        self.forward = forward
        self.classes = tuple(classes)
        self.prepare = preprocessing.prepare

    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Embed images.

        Parameters
        ----------
        images : sequence of n arrays (height, width, 3) uint8
            RGB images of any size.

        Returns
        -------
        (n, dims) float32
            One vector of length 1 for each image.

        Raises
        ------
        EmbedderError
            For an array of another shape or type.
        """
        vectors = np.empty((len(images), self.dims), np.float32)
        for first in range(0, len(images), BATCH):
            batch = np.stack([self.prepare(image) for image in images[first : first + BATCH]])
            vectors[first : first + BATCH] = self.forward(batch)
        return normalised(vectors, zero="keep")


def digest_files(path: Path, kind: str = "sha256") -> str:
    """The hex digest of a file, or of the names and contents of all files in a folder; `kind` is hashlib's name."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    total = hashlib.new(kind, usedforsecurity=False)
    for file in files:
        if path.is_dir():
            total.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                total.update(block)
    return total.hexdigest()
