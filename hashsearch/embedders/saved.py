"""Networks saved elsewhere: a Keras file, a SavedModel folder, or a TensorFlow Hub address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from hashsearch.embedders.embedder import Embedder, Preprocessing, digest_files
from hashsearch.embedders.hub import resolve
from hashsearch.embedders.weights import DAMAGE, first_line, is_address
from hashsearch.errors import EmbedderError, WeightsMismatch, WeightsNotFound


def load_saved(name: str, preprocessing: Preprocessing, source: str, classes: Sequence[str] = ()) -> Embedder:
    """The embedder of a saved network. Raises WeightsNotFound, WeightsMismatch, or EmbedderError for a wrong output."""
    path = find(source)
    return embedder_of(name, preprocessing, path, open_network(path), classes)


def embedder_of(
    name: str, preprocessing: Preprocessing, path: Path, network: Callable[[Any], Any], classes: Sequence[str] = ()
) -> Embedder:
    """The embedder of a function from the network's input to vectors, whose weights are in `path`.

    Raises WeightsMismatch when it does not take images of that size, EmbedderError when its output is not vectors.
    """
    size = preprocessing.input_size

    @tf.function(input_signature=[tf.TensorSpec([None, size, size, 3], tf.uint8)])
    def forward(pixels: tf.Tensor) -> tf.Tensor:
        return network(preprocessing.network_input(tf.cast(pixels, tf.float32)))

    try:
        vectors = forward(np.zeros((1, size, size, 3), np.uint8)).numpy()
    except (tf.errors.InvalidArgumentError, TypeError, ValueError) as error:
        raise WeightsMismatch(f"{path} must take (n, {size}, {size}, 3) images: {first_line(error)}") from error
    if vectors.ndim != 2:
        raise EmbedderError(f"a saved network must return one vector per image, got {vectors.shape} from {path}")
    dims, digest = vectors.shape[1], digest_files(path)
    return Embedder(name, dims, digest, preprocessing, path, lambda pixels: forward(pixels).numpy(), classes)


def find(source: str) -> Path:
    """The file or folder of a saved network; an address is fetched once into TensorFlow Hub's cache."""
    if is_address(source):
        return Path(resolve(source))
    if not Path(source).exists():
        raise WeightsNotFound(f"weights must be a file, a folder or an https address, found no {source}")
    return Path(source)


def open_network(path: Path) -> Callable[[tf.Tensor], tf.Tensor]:
    """The function of a saved network, from float images to its output. Raises WeightsMismatch."""
    try:
        if path.is_file():
            model = tf.keras.models.load_model(path, compile=False)
            return lambda images: model(images, training=False)
        model = tf.saved_model.load(str(path))
    except (*DAMAGE, tf.errors.OpError) as error:
        raise WeightsMismatch(f"{path} must be a .keras file or a SavedModel folder: {first_line(error)}") from error
    return callable_of(model, path)


def callable_of(model: Any, path: Path) -> Callable[[tf.Tensor], tf.Tensor]:
    """The model if it can be called, else the one output of its default signature."""
    if callable(model):
        function: Callable[[tf.Tensor], tf.Tensor] = model
        return function
    signature = model.signatures.get("serving_default")
    if signature is None or len(signature.structured_outputs) != 1:
        raise EmbedderError(f"{path} must be callable or have a serving_default signature with one output")
    (argument,) = signature.structured_input_signature[1]
    (output,) = signature.structured_outputs
    # Through the model: without a reference to it, its variables would be freed.
    return lambda images: model.signatures["serving_default"](**{argument: images})[output]
