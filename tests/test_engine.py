"""The engine: ONNX files that the tests make, layouts, outputs, precision, threads; and that it tells nobody."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hashsearch.embedders import DEFAULT, engine, load
from hashsearch.encoder import EmbedderSpec, Encoder
from hashsearch.errors import EmbedderError, WeightsMismatch
from hashsearch.hashing.binarizers import make_binarizer
from hashsearch.hashing.sub_codes import make_sub_codes

SIDE = 8


def write_onnx(
    path: Path, output: str = "mean", shape: tuple[Any, ...] = ("n", 3, SIDE, SIDE), extra: tuple[str, ...] = ()
) -> Path:
    """A network of one image input with outputs by name: its mean colour, its maps, its pixels as tokens."""
    if shape[-1] == 3:
        spread = [helper.make_node("Transpose", ["image"], ["maps"], perm=[0, 3, 1, 2])]
    else:
        spread = [helper.make_node("Identity", ["image"], ["maps"])]
    nodes = [
        *spread,
        helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["mean"]),
        helper.make_node("Reshape", ["maps", "columns"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["tokens"], perm=[0, 2, 1]),
    ]
    columns = numpy_helper.from_array(np.array([0, 3, -1]), "columns")
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (output, *extra)]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "net", [image], outputs, [columns])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def settings(folder: Path, **fields: object) -> str:
    (folder / "net.json").write_text(json.dumps({"input_size": SIDE, **fields}))
    return str(folder / "net.json")


def images(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(1, 256, (count, SIDE, SIDE, 3), dtype=np.uint8))


def unit(vectors: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


class TestOnnx:
    @pytest.mark.parametrize(
        "shape", [("n", 3, SIDE, SIDE), (1, 3, SIDE, SIDE), ("n", 3, "h", "w"), ("n", SIDE, SIDE, 3)]
    )
    def test_it_embeds_in_either_layout_and_any_number(self, tmp_path: Path, shape: tuple[Any, ...]) -> None:
        embedder = load(settings(tmp_path, mean=[0.1, 0.2, 0.3]), write_onnx(tmp_path / "net.onnx", shape=shape))
        means = np.stack(images(19)).mean(axis=(1, 2)) / 255 - [0.1, 0.2, 0.3]
        assert embedder.dims == 3
        assert np.abs(embedder.embed(images(19)) - unit(means)).max() < 1e-5
        assert np.abs(embedder.embed(images(1)) - unit(means[:1])).max() < 1e-5

    @pytest.mark.parametrize(
        ("output", "pooling"),
        [("tokens", "average"), ("tokens", "max"), ("tokens", "first"), ("maps", "average"), ("maps", "max")],
    )
    def test_tokens_and_maps_are_pooled(self, tmp_path: Path, output: str, pooling: str) -> None:
        embedder = load(settings(tmp_path, pooling=pooling), write_onnx(tmp_path / "net.onnx", output))
        pixels = np.stack(images(5)).reshape(5, -1, 3) / 255
        expected = {"average": pixels.mean(axis=1), "max": pixels.max(axis=1), "first": pixels[:, 0]}[pooling]
        assert np.abs(embedder.embed(images(5)) - unit(expected)).max() < 1e-5

    def test_one_of_several_outputs_is_chosen_by_name(self, tmp_path: Path) -> None:
        weights = write_onnx(tmp_path / "net.onnx", "tokens", extra=("mean",))
        assert load(settings(tmp_path, output="mean"), weights).dims == 3
        with pytest.raises(EmbedderError, match=r"the output of .*net\.onnx must be one of mean, tokens, got None"):
            load(settings(tmp_path), weights)
        with pytest.raises(EmbedderError, match=r"must be one of mean, tokens, got 'logits'"):
            load(settings(tmp_path, output="logits"), weights)

    def test_an_output_of_another_rank_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(EmbedderError, match=r"one vector per image, or tokens or maps .*and the pooling is None"):
            load(settings(tmp_path), write_onnx(tmp_path / "net.onnx", "tokens"))
        with pytest.raises(EmbedderError, match=r"the pooling is 'first'"):
            load(settings(tmp_path, pooling="first"), write_onnx(tmp_path / "net.onnx", "mean"))

    @pytest.mark.parametrize("shape", [("n", 3, 9, 9), ("n", 4, SIDE, SIDE), ("n", SIDE), ("n", 3, SIDE, SIDE, 1)])
    def test_an_input_of_another_shape_is_refused(self, tmp_path: Path, shape: tuple[Any, ...]) -> None:
        path, output = tmp_path / "net.onnx", "maps"
        with pytest.raises(
            WeightsMismatch, match=r"(must take images \(n, |must be a network that OpenVINO reads, but)"
        ):
            load(settings(tmp_path), write_onnx(path, output, shape))

    def test_a_file_that_is_no_network_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "net.onnx").write_bytes(b"\x08\x07nothing")
        with pytest.raises(
            WeightsMismatch, match=r"net\.onnx must be a network that OpenVINO reads, but: Unable to read"
        ) as caught:
            load(settings(tmp_path), tmp_path / "net.onnx")
        assert "\n" not in str(caught.value)

    def test_an_encoder_keeps_the_network(self, tmp_path: Path) -> None:
        weights = write_onnx(tmp_path / "net.onnx")
        embedder = load(settings(tmp_path), weights)
        vectors = embedder.embed(images(40))
        fitted = Encoder.fit(
            EmbedderSpec.of(embedder), vectors, make_binarizer("hyperplanes", bits=16), make_sub_codes("cells", cells=4)
        )
        folder = fitted.save(tmp_path / "encoder")
        weights.unlink()
        loaded = Encoder.load(folder)
        assert (loaded.fingerprint, loaded.spec.digest) == (fitted.fingerprint, embedder.digest)
        assert np.array_equal(loaded.embed(images(3)), embedder.embed(images(3)))
        network = folder / "weights"
        (binary,) = network.rglob("*.bin")
        binary.write_bytes(binary.read_bytes() + b"\0")
        with pytest.raises(WeightsMismatch, match=r"was changed since it was exported: network\.bin"):
            Encoder.load(folder).embed(images(1))


def test_many_threads_get_the_vectors_of_their_images() -> None:
    network, pictures = load("bit-tiny"), images(40)
    expected = network.embed(pictures)
    with ThreadPoolExecutor(8) as pool:
        alone = list(pool.map(lambda image: network.embed([image])[0], pictures))
        batches = list(pool.map(lambda start: network.embed(pictures[start : start + 10]), range(0, 40, 10)))
    assert np.abs(np.stack(alone) - expected).max() < 1e-5
    assert np.abs(np.concatenate(batches) - expected).max() < 1e-5


def test_bfloat16_is_near_and_changes_the_fingerprint() -> None:
    exact, fast = load(DEFAULT), load(DEFAULT, preprocessing={"precision": "bfloat16"})
    pictures = images(8)
    cosines = (exact.embed(pictures) * fast.embed(pictures)).sum(axis=1)
    assert cosines.min() > 0.97
    assert (cosines < 1 - 1e-6).any() == engine.has_bfloat16()
    assert EmbedderSpec.of(exact).identity() != EmbedderSpec.of(fast).identity()


# Writes every address that any Python process below looks up or connects to.
WATCH = """
import os, sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        with open(os.environ["WATCHED"], "a") as file:
            print(event, *(repr(part) for part in arguments if not hasattr(part, "fileno")), file=file)

