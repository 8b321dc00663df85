"""Drawn images indexed with a small real embedder; runs that fail, are killed and are repeated."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from elasticsearch import Elasticsearch
from PIL import Image
from support.faults import Exchange, FaultProxy, answers, passes

from benchmarks import bad_images
from hashsearch.catalog.reading import Catalog
from hashsearch.descriptors.phash import STORED
from hashsearch.elastic import queries
from hashsearch.elastic.client import connect
from hashsearch.elastic.document import PHASH
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.writing import BulkWriter
from hashsearch.embedders import Embedder, Preprocessing
from hashsearch.embedders.bulk import BATCH
from hashsearch.encoder import EmbedderSpec, Encoder
from hashsearch.errors import (
    CatalogError,
    ChangesNotAccepted,
    ConfigError,
    HashsearchError,
    NodeError,
    StoreUnavailable,
)
from hashsearch.hashing.binarizers import make_binarizer
from hashsearch.hashing.rerank_vectors import RerankVectors
from hashsearch.hashing.sub_codes import make_sub_codes
from hashsearch.hashing.vectors import normalised
from hashsearch.images.decoding import Limits, decode
from hashsearch.images.sources import ImageReader
from hashsearch.indexing.checkpoint import Checkpoint, IndexingSummary, last_run
from hashsearch.indexing.pipeline import Indexer
from hashsearch.indexing.preview import preview_catalog
from hashsearch.indexing.runs import index_catalog
from hashsearch.node.account import process_identity
from hashsearch.node.jdk import newest_jdk
from hashsearch.node.node import LocalNode

SIDE = 20  # of the network's input
UNUSABLE = "unusable embedding: zero, NaN, or outside the subspace that the encoder's re-rank vectors keep"


def draw(path: Path, seed: int, size: tuple[int, int] = (20, 24)) -> None:
    """A picture of random coloured squares."""
    colours = np.random.default_rng(seed).integers(256, size=(4, 4, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colours).resize(size, Image.Resampling.NEAREST).save(path)


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder on a network that averages 4 x 4 squares; a black picture has the zero vector."""
    import tensorflow as tf

    from hashsearch.embedders import load

    folder = tmp_path_factory.mktemp("network")
    images = tf.keras.Input((SIDE, SIDE, 3))
    squares = tf.keras.layers.Flatten()(tf.keras.layers.AveragePooling2D(4)(images))
    tf.keras.Model(images, squares).save(folder / "squares.keras")
    (folder / "squares.json").write_text(json.dumps({"input_size": SIDE}))
    embedder = load(str(folder / "squares.json"), folder / "squares.keras")
    samples = np.random.default_rng(0).integers(256, size=(200, 5, 5, 3), dtype=np.uint8)
    vectors = embedder.embed(list(samples.repeat(4, axis=1).repeat(4, axis=2)))
    binarizer, sub_codes = make_binarizer("rotation", bits=64), make_sub_codes("cells", cells=8)
    return Encoder.fit(EmbedderSpec.of(embedder), vectors, binarizer, sub_codes).save(folder / "encoder")


@pytest.fixture(scope="module")
def encoder(encoder_folder: Path) -> Encoder:
    return Encoder.load(encoder_folder)


@pytest.fixture
def index(client: Elasticsearch, fresh_name: str, encoder: Encoder) -> ImageIndex:
    return ImageIndex.create(client, fresh_name, encoder)


@pytest.fixture
def indexer(encoder: Encoder, index: ImageIndex) -> Indexer:
    return Indexer(encoder, index, BulkWriter(index.client, index.alias, retries=2, base_delay=0.001), workers=2)


@pytest.fixture
def rows(tmp_path: Path) -> list[dict[str, Any]]:
    """Five products with pictures."""
    for number in range(5):
        draw(tmp_path / "pictures" / f"{number}.png", number)
    return [
        {
            "id": f"p{number}",
            "path": f"pictures/{number}.png",
            "title": f"Product {number}",
            "category": "mugs" if number % 2 else "pens",
            "colour": "red",
        }
        for number in range(5)
    ]


def made_smaller(encoder: Encoder, dims: int | None, dtype: str) -> Encoder:
    """The encoder with other re-rank vectors."""
    samples = np.random.default_rng(0).random((200, encoder.dims)).astype(np.float32)
    learned = RerankVectors(dims, dtype).fit(normalised(samples, encoder.dims))
    return Encoder(encoder.spec, encoder.binarizer, encoder.sub_codes, learned)


