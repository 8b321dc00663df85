"""The composition root: settings to what searches and indexes, refused before the network is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from hashsearch import services
from hashsearch.catalog.reading import Catalog
from hashsearch.config import Model, Settings
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.encoder import Encoder
from hashsearch.errors import ConfigError, EncoderError, EncoderMismatch, IndexNotFound, StoreUnavailable
from hashsearch.indexing.runs import index_catalog

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(3):
        pixels = np.random.default_rng(number).integers(256, size=(40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def settings(node: SimpleNamespace, fresh_name: str, tmp_path: Path) -> Settings:
    return replace(Settings.from_environment(), home=tmp_path, es_url=node.url, index=fresh_name)


def test_an_indexer_makes_the_index_and_searchers_open_it(settings: Settings, photos: Path) -> None:
    indexer = services.open_indexer(settings)
    assert index_catalog(Catalog(photos), indexer, settings.home / "jobs")[0].entries == 3
    searcher = services.open_searcher(settings)
    assert {hit.id for hit in searcher.by_id("0.png")} == {"1.png", "2.png"}
    hashed = services.open_phash_searcher(settings)
    assert {hit.id for hit in hashed.by_id("0.png")} == {"1.png", "2.png"}
    encoder, index = services.open_index(settings)
    assert encoder.fingerprint == index.fingerprint == searcher.encoder.fingerprint
    assert services.open_indexer(settings).index.uuids == indexer.index.uuids


def test_models_have_a_searcher_each_by_name(settings: Settings, tmp_path: Path) -> None:
    services.open_indexer(settings)
    Encoder.bundled().save(tmp_path / "copied")
    models = (Model("first", settings.index), Model("second", settings.index, tmp_path / "copied"))
    assert [*services.open_searchers(replace(settings, models=models))] == ["first", "second"]
    assert [*services.open_searchers(settings)] == [settings.index]


def test_scratch_indices_are_gone_at_the_end(settings: Settings, client: Elasticsearch) -> None:
    with services.open_scratch(settings, f"test-{os.getpid()}-scratch") as scratch:
        name = scratch.name()
        scratch.create(name, {"code": {"type": "keyword"}})
        assert client.indices.exists(index=name)
    assert not client.indices.exists(index=name)


def test_what_cannot_be_opened_is_an_error_that_names_it(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(IndexNotFound, match=f"hashsearch-{settings.index}"):
        services.open_searcher(settings)
    with pytest.raises(EncoderError, match=r"^nowhere "):
        services.open_searcher(replace(settings, encoder=Path("nowhere")))
    with pytest.raises(StoreUnavailable):
        services.connect_cluster(replace(settings, es_url="http://127.0.0.1:9"))


def test_a_wrong_name_of_an_index_is_refused_before_a_node_is_started(tmp_path: Path) -> None:
    nowhere = Settings(home=tmp_path, index="Ä")  # without an address: a local node would be started
    models = replace(nowhere, index="images", models=(Model("one", "Ä"),))
    for open_one, wrong in (
        (services.open_index, nowhere),
        (services.open_searcher, nowhere),
        (services.open_indexer, nowhere),
        (services.open_searchers, models),
    ):
        with pytest.raises(ConfigError, match=r"an index name must be .* got 'Ä'"):
            open_one(wrong)
    assert not [*tmp_path.iterdir()]


def test_an_index_of_another_encoder_is_refused_before_its_network_is_loaded(
    settings: Settings, tmp_path: Path
) -> None:
    services.open_indexer(settings)
    bundled = Encoder.bundled()
    bundled.binarizer.center_ = bundled.binarizer.center_ + 1
    other = Encoder(bundled.spec, bundled.binarizer, bundled.sub_codes, bundled.rerank_vectors, bundled.mean)
    other.save(tmp_path / "other")
    with pytest.raises(EncoderMismatch):
        services.open_indexer(replace(settings, encoder=tmp_path / "other"))
    program = """
import sys
from pathlib import Path
from hashsearch import Settings, open_indexer
from hashsearch.errors import EncoderMismatch

home, url, index = sys.argv[1:]
try:
    open_indexer(Settings(Path(home), url, index=index, encoder=Path(home) / "other"))
except EncoderMismatch:
    print("tensorflow" in sys.modules)
"""
    words = [sys.executable, "-c", program, str(tmp_path), str(settings.es_url), settings.index]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr


def test_an_index_of_the_former_bundled_encoder_is_opened_with_it(settings: Settings) -> None:
    former = Encoder.bundled_before()
    ImageIndex.create(services.connect_cluster(settings), settings.index, former)
    encoder, index = services.open_index(settings)
    assert encoder.fingerprint == index.fingerprint == former.fingerprint != Encoder.bundled().fingerprint
    assert services.open_indexer(settings).encoder.fingerprint == former.fingerprint
