"""Trained embedders: loaded by folder or name wherever an embedder is, refused when changed, listed with the others."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from support.shelves import write_config

from hashsearch.embedders import Embedder, load, located, names, trained_names
from hashsearch.embedders.architectures import LITE
from hashsearch.embedders.embedder import digest_files
from hashsearch.embedders.inventory import inventory
from hashsearch.embedders.trained import read_trained
from hashsearch.encoder import EmbedderSpec, Encoder
from hashsearch.errors import ConfigError, EmbedderError, UnknownEmbedder, WeightsMismatch, WeightsNotFound
from hashsearch.evaluation.compare.plan import PlannedMethod, read_plan
from hashsearch.evaluation.methods.features import NetworkFeatures
from hashsearch.hashing.binarizers import make_binarizer
from hashsearch.hashing.sub_codes import make_sub_codes

SIZE = 8
KERNEL = np.random.default_rng(0).standard_normal((3, 16)).astype(np.float32)
NAMES = [f"flower {number}" for number in range(16)]
MANIFEST: dict[str, Any] = {
    "format": 1,
    "name": "toy-triplet",
    "dims": 16,
    "preprocessing": {"input_size": SIZE, "range": [-1, 1]},
    "network": "network",
    "recipe": {"data": {"folder": "flowers-160", "layout": "splits"}, "schedule": {"monitor": "val_map"}},
    "data": {"photos": 12},
    "metrics": {"epochs": 3, "best": {"loss": 0.2, "val_map": 0.75}},
    "versions": {},
}


def write_trained(folder: Path, activation: str | None = None, **details: Any) -> Path:
    """As training leaves it: a network that answers the mean colour times KERNEL."""
    layers = tf.keras.layers
    dense = layers.Dense(16, use_bias=False, activation=activation)
    model = tf.keras.Sequential([layers.Input((SIZE, SIZE, 3)), layers.GlobalAveragePooling2D(), dense])
    dense.set_weights([KERNEL])
    model.export(folder / "network")
    (folder / "manifest.json").write_text(
        json.dumps({**MANIFEST, **details, "digest": digest_files(folder / "network")})
    )
    return folder


def photos(count: int = 3) -> list[np.ndarray]:
    return list(np.random.default_rng(1).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8))


def expected(images: list[np.ndarray]) -> np.ndarray:
    vectors = (np.stack(images) / 127.5 - 1).mean(axis=(1, 2)) @ KERNEL
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HASHSEARCH_HOME with one trained embedder."""
    folder = tmp_path_factory.mktemp("home")
    write_trained(folder / "embedders" / "flowers")
    return folder


