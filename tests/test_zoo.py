"""Networks of Keras applications: vectors as Keras makes them, official weights by hash, messages of missing files."""

from __future__ import annotations

import hashlib
import inspect
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tensorflow as tf
from support.shelves import write_config

from hashsearch.embedders import load, own_weights, zoo
from hashsearch.embedders.embedder import digest_files
from hashsearch.embedders.published import FILES
from hashsearch.embedders.zoo import APPLICATIONS
from hashsearch.encoder import EmbedderSpec, Encoder
from hashsearch.errors import ConfigError, EmbedderError, EncoderError, WeightsMismatch, WeightsNotFound
from hashsearch.evaluation.compare.plan import read_plan
from hashsearch.hashing.binarizers import make_binarizer
from hashsearch.hashing.sub_codes import make_sub_codes

pytestmark = pytest.mark.slow

keras = tf.keras
SIZES = {"vgg16": 32, "resnet50": 64, "inception-v3": 80, "inception-resnet-v2": 80}
OFFICIAL_INPUT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "vgg16": keras.applications.vgg16.preprocess_input,
    "resnet50": keras.applications.resnet50.preprocess_input,
    "inception-v3": keras.applications.inception_v3.preprocess_input,
    "inception-resnet-v2": keras.applications.inception_resnet_v2.preprocess_input,
}


@dataclass(frozen=True)
class Reference:
    """A network of random weights: their file, and Keras's own vectors of some photos."""

    name: str
    file: Path
    model: Any
    photos: list[np.ndarray]
    vectors: np.ndarray

    @property
    def small(self) -> dict[str, int]:
        return {"input_size": SIZES[self.name]}


