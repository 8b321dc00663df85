"""The demo's own encoder: fitted to its catalog once for each network and catalog."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from PIL import Image

from hashsearch.catalog.reading import Catalog
from hashsearch.cli.main import commands
from hashsearch.cli.tour import fitted
from hashsearch.config import Settings
from hashsearch.encoder import Encoder
from hashsearch.errors import WeightsNotFound


def draw(folder: Path, numbers: range) -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        pixels = np.random.default_rng(number).integers(256, size=(20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that averages 4 x 4 squares, and its settings."""
    folder, layers = tmp_path_factory.mktemp("network"), tf.keras.layers
    tf.keras.Sequential([layers.Input((20, 20, 3)), layers.AveragePooling2D(4), layers.Flatten()]).save(
        folder / "squares.keras"
    )
    (folder / "squares.json").write_text(json.dumps({"input_size": 20}))
    (folder / "other.json").write_text(json.dumps({"input_size": 20, "range": [-1, 1]}))
    return folder


def test_an_encoder_is_fitted_once_for_each_network_and_catalog(network: Path, tmp_path: Path) -> None:
    settings, said = Settings(home=tmp_path / "home"), list[str]()
    weights, catalog = str(network / "squares.keras"), Catalog(draw(tmp_path / "photos", range(20)))

    def made(entries: Catalog, name: str = "squares.json") -> Path:
        return fitted(entries, str(network / name), weights, settings, said.append)

    folder = made(catalog)
    assert (folder.parent, folder.name.startswith("squares-")) == (tmp_path / "home" / "encoders", True)
    encoder = Encoder.load(folder)
    assert (encoder.dims, encoder.bits, encoder.spec.name) == (75, 1024, "squares")
    assert made(catalog) == folder
    assert len(said) == 1
    larger = Catalog(draw(tmp_path / "photos", range(21)))
    assert len({folder, made(larger), made(larger, "other.json")}) == 3
    assert len(said) == 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(["--embedder", "bit-m-r50x1"], "embedders fetch bit-m-r50x1"), (["--weights", "a.npz"], "goes with --embedder")],
)
def test_a_network_without_weights_is_refused_before_anything_is_drawn(
    words: list[str], sentence: str, tmp_path: Path
) -> None:
    done = CliRunner().invoke(commands, ["demo", *words, "--home", str(tmp_path), "--port", "58123"])
    assert done.exit_code != 0
    assert sentence in (done.output + str(done.exception))
    assert isinstance(done.exception, WeightsNotFound | SystemExit)
    assert list(tmp_path.iterdir()) == []