@pytest.fixture(scope="module")
def trained(home: Path) -> Path:
    """The folder of trained embedders."""
    return home / "embedders"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained embedder whose vectors are probabilities of classes."""
    return write_trained(tmp_path_factory.mktemp("classifier"), "softmax", classes=NAMES)


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """One to damage."""
    return Path(shutil.copytree(trained / "flowers", tmp_path / "copy"))


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


class TestLoad:
    def test_it_is_loaded_by_its_folder_and_by_its_name(self, trained: Path) -> None:
        for embedder in (load(str(trained / "flowers")), load("flowers", trained=trained)):
            assert (embedder.name, embedder.dims, embedder.input_size) == ("toy-triplet", 16, SIZE)
            assert np.allclose(embedder.embed(photos()), expected(photos()), atol=1e-5)

    def test_an_unknown_name_lists_the_trained_too(self, trained: Path) -> None:
        with pytest.raises(UnknownEmbedder, match=r"vgg16, .*flowers, the folder .* got 'flower'"):
            load("flower", trained=trained)

    def test_a_folder_does_not_hide_a_known_name(
        self, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shutil.copytree(trained / "flowers", tmp_path / "mobilenet-v2")
        monkeypatch.chdir(tmp_path)
        assert trained_names(tmp_path) == []
        assert located("mobilenet-v2", tmp_path) == "mobilenet-v2"
        with pytest.raises(WeightsNotFound, match="mobilenet-v2 does not ship"):
            load("mobilenet-v2", trained=tmp_path)

    def test_it_takes_no_other_weights(self, trained: Path) -> None:
        with pytest.raises(EmbedderError, match=r"has its own weights, for .* got other\.keras"):
            load("flowers", "other.keras", trained=trained)

    def test_an_encoder_works_without_its_folder(self, copy: Path, tmp_path: Path) -> None:
        embedder = load(str(copy))
        encoder = fitted(embedder)
        encoder.save(tmp_path / "encoder")
        shutil.rmtree(copy)
        loaded = Encoder.load(tmp_path / "encoder")
        assert loaded.fingerprint == encoder.fingerprint
        assert np.allclose(loaded.embed(photos()), expected(photos()), atol=1e-5)


class TestClasses:
    def test_the_probabilities_of_a_picture_are_its_confidences(self, classifier: Path, tmp_path: Path) -> None:
        embedder = load(str(classifier))
        encoder = fitted(embedder)
        encoder.save(tmp_path / "encoder")
        loaded = Encoder.load(tmp_path / "encoder")
        assert loaded.fingerprint == encoder.fingerprint
        shares = probabilities(photos())
        for vector, expected_shares in zip(loaded.embed(photos()), shares):
            confidences = loaded.confidences(vector)
            assert list(confidences.values()) == sorted(confidences.values(), reverse=True)
            assert confidences == pytest.approx(dict(zip(NAMES, expected_shares.tolist())), abs=1e-5)

    def test_other_networks_have_no_confidences(self, trained: Path) -> None:
        embedder = load("flowers", trained=trained)
        encoder = fitted(embedder)
        assert encoder.confidences(encoder.embed(photos(1))[0]) == {}

    def test_there_must_be_one_class_for_each_dimension(self, classifier: Path, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(classifier, tmp_path / "copy"))
        change_manifest(copy, lambda manifest: manifest["classes"].pop())
        with pytest.raises(EmbedderError, match="classes must be one for each of 16 dims, got 15"):
            load(str(copy))


def probabilities(images: list[np.ndarray]) -> np.ndarray:
    logits = (np.stack(images) / 127.5 - 1).mean(axis=(1, 2)) @ KERNEL
    powers = np.exp(logits)
    shares: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return shares


def fitted(embedder: Embedder) -> Encoder:
    vectors = embedder.embed(photos(40))
    return Encoder.fit(
        EmbedderSpec.of(embedder), vectors, make_binarizer("rotation", bits=16), make_sub_codes("blocks")
    )


class TestDamage:
    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"format": 2}, "its format is 2, this version reads 1"),
            ({"name": 7}, "name must be of type str, got 7"),
            ({"dims": "16"}, "dims must be of type int, got '16'"),
            ({"metrics": []}, r"metrics must be of type dict, got \[\]"),
            ({"preprocessing": {"input_size": SIZE, "colour": 1}}, "colour"),
            ({"preprocessing": {"input_size": SIZE, "filter": "nearest"}}, "filter must be one of .*'nearest'"),
            ({"preprocessing": {"input_size": SIZE, "channels": "hsv"}}, "channels must be one of rgb, bgr"),
            ({"preprocessing": {"input_size": 0}}, "input_size must be a whole number of at least 1, got 0"),
        ],
    )
    def test_an_invalid_manifest_is_refused_with_the_reason(
        self, copy: Path, changed: dict[str, Any], reason: str
    ) -> None:
        change_manifest(copy, lambda manifest: manifest.update(changed))
        with pytest.raises(EmbedderError, match=f"copy is not a trained embedder: .*{reason}"):
            read_trained(copy)

    @pytest.mark.parametrize("name", ["format", "name", "dims", "preprocessing", "network", "digest", "recipe"])
    def test_a_manifest_without_a_required_entry_is_refused(self, copy: Path, name: str) -> None:
        change_manifest(copy, lambda manifest: manifest.pop(name))
        with pytest.raises(EmbedderError, match=f"KeyError: '{name}'"):
            read_trained(copy)

    @pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000], ids=["empty", "open", "list", "deep"])
    def test_a_file_that_is_no_manifest_is_refused(self, copy: Path, text: str) -> None:
        (copy / "manifest.json").write_text(text)
        with pytest.raises(EmbedderError, match="is not a trained embedder"):
            read_trained(copy)

    def test_a_missing_network_or_manifest_is_named(self, copy: Path) -> None:
        shutil.rmtree(copy / "network")
        with pytest.raises(WeightsNotFound, match=r"must have its network, found no .*copy/network"):
            load(str(copy))
        (copy / "manifest.json").unlink()
        with pytest.raises(WeightsNotFound, match=r"must be a folder with a manifest\.json"):
            load(str(copy))

    def test_another_network_is_refused(self, copy: Path) -> None:
        with (copy / "network" / "saved_model.pb").open("ab") as file:
            file.write(b"\0")
        with pytest.raises(WeightsMismatch, match="was changed since it was trained"):
            load(str(copy))

    def test_other_dims_are_refused(self, copy: Path) -> None:
        change_manifest(copy, lambda manifest: manifest.update(dims=15))
        with pytest.raises(WeightsMismatch, match="must return 15 dims, got 16"):
            load(str(copy))


class TestCompared:
    """As features of a comparison."""

    METHOD = '[[method]]\nname = "one"\nkind = "exact"\nfeatures = "{}"\n'

    def test_by_folder_and_by_name_it_is_the_same(self, trained: Path, tmp_path: Path) -> None:
        plans = [
            read_plan(write_config(tmp_path, self.METHOD.format(name)), trained=trained)
            for name in ("flowers", trained / "flowers")
        ]
        named, pathed = (plan.methods[0] for plan in plans)
        assert isinstance(named, PlannedMethod)
        assert named.settings == pathed.settings
        digest = digest_files(trained / "flowers" / "network")
        assert named.features.identity == {"network": "toy-triplet", "weights": digest, "crop": None}
        vectors = named.features.finish([named.features.prepare(photo) for photo in photos()])
        assert np.allclose(vectors, expected(photos()), atol=1e-5)

    def test_a_damaged_one_is_refused_when_the_plan_is_read(self, copy: Path, trained: Path, tmp_path: Path) -> None:
        change_manifest(copy, lambda manifest: manifest.pop("digest"))
        with pytest.raises(ConfigError, match=r"\[\[method\]\] 1: .* is not a trained embedder"):
            read_plan(write_config(tmp_path, self.METHOD.format(copy)), trained=trained)

    def test_it_takes_no_other_weights(self, trained: Path) -> None:
        with pytest.raises(ConfigError, match="a trained embedder has its own weights"):
            NetworkFeatures(str(trained / "flowers"), weights="other.keras")


class TestInventory:
    def test_every_embedder_is_listed_once(self, trained: Path) -> None:
        assert [item.name for item in inventory(trained)] == [*names(), "flowers"]

    def test_a_trained_one_has_its_data_and_figure(self, trained: Path) -> None:
        item = inventory(trained)[-1]
        assert (item.dims, item.input_size, item.ready, item.data) == (16, SIZE, True, "flowers-160")
        assert item.watched == "val_map 0.750"

    def test_one_without_details_of_its_training_is_listed_too(self, copy: Path) -> None:
        change_manifest(copy, lambda manifest: manifest.update(recipe={"data": "flowers"}, metrics={}))
        item = inventory(copy.parent)[-1]
        assert (item.name, item.ready, item.data, item.watched) == ("copy", True, None, None)

    def test_missing_weights_are_listed_with_what_to_do(
        self, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        shutil.copytree(trained / "flowers", tmp_path / "broken")
        shutil.rmtree(tmp_path / "broken" / "network")
        items = {item.name: item for item in inventory(tmp_path)}
        assert items["bit-tiny"].weights == "bundled"
        assert items["bit-m-r101x3"].weights.startswith("hashsearch embedders fetch bit-m-r101x3; or --weights BiT-M-R")
        assert "put resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5" in items["resnet50"].weights
        assert f"into {tmp_path}/models" in items["resnet50"].weights
        assert "must have its network" in items["broken"].weights
        assert [name for name, item in items.items() if item.ready] == [*LITE, "bit-tiny"]


@pytest.mark.slow
class TestCommands:
    def test_the_table_is_read_without_tensorflow(self, home: Path) -> None:
        answer = command(home, "-X", "importtime", "-m", "hashsearch", "embedders", "--json")
        listed = {item["name"]: item for item in json.loads(answer.stdout)}
        assert listed["flowers"]["metrics"] == MANIFEST["metrics"]
        assert listed["vgg16"]["dims"] == 512
        assert "| tensorflow" not in answer.stderr
        rows = command(home, "-m", "hashsearch", "embedders").stdout.splitlines()
        assert rows[0].split() == ["name", "dims", "px", "weights"]
        assert rows[-1].startswith("flowers") and rows[-1].endswith("(flowers-160, val_map 0.750)")

    def test_an_encoder_is_fitted_on_a_trained_one_by_its_name(self, home: Path, tmp_path: Path) -> None:
        (tmp_path / "photos").mkdir()
        for number, photo in enumerate(photos(40)):
            Image.fromarray(photo).save(tmp_path / "photos" / f"{number}.png")
        options = ["--embedder", "flowers", "--bits", "16", "--sub-codes", "blocks", "--out", str(tmp_path / "encoder")]
        command(home, "-m", "jobs.fit_encoder", str(tmp_path / "photos"), *options)
        encoder = Encoder.load(tmp_path / "encoder")
        assert encoder.spec.name == "toy-triplet"
        assert np.allclose(encoder.embed(photos()), expected(photos()), atol=1e-5)


def command(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HASHSEARCH_HOME": str(home)}
    answer = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr[-2000:]
    return answer
