"""Networks of Keras applications: the layer that is pooled, and the preprocessing.

The weights are Keras's own HDF5 files without the classifier (`published`). TensorFlow is imported when a network is
built, not with the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hashsearch.embedders.embedder import Embedder
from hashsearch.embedders.preprocessing import Preprocessing
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

    The maps of `layer` are pooled ("max" or "average") to `dims`.
    """

    maker: str
    layer: str
    pooling: str
    dims: int
    preprocessing: Preprocessing


APPLICATIONS = {
    "vgg16": Application("VGG16", "block5_conv3", "max", 512, _CAFFE),  # at 224 px: 14 x 14, before the last pooling
    "resnet50": Application("ResNet50", "conv5_block3_out", "max", 2048, _CAFFE),
    "inception-v3": Application("InceptionV3", "mixed10", "average", 2048, _CENTRED),
    "inception-resnet-v2": Application("InceptionResNetV2", "conv_7b_ac", "average", 1536, _CENTRED),
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


def load_application(name: str, net: Application, preprocessing: Preprocessing, path: Path) -> Embedder:
    """The embedder of a weights file of Keras. Raises WeightsNotFound or WeightsMismatch."""
    from hashsearch.embedders.converted import convert
    from hashsearch.embedders.saved import load_converted

    model = build(net, preprocessing.input_size, path)
    converted = convert(lambda images: model(images, training=False), preprocessing.input_size, path)
    return load_converted(name, preprocessing, converted, path)
