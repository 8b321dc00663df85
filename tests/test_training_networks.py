"""Networks that learn: their heads, what of them learns, and weights that they start from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from hashsearch.embedders import load
from hashsearch.errors import ConfigError, TrainingError, WeightsMismatch, WeightsNotFound
from hashsearch.training.networks import build
from hashsearch.training.recipes import NetworkRecipe

RNG = np.random.default_rng(0)


def saved_network(folder: Path) -> Path:
    """A `.keras` file of two layers with weights, for images of 32 px."""
    layers = tf.keras.layers
    images = layers.Input((32, 32, 3))
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 3)(layers.Conv2D(4, 3, name="first")(images)))
    tf.keras.Model(images, pooled).save(folder / "net.keras")
    return folder / "net.keras"


def test_embeddings_of_pairwise_losses_have_length_one_and_others_have_logits() -> None:
    images = RNG.normal(size=(2, 32, 32, 3)).astype(np.float32)
    unit = build(NetworkRecipe("cnn", 32, dims=8), 3, unit=True, weights=None)
    assert np.linalg.norm(unit.embedding(images), axis=1) == pytest.approx(1, abs=1e-5)
    assert unit.logits is None and unit.learning is unit.embedding
    named = build(NetworkRecipe("cnn", 32), 3, unit=False, weights=None)
    assert named.logits is not None and named.learning is named.logits
    assert named.logits(images).shape == (2, 3)
    assert named.embedding(images).shape == (2, 512)
    assert named.preprocessing.input_size == 32


def test_a_saved_network_can_be_trained_at_another_size(tmp_path: Path) -> None:
    path = saved_network(tmp_path)
    network = build(NetworkRecipe("mobilenet-v2", 48), 3, unit=False, weights=path)
    images = RNG.normal(size=(2, 32, 32, 3)).astype(np.float32)
    first = tf.keras.models.load_model(path)
    same = build(NetworkRecipe("mobilenet-v2", 32), 3, unit=False, weights=path)
    assert same.embedding(images).numpy() == pytest.approx(first(images).numpy(), abs=1e-6)
    assert network.embedding.input_shape == (None, 48, 48, 3)


@pytest.mark.parametrize(("trained", "learning"), [(None, 6), (1, 4), (0, 2)])
def test_only_the_last_layers_learn(tmp_path: Path, trained: int | None, learning: int) -> None:
    recipe = NetworkRecipe("mobilenet-v2", 32, trained_layers=trained)
    network = build(recipe, 3, unit=False, weights=saved_network(tmp_path))
    assert len(network.learning.trainable_variables) == learning  # two of each layer, two of the classes


def test_normalisation_knows_the_photos_after_few_batches() -> None:
    network = build(NetworkRecipe("cnn", 32), 3, unit=False, weights=None)
    images = RNG.normal(size=(8, 32, 32, 3)).astype(np.float32)
    for _ in range(60):
        network.learning(images, training=True)
    learned, used = (np.asarray(network.learning(images, training=training)) for training in (True, False))
    assert used == pytest.approx(learned, abs=0.1 * float(np.abs(learned).max()))


def test_bit_as_a_layer_is_the_embedder() -> None:
    embedder = load("bit-tiny")
    network = build(NetworkRecipe("bit-tiny", embedder.input_size), 3, unit=True, weights=None)
    pixels = RNG.integers(0, 256, (2, embedder.input_size, embedder.input_size, 3), dtype=np.uint8)
    scale, shift = network.preprocessing.scale_and_shift()
    vectors = network.embedding(pixels.astype(np.float32) * scale + shift).numpy()
    assert vectors == pytest.approx(embedder.embed(list(pixels)), abs=1e-5)
    assert len(network.embedding.trainable_variables) > 50


def test_an_application_starts_from_scratch_or_with_weights(tmp_path: Path) -> None:
    recipe = NetworkRecipe("vgg16", 32, pretrained=False)
    first, again = (build(recipe, 3, unit=False, weights=None).embedding for _ in range(2))
    assert first.output_shape == (None, 512)
    assert not np.array_equal(first.get_weights()[0], again.get_weights()[0])
    tf.keras.applications.VGG16(include_top=False, weights=None).save_weights(tmp_path / "vgg.weights.h5")
    begun = [build(NetworkRecipe("vgg16", 32), 3, unit=False, weights=tmp_path / "vgg.weights.h5") for _ in range(2)]
    assert np.array_equal(begun[0].embedding.get_weights()[0], begun[1].embedding.get_weights()[0])
    assert begun[0].preprocessing.channels == "bgr"


@pytest.mark.parametrize(
    ("recipe", "error", "rule"),
    [
        (
            NetworkRecipe("resnet", 32),
            TrainingError,
            "a network to train must be one of efficientnet-lite0, .* got 'resnet'",
        ),
        (NetworkRecipe("mobilenet-v2", 32), WeightsNotFound, "weights must be given"),
        (NetworkRecipe("bit-m-r50x1", 32), WeightsNotFound, "embedders fetch bit-m-r50x1"),
        (
            NetworkRecipe("cnn", 32, trained_layers=99),
            TrainingError,
            r"trained_layers must be 0 to the network's \d+, got 99",
        ),
    ],
)
def test_a_network_that_cannot_be_built_is_refused_with_the_reason(
    recipe: NetworkRecipe, error: type[Exception], rule: str
) -> None:
    with pytest.raises(error, match=rule):
        build(recipe, 3, unit=False, weights=None)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    (tmp_path / "no.keras").write_bytes(b"no network")
    with pytest.raises(WeightsMismatch, match=r"must be a \.keras file of mobilenet-v2"):
        build(NetworkRecipe("mobilenet-v2", 32), 3, unit=False, weights=tmp_path / "no.keras")
    with pytest.raises(TrainingError, match="that is not pretrained is trained from scratch, got the weights"):
        build(NetworkRecipe("vgg16", 32, pretrained=False), 3, unit=False, weights=tmp_path / "no.keras")
    with pytest.raises(ConfigError, match="'cnn' is trained from scratch and takes no weights"):
        build(NetworkRecipe("cnn", 32), 3, unit=False, weights=tmp_path / "no.keras")