sys.addaudithook(watch)
"""


@pytest.mark.slow
def test_neither_it_nor_a_command_tells_anybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO's own telemetry would look its makers up from a process of its own."""
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'watch'}:{Path(__file__).parents[1]}")
    monkeypatch.setenv("WATCHED", str(tmp_path / "addresses"))
    monkeypatch.setenv("HASHSEARCH_HOME", str(tmp_path / "home"))
    (tmp_path / "photos").mkdir()
    from PIL import Image

    for number, image in enumerate(images(20)):
        Image.fromarray(image).save(tmp_path / "photos" / f"{number}.png")
    fit = ["fit", str(tmp_path / "photos"), "--out", str(tmp_path / "encoder"), "--bits", "16", "--cells", "4"]
    embed = ["embed", str(tmp_path / "photos"), "--out", str(tmp_path / "vectors.npz")]
    for words in ([*fit, "--embedder", settings(tmp_path), "--weights", str(write_onnx(tmp_path / "net.onnx"))], embed):
        subprocess.run([sys.executable, "-m", "hashsearch", *words], check=True, capture_output=True)
    assert not (tmp_path / "addresses").exists(), (tmp_path / "addresses").read_text()
    control = "import socket; socket.getaddrinfo('localhost', 80)"
    subprocess.run([sys.executable, "-c", control], check=True)
    assert "localhost" in (tmp_path / "addresses").read_text()
