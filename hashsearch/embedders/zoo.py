"""Networks of Keras applications: the layer that is pooled, the preprocessing, and the official weights by hash.

The weights are Keras's own HDF5 files without the classifier, which Keras downloads. TensorFlow is imported when a
network is built, not with the table.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hashsearch.embedders.embedder import Embedder, Preprocessing, digest_files
from hashsearch.embedders.weights import DAMAGE, first_line
from hashsearch.errors import WeightsMismatch, WeightsNotFound

if TYPE_CHECKING:
    import tensorflow as tf

HDF5 = (".h5", ".hdf5")

# As Keras's `preprocess_input` of each: the mean of ImageNet subtracted, blue first; and values in -1..1.
_CAFFE = Preprocessing(224, range=(0.0, 255.0), mean=(123.68, 116.779, 103.939), channels="bgr")
_CENTRED = Preprocessing(299, range=(-1.0, 1.0))


@dataclass(frozen=True)
class Application:
    """A network by its name in `keras.applications`, and the layer that gives the embedding.

    The maps of `layer` are pooled ("max" or "average") to `dims`. `file` is the official weights file without the
    classifier, with its `md5`.
    """

    maker: str
    layer: str
    pooling: str
    dims: int
    preprocessing: Preprocessing
    file: str
    md5: str


APPLICATIONS = {
    # At 224 px: 14 x 14 x 512, before the last pooling.
    "vgg16": Application(
        "VGG16",
        "block5_conv3",
        "max",
        512,
        _CAFFE,
        "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "6d6bbae143d832006294945121d1f1fc",
    ),
    "resnet50": Application(
        "ResNet50",
        "conv5_block3_out",
        "max",
        2048,
        _CAFFE,
        "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "4d473c1dd8becc155b73f8504c6f6626",
    ),
    "inception-v3": Application(
        "InceptionV3",
        "mixed10",
        "average",
        2048,
        _CENTRED,
        "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "bcbd6486424b2319ff4ef7d526e38f63",
    ),
    "inception-resnet-v2": Application(
        "InceptionResNetV2",
        "conv_7b_ac",
        "average",
        1536,
        _CENTRED,
        "inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "d19885ff4a710c122648d3b5c3b684e4",
    ),
}


def build(net: Application, size: int, weights: Path | None = None) -> tf.keras.Model:
    """The network as a Keras model: preprocessed images `(n, size, size, 3)` to pooled features `(n, dims)`.

    Its weights are random without a file. Raises WeightsNotFound; WeightsMismatch for a file or size that does not fit.
    """
    import tensorflow as tf

    if weights is not None and not weights.is_file():
        raise WeightsNotFound(f"weights must be a file of Keras's {net.maker}, found no {weights}")
    make = getattr(tf.keras.applications, net.maker)
    try:
        whole = make(include_top=False, weights=weights and str(weights), input_shape=(size, size, 3))
    except DAMAGE as error:
        raise WeightsMismatch(
            f"{weights} must be the weights of Keras's {net.maker} without its classifier, and {size} px a size "
            f"that it takes: {first_line(error)}"
        ) from error
    layers = tf.keras.layers
    pooling = layers.GlobalMaxPooling2D if net.pooling == "max" else layers.GlobalAveragePooling2D
    return tf.keras.Model(whole.input, pooling(name="embedding")(whole.get_layer(net.layer).output))


def load_application(name: str, net: Application, path: Path, fields: Mapping[str, Any]) -> Embedder:
    """The embedder of a weights file; `fields` override those of the official preprocessing.

    Raises WeightsNotFound or WeightsMismatch.
    """
    from hashsearch.embedders.saved import embedder_of

    preprocessing = replace(net.preprocessing, **fields)
    model = build(net, preprocessing.input_size, path)
    return embedder_of(name, preprocessing, path, lambda images: model(images, training=False))


def cached(net: Application) -> Path:
    """The path of the official file in Keras's cache."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models" / net.file


def official_weights(net: Application) -> Path:
    """The official file in Keras's cache.

    Raises WeightsNotFound, whose message says where to put it, and WeightsMismatch when it is a different file.
    """
    path = cached(net)
    if not path.is_file():
        raise WeightsNotFound(f"Keras's {net.maker} needs its weights: {remedy(net)}")
    if (md5 := digest_files(path, "md5")) != net.md5:
        raise WeightsMismatch(
            f"{path} must have the md5 {net.md5}, got {md5}: remove it, and Keras downloads it again, or name "
            "other weights with --weights FILE"
        )
    return path


def fetch(net: Application) -> None:
    """Let Keras download the official file into its cache unless it is there. Raises WeightsNotFound."""
    import tensorflow as tf

    if cached(net).is_file():
        return
    try:
        with redirect_stdout(sys.stderr):  # the progress bar; standard output is for results
            getattr(tf.keras.applications, net.maker)(include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises nothing more specific
        raise WeightsNotFound(f"Keras could not download {net.file} ({first_line(error)}): {remedy(net)}") from error


def remedy(net: Application) -> str:
    """What a person can do when the official file is missing and cannot be downloaded."""
    return f"put {net.file} (md5 {net.md5}) into {cached(net).parent}, or name it with --weights FILE"
