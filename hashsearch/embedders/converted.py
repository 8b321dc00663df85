"""Networks that only TensorFlow reads, as models of the engine: Keras files, and SavedModels without a signature."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from hashsearch.embedders import engine
from hashsearch.embedders.weights import DAMAGE, first_line
from hashsearch.errors import EmbedderError, WeightsMismatch


def convert_saved(path: Path, size: int) -> engine.Model:
    """The network in a Keras file or a SavedModel folder. Raises WeightsMismatch or EmbedderError."""
    return convert(open_network(path), size, path)


def convert(network: Callable[[Any], Any], size: int, source: object) -> engine.Model:
    """A function of `(n, size, size, 3) float32` as a model. WeightsMismatch when it does not take such images."""
    ov = engine.openvino()
    images = tf.TensorSpec([None, size, size, 3], tf.float32)
    try:
        function = tf.function(network, input_signature=[images]).get_concrete_function()
        return ov.convert_model(function)
    except (tf.errors.OpError, *engine.ENGINE_ERRORS) as error:
        raise WeightsMismatch(f"{source} must take (n, {size}, {size}, 3) images: {first_line(error)}") from error


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
