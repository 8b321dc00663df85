"""A TensorFlow Hub module by its address, from a local server: redirect, archive, cache, vectors, an index."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from elasticsearch import Elasticsearch
from PIL import Image
from support.publishing import Publisher, Wish, publisher

from hashsearch.catalog.reading import Catalog
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.writing import BulkWriter
from hashsearch.embedders import check, load
from hashsearch.encoder import EmbedderSpec, Encoder
from hashsearch.errors import WeightsMismatch, WeightsNotFound
from hashsearch.hashing.binarizers import make_binarizer
from hashsearch.hashing.sub_codes import make_sub_codes
from hashsearch.indexing.pipeline import Indexer
from hashsearch.indexing.runs import index_catalog
from hashsearch.search.planner import SearchOptions
from hashsearch.search.searcher import Searcher

NAME, DIMS, SQUARES = "bit-m-r50x1", 2048, 8
MODULE, ARCHIVE = "/google/bit/m-r50x1/1", "/archives/m-r50x1.tar.gz"
QUERY = "?tf-hub-format=compressed"


def archive(folder: Path, dims: int = DIMS) -> bytes:
    """A module as TensorFlow Hub publishes them: a SavedModel that returns the colours of 8 x 8 squares, and zeros."""

    class Squares(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
        @tf.function(input_signature=[tf.TensorSpec([None, 224, 224, 3], tf.float32)])  # type: ignore[untyped-decorator]  # nor here
        def __call__(self, images: tf.Tensor) -> tf.Tensor:
            squares = tf.nn.avg_pool2d(images, 224 // SQUARES, 224 // SQUARES, "VALID")
            colours = tf.reshape(squares, [-1, 3 * SQUARES**2])
            return tf.pad(colours, [[0, 0], [0, dims - 3 * SQUARES**2]])

    tf.saved_model.save(Squares(), folder)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        tar.add(folder, ".")
    return file.getvalue()


def photos(count: int = 3) -> list[np.ndarray]:
    """Pictures of 8 x 8 squares in random colours."""
    colours = np.random.default_rng(0).integers(256, size=(count, SQUARES, SQUARES, 3), dtype=np.uint8)
    return list(colours.repeat(28, axis=1).repeat(28, axis=2))


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return archive(tmp_path_factory.mktemp("module"))


@pytest.fixture
def hub(module: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """A server that redirects the module's address to its archive, as TensorFlow Hub does; an empty cache."""
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    with publisher() as server:
        server.files[ARCHIVE] = module
        server.redirects[MODULE + QUERY] = f"{server.url}{ARCHIVE}"
        yield server


def test_a_module_is_downloaded_once_and_embeds(hub: Publisher) -> None:
    check(NAME, hub.url + MODULE)
    embedder = load(NAME, hub.url + MODULE)
    assert hub.wishes == [Wish(MODULE + QUERY, status=302), Wish(ARCHIVE, status=200)]
    assert (embedder.name, embedder.dims, embedder.preprocessing["range"]) == (NAME, DIMS, (0.0, 1.0))
    vectors = embedder.embed(photos())
    colours = np.stack([photo[::28, ::28].ravel() for photo in photos()]).astype(np.float32)
    assert np.allclose(
        vectors[:, : 3 * SQUARES**2], colours / np.linalg.norm(colours, axis=1, keepdims=True), atol=1e-5
    )
    again = load(NAME, hub.url + MODULE)
    assert len(hub.wishes) == 2
    assert again.digest == embedder.digest
    assert np.array_equal(again.embed(photos()), vectors)


def test_a_module_with_other_dimensions_is_refused(hub: Publisher, tmp_path: Path) -> None:
    hub.files[ARCHIVE] = archive(tmp_path / "other", dims=1000)
    with pytest.raises(WeightsMismatch, match="bit-m-r50x1 must return vectors of 2048 dims, got 1000 from"):
        load(NAME, hub.url + MODULE)


def test_a_module_must_be_reachable() -> None:
    with pytest.raises(WeightsNotFound, match=r"http://127\.0\.0\.1:9/bit/1 could not be fetched") as caught:
        load(NAME, "http://127.0.0.1:9/bit/1")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("failure", ["no such module", "cut short", "a page"])
def test_a_failed_download_is_named_and_can_be_repeated(hub: Publisher, module: bytes, failure: str) -> None:
    contents = {"no such module": None, "cut short": module[: len(module) // 2], "a page": b"<html>log in</html>"}
    if content := contents[failure]:
        hub.files[ARCHIVE] = content
    else:
        del hub.files[ARCHIVE]
    with pytest.raises(
        WeightsNotFound, match=rf"{hub.url}{MODULE} could not be fetched from TensorFlow Hub: "
    ) as caught:
        load(NAME, hub.url + MODULE)
    assert "\n" not in str(caught.value)
    hub.files[ARCHIVE] = module
    assert load(NAME, hub.url + MODULE).dims == DIMS


def test_an_encoder_on_a_module_indexes_and_searches_without_the_server(
    hub: Publisher, client: Elasticsearch, fresh_name: str, tmp_path: Path
) -> None:
    embedder = load(NAME, hub.url + MODULE)
    binarizer, terms = make_binarizer("rotation", bits=64), make_sub_codes("blocks")
    fitted = Encoder.fit(EmbedderSpec.of(embedder), embedder.embed(photos(100)), binarizer, terms)
    encoder = Encoder.load(fitted.save(tmp_path / "encoder"))
    for file in (tmp_path / "cache").rglob("*.pb"):  # the encoder has the network in it
        file.unlink()
    hub.files.clear()
    (tmp_path / "photos").mkdir()
    for number, photo in enumerate(photos(8)):
        Image.fromarray(photo).save(tmp_path / "photos" / f"{number}.png")
    index = ImageIndex.create(client, fresh_name, encoder)
    indexer = Indexer(encoder, index, BulkWriter(client, index.alias))
    summary, _ = index_catalog(Catalog(tmp_path / "photos"), indexer, tmp_path / "jobs")
    assert (summary.indexed, summary.rejected) == (8, 0)
    (hit,) = Searcher(encoder, index).by_image(photos(8)[5], SearchOptions(k=1))
    assert hit.id == "5.png"
    assert hit.cosine == pytest.approx(1, abs=1e-4)