def photos_of(size: int, count: int = 2) -> list[np.ndarray]:
    """Sixteen patches of random colours each."""
    patches = np.random.default_rng(1).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return list(np.kron(patches, np.ones((1, size // 4, size // 4, 1), np.uint8)))


def randomise(model: Any, seed: int = 0) -> None:
    """Weights in which no two of the four arrays of a batch normalisation can be taken for each other."""
    rng = np.random.default_rng(seed)
    spread = {"gamma": (0.8, 1.2), "moving_variance": (0.5, 1.5), "beta": (-0.1, 0.1), "moving_mean": (-0.1, 0.1)}
    for weight in model.weights:
        if weight.name in spread:
            weight.assign(rng.uniform(*spread[weight.name], weight.shape))


def write_official(path: Path, model: Any) -> Path:
    """An HDF5 file as Keras 2 wrote those that are published: a group for each layer, the order in attributes."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([layer.name.encode() for layer in model.layers])
        for layer in model.layers:
            group = file.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            group.attrs["weight_names"] = np.array([name.encode() for name in names])
            for name, weight in zip(names, layer.weights):
                group[name] = weight.numpy()
    return path


def official_vectors(name: str, model: Any, photos: list[np.ndarray]) -> np.ndarray:
    """Maps of Keras's model on its own preprocessing, pooled here: `(n, dims)` of length 1."""
    if name == "vgg16":  # before the pooling that ends it
        model = keras.Model(model.input, model.layers[-2].output)
    maps = model.predict(OFFICIAL_INPUT[name](np.stack(photos).astype(np.float32)), verbose=0)
    pooled = maps.max(axis=(1, 2)) if name in ("vgg16", "resnet50") else maps.mean(axis=(1, 2))
    unit: np.ndarray = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    return unit


def reference(name: str, folder: Path) -> Reference:
    keras.utils.set_random_seed(0)
    make = getattr(keras.applications, APPLICATIONS[name].maker)
    model = make(include_top=False, weights=None, input_shape=(SIZES[name], SIZES[name], 3))
    randomise(model)
    photos = photos_of(SIZES[name])
    file = write_official(folder / f"{name}_notop.h5", model)
    return Reference(name, file, model, photos, official_vectors(name, model, photos))


@pytest.fixture(scope="module")
def vgg(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return reference("vgg16", tmp_path_factory.mktemp("vgg"))


@pytest.fixture(scope="module", params=APPLICATIONS)
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reference]:
    if request.param == "vgg16":
        yield request.getfixturevalue("vgg")
        return
    made = reference(request.param, tmp_path_factory.mktemp("network"))
    yield made
    made.file.unlink()


def test_vectors_are_those_of_keras(network: Reference) -> None:
    embedder = load(network.name, network.file, network.small)
    got = embedder.embed(network.photos)
    assert got.shape == (2, APPLICATIONS[network.name].dims)
    assert np.abs(got - network.vectors).max() < 1e-5
    assert np.abs(network.vectors[0] - network.vectors[1]).max() > 1e-4, "the photos must differ to the network"
    swapped = embedder.embed([photo[..., ::-1] for photo in network.photos])
    assert np.abs(swapped - network.vectors).max() > 1e-4, "red and blue must differ to the network"


@pytest.mark.parametrize(("name", "maps"), [("vgg16", (14, 14, 512)), ("resnet50", (7, 7, 2048))])
def test_the_layer_is_the_one_of_the_papers(name: str, maps: tuple[int, ...]) -> None:
    net = APPLICATIONS[name]
    model = zoo.build(net, net.preprocessing.input_size)
    assert model.get_layer(net.layer).output.shape == (None, *maps)
    assert model.output.shape == (None, net.dims)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_the_hash_is_the_one_that_keras_pins(name: str) -> None:
    source = Path(inspect.getfile(getattr(keras.applications, APPLICATIONS[name].maker))).read_text()
    assert f'"{FILES[name].md5}"' in source
    assert FILES[name].address.split("/")[-2] in source


def test_weights_that_keras_3_wrote(vgg: Reference, tmp_path: Path) -> None:
    vgg.model.save_weights(tmp_path / "vgg.weights.h5")
    got = load("vgg16", tmp_path / "vgg.weights.h5", vgg.small).embed(vgg.photos)
    assert np.abs(got - vgg.vectors).max() < 1e-4


def mean_colour(size: int, dims: int = 2048) -> Any:
    """A network whose vector is the mean colour of what it sees, then zeros."""
    layers = keras.layers
    stages = [layers.Input((size, size, 3)), layers.GlobalAveragePooling2D(), layers.Reshape((3, 1))]
    return keras.Sequential([*stages, layers.ZeroPadding1D((0, dims - 3)), layers.Flatten()])


def test_a_keras_file_gets_its_images_as_keras_prepares_them(tmp_path: Path) -> None:
    """Here one that answers the mean of the values it sees: blue, green, red, less the mean of ImageNet."""
    mean_colour(224).save(tmp_path / "pool.keras")
    red = np.zeros((20, 30, 3), np.uint8)
    red[..., 0] = 255
    expected = np.array([0 - 103.939, 0 - 116.779, 255 - 123.68])
    embedder = load("resnet50", tmp_path / "pool.keras")
    assert np.allclose(embedder.embed([red])[:, :3], expected / np.linalg.norm(expected), atol=1e-4)
    assert embedder.preprocessing["channels"] == "bgr"


def test_a_saved_model_sees_0_to_1_as_those_on_tensorflow_hub(tmp_path: Path) -> None:
    mean_colour(299).export(tmp_path / "pool")
    embedder = load("inception-v3", tmp_path / "pool")
    assert (embedder.input_size, embedder.preprocessing["range"]) == (299, (0.0, 1.0))


class TestEncoder:
    @pytest.fixture
    def encoder(self, vgg: Reference, tmp_path: Path) -> Encoder:
        copy = Path(shutil.copy(vgg.file, tmp_path))
        embedder = load("vgg16", copy, vgg.small)
        vectors = embedder.embed(photos_of(32, count=24))
        binarizer, terms = make_binarizer("rotation", bits=64), make_sub_codes("blocks")
        return Encoder.fit(EmbedderSpec.of(embedder), vectors, binarizer, terms)

    def test_it_keeps_the_weights_and_the_way_to_them(self, encoder: Encoder, vgg: Reference, tmp_path: Path) -> None:
        encoder.save(tmp_path / "encoder")
        (tmp_path / vgg.file.name).unlink()
        loaded = Encoder.load(tmp_path / "encoder")
        assert loaded.fingerprint == encoder.fingerprint
        assert np.abs(loaded.embed(vgg.photos) - vgg.vectors).max() < 1e-4
        assert loaded.spec.preprocessing["channels"] == "bgr"

    def test_one_fitted_on_another_order_of_channels_goes_on_with_it(self, encoder: Encoder, vgg: Reference) -> None:
        """As one may be that was fitted, before this name was known, on a `vgg16.json`."""
        fields = {name: value for name, value in encoder.spec.preprocessing.items() if name != "channels"}
        older = Encoder(replace(encoder.spec, preprocessing=fields), encoder.binarizer, encoder.sub_codes)
        assert older.fingerprint != encoder.fingerprint
        assert np.abs(older.embed(vgg.photos) - encoder.embed(vgg.photos)).max() > 0.001

    def test_other_weights_in_their_place_are_refused(self, encoder: Encoder, vgg: Reference) -> None:
        changed = Encoder(replace(encoder.spec, digest="0" * 64), encoder.binarizer, encoder.sub_codes)
        with pytest.raises(EncoderError, match=r"with weights 0{16} and preprocessing .*, got weights [0-9a-f]{16}"):
            changed.embed(vgg.photos)


class TestCache:
    """What is done without weights being named."""

    @pytest.fixture
    def models(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Keras's cache, empty."""
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        (tmp_path / "models").mkdir()
        return tmp_path / "models"

    def test_without_weights_the_message_names_the_command_the_file_and_its_place(self, models: Path) -> None:
        file = FILES["vgg16"]
        with pytest.raises(WeightsNotFound) as caught:
            load("vgg16")
        by_hand = f"put {file.name} (md5 {file.md5}) into {models}, or name it with --weights FILE"
        assert f"run `hashsearch embedders fetch vgg16`, {by_hand}" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_cached_file_is_used(self, models: Path, vgg: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
        planted = Path(shutil.copy(vgg.file, models / FILES["vgg16"].name))
        md5 = hashlib.md5(planted.read_bytes()).hexdigest()
        monkeypatch.setitem(FILES, "vgg16", replace(FILES["vgg16"], md5=md5))
        assert own_weights("vgg16") == planted
        assert load("vgg16", None, vgg.small).digest == digest_files(planted)

    def test_another_file_in_its_place_is_refused_and_stays(self, models: Path) -> None:
        planted = models / FILES["vgg16"].name
        planted.write_bytes(b"half a download")
        with pytest.raises(WeightsMismatch, match="must have the md5 6d6bbae143d832006294945121d1f1fc, got"):
            load("vgg16")
        assert planted.exists()


class TestCompared:
    """As features of a comparison, which downloads nothing."""

    METHOD = '[[method]]\nname = "one"\nkind = "exact"\nfeatures = "vgg16"\n'

    def test_weights_are_named_on_the_command_line(self, vgg: Reference, tmp_path: Path) -> None:
        (entry,) = read_plan(write_config(tmp_path, self.METHOD), {"vgg16": str(vgg.file)}).methods
        settings = {"name": "vgg16", "network": "vgg16", "weights": digest_files(vgg.file), "crop": None}
        assert entry.settings["features"] == settings

    def test_missing_weights_are_reported_with_their_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        with pytest.raises(ConfigError, match=r"\[\[method\]\] 1: vgg16 does not ship .* put vgg16_"):
            read_plan(write_config(tmp_path, self.METHOD))


def test_files_that_do_not_fit_are_refused(vgg: Reference, tmp_path: Path) -> None:
    (tmp_path / "noise.h5").write_bytes(b"not HDF5")
    with pytest.raises(WeightsMismatch, match=r"noise\.h5 must be the weights of Keras's VGG16 without its classifier"):
        load("vgg16", tmp_path / "noise.h5")
    with pytest.raises(WeightsMismatch, match="must be the weights of Keras's ResNet50"):
        load("resnet50", vgg.file, {"input_size": 32})
    with pytest.raises(WeightsMismatch, match="16 px a size that it takes"):
        load("vgg16", vgg.file, {"input_size": 16})
    with pytest.raises(WeightsNotFound, match=r"found no .*absent\.h5"):
        load("vgg16", tmp_path / "absent.h5")
    with pytest.raises(EmbedderError, match="one vector per image"):  # a whole network is taken as it is
        keras.Sequential([keras.layers.Input((224, 224, 3)), keras.layers.ReLU()]).save(tmp_path / "maps.keras")
        load("vgg16", tmp_path / "maps.keras")
