"""An encoder and an index that the former version made (`data/former/make.py`) are read, searched and written to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from elasticsearch import Elasticsearch

from hashsearch.catalog.reading import Catalog
from hashsearch.descriptors.words import Vocabulary
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.maintenance import add_fields, add_graph
from hashsearch.elastic.templates import alias_of
from hashsearch.elastic.tuned import Tuned
from hashsearch.elastic.writing import BulkWriter
from hashsearch.encoder import Encoder
from hashsearch.errors import EncoderMismatch, VocabularyMismatch
from hashsearch.hashing.bits import hamming
from hashsearch.images.decoding import decode
from hashsearch.indexing.checkpoint import IndexingSummary
from hashsearch.indexing.pipeline import Indexer
from hashsearch.indexing.runs import index_catalog
from hashsearch.search.by_keypoints import KeypointSearcher
from hashsearch.search.by_phash import PerceptualSearcher
from hashsearch.search.searcher import Searcher

FORMER = Path(__file__).parent / "data" / "former"
FINGERPRINT, WORDS = "36a5b17d9eb06445", "55651f9d43b87d17"
IDS = [f"p{number}" for number in range(8)]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load(FORMER / "encoder")


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.load(FORMER / "words.npz")


def documents() -> list[dict[str, Any]]:
    """What the former version wrote, in the order of the ids; the pictures are where they are now."""
    lines = (FORMER / "documents.ndjson").read_text().replace("FOLDER", str(FORMER / "pictures")).splitlines()
    written = {
        json.loads(action)["index"]["_id"]: json.loads(source) for action, source in zip(lines[::2], lines[1::2])
    }
    return [written[image_id] for image_id in IDS]


def image(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return decode((FORMER / "pictures" / f"{number}.png").read_bytes())


@pytest.fixture
def name(client: Elasticsearch, fresh_name: str) -> Iterator[str]:
    """A name whose index is as the former version left it, made without this version's templates."""
    former = json.loads((FORMER / "index.json").read_text())
    index, alias = f"former-{fresh_name}", alias_of(fresh_name)
    aliases = {alias: former["aliases"]["hashsearch-former"]}
    client.indices.create(index=index, aliases=aliases, mappings=former["mappings"], settings=former["settings"])
    lines: list[Any] = []
    for image_id, document in zip(IDS, documents()):
        lines += [{"index": {"_id": image_id}}, document]
    assert not client.bulk(index=alias, operations=lines, refresh=True)["errors"]
    yield fresh_name
    client.indices.delete(index=index)


class TestEncoder:
    def test_it_has_the_same_fingerprint(self, encoder: Encoder) -> None:
        assert json.loads((FORMER / "encoder" / "manifest.json").read_text())["fingerprint"] == FINGERPRINT
        assert encoder.fingerprint == FINGERPRINT

    def test_saved_again_it_is_the_same_folder(self, encoder: Encoder, tmp_path: Path) -> None:
        folder = encoder.save(tmp_path / "again")
        files = sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
        assert files == sorted(
            file.relative_to(FORMER / "encoder") for file in (FORMER / "encoder").rglob("*") if file.is_file()
        )
        assert (folder / "manifest.json").read_text() == (FORMER / "encoder" / "manifest.json").read_text()
        with np.load(folder / "learned.npz") as saved, np.load(FORMER / "encoder" / "learned.npz") as former:
            assert saved.files == former.files
            assert all((saved[part] == former[part]).all() for part in saved.files)

    def test_images_are_encoded_as_they_were(self, encoder: Encoder) -> None:
        encoded = encoder.encode(encoder.embed([image(number) for number in range(8)]))
        for row, document in enumerate(documents()):
            assert encoded.rerank_vectors[row] == pytest.approx(np.array(document["embedding"]), abs=1e-6)
            code = np.frombuffer(bytes.fromhex(document["code"]), np.uint8)
            assert hamming(code[np.newaxis], encoded.codes[row : row + 1])[0, 0] <= 1, "a margin may be zero"
            assert encoded.sub_codes[row].tolist() == document["sub_codes"]


class TestIndex:
    def test_it_opens_with_what_was_kept_in_it(self, client: Elasticsearch, name: str, encoder: Encoder) -> None:
        index = ImageIndex.open(client, name, encoder)
        assert (index.count(), index.shards, index.graph, index.dims, index.dtype) == (8, 1, False, 75, "float32")
        assert index.vocabulary == WORDS
        at = "2026-11-26T00:56:01.192410+00:00"
        assert index.tuned == Tuned("scan", 20, None, None, k=3, target=0.8, recall=1.0, images=8, at=at)

    def test_another_encoder_is_refused(self, client: Elasticsearch, name: str) -> None:
        with pytest.raises(EncoderMismatch, match=FINGERPRINT):
            ImageIndex.open(client, name, Encoder.bundled())

    def test_its_documents_are_read_as_they_were_written(
        self, client: Elasticsearch, name: str, encoder: Encoder
    ) -> None:
        index = ImageIndex.open(client, name, encoder)
        records, vectors = index.records(IDS), index.vectors(IDS)
        for image_id, document in zip(IDS, documents()):
            read = {**records[image_id], **vectors[image_id].fields()}
            assert orjson.loads(orjson.dumps(read, option=orjson.OPT_SERIALIZE_NUMPY)) == document

    def test_it_needs_no_further_fields(self, client: Elasticsearch, name: str, encoder: Encoder) -> None:
        index = ImageIndex.open(client, name, encoder)
        before = index.descriptions()
        add_fields(index)
        assert index.descriptions() == before


