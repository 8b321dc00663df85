"""Embedders: BiT against a plain numpy forward pass, checkpoints by name, networks saved by others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.lib.stride_tricks import sliding_window_view

from hashsearch.embedders import Preprocessing, bit, check, engine, load, load_embedder
from hashsearch.embedders.architectures import BIT, Architecture, parameter_shapes
from hashsearch.embedders.embedder import Embedder
from hashsearch.errors import ConfigError, EmbedderError, UnknownEmbedder, WeightsMismatch, WeightsNotFound
from hashsearch.training.bit import features, standardize

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
SMALL = Architecture((2, 1, 1, 1), width=8, groups=4, input_size=64)
MOBILENET = Path(__file__).parents[2] / "shared/weights/mobilenet_v2_onnxzoo_features.keras"


def random_parameters(net: Architecture, seed: int = 0) -> dict[str, np.ndarray]:
    """Kernels with an uneven mean and spread, norms near the identity."""
    rng = np.random.default_rng(seed)
    parameters = {}
    for name, shape in parameter_shapes(net).items():
        offset = 1.0 if name.endswith("gamma") else 0.1
        parameters[name] = (rng.standard_normal(shape) * 0.2 + offset).astype(np.float32)
    return parameters


def load_bit(name: str, net: Architecture, path: Path) -> Embedder:
    return bit.load_bit(name, net, Preprocessing(net.input_size, range=(-1.0, 1.0)), path)


def write_weights(path: Path, parameters: dict[str, Any]) -> None:
    np.savez(path, **parameters)


def random_images(sides: list[tuple[int, int]], seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (*side, 3), dtype=np.uint8) for side in sides]


class PlainBit:
    """The forward pass of one image as in the paper and the official code, in float64 numpy."""

    def __init__(self, parameters: Mapping[str, np.ndarray], groups: int) -> None:
        self.parameters = {name: value.astype(np.float64) for name, value in parameters.items()}
        self.groups = groups

    def conv(self, x: np.ndarray, name: str, stride: int = 1) -> np.ndarray:
        kernel = self.parameters[f"{name}/standardized_conv2d/kernel"]
        kernel = (kernel - kernel.mean(axis=(0, 1, 2))) / np.sqrt(kernel.var(axis=(0, 1, 2)) + 1e-10)
        size = kernel.shape[0]
        x = np.pad(x, [(size // 2, size // 2)] * 2 + [(0, 0)])
        windows = sliding_window_view(x, (size, size), axis=(0, 1))[::stride, ::stride]
        return np.tensordot(windows, kernel, axes=([3, 4, 2], [0, 1, 2]))

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        grouped = x.reshape(*x.shape[:2], self.groups, -1)
        mean, variance = grouped.mean(axis=(0, 1, 3), keepdims=True), grouped.var(axis=(0, 1, 3), keepdims=True)
        x = ((grouped - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape)
        gamma, beta = (self.parameters[f"{name}/group_norm/{side}"] for side in ("gamma", "beta"))
        return np.maximum(x * gamma + beta, 0)

    def unit(self, x: np.ndarray, name: str, stride: int) -> np.ndarray:
        inner = self.norm(x, f"{name}/a")
        shortcut = self.conv(inner, f"{name}/a/proj", stride) if name.endswith("unit01") else x
        inner = self.norm(self.conv(inner, f"{name}/a"), f"{name}/b")
        inner = self.norm(self.conv(inner, f"{name}/b", stride), f"{name}/c")
        total: np.ndarray = shortcut + self.conv(inner, f"{name}/c")
        return total

    def features(self, x: np.ndarray, units: tuple[int, ...]) -> np.ndarray:
        x = np.pad(self.conv(x, "resnet/root_block", 2), [(1, 1), (1, 1), (0, 0)])
        x = sliding_window_view(x, (3, 3), axis=(0, 1))[::2, ::2].max(axis=(3, 4))
        for block, count in enumerate(units, 1):
            for unit in range(1, count + 1):
                x = self.unit(x, f"resnet/block{block}/unit{unit:02d}", 2 if block > 1 and unit == 1 else 1)
        pooled: np.ndarray = self.norm(x, "resnet").mean(axis=(0, 1))
        return pooled


@pytest.fixture
def small_weights(tmp_path: Path) -> Path:
    path = tmp_path / "small.npz"
    write_weights(path, random_parameters(SMALL))
    return path


@pytest.mark.parametrize(("net", "side"), [(SMALL, 64), (BIT["bit-tiny"], 65), (BIT["bit-m-r50x1"], 64)])
def test_the_forward_pass_is_that_of_the_paper(net: Architecture, side: int) -> None:
    parameters = random_parameters(net)
    images = np.random.default_rng(1).uniform(-1, 1, (2, side, side, 3)).astype(np.float32)
    plain = PlainBit(parameters, net.groups)
    expected = np.stack([plain.features(image, net.units) for image in images])
    model = engine.openvino().compile_model(bit.bit_model(net, parameters, side), "CPU", EXACT)
    run = np.array(model(images.transpose(0, 3, 1, 2))[0])
    trained = features(standardize(parameters), tf.constant(images), net).numpy()
    for got in (run, trained):
        assert got.shape == (2, 32 * net.width)
        assert np.abs(got - expected).max() / expected.max() < 1e-4


def test_parameter_names_are_those_of_the_official_checkpoint() -> None:
    shapes = parameter_shapes(BIT["bit-m-r50x1"])
    # 1 root + 16 units of 3 convolutions + 4 projections, and gamma and beta of 16 * 3 + 1 norms
    assert len(shapes) == 1 + 16 * 3 + 4 + 2 * (16 * 3 + 1)
    assert sum(np.prod(shape) for shape in shapes.values()) == 23_500_352  # torchvision's ResNet-50 has about as many
    assert shapes["resnet/root_block/standardized_conv2d/kernel"] == (7, 7, 3, 64)
    assert shapes["resnet/block1/unit01/a/proj/standardized_conv2d/kernel"] == (1, 1, 64, 256)
    assert shapes["resnet/block3/unit06/b/standardized_conv2d/kernel"] == (3, 3, 256, 256)
    assert shapes["resnet/block4/unit01/a/group_norm/gamma"] == (1024,)
    assert shapes["resnet/group_norm/beta"] == (2048,)


@pytest.mark.parametrize(("name", "dims"), [("bit-m-r50x1", 2048), ("bit-s-r101x3", 6144), ("bit-m-r152x4", 8192)])
def test_width_gives_the_dimensions(name: str, dims: int) -> None:
    assert BIT[name].dims == dims


def test_a_checkpoint_may_have_a_head(tmp_path: Path, small_weights: Path) -> None:
    headed = tmp_path / "headed.npz"
    head = {"resnet/head/conv2d/kernel": np.zeros((1, 1, 256, 10)), "resnet/head/conv2d/bias": np.zeros(10)}
    write_weights(headed, random_parameters(SMALL) | head)
    images = random_images([(64, 64)])
    expected = load_bit("small", SMALL, small_weights).embed(images)
    assert np.array_equal(load_bit("small", SMALL, headed).embed(images), expected)


def test_missing_and_extra_names_are_listed(tmp_path: Path) -> None:
    parameters = random_parameters(SMALL)
    parameters["resnet/block9/strange"] = parameters.pop("resnet/group_norm/beta")
    write_weights(tmp_path / "renamed.npz", parameters)
    with pytest.raises(
        WeightsMismatch, match="missing: resnet/group_norm/beta; extra: resnet/block9/strange"
    ) as caught:
        load_bit("small", SMALL, tmp_path / "renamed.npz")
    assert caught.value.missing == ("resnet/group_norm/beta",)
    assert caught.value.extra == ("resnet/block9/strange",)


def test_wrong_shapes_are_named(tmp_path: Path) -> None:
    parameters = random_parameters(SMALL) | {"resnet/group_norm/beta": np.zeros(7)}
    write_weights(tmp_path / "short.npz", parameters)
    with pytest.raises(WeightsMismatch, match=r"resnet/group_norm/beta must be \(256,\), got \(7,\)"):
        load_bit("small", SMALL, tmp_path / "short.npz")


def test_a_file_that_is_not_a_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.npz").write_bytes(b"not a zip file")
    with pytest.raises(WeightsMismatch, match="cannot be read as one"):
        load("bit-m-r50x1", tmp_path / "noise.npz")
    with pytest.raises(WeightsNotFound, match="found no file"):
        load("bit-m-r50x1", tmp_path / "absent.npz")


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(UnknownEmbedder, match=r"bit-tiny, bit-m-r50x1.*mobilenet-v2.*got 'bit-m-r51'"):
        load("bit-m-r51")


def test_pretrained_networks_need_weights() -> None:
    with pytest.raises(WeightsNotFound, match=r"does not ship .*`hashsearch embedders fetch bit-m-r50x1`, or name"):
        load("bit-m-r50x1")


def test_embeddings_are_normalised_and_independent_of_the_batch(small_weights: Path) -> None:
    embedder = load_bit("small", SMALL, small_weights)
    images = random_images([(64, 64), (200, 100), (31, 77)] * 15)
    together = embedder.embed(images)
    alone = np.concatenate([embedder.embed([image]) for image in images])
    assert (together.shape, together.dtype) == ((45, 256), np.dtype(np.float32))
    assert np.abs(together - alone).max() < 1e-5
    assert np.abs(np.linalg.norm(together, axis=1) - 1).max() < 1e-5
    assert embedder.embed([]).shape == (0, 256)


def test_an_image_of_the_input_size_is_not_resampled(small_weights: Path) -> None:
    embedder = load_bit("small", SMALL, small_weights)
    exact, larger = random_images([(64, 64), (128, 96)])
    assert embedder.prepare(exact) is exact
    prepared = embedder.prepare(larger)
    assert (prepared.shape, prepared.dtype) == ((64, 64, 3), np.dtype(np.uint8))
    assert np.array_equal(embedder.embed([larger]), embedder.embed([prepared]))


def test_resampling_averages_what_it_drops(small_weights: Path) -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 200
    prepared = load_bit("small", SMALL, small_weights).prepare(stripes)
    assert np.abs(prepared[:, 2:-2].astype(int) - 100).max() <= 2


@pytest.mark.parametrize("image", [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3), np.float32)])
def test_arrays_that_are_no_rgb_image_are_refused(small_weights: Path, image: np.ndarray) -> None:
    with pytest.raises(EmbedderError, match=r"must be \(height, width, 3\) uint8"):
        load_bit("small", SMALL, small_weights).embed([image])


def test_digest_follows_the_weights(tmp_path: Path, small_weights: Path) -> None:
    write_weights(tmp_path / "other.npz", random_parameters(SMALL, seed=1))
    first, other = (load_bit("small", SMALL, path).digest for path in (small_weights, tmp_path / "other.npz"))
    assert len(first) == 64
    assert first == load_bit("small", SMALL, small_weights).digest != other


def test_pixels_are_scaled_by_range_mean_and_deviation() -> None:
    scale, shift = Preprocessing(8, range=(0, 1), mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0)).scale_and_shift()
    assert np.allclose(0 * scale + shift, [-1, -1, 0])
    assert np.allclose(255 * scale + shift, [1, 3, 0.5])


def test_bgr_reverses_the_channels_last_and_is_in_the_fields_only_then() -> None:
    """Mean and deviation are of red, green and blue in either order; fingerprints are older than the other."""
    plain = Preprocessing(8, range=(0, 255), mean=(1, 2, 3))
    turned = replace(plain, channels="bgr")
    pixels = np.array([[10.0, 20.0, 30.0]])
    assert plain.network_input(pixels).tolist() == [[9, 18, 27]]
    assert turned.network_input(pixels).tolist() == [[27, 18, 9]]
    assert plain.as_dict().keys() == {"input_size", "range", "mean", "std", "filter"}
    assert turned.as_dict() == {**plain.as_dict(), "channels": "bgr"}


@pytest.fixture
def mean_colour_model(tmp_path: Path) -> Path:
    """A Keras file whose vector is the mean colour of the image as the network sees it."""
    pool = tf.keras.Sequential([tf.keras.layers.Input((8, 8, 3)), tf.keras.layers.GlobalAveragePooling2D()])
    pool.save(tmp_path / "pool.keras")
    return tmp_path / "pool.keras"


def write_settings(folder: Path, **fields: object) -> str:
    (folder / "net.json").write_text(json.dumps(fields))
    return str(folder / "net.json")


def test_a_keras_file_runs_with_its_preprocessing_from_a_file(tmp_path: Path, mean_colour_model: Path) -> None:
    settings = write_settings(tmp_path, input_size=8, range=[-1, 1], filter="bicubic")
    embedder = load(settings, mean_colour_model)
    red = np.zeros((20, 30, 3), np.uint8)
    red[..., 0] = 255
    assert (embedder.dims, embedder.input_size) == (3, 8)
    assert embedder.preprocessing["filter"] == "bicubic"
    assert np.allclose(embedder.embed([red]), np.array([[1, -1, -1]]) / np.sqrt(3))


@pytest.mark.parametrize("with_call", [True, False])
def test_a_saved_model_folder_runs_as_bit_in_0_to_1(tmp_path: Path, with_call: bool) -> None:
    class Pool(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])  # type: ignore[untyped-decorator]  # nor here
        def __call__(self, images: tf.Tensor) -> tf.Tensor:
            return tf.pad(tf.reduce_mean(images, [1, 2]), [[0, 0], [0, 2045]])

    class Served(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
        serve = Pool.__call__

    pool = Pool() if with_call else Served()
    tf.saved_model.save(pool, tmp_path / "pool", signatures=None if with_call else pool.serve)
    embedder = load("bit-m-r50x1", tmp_path / "pool")
    black_and_green = np.zeros((2, 9, 9, 3), np.uint8)
    black_and_green[1, ..., 1] = 128
    assert np.allclose(embedder.embed(list(black_and_green))[:, :3], [[0, 0, 0], [0, 1, 0]])
    assert embedder.preprocessing["range"] == (0.0, 1.0)


def test_wrong_preprocessing_and_missing_files_are_named(tmp_path: Path, mean_colour_model: Path) -> None:
    with pytest.raises(ConfigError, match="colour"):
        load(write_settings(tmp_path, input_size=8, colour="bgr"), mean_colour_model)
    with pytest.raises(ConfigError, match="one of bilinear, bicubic, lanczos, got 'nearest'"):
        load(write_settings(tmp_path, input_size=8, filter="nearest"), mean_colour_model)
    with pytest.raises(ConfigError, match="one of rgb, bgr, got 'hsv'"):
        load(write_settings(tmp_path, input_size=8, channels="hsv"), mean_colour_model)
    with pytest.raises(WeightsNotFound, match="found no"):
        load("mobilenet-v2", tmp_path / "absent.keras")


def test_a_network_of_another_input_size_is_refused(tmp_path: Path) -> None:
    layers = tf.keras.layers
    tf.keras.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(2)]).save(tmp_path / "dense.keras")
    with pytest.raises(WeightsMismatch, match=r"must take \(n, 9, 9, 3\)"):
        load(write_settings(tmp_path, input_size=9), tmp_path / "dense.keras")


@pytest.mark.parametrize(("name", "dims"), [("bit-m-r50x1", 2048), ("resnet50", 2048), ("vgg16", 512)])
def test_a_network_whose_vectors_are_not_those_of_the_name_is_refused(name: str, dims: int, tmp_path: Path) -> None:
    layers = tf.keras.layers
    small = tf.keras.Sequential([layers.Input((224, 224, 3)), layers.GlobalAveragePooling2D(), layers.Dense(64)])
    small.save(tmp_path / "small.keras")
    small.export(tmp_path / "small")
    for weights in (tmp_path / "small.keras", tmp_path / "small"):
        with pytest.raises(WeightsMismatch, match=rf"{name} must return vectors of {dims} dims, got 64 from .*small"):
            load(name, weights)


def test_a_network_that_returns_maps_is_refused(tmp_path: Path) -> None:
    maps = tf.keras.Sequential([tf.keras.layers.Input((8, 8, 3)), tf.keras.layers.ReLU()])
    maps.save(tmp_path / "maps.keras")
    with pytest.raises(EmbedderError, match="one vector per image"):
        load(write_settings(tmp_path, input_size=8), tmp_path / "maps.keras")


@pytest.mark.skipif(not MOBILENET.exists(), reason="the MobileNetV2 file is not beside this checkout")
@pytest.mark.skipif(tuple(map(int, version("keras").split(".")[:2])) < (3, 13), reason="a newer Keras wrote the file")
def test_mobilenet_runs_by_its_name() -> None:
    embedder = load("mobilenet-v2", MOBILENET)
    vectors = embedder.embed(random_images([(224, 224), (50, 80)]))
    assert (embedder.input_size, vectors.shape) == (224, (2, 1280))


def test_the_table_is_read_without_tensorflow() -> None:
    code = "import sys, hashsearch.embedders as e; e.names(); assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


class TestCheck:
    """What can be refused before TensorFlow is imported."""

    def test_it_returns_the_dims_that_are_known_without_weights(self, tmp_path: Path, mean_colour_model: Path) -> None:
        assert check("bit-tiny") == 768
        assert check("vgg16", mean_colour_model) == 512
        assert check("mobilenet-v2", mean_colour_model) is None
        assert check(write_settings(tmp_path, input_size=8), mean_colour_model) is None

    @pytest.mark.parametrize("trained", [None, Path("nowhere")])
    def test_an_unknown_name_is_refused_with_the_known_ones(self, trained: Path | None) -> None:
        with pytest.raises(UnknownEmbedder, match=r"bit-tiny, bit-m-r50x1.*mobilenet-v2.*vgg16.*got 'bit-m-r51'"):
            check("bit-m-r51", trained=trained)

    def test_missing_weights_are_refused(self, tmp_path: Path) -> None:
        for name in ("mobilenet-v2", "bit-m-r50x1", write_settings(tmp_path, input_size=8)):
            with pytest.raises(WeightsNotFound, match=f"{name} does not ship with this package: "):
                check(name)
            with pytest.raises(WeightsNotFound, match=r"found no .*absent"):
                check(name, tmp_path / "absent.keras")
        with pytest.raises(WeightsNotFound, match="found no file"):
            check("bit-m-r50x1", tmp_path / "absent.npz")

    def test_a_checkpoint_of_another_network_is_refused(self, small_weights: Path) -> None:
        with pytest.raises(WeightsMismatch, match=r"missing: resnet/block1/unit03.*extra: none"):
            check("bit-m-r50x1", small_weights)

    def test_a_file_that_is_no_network_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff")
        (tmp_path / "empty").mkdir()
        with pytest.raises(WeightsMismatch, match=r"photo\.jpg must be an \.onnx or .*neither zip nor HDF5"):
            check("mobilenet-v2", tmp_path / "photo.jpg")
        with pytest.raises(WeightsMismatch, match=r"a SavedModel folder: it has no saved_model\.pb"):
            check("mobilenet-v2", tmp_path / "empty")
        with pytest.raises(ConfigError, match="colour"):
            check(write_settings(tmp_path, input_size=8, colour="bgr"), tmp_path / "photo.jpg")

    def test_it_needs_no_tensorflow(self) -> None:
        code = """if True:
            import sys
            from hashsearch.embedders import check
            from hashsearch.errors import EmbedderError
            check("bit-tiny")
            for name in ("nothing", "mobilenet-v2"):
                try:
                    check(name)
                except EmbedderError:
                    continue
            assert "tensorflow" not in sys.modules"""
        subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_name_of_load() -> None:
    assert load_embedder is load


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_damaged_network_is_refused_with_one_sentence(tmp_path: Path, mean_colour_model: Path, suffix: str) -> None:
    """Flipped bits, a cut end, other bytes: it loads, or is refused without a traceback."""
    if suffix == ".h5":
        tf.keras.models.load_model(mean_colour_model).save(tmp_path / "pool.h5")
    intact, rng = (tmp_path / f"pool{suffix}").read_bytes(), np.random.default_rng(0)
    settings, damaged, refused = write_settings(tmp_path, input_size=8), tmp_path / f"damaged{suffix}", 0
    for turn in range(24):
        content, at = bytearray(intact), int(rng.integers(len(intact)))
        if turn % 3 == 0:
            content[at] ^= 1 << int(rng.integers(8))
        elif turn % 3 == 1:
            del content[at:]
        else:
            content[at : at + 50] = rng.bytes(50)
        damaged.write_bytes(content)
        try:
            load(settings, damaged)
        except EmbedderError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 8
