"""Networks to train, as Keras models: a trunk from image to features, and a head from features to the embedding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from hashsearch.embedders import APPLICATIONS, BIT, LITE, SAVED, Preprocessing, names, own_weights, zoo
from hashsearch.embedders.architectures import Architecture, parameter_shapes
from hashsearch.embedders.efficientnet import lite_preprocessing
from hashsearch.embedders.weights import DAMAGE, first_line, read_parameters
from hashsearch.errors import ConfigError, TrainingError, WeightsMismatch
from hashsearch.training.bit import features, standardize
from hashsearch.training.efficientnet import lite_trunk
from hashsearch.training.recipes import NetworkRecipe, check_name

Tensor = Any
_layers = tf.keras.layers
_CENTRED = Preprocessing(0, range=(-1.0, 1.0))
_CLASSES = "classes"  # the layer


@dataclass(frozen=True)
class Trunk:
    """How a trunk is made: `make(input size, weights)` -> a model of images to features `(n, dims)`.

    With `from_scratch` the weights may be None.
    """

    make: Callable[..., tf.keras.Model]
    preprocessing: Preprocessing = _CENTRED
    from_scratch: bool = False


@dataclass(frozen=True)
class TrainableNetwork:
    """A model of preprocessed images to embeddings, and one to the logits of classes that shares its layers."""

    embedding: tf.keras.Model
    logits: tf.keras.Model | None
    preprocessing: Preprocessing

    @property
    def learning(self) -> tf.keras.Model:
        """The model whose output the loss takes."""
        return self.logits or self.embedding

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Logits `(n, classes)` of embeddings `(n, dims)`, for a network with logits."""
        return np.asarray(self.learning.get_layer(_CLASSES)(vectors))


class BiTTrunk(tf.keras.layers.Layer):
    """A BiT network as one layer: `(n, size, size, 3)` in -1..1 to `(n, dims) float32`.

    `activations` is the type of what it computes inside, by default that of Keras's policy.
    """

    def __init__(
        self,
        net: Architecture,
        parameters: dict[str, np.ndarray],
        activations: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(autocast=False, dtype="float32", name=name)
        self.net = net
        self.activations = activations or tf.keras.config.dtype_policy().compute_dtype
        self.parameters = {
            name: self.add_weight(
                name=name.replace("/", "."), shape=shape, initializer=tf.constant_initializer(parameters[name])
            )
            for name, shape in parameter_shapes(net).items()
        }

    def call(self, images: Tensor) -> Tensor:
        return features(standardize(self.parameters), tf.cast(images, self.activations), self.net)


def _bit(net: Architecture, size: int, weights: Path) -> tf.keras.Model:
    images = _layers.Input((size, size, 3))
    return tf.keras.Model(images, BiTTrunk(net, read_parameters(weights, net))(images))


def _saved(name: str, size: int, weights: Path) -> tf.keras.Model:
    """The network in a `.keras` file, for images of another size if it is convolutional."""
    try:
        model = tf.keras.models.load_model(weights, compile=False)
        resized = tf.keras.models.clone_model(model, input_tensors=_layers.Input((size, size, 3)))
        resized.set_weights(model.get_weights())
    except DAMAGE as error:
        raise WeightsMismatch(
            f"{weights} must be a .keras file of {name} for images of {size} px: {first_line(error)}"
        ) from error
    return resized


def _convolutional(size: int, weights: Path | None, widths: tuple[int, ...] = (32, 64, 128, 256)) -> tf.keras.Model:
    """A small convolutional network: blocks of two convolutions, the first with stride 2, and 512 features."""
    if weights:
        raise ConfigError(f"'cnn' is trained from scratch and takes no weights, got {weights}")
    x = images = _layers.Input((size, size, 3))
    for width in widths:
        for _ in range(2):
            stride = 2 if x is images else 1
            x = _layers.Conv2D(width, 3, stride, padding="same", use_bias=False)(x)
            x = _layers.ReLU()(_layers.BatchNormalization()(x))
        x = _layers.MaxPooling2D()(x)
    x = _layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(images, _layers.Dense(512, activation="relu")(x))


TRUNKS: dict[str, Trunk] = {
    **{name: Trunk(partial(lite_trunk, name), replace(lite_preprocessing(name), fit="stretch")) for name in LITE},
    **{name: Trunk(partial(_bit, net)) for name, net in BIT.items()},
    **{name: Trunk(partial(_saved, name), preprocessing) for name, preprocessing in SAVED.items()},
    **{
        name: Trunk(partial(zoo.build, net), net.preprocessing, from_scratch=True) for name, net in APPLICATIONS.items()
    },
    "cnn": Trunk(_convolutional, from_scratch=True),
}


def build(recipe: NetworkRecipe, classes: int, unit: bool, weights: Path | None) -> TrainableNetwork:
    """The network of a recipe; with `unit` its embeddings have length 1, else it ends in the logits of `classes`.

    Raises TrainingError for a name not in TRUNKS, WeightsNotFound or WeightsMismatch.
    """
    check_name("a network to train", recipe.network, TRUNKS)
    kind = TRUNKS[recipe.network]
    trunk = kind.make(recipe.input_size, _weights(recipe, weights))
    _quicken_normalisation(trunk)
    _freeze(trunk, recipe.trained_layers)
    x = trunk.output
    if recipe.dims:
        x = _layers.Dense(recipe.dims, name="compression")(x)
    embedding = (
        _layers.UnitNormalization(dtype="float32")(x) if unit else _layers.Activation("linear", dtype="float32")(x)
    )
    logits = None
    if not unit:
        x = _layers.Dropout(recipe.dropout)(embedding)
        logits = tf.keras.Model(trunk.input, _layers.Dense(classes, dtype="float32", name=_CLASSES)(x))
    preprocessing = replace(kind.preprocessing, input_size=recipe.input_size)
    return TrainableNetwork(tf.keras.Model(trunk.input, embedding), logits, preprocessing)


def _weights(recipe: NetworkRecipe, given: Path | None) -> Path | None:
    """The weights that training starts from: those given, else the network's own, None to start from scratch."""
    if not recipe.pretrained:
        if given:
            raise TrainingError(f"a network that is not pretrained is trained from scratch, got the weights {given}")
        if not TRUNKS[recipe.network].from_scratch:
            raise TrainingError(f"{recipe.network} cannot be trained from scratch: pretrained must be true, got false")
        return None
    if given or recipe.network not in names():
        return given
    return own_weights(recipe.network)


def _quicken_normalisation(trunk: tf.keras.Model) -> None:
    """Let batch normalisation average over some ten batches: small data sets have too few for Keras's hundred."""
    for layer in trunk.layers:
        if isinstance(layer, _layers.BatchNormalization):
            layer.momentum = 0.9


def _freeze(trunk: tf.keras.Model, trained_layers: int | None) -> None:
    """Train only the last `trained_layers` layers that have weights."""
    weighted = [layer for layer in trunk.layers if layer.weights]
    if trained_layers is not None and not 0 <= trained_layers <= len(weighted):
        raise TrainingError(f"trained_layers must be 0 to the network's {len(weighted)}, got {trained_layers}")
    for layer in weighted[: None if trained_layers == 0 else -trained_layers] if trained_layers is not None else ():
        layer.trainable = False