class TestSearch:
    def test_by_image(self, client: Elasticsearch, name: str, encoder: Encoder) -> None:
        searcher = Searcher(encoder, ImageIndex.open(client, name, encoder))
        for number in range(8):
            hits = searcher.by_image(image(number))
            assert sorted(hit.id for hit in hits) == IDS
            assert (hits[0].id, hits[0].title) == (IDS[number], f"Product {number}")
            assert hits[0].cosine == pytest.approx(1, abs=1e-5)

    def test_by_id(self, client: Elasticsearch, name: str, encoder: Encoder) -> None:
        hits = Searcher(encoder, ImageIndex.open(client, name, encoder)).by_id("p3")
        vectors = np.array([document["embedding"] for document in documents()])
        cosines = vectors @ vectors[3] / np.linalg.norm(vectors, axis=1) / np.linalg.norm(vectors[3])
        assert [hit.id for hit in hits] == [IDS[row] for row in np.argsort(-cosines) if row != 3]

    def test_within_a_radius(self, client: Elasticsearch, name: str, encoder: Encoder) -> None:
        searcher = Searcher(encoder, ImageIndex.open(client, name, encoder))
        codes = np.array([list(bytes.fromhex(document["code"])) for document in documents()], np.uint8)
        distances = hamming(codes[:1], codes)[0]
        radius = int(np.sort(distances)[4])
        expected = {IDS[row] for row in np.flatnonzero(distances <= radius)} - {"p0"}
        assert {hit.id for hit in searcher.within_radius_of("p0", radius)} == expected

    def test_by_perceptual_hash(self, client: Elasticsearch, name: str, encoder: Encoder) -> None:
        searcher = PerceptualSearcher(ImageIndex.open(client, name, encoder))
        for number in range(8):
            hit = searcher.by_image(image(number))[0]
            assert (hit.id, hit.hamming) == (IDS[number], 0)
            assert [hit.id for hit in searcher.within_radius(image(number), 0)] == [IDS[number]]

    def test_by_visual_words(self, client: Elasticsearch, name: str, encoder: Encoder, vocabulary: Vocabulary) -> None:
        assert vocabulary.fingerprint == WORDS
        searcher = KeypointSearcher(ImageIndex.open(client, name, encoder), vocabulary)
        hit = searcher.by_image(image(3))[0]
        assert (hit.id, hit.verdict) == ("p3", "same")


class TestWriting:
    def indexer(self, client: Elasticsearch, name: str, encoder: Encoder, vocabulary: Vocabulary | None) -> Indexer:
        index = ImageIndex.open(client, name, encoder)
        return Indexer(encoder, index, BulkWriter(client, index.alias), vocabulary=vocabulary)

    def test_unchanged_images_stay_and_new_metadata_keeps_their_vectors(
        self, client: Elasticsearch, name: str, encoder: Encoder, vocabulary: Vocabulary, tmp_path: Path
    ) -> None:
        indexer = self.indexer(client, name, encoder, vocabulary)
        summary, _ = index_catalog(Catalog(FORMER / "catalog.jsonl"), indexer, tmp_path)
        assert summary == IndexingSummary(unchanged=8)
        rows = [json.loads(line) for line in (FORMER / "catalog.jsonl").read_text().splitlines()]
        rows[3]["title"] = "Renamed"
        for row in rows:
            row["path"] = str(FORMER / row["path"])
        (tmp_path / "catalog.jsonl").write_text("\n".join(map(json.dumps, rows)))
        before = indexer.index.vectors_of("p3").fields()
        summary, _ = index_catalog(Catalog(tmp_path / "catalog.jsonl"), indexer, tmp_path)
        assert summary == IndexingSummary(updated=1, unchanged=7)
        assert indexer.index.record("p3")["title"] == "Renamed"
        after = indexer.index.vectors_of("p3").fields()
        assert (after.pop("embedding") == before.pop("embedding")).all()
        assert after == before

    def test_without_its_vocabulary_nothing_is_written(
        self, client: Elasticsearch, name: str, encoder: Encoder, tmp_path: Path
    ) -> None:
        indexer = self.indexer(client, name, encoder, None)
        with pytest.raises(VocabularyMismatch, match=WORDS):
            index_catalog(Catalog(FORMER / "catalog.jsonl"), indexer, tmp_path)

    def test_it_can_be_given_a_graph(self, client: Elasticsearch, name: str, encoder: Encoder) -> None:
        index = add_graph(ImageIndex.open(client, name, encoder))
        assert index == ImageIndex.open(client, name, encoder)
        assert (index.graph, index.tuned, index.vocabulary) == (True, None, WORDS)
        assert Searcher(encoder, index).by_image(image(5))[0].id == "p5"