def write(tmp_path: Path, rows: list[dict[str, Any]], name: str = "catalog") -> Catalog:
    (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return Catalog(tmp_path / f"{name}.jsonl")


def run(catalog: Catalog, indexer: Indexer, state: Path) -> tuple[IndexingSummary, list[dict[str, Any]]]:
    summary, rejects = index_catalog(catalog, indexer, state)
    return summary, [json.loads(line) for line in rejects.read_text().splitlines()]


def everything(index: ImageIndex) -> dict[str, dict[str, Any]]:
    """All documents with their versions, by id."""
    answer = index.client.search(index=index.alias, size=10_000, version=True, query={"match_all": {}})
    return {hit["_id"]: {**hit["_source"], "_version": hit["_version"]} for hit in answer["hits"]["hits"]}


def sub_codes_of(index: ImageIndex) -> dict[str, dict[str, Any]]:
    answer = index.client.search(index=index.alias, body={"size": 100, "docvalue_fields": ["sub_codes", "code"]})
    return {hit["_id"]: hit["fields"] for hit in answer["hits"]["hits"]}


class TestNew:
    def test_an_image_becomes_a_document(
        self, tmp_path: Path, rows: list[dict[str, Any]], indexer: Indexer, encoder: Encoder
    ) -> None:
        assert run(write(tmp_path, rows), indexer, tmp_path) == (IndexingSummary(indexed=5), [])
        documents = everything(indexer.index)
        assert documents.keys() == {"p0", "p1", "p2", "p3", "p4"}
        data = (tmp_path / "pictures" / "3.png").read_bytes()
        document = documents["p3"]
        assert document.pop("indexed_at")
        assert document == {
            "uri": str(tmp_path / "pictures" / "3.png"),
            "title": "Product 3",
            "category": "mugs",
            "attributes": {"colour": "red"},
            "width": 20,
            "height": 24,
            "sha256": hashlib.sha256(data).hexdigest(),
            "_version": 1,
        }
        stored = indexer.index.vectors(["p3"])["p3"]
        expected = encoder.encode(encoder.embed([decode(data)])).rerank_vectors[0]
        assert np.allclose(stored.rerank_vector, expected, atol=1e-6)
        assert stored.phash == STORED.hash([decode(data)]).tobytes().hex()
        first = queries.sub_codes([f"b00:{stored.phash[:4]}"], PHASH.terms)
        (found,) = indexer.index.search({"query": first})
        assert "p3" in {hit["_id"] for hit in found["hits"]["hits"]}

    def test_a_picture_of_one_colour_has_no_perceptual_hash(self, tmp_path: Path, indexer: Indexer) -> None:
        draw(tmp_path / "pictures" / "drawn.png", 1)
        for name in ("white", "red"):
            Image.new("RGB", (30, 20), name).save(tmp_path / "pictures" / f"{name}.png")
        run(Catalog(tmp_path / "pictures"), indexer, tmp_path / "state")
        stored = indexer.index.vectors(["drawn.png", "white.png", "red.png"])
        assert {name for name, vectors in stored.items() if vectors.phash is None} == {"white.png", "red.png"}
        assert indexer.index.count([{"exists": {"field": PHASH.terms}}]) == 1

    def test_a_folder(self, tmp_path: Path, indexer: Indexer) -> None:
        for name in ("a.png", "mugs/b.jpg", "mugs/c.bmp"):
            draw(tmp_path / "pictures" / name, len(name))
        assert run(Catalog(tmp_path / "pictures"), indexer, tmp_path / "state") == (IndexingSummary(indexed=3), [])
        assert everything(indexer.index)["mugs/b.jpg"]["category"] == "mugs"

    def test_an_empty_catalog(self, tmp_path: Path, indexer: Indexer) -> None:
        summary, rejects = index_catalog(write(tmp_path, []), indexer, tmp_path, allow_empty=True)
        assert (summary, rejects.read_text()) == (IndexingSummary(), "")

    def test_a_catalog_with_nothing_to_index_is_refused_and_nothing_changes(
        self, tmp_path: Path, rows: list[dict[str, Any]], indexer: Indexer, encoder: Encoder
    ) -> None:
        catalog = write(tmp_path, rows)
        run(catalog, indexer, tmp_path)
        before = everything(indexer.index)
        (tmp_path / "empty").mkdir()
        wrong: list[tuple[Catalog, type[Exception], str]] = [
            (Catalog(catalog.path, {"title": "nope"}), ConfigError, "title is in column 'nope', which"),
            (write(tmp_path, [], "none"), CatalogError, "has no images"),
            (Catalog(tmp_path / "empty"), CatalogError, "has no images"),
            (write(tmp_path, [{"number": 1}, {"number": 2}], "alike"), CatalogError, "none of the 2 rows"),
        ]
        for refused, error, message in wrong:
            with pytest.raises(error, match=message):
                index_catalog(refused, indexer, tmp_path, remove=True)
            with pytest.raises(error, match=message):
                preview_catalog(refused, encoder, indexer.index, tmp_path)
        assert everything(indexer.index) == before


class TestAgain:
    def again(
        self, tmp_path: Path, rows: list[dict[str, Any]], indexer: Indexer, encoder_folder: Path
    ) -> IndexingSummary:
        """The summary of a run that may embed no image, except a blank one to warm up."""
        encoder = Encoder.load(encoder_folder)
        real = encoder.embedder

        def only_blank(pixels: np.ndarray) -> np.ndarray:
            assert not pixels.any()
            return real.forward(pixels)

        preprocessing = Preprocessing(**real.preprocessing)
        encoder.embedder = Embedder(real.name, real.dims, real.digest, preprocessing, real.weights, only_blank)
        with Checkpoint.hold(tmp_path / "again", {}) as checkpoint:
            return replace(indexer, encoder=encoder).run(write(tmp_path, rows), checkpoint, lambda count: None)

    def test_unchanged_images_are_skipped(
        self, tmp_path: Path, rows: list[dict[str, Any]], indexer: Indexer, encoder_folder: Path
    ) -> None:
        run(write(tmp_path, rows), indexer, tmp_path)
        before = everything(indexer.index)
        assert self.again(tmp_path, rows, indexer, encoder_folder) == IndexingSummary(unchanged=5)
        assert everything(indexer.index) == before

    def test_odd_attributes_are_unchanged_too(
        self, tmp_path: Path, rows: list[dict[str, Any]], indexer: Indexer, encoder_folder: Path
    ) -> None:
        odd = {
            "empty": {},
            "deep": {"empty": {}, "none": None, "list": [], "text": ""},
            "lists": [[], [None], {"a": 1}, 1, "1"],
            "numbers": [0, -0.0, 1.0, 1e-7, 1e300, 0.1 + 0.2, 2**63 - 1, -(2**63), 2**64 - 1, 1e16],
            "truth": [True, False],
            "text": 'é\u2028\U0001f5bc\0 \\ " \x7f',
            "ä.b.c": {".": "x"},
        }
        for row in rows[:2]:
            row["attributes"] = odd
        rows[1]["attributes"] = {"text": "x" * 9000}
        summary, rejects = run(write(tmp_path, rows), indexer, tmp_path)
        assert (summary.rejected, rejects) == (0, [])
        assert self.again(tmp_path, rows, indexer, encoder_folder) == IndexingSummary(unchanged=5)

    def test_new_metadata_keeps_the_stored_vectors(
        self, tmp_path: Path, rows: list[dict[str, Any]], indexer: Indexer, encoder_folder: Path
    ) -> None:
        run(write(tmp_path, rows), indexer, tmp_path)
        before, codes = indexer.index.vectors(["p2"])["p2"], sub_codes_of(indexer.index)
        rows[2].update(title="New title", colour=None, size=3)
        del rows[2]["category"]
        assert self.again(tmp_path, rows, indexer, encoder_folder) == IndexingSummary(updated=1, unchanged=4)
        document = everything(indexer.index)["p2"]
        assert (document["title"], document["attributes"], document["_version"]) == ("New title", {"size": 3}, 2)
        assert "category" not in document
        assert (document["width"], document["height"]) == (20, 24)
        after = indexer.index.vectors(["p2"])["p2"]
        assert (after.rerank_vector == before.rerank_vector).all()
        assert after.phash == before.phash
        assert sub_codes_of(indexer.index) == codes

    def test_a_changed_image_is_embedded_again(
        self, tmp_path: Path, rows: list[dict[str, Any]], indexer: Indexer, encoder: Encoder
    ) -> None:
        run(write(tmp_path, rows), indexer, tmp_path)
        draw(tmp_path / "pictures" / "2.png", 99, (30, 10))
        assert run(write(tmp_path, rows), indexer, tmp_path)[0] == IndexingSummary(indexed=1, unchanged=4)
        document = everything(indexer.index)["p2"]
        assert (document["width"], document["height"], document["_version"]) == (30, 10, 2)
        expected = encoder.encode(encoder.embed([decode((tmp_path / "pictures" / "2.png").read_bytes())]))
        assert np.allclose(indexer.index.vectors_of("p2").rerank_vector, expected.rerank_vectors[0], atol=1e-6)

    @pytest.mark.parametrize(("dims", "dtype"), [(10, "float32"), (None, "int8"), (10, "int8")])
    def test_new_metadata_keeps_smaller_vectors(
        self,
        tmp_path: Path,
        rows: list[dict[str, Any]],
        client: Elasticsearch,
        fresh_name: str,
        encoder: Encoder,
        dims: int | None,
        dtype: str,
    ) -> None:
        """Also several times: stored vectors are neither reduced again nor used to compute codes."""
        smaller = made_smaller(encoder, dims, dtype)
        index = ImageIndex.create(client, fresh_name, smaller)
        indexer = Indexer(smaller, index, BulkWriter(client, index.alias), workers=2)
        run(write(tmp_path, rows), indexer, tmp_path)
        before, codes = index.vectors(["p0", "p2"]), sub_codes_of(index)
        for title in ("New title", "Newer title"):
            rows[2].update(title=title)
            assert run(write(tmp_path, rows), indexer, tmp_path)[0] == IndexingSummary(updated=1, unchanged=4)
        assert everything(index)["p2"]["title"] == "Newer title"
        for image_id, after in index.vectors(["p0", "p2"]).items():
            assert (after.rerank_vector == before[image_id].rerank_vector).all()
            assert after.phash == before[image_id].phash
        assert sub_codes_of(index) == codes


class BreaksLater:
    """The preparing of images that breaks after some of them."""

    def __init__(self, prepare: Callable[[np.ndarray], np.ndarray], good: int) -> None:
        self.prepare = prepare
        self.good = good

    def __call__(self, image: np.ndarray) -> np.ndarray:
        self.good -= 1
        if self.good < 0:
            raise KeyError("no such filter")
        return self.prepare(image)


class TestRejects:
    def test_rejects_are_listed_and_the_rest_is_indexed(
        self, tmp_path: Path, rows: list[dict[str, Any]], indexer: Indexer
    ) -> None:
        (tmp_path / "pictures" / "empty.png").write_bytes(b"")
        (tmp_path / "pictures" / "page.png").write_text("<html>")
        os.mkfifo(tmp_path / "pictures" / "pipe.png")
        for name, data in (
            ("wide.png", bad_images.png(50_000_000, 1)),
            ("scans.jpg", bad_images.repeated_scans(99, 200)),
        ):
            (tmp_path / "pictures" / name).write_bytes(data)
        (tmp_path / "pictures" / "endless.jpg").write_bytes(bad_images.repeated_scans(bad_images.SIDE, 90))
        whole = (tmp_path / "pictures" / "1.png").read_bytes()
        (tmp_path / "pictures" / "cut.png").write_bytes(whole[: len(whole) // 2])
        bad = {
            "gone": ("pictures/gone.png", "unreadable"),
            "folder": ("pictures", "unreadable"),
            "null": ("pictures/\0.png", "bad_entry"),
            "long": ("x" * 5000, "unreadable"),
            "empty": ("pictures/empty.png", "empty_image"),
            "page": ("pictures/page.png", "not_an_image"),
            "pipe": ("pictures/pipe.png", "unreadable"),
            "wide": ("pictures/wide.png", "too_many_pixels"),
            "scans": ("pictures/scans.jpg", "image_too_costly"),
            "endless": ("pictures/endless.jpg", "image_too_costly"),
            "cut": ("pictures/cut.png", "truncated_image"),
            "private": ("http://127.0.0.1/1.png", "fetch_error"),
            "pathless": (None, "bad_entry"),
        }
        mixed = [*rows, *({"id": image_id, "path": path} for image_id, (path, _) in bad.items()), rows[0]]
        summary, rejects = run(write(tmp_path, mixed), indexer, tmp_path)
        assert summary == IndexingSummary(indexed=5, rejected=14)
        assert everything(indexer.index).keys() == {row["id"] for row in rows}
        listed = [(reject["id"], reject["error"]) for reject in rejects]
        assert sorted(listed) == sorted(
            [*((image_id, error) for image_id, (_, error) in bad.items()), ("p0", "bad_entry")]
        )
        assert all(reject["reason"] for reject in rejects)

    def test_an_unexpected_error_in_any_stage_rejects_the_image_and_is_logged(
        self, tmp_path: Path, rows: list[dict[str, Any]], indexer: Indexer, encoder_folder: Path, caplog: Any
    ) -> None:
        broken = Encoder.load(encoder_folder)
        broken.embedder.prepare = BreaksLater(broken.embedder.prepare, good=1)  # one to warm up
        summary, rejects = run(write(tmp_path, rows), replace(indexer, encoder=broken), tmp_path)
        assert summary == IndexingSummary(rejected=5)
        reason = "preparing failed: KeyError: 'no such filter'"
        assert {(reject["error"], reject["reason"]) for reject in rejects} == {("processing_failed", reason)}
        failures = [record for record in caplog.records if record.exc_info]
        assert len(failures) == 5 and all("preparing of '" in record.message for record in failures)

    def test_images_that_are_read_in_spite_of_a_fault_are_counted_in_the_log(
        self, tmp_path: Path, rows: list[dict[str, Any]], indexer: Indexer, caplog: Any
    ) -> None:
        for number in (1, 2):
            picture = Image.open(tmp_path / "pictures" / f"{number}.png")
            picture.save(tmp_path / "pictures" / f"{number}.png", icc_profile=b"no profile")
        assert run(write(tmp_path, rows), indexer, tmp_path)[0] == IndexingSummary(indexed=5)
        assert "2 images: an unusable colour profile was ignored" in caplog.messages

    def test_an_image_over_a_limit_is_rejected(
        self, tmp_path: Path, rows: list[dict[str, Any]], indexer: Indexer
    ) -> None:
        draw(tmp_path / "pictures" / "4.png", 4, (100, 100))
        limited = replace(indexer, reader=ImageReader(Limits(max_pixels=9_999)))
        summary, rejects = run(write(tmp_path, rows), limited, tmp_path)
        assert summary == IndexingSummary(indexed=4, rejected=1)
        assert [(reject["id"], reject["error"]) for reject in rejects] == [("p4", "too_many_pixels")]

    def test_an_image_with_a_zero_embedding_is_rejected(
        self, tmp_path: Path, rows: list[dict[str, Any]], indexer: Indexer
    ) -> None:
        Image.new("RGB", (20, 20)).save(tmp_path / "pictures" / "2.png")
        summary, rejects = run(write(tmp_path, rows), indexer, tmp_path)
        assert summary == IndexingSummary(indexed=4, rejected=1)
        assert [reject["id"] for reject in rejects] == ["p2"]
        assert rejects[0]["reason"] == UNUSABLE
        assert everything(indexer.index).keys() == {"p0", "p1", "p3", "p4"}

    def test_an_image_outside_the_pca_subspace_is_rejected(
        self, tmp_path: Path, rows: list[dict[str, Any]], client: Elasticsearch, fresh_name: str, encoder: Encoder
    ) -> None:
        """They were fitted to red pictures, and one is green."""
        red = np.zeros((100, 25, 3), np.float32)
        red[:, :, 0] = np.random.default_rng(1).random((100, 25))
        learned = RerankVectors(dims=16).fit(normalised(red.reshape(100, 75), 75))
        narrow = Encoder(encoder.spec, encoder.binarizer, encoder.sub_codes, learned)
        index = ImageIndex.create(client, fresh_name, narrow)
        Image.new("RGB", (20, 20), (0, 200, 0)).save(tmp_path / "pictures" / "2.png")
        indexer = Indexer(narrow, index, BulkWriter(client, index.alias), workers=2)
        summary, rejects = run(write(tmp_path, rows), indexer, tmp_path)
        assert summary == IndexingSummary(indexed=4, rejected=1)
        assert [reject["id"] for reject in rejects] == ["p2"]
        assert rejects[0]["reason"] == UNUSABLE

    def test_documents_that_elasticsearch_refuses_are_rejects(
        self, tmp_path: Path, rows: list[dict[str, Any]], indexer: Indexer
    ) -> None:
        deep: dict[str, Any] = {}
        for _ in range(30):
            deep = {"deeper": deep or 1}
        fine = [dict(row) for row in rows]
        run(write(tmp_path, fine[:4]), indexer, tmp_path)
        for row in rows[3:]:
            row["attributes"] = deep
        rows[2]["title"] = "New"
        summary, rejects = run(write(tmp_path, rows), indexer, tmp_path)
        assert summary == IndexingSummary(indexed=0, updated=1, unchanged=2, rejected=2)
        assert {(reject["id"], reject["error"]) for reject in rejects} == {("p3", "refused"), ("p4", "refused")}
        assert all("document_parsing_exception" in reject["reason"] for reject in rejects)
        assert run(write(tmp_path, fine), indexer, tmp_path)[0] == IndexingSummary(indexed=1, updated=1, unchanged=3)


def segments(index: ImageIndex) -> int:
    """Of the index's one shard."""
    (described,) = index.client.indices.segments(index=index.alias)["indices"].values()
    return len(described["shards"]["0"][0]["segments"])


class TestAfterwards:
    def some(self, tmp_path: Path, count: int) -> Catalog:
        """The first `count` pictures of a catalog."""
        for number in range(count):
            draw(tmp_path / "some" / f"{number}.bmp", number)
        rows = [{"id": f"{number}", "path": f"some/{number}.bmp"} for number in range(count)]
        return write(tmp_path, rows)

    def test_an_index_with_many_new_images_is_merged(self, tmp_path: Path, indexer: Indexer) -> None:
        for count, merged in ((60, True), (66, False), (66, False), (74, True)):
            run(self.some(tmp_path, count), indexer, tmp_path / "state")
            assert indexer.index.count() == count
            assert (segments(indexer.index) == 1) == merged, count

    @pytest.mark.parametrize("before", [0, 60])
    def test_the_graph_is_added_once(
        self, tmp_path: Path, indexer: Indexer, encoder: Encoder, fresh_name: str, before: int
    ) -> None:
        index, state = indexer.index, tmp_path / "state"
        index_catalog(self.some(tmp_path, before), indexer, state, allow_empty=True)
        assert not ImageIndex.open(index.client, fresh_name, encoder).graph
        index_catalog(self.some(tmp_path, 66), indexer, state, graph=True)
        opened = ImageIndex.open(index.client, fresh_name, encoder)
        assert (opened.graph, segments(index), index.count()) == (True, 1, 66)
        again = replace(indexer, index=opened)
        index_catalog(self.some(tmp_path, 70), again, state, graph=True)
        assert segments(index) > 1, "the few new images have their own small graph"
        index_catalog(self.some(tmp_path, 80), again, state)
        assert (segments(index), index.count()) == (1, 80)
        assert ImageIndex.open(index.client, fresh_name, encoder) == opened


def many(tmp_path: Path, batches: float) -> Catalog:
    """A number of batches of images, of which one in ten is unreadable."""
    count = int(batches * BATCH)
    lines = []
    for number in range(count):
        if number % 10:
            draw(tmp_path / "many" / f"{number:05}.bmp", number)
        lines.append(json.dumps({"id": f"{number:05}", "path": f"many/{number:05}.bmp", "n": number}))
    (tmp_path / "many.jsonl").write_text("\n".join(lines))
    return Catalog(tmp_path / "many.jsonl")


def check_exactly(index: ImageIndex, catalog: Catalog, rejects: Path) -> None:
    """The index holds exactly the readable images of `many`, the rejects file exactly the others."""
    ids = [entry.id for entry in catalog if entry.id]
    readable = {image_id for image_id in ids if int(image_id) % 10}
    index.refresh()
    assert index.count() == len(readable)
    assert everything(index).keys() == readable
    listed = [json.loads(line)["id"] for line in rejects.read_text().splitlines()]
    assert listed == [image_id for image_id in ids if image_id not in readable]


class Stop(Exception):
    """Ends a run in the middle."""


class TestResume:
    def stopping_after(self, count: int) -> Callable[[int], None]:
        done = 0

        def progress(more: int) -> None:
            nonlocal done
            done += more
            if done >= count:
                raise Stop

        return progress

    def test_a_failed_run_is_resumed(self, tmp_path: Path, indexer: Indexer) -> None:
        catalog, identity = many(tmp_path, 5.5), {"catalog": "this"}
        for goes_to in (1, 3):
            with Checkpoint.hold(tmp_path / "state", identity) as checkpoint:
                with pytest.raises(Stop):
                    indexer.run(catalog, checkpoint, self.stopping_after(2 * BATCH if goes_to == 3 else BATCH))
                assert checkpoint.summary.entries == goes_to * BATCH
        counts: list[int] = []
        with Checkpoint.hold(tmp_path / "state", identity) as checkpoint:
            summary = indexer.run(catalog, checkpoint, counts.append)
            rejects = checkpoint.rejects_path
        assert sum(counts) == int(2.5 * BATCH), "finished entries are not repeated"
        assert summary.entries == catalog.total
        check_exactly(indexer.index, catalog, rejects)
        assert run(catalog, indexer, tmp_path)[0].unchanged == summary.entries - summary.rejected

    def test_progress_starts_with_the_entries_of_the_resumed_run(
        self, tmp_path: Path, indexer: Indexer, caplog: pytest.LogCaptureFixture
    ) -> None:
        catalog, calls = many(tmp_path, 2.5), list[tuple[int, int]]()

        def stop_after_a_batch(stage: str, done: int, total: int) -> None:
            assert stage == "index"
            calls.append((done, total))
            if done:
                raise Stop

        with pytest.raises(Stop):
            index_catalog(catalog, indexer, tmp_path, progress=stop_after_a_batch)
        assert calls == [(0, catalog.total), (BATCH, catalog.total)]
        calls.clear()
        with caplog.at_level("INFO", "hashsearch"):
            index_catalog(catalog, indexer, tmp_path, progress=lambda _, done, total: calls.append((done, total)))
        assert calls == [(done, catalog.total) for done in (BATCH, 2 * BATCH, catalog.total)]
        assert f"resuming after {BATCH} of {catalog.total} entries" in caplog.messages

    def test_another_catalog_or_index_starts_at_the_beginning(
        self, tmp_path: Path, indexer: Indexer, rows: list[dict[str, Any]], fresh_name: str, encoder: Encoder
    ) -> None:
        state = tmp_path / "jobs"
        catalog = many(tmp_path, 1.5)
        proxied = replace(indexer, writer=replace(indexer.writer, alias="hashsearch-no-such-index"))
        with pytest.raises(HashsearchError):
            index_catalog(catalog, proxied, state)
        assert run(write(tmp_path, rows), indexer, state)[0] == IndexingSummary(indexed=5)
        index = indexer.index
        index.client.indices.delete(index=",".join(index.client.indices.get(index=index.alias)))
        new = ImageIndex.create(index.client, fresh_name, encoder)
        assert run(write(tmp_path, rows), replace(indexer, index=new), state)[0] == IndexingSummary(indexed=5)

    def test_an_overloaded_cluster_ends_the_run_without_loss(
        self, tmp_path: Path, indexer: Indexer, node: SimpleNamespace
    ) -> None:
        catalog, proxy = many(tmp_path, 2.5), FaultProxy(node.url)
        with connect(proxy.url) as client:
            through = replace(indexer, writer=replace(indexer.writer, client=client))
            proxy.plan(*[answers(429)] * 9)
            with pytest.raises(StoreUnavailable, match="were not accepted in 3 attempts"):
                index_catalog(catalog, through, tmp_path)
            proxy.planned.clear()
            _, rejects = index_catalog(catalog, through, tmp_path)
        proxy.stop()
        check_exactly(indexer.index, catalog, rejects)

    def test_only_one_run_at_a_time(self, tmp_path: Path, rows: list[dict[str, Any]], indexer: Indexer) -> None:
        with (
            Checkpoint.hold(tmp_path / indexer.index.alias, {}),
            pytest.raises(CatalogError, match="only one run at a time can write to an index"),
        ):
            index_catalog(write(tmp_path, rows), indexer, tmp_path)


class TestMissing:
    """Images of the index that a catalog does not have."""

    def some(self, tmp_path: Path, numbers: Iterable[int], name: str = "some") -> Catalog:
        rows = []
        for number in numbers:
            draw(tmp_path / "some" / f"{number}.bmp", number)
            rows.append({"id": f"{number}", "path": f"some/{number}.bmp"})
        return write(tmp_path, rows, name)

    def indexed(self, indexer: Indexer) -> set[str]:
        return set(everything(indexer.index))

    def test_a_run_counts_the_images_that_its_catalog_does_not_have(self, tmp_path: Path, indexer: Indexer) -> None:
        assert run(self.some(tmp_path, range(6)), indexer, tmp_path)[0].missing == 0
        summary, _ = run(self.some(tmp_path, range(2, 8)), indexer, tmp_path)
        assert (summary.missing, summary.removed, summary.entries) == (2, 0, 6)
        assert self.indexed(indexer) == set(map(str, range(8)))

    def test_missing_images_are_removed_if_wanted(self, tmp_path: Path, indexer: Indexer) -> None:
        run(self.some(tmp_path, range(6)), indexer, tmp_path)
        summary, _ = index_catalog(self.some(tmp_path, range(2, 8)), indexer, tmp_path, remove=True)
        assert (summary.missing, summary.removed) == (2, 2)
        assert self.indexed(indexer) == set(map(str, range(2, 8)))
        assert last_run(tmp_path / indexer.index.alias) == summary

    def test_a_renamed_picture_of_a_folder_is_missing_under_its_old_name(
        self, tmp_path: Path, indexer: Indexer
    ) -> None:
        draw(tmp_path / "folder" / "a.png", 1)
        run(Catalog(tmp_path / "folder"), indexer, tmp_path)
        (tmp_path / "folder" / "a.png").rename(tmp_path / "folder" / "b.png")
        summary, _ = index_catalog(Catalog(tmp_path / "folder"), indexer, tmp_path, remove=True)
        assert (summary.indexed, summary.missing, summary.removed) == (1, 1, 1)
        assert self.indexed(indexer) == {"b.png"}

    def test_a_rejected_entry_keeps_its_image(self, tmp_path: Path, indexer: Indexer) -> None:
        catalog = self.some(tmp_path, range(4))
        run(catalog, indexer, tmp_path)
        (tmp_path / "some" / "1.bmp").unlink()
        (tmp_path / "some" / "2.bmp").write_bytes(b"no picture")
        summary, _ = index_catalog(Catalog(catalog.path), indexer, tmp_path, remove=True)
        assert (summary.rejected, summary.missing, summary.removed) == (2, 0, 0)
        assert self.indexed(indexer) == {"0", "1", "2", "3"}

    def test_a_resumed_run_counts_the_entries_before_the_interruption(self, tmp_path: Path, indexer: Indexer) -> None:
        numbers = range(int(2.5 * BATCH))
        run(self.some(tmp_path, [*numbers, 9998, 9999]), indexer, tmp_path)
        catalog = self.some(tmp_path, numbers)

        def stop(stage: str, done: int, total: int) -> None:
            if done:
                raise Stop

        with pytest.raises(Stop):
            index_catalog(catalog, indexer, tmp_path, progress=stop)
        summary, _ = index_catalog(catalog, indexer, tmp_path, remove=True)
        assert (summary.entries, summary.missing, summary.removed) == (len(numbers), 2, 2)
        assert indexer.index.count() == len(numbers)

    @pytest.mark.parametrize(("before", "gone", "refused"), [(210, 21, False), (200, 21, True), (30, 19, False)])
    def test_many_images_are_only_removed_if_accepted(
        self, tmp_path: Path, indexer: Indexer, before: int, gone: int, refused: bool
    ) -> None:
        """Also when the catalog brings many others."""
        run(self.some(tmp_path, range(before)), indexer, tmp_path)
        catalog = self.some(tmp_path, range(gone, before + 300))
        if refused:
            message = f"^{gone} of the {before} images that .* had before are not in this catalog; removing more"
            with pytest.raises(ChangesNotAccepted, match=message):
                index_catalog(catalog, indexer, tmp_path, remove=True)
            assert indexer.index.count() == before + 300, "the catalog is indexed, and nothing was removed"
            summary, _ = index_catalog(catalog, indexer, tmp_path, remove=True, accept_changes=True)
        else:
            summary, _ = index_catalog(catalog, indexer, tmp_path, remove=True)
        assert summary.removed == gone
        assert indexer.index.count() == before + 300 - gone

    def test_entries_without_an_id_keep_images_from_being_removed(self, tmp_path: Path, indexer: Indexer) -> None:
        run(self.some(tmp_path, range(5)), indexer, tmp_path)
        catalog = self.some(tmp_path, range(4))
        catalog.path.write_text(catalog.path.read_text() + '\n{"id": "4", "path": "some/4.')
        with pytest.raises(ChangesNotAccepted, match="1 rejected entries have no readable id"):
            index_catalog(Catalog(catalog.path), indexer, tmp_path, remove=True)
        assert indexer.index.count() == 5

    def test_a_preview_writes_nothing_and_counts_what_the_run_does(
        self, tmp_path: Path, indexer: Indexer, encoder: Encoder
    ) -> None:
        run(self.some(tmp_path, range(30)), indexer, tmp_path / "state")
        catalog = self.some(tmp_path, range(3, 40))
        (tmp_path / "some" / "5.bmp").write_bytes(b"no picture")
        draw(tmp_path / "some" / "6.bmp", 99)
        catalog.path.write_text(catalog.path.read_text().replace('"id": "7"', '"title": "seven", "id": "7"'))
        before, files = everything(indexer.index), sorted((tmp_path / "state").rglob("*"))
        preview = preview_catalog(
            Catalog(catalog.path), encoder, indexer.index, tmp_path / "state", remove_missing=True
        )
        assert everything(indexer.index) == before
        assert sorted((tmp_path / "state").rglob("*")) == files
        assert preview == IndexingSummary(indexed=11, updated=1, unchanged=24, rejected=1, missing=3)
        summary, _ = index_catalog(Catalog(catalog.path), indexer, tmp_path / "state", remove=True)
        assert summary == replace(preview, removed=3)

    def test_a_preview_of_a_new_index(self, tmp_path: Path, encoder: Encoder) -> None:
        catalog = self.some(tmp_path, range(3))
        assert preview_catalog(catalog, encoder, None, tmp_path) == IndexingSummary(indexed=3)

    def test_a_preview_refuses_what_the_run_refuses(self, tmp_path: Path, indexer: Indexer, encoder: Encoder) -> None:
        run(self.some(tmp_path, range(40)), indexer, tmp_path)
        with pytest.raises(ChangesNotAccepted, match="30 of the 40 images"):
            preview_catalog(self.some(tmp_path, range(10)), encoder, indexer.index, tmp_path, remove_missing=True)


class TestAnotherCatalog:
    """Two folders with the same file names, into one index."""

    def folder(self, tmp_path: Path, name: str, seed: int) -> Catalog:
        for number in range(4):
            draw(tmp_path / name / f"{number}.png", seed + number)
        return Catalog(tmp_path / name)

    def test_its_first_run_must_be_accepted_before_anything_is_written(self, tmp_path: Path, indexer: Indexer) -> None:
        run(self.folder(tmp_path, "first", 0), indexer, tmp_path)
        other, before = self.folder(tmp_path, "second", 100), everything(indexer.index)
        draw(tmp_path / "second" / "new.png", 200)
        for _ in range(2):
            with pytest.raises(ChangesNotAccepted, match="would replace the pictures of 4 ids there by others"):
                run(other, indexer, tmp_path)
        assert everything(indexer.index) == before
        summary, _ = index_catalog(Catalog(other.path), indexer, tmp_path, accept_changes=True)
        assert summary == IndexingSummary(indexed=1, replaced=4)
        assert str(summary).startswith("5 entries: 1 new, 4 replaced (another picture under the same id), 0 metadata")

    def test_an_accepted_catalog_is_not_asked_about_again(self, tmp_path: Path, indexer: Indexer) -> None:
        first, second = self.folder(tmp_path, "first", 0), self.folder(tmp_path, "second", 100)
        run(first, indexer, tmp_path)
        index_catalog(second, indexer, tmp_path, accept_changes=True)
        assert run(first, indexer, tmp_path)[0] == IndexingSummary(replaced=4)
        assert run(second, indexer, tmp_path)[0] == IndexingSummary(replaced=4)

    def test_a_new_dump_of_the_same_pictures_is_not_asked_about(
        self, tmp_path: Path, rows: list[dict[str, Any]], indexer: Indexer
    ) -> None:
        run(write(tmp_path, rows, "2026-11-01"), indexer, tmp_path)
        draw(tmp_path / "pictures" / "1.png", 77)
        rows[0]["title"] = "New"
        summary, _ = run(write(tmp_path, rows, "2026-11-08"), indexer, tmp_path)
        assert summary == IndexingSummary(indexed=1, updated=1, unchanged=3)

    def test_a_catalog_of_other_ids_is_not_asked_about(self, tmp_path: Path, indexer: Indexer) -> None:
        run(self.folder(tmp_path, "first", 0), indexer, tmp_path)
        draw(tmp_path / "other" / "z.png", 5)
        assert run(Catalog(tmp_path / "other"), indexer, tmp_path)[0] == IndexingSummary(indexed=1, missing=4)

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"index": 1}', '{"index": [], "catalogs": 3}'])
    def test_a_damaged_list_of_catalogs_asks_once_more(self, tmp_path: Path, indexer: Indexer, content: str) -> None:
        run(self.folder(tmp_path, "first", 0), indexer, tmp_path)
        (tmp_path / indexer.index.alias / "catalogs.json").write_text(content)
        assert run(Catalog(tmp_path / "first"), indexer, tmp_path)[0] == IndexingSummary(unchanged=4)
        with pytest.raises(ChangesNotAccepted):
            run(self.folder(tmp_path, "second", 100), indexer, tmp_path)


class TestMeanwhile:
    """Documents that change or are incomplete while a run looks at them."""

    def test_an_image_without_a_digest_or_size_or_vectors_is_new(
        self, tmp_path: Path, rows: list[dict[str, Any]], indexer: Indexer
    ) -> None:
        run(write(tmp_path, rows), indexer, tmp_path)
        index, stored = indexer.index, everything(indexer.index)
        for place, image_id in enumerate(("p0", "p1", "p2")):
            fields = {name: value for name, value in stored[image_id].items() if name != "_version"}
            vectors = index.vectors([image_id])[image_id].fields() if place < 2 else {}
            fields.pop(("sha256", "width", "indexed_at")[place])
            index.client.index(index=index.alias, id=image_id, document={**fields, **vectors})
        index.refresh()
        for row in rows:
            row["title"] = "New"
        assert run(write(tmp_path, rows), indexer, tmp_path)[0] == IndexingSummary(indexed=3, updated=2)
        assert len(index.vectors(["p0", "p1", "p2"])) == 3
        assert run(write(tmp_path, rows), indexer, tmp_path)[0] == IndexingSummary(unchanged=5)

    def test_an_image_that_is_deleted_after_its_record_was_read_is_new(
        self, tmp_path: Path, rows: list[dict[str, Any]], indexer: Indexer, node: SimpleNamespace
    ) -> None:
        run(write(tmp_path, rows), indexer, tmp_path)
        rows[2]["title"] = "New"
        index, proxy = indexer.index, FaultProxy(node.url, "_msearch")

        def deletes_afterwards(exchange: Exchange) -> None:
            passes(exchange)
            index.client.delete(index=index.alias, id="p2", refresh=True)

        proxy.plan(deletes_afterwards)
        with connect(proxy.url) as client:
            through = replace(indexer, index=replace(index, client=client))
            assert run(write(tmp_path, rows), through, tmp_path)[0] == IndexingSummary(indexed=1, unchanged=4)
        proxy.stop()
        assert everything(index)["p2"]["title"] == "New"

    def test_an_overloaded_lookup_does_not_end_the_run(
        self, tmp_path: Path, rows: list[dict[str, Any]], indexer: Indexer, node: SimpleNamespace
    ) -> None:
        proxy = FaultProxy(node.url, "_msearch")
        proxy.plan(answers(429), answers(503))
        with connect(proxy.url) as client:
            through = replace(indexer, index=replace(indexer.index, client=client))
            assert run(write(tmp_path, rows), through, tmp_path)[0] == IndexingSummary(indexed=5)
        proxy.stop()


class Job:
    """`python -m jobs.index_catalog` as a process of its own."""

    def __init__(self, catalog: Path, encoder: Path, home: Path, url: str, name: str) -> None:
        options = {"--index": name, "--encoder": encoder, "--es-url": url, "--home": home}
        self.command = [sys.executable, "-m", "jobs.index_catalog", str(catalog)]
        self.command += [str(part) for option in options.items() for part in option]
        self.folder = home / "jobs" / f"hashsearch-{name}"

    def done(self) -> int:
        """Finished entries, by the checkpoint."""
        with suppress(FileNotFoundError):
            return sum(json.loads((self.folder / "checkpoint.json").read_text())["summary"].values())
        return 0

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def start_until(self, entries: int) -> subprocess.Popen[str]:
        """The process, as soon as the checkpoint has this number of entries."""
        process = self.start()
        while self.done() < entries:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.002)
        return process

    def finish(self) -> tuple[int, str]:
        """Exit code and output."""
        with self.start() as process:
            output = process.communicate()[0]
        return process.returncode, output


class TestKilled:
    """`kill -9`, for real."""

    def test_a_killed_job_is_resumed(
        self,
        tmp_path: Path,
        encoder_folder: Path,
        encoder: Encoder,
        client: Elasticsearch,
        node: SimpleNamespace,
        fresh_name: str,
    ) -> None:
        catalog = many(tmp_path, 12)
        job = Job(catalog.path, encoder_folder, tmp_path / "home", node.url, fresh_name)
        for entries in (1, 4 * BATCH):
            with job.start_until(entries) as process:
                process.kill()
            assert 0 < job.done() < catalog.total, "killed in the middle"
        before = job.done()
        code, output = job.finish()
        assert code == 3, output
        assert f"{catalog.total} entries" in output
        assert f"resuming after {before} of {catalog.total} entries\n" in output, "the run was resumed"
        assert before >= 4 * BATCH
        index = ImageIndex.open(client, fresh_name, encoder)
        check_exactly(index, catalog, job.folder / "rejects.jsonl")
        assert max(document["_version"] for document in everything(index).values()) <= 3
        code, output = job.finish()
        assert code == 3
        assert "0 new" in output

    def test_a_killed_node_loses_nothing(
        self, tmp_path: Path, encoder_folder: Path, encoder: Encoder, own_node: LocalNode
    ) -> None:
        catalog, status = many(tmp_path, 12), own_node.status()
        assert status.url
        job = Job(catalog.path, encoder_folder, tmp_path / "home", status.url, "killed")
        with job.start_until(2 * BATCH) as process:
            for pid in own_node.processes():
                os.kill(pid, signal.SIGKILL)
            while own_node.processes():
                time.sleep(0.01)
            assert own_node.start().url == status.url
            output = process.communicate()[0]
        if process.returncode == 1:
            assert "store_unavailable" in output
            assert job.done() >= 2 * BATCH
            code, output = job.finish()
            assert code == 3, output
        with connect(status.url) as client:
            check_exactly(ImageIndex.open(client, "killed", encoder), catalog, job.folder / "rejects.jsonl")


@pytest.fixture
def own_node(node_home: Path, server_folder: Path) -> Iterator[LocalNode]:
    """A node that may be killed."""
    try:
        newest_jdk(process_identity())
    except NodeError:
        if "HASHSEARCH_ES_URL" in os.environ:
            pytest.skip("no JDK for a local node, and HASHSEARCH_ES_URL names a cluster to use instead")
        raise
    local = LocalNode(node_home, "killed", heap="256m", server_folder=server_folder)
    local.start()
    yield local
    local.stop()


class TestCommand:
    """The options of `hashsearch index` that guard an index, with their exit codes."""

    def call(self, job: Job, *options: str) -> tuple[int, str]:
        done = subprocess.run([*job.command, *options], capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    def test_exit_codes_and_messages(
        self, tmp_path: Path, encoder_folder: Path, node: SimpleNamespace, fresh_name: str
    ) -> None:
        for name, seed in (("first", 0), ("second", 100)):
            for number in range(3):
                draw(tmp_path / name / f"{number}.png", seed + number)
        first, second = (
            Job(tmp_path / name, encoder_folder, tmp_path / "home", node.url, fresh_name)
            for name in ("first", "second")
        )
        code, output = self.call(first, "--dry-run")
        assert code == 0, output
        assert "dry run, nothing was written: 3 entries: 3 new" in output
        assert not (tmp_path / "home" / "jobs").exists()
        assert self.call(first)[0] == 0
        assert "--accept-changes" in self.call(second)[1]
        assert self.call(second)[0] == self.call(second, "--dry-run")[0] == 5
        (tmp_path / "first" / "2.png").unlink()
        code, output = self.call(first)
        assert code == 0
        assert "1 images in the index are not in this catalog; --remove-missing removes them" in output
        code, output = self.call(first, "--remove-missing")
        assert code == 0
        assert "1 images that are not in this catalog were removed from the index" in output
        listing = tmp_path / "listing.csv"
        listing.write_text("id,path\n1,first/1.png\n")
        code, output = self.call(first, "--rejects", str(listing))
        assert code == 1
        assert "the rejects file must be a new file or an earlier list of rejects" in output
        assert listing.read_text() == "id,path\n1,first/1.png\n"
