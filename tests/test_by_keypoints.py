"""Drawn products in a real index, searched by their local features; and indices whose words do not fit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from elasticsearch import Elasticsearch
from numpy.typing import NDArray
from PIL import Image
from support.drawn import PICTURES, picture, tilted, turned
from support.indices import fresh_index_name

from hashsearch import embedders
from hashsearch.catalog.reading import Catalog
from hashsearch.cli.jobs import fit_vocabulary
from hashsearch.descriptors.keypoints import MAX_KEYPOINTS, LocalExtractor
from hashsearch.descriptors.words import Vocabulary, WordIndex
from hashsearch.elastic import queries
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.maintenance import add_graph, merge, set_vocabulary
from hashsearch.elastic.writing import BulkWriter
from hashsearch.encoder import EmbedderSpec, Encoder
from hashsearch.errors import SearchError, VocabularyMismatch
from hashsearch.hashing.binarizers import make_binarizer
from hashsearch.hashing.sub_codes import make_sub_codes
from hashsearch.indexing.pipeline import Indexer
from hashsearch.indexing.runs import index_catalog
from hashsearch.search.by_keypoints import KeypointSearcher, as_table

ALIKE = 4  # three stickers of one design: turned, too many keypoints match those of another sticker
BLANK: NDArray[np.uint8] = np.full((90, 120, 3), 200, np.uint8)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    embedder = embedders.load("bit-tiny")
    vectors = np.random.default_rng(0).normal(size=(80, embedder.dims)).astype(np.float32)
    return Encoder.fit(
        EmbedderSpec.of(embedder), vectors, make_binarizer("rotation", bits=64), make_sub_codes("blocks")
    )


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    extractor = LocalExtractor()
    return Vocabulary(extractor, words=300).fit([extractor.extract(picture(row)) for row in range(PICTURES)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The catalog: six pictures in two categories, and a blank one."""
    for row in range(PICTURES):
        file = tmp_path / "catalog" / ("even", "odd")[row % 2] / f"{row}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(row)).save(file)
    Image.fromarray(BLANK).save(tmp_path / "catalog" / "blank.png")
    return tmp_path / "catalog"


def name_of(row: int) -> str:
    return f"{('even', 'odd')[row % 2]}/{row}.png"


def run(client: Elasticsearch, name: str, encoder: Encoder, folder: Path, vocabulary: Vocabulary | None) -> ImageIndex:
    """What the job does: open the index, pin the vocabulary, index the catalog."""
    fingerprint = vocabulary.fingerprint if vocabulary else None
    index = set_vocabulary(ImageIndex.open_or_create(client, name, encoder), fingerprint)
    indexer = Indexer(encoder, index, BulkWriter(client, index.alias), vocabulary=vocabulary)
    index_catalog(Catalog(folder), indexer, folder.parent / "state")
    return ImageIndex.open(client, name, encoder)


@pytest.fixture
def index(client: Elasticsearch, fresh_name: str, encoder: Encoder, folder: Path, vocabulary: Vocabulary) -> ImageIndex:
    return run(client, fresh_name, encoder, folder, vocabulary)


@pytest.fixture
def searcher(index: ImageIndex, vocabulary: Vocabulary) -> KeypointSearcher:
    return KeypointSearcher(index, vocabulary)


class TestSearch:
    @pytest.mark.parametrize("row", range(PICTURES))
    def test_planted_copies_are_found_and_only_they(self, searcher: KeypointSearcher, row: int) -> None:
        part = np.ascontiguousarray(picture(row)[90:430, 90:430])
        for copy in (picture(row), part, turned(picture(row), 35, 0.9)[0], tilted(picture(row), 0.1)[0]):
            hits = searcher.by_image(copy)
            assert hits[0].id == name_of(row)
            assert hits[0].verified or row == ALIKE
            assert not any(hit.verified for hit in hits[1:])

    def test_a_hit_says_where_it_comes_from(self, searcher: KeypointSearcher, folder: Path) -> None:
        hit = searcher.by_image(picture(2), k=1)[0]
        assert (hit.word_rank, hit.verdict, hit.unread, hit.category) == (1, "same", None, "even")
        assert hit.uri == str(folder / name_of(2))
        assert hit.inliers > 50 and hit.overlap > 0.95 and hit.score > 2
        assert as_table([hit]).splitlines()[1].split()[3:6] == ["#1", "same", name_of(2)]

    def test_the_mirror_image_is_found_on_request(self, searcher: KeypointSearcher) -> None:
        mirror = np.ascontiguousarray(picture(0)[:, ::-1])
        assert not any(hit.verified for hit in searcher.by_image(mirror))
        assert searcher.by_image(mirror, turned=True)[0].id == name_of(0)
        assert searcher.by_image(mirror, turned=True)[0].verdict == "same"

    def test_an_indexed_image_finds_its_copies_and_not_itself(
        self, searcher: KeypointSearcher, index: ImageIndex, folder: Path, encoder: Encoder
    ) -> None:
        Image.fromarray(picture(0)[40:, 40:]).save(folder / "copy.png")
        run(index.client, index.alias.removeprefix("hashsearch-"), encoder, folder, searcher.vocabulary)
        hits = searcher.by_id(name_of(0))
        assert (hits[0].id, hits[0].verdict) == ("copy.png", "same")
        assert name_of(0) not in [hit.id for hit in hits]

    def test_a_blank_image_has_no_hits(self, searcher: KeypointSearcher) -> None:
        assert searcher.by_image(BLANK) == []

    def test_filters_apply(self, searcher: KeypointSearcher) -> None:
        hits = searcher.by_image(picture(0), filters=queries.filters(["odd"], {}))
        assert hits and {hit.category for hit in hits} == {"odd"}

    def test_pictures_that_are_gone_keep_their_rank_and_say_so(self, searcher: KeypointSearcher, folder: Path) -> None:
        before = [hit.id for hit in sorted(searcher.by_image(picture(0)), key=lambda hit: hit.word_rank)]
        (folder / before[0]).unlink()
        (folder / before[-1]).write_bytes(b"no picture")
        hits = searcher.by_image(picture(0))
        assert [hit.id for hit in hits] == before
        assert [hit.word_rank for hit in hits] == list(range(1, len(before) + 1))
        assert hits[0].unread is not None and hits[0].unread.startswith("unreadable: the image file cannot be read")
        assert hits[-1].unread is not None and hits[-1].unread.startswith("not_an_image")
        assert not hits[0].verified
        assert as_table(hits).splitlines()[1].split()[4:6] == ["not", "read"]

    def test_the_words_rank_as_bm25_in_memory_does(self, searcher: KeypointSearcher, vocabulary: Vocabulary) -> None:
        """One shard, so that Elasticsearch counts as we do; its lengths are rounded to a byte."""
        extractor = LocalExtractor()
        indexed = [vocabulary.transform(extractor.extract(picture(row))) for row in range(PICTURES)]
        query = extractor.extract(turned(picture(3), 20)[0])
        expected = WordIndex(indexed, vocabulary.words).scores(vocabulary.transform(query))
        (answer,) = searcher.index.search(queries.by_words(vocabulary.query_terms(query), 10, []))
        scores = {hit["_id"]: hit["_score"] for hit in answer["hits"]["hits"]}
        actual = [scores.get(name_of(row), 0) for row in range(PICTURES)]
        np.testing.assert_allclose(actual, expected, rtol=0.05)

    def test_as_many_words_as_an_extractor_may_find_can_be_searched(self, searcher: KeypointSearcher) -> None:
        """Elasticsearch bounds the clauses of a query by its memory, and never below 1024."""
        words = [f"w{word:04}" for word in range(MAX_KEYPOINTS)]
        (answer,) = searcher.index.search(queries.by_words(words, 3, []))
        assert len(answer["hits"]["hits"]) == 3

    @pytest.mark.parametrize("numbers", [{"k": 0}, {"k": 1001}, {"candidates": 0}, {"candidates": 1001}])
    def test_numbers_out_of_range_are_named(self, searcher: KeypointSearcher, numbers: dict[str, Any]) -> None:
        ((name, number),) = numbers.items()
        with pytest.raises(SearchError, match=f"{name} must be 1 to 1000, got {number}"):
            searcher.by_image(picture(0), **numbers)


class TestIndexing:
    def test_images_with_updated_metadata_keep_their_words(
        self, client: Elasticsearch, fresh_name: str, encoder: Encoder, folder: Path, vocabulary: Vocabulary
    ) -> None:
        run(client, fresh_name, encoder, folder, vocabulary)
        rows = [f"{name_of(row)},{folder / name_of(row)},new title {row}" for row in range(PICTURES)]
        (folder.parent / "catalog.csv").write_text("\n".join(["id,image,title", *rows]))
        index = run(client, fresh_name, encoder, folder.parent / "catalog.csv", vocabulary)
        hit = KeypointSearcher(index, vocabulary).by_image(picture(1))[0]
        assert (hit.id, hit.title, hit.verified) == (name_of(1), "new title 1", True)

    def test_words_survive_the_building_of_a_graph(self, index: ImageIndex, vocabulary: Vocabulary) -> None:
        merge(index)
        graphed = add_graph(index)
        for row in range(PICTURES):
            assert KeypointSearcher(graphed, vocabulary).by_image(picture(row))[0].id == name_of(row)

    def test_words_are_searched_and_stored_but_not_shown(self, index: ImageIndex, vocabulary: Vocabulary) -> None:
        expected = vocabulary.terms(vocabulary.extractor.extract(picture(0)))
        assert index.vectors_of(name_of(0)).words == expected
        assert "words" not in index.record(name_of(0))
        assert index.vectors_of("blank.png").words == ""

    def test_an_index_without_words_says_what_to_do(
        self, client: Elasticsearch, fresh_name: str, encoder: Encoder, folder: Path, vocabulary: Vocabulary
    ) -> None:
        index = run(client, fresh_name, encoder, folder, None)
        assert index.vocabulary is None
        for refused in (
            lambda: KeypointSearcher(index, vocabulary),
            lambda: set_vocabulary(index, vocabulary.fingerprint),
        ):
            with pytest.raises(VocabularyMismatch, match="has images without visual words: index the catalog again"):
                refused()

    def test_an_index_with_words_refuses_another_vocabulary_and_none(
        self, index: ImageIndex, vocabulary: Vocabulary
    ) -> None:
        other = Vocabulary(LocalExtractor(), words=300)
        other.words_ = vocabulary.words_ + 1
        message = f"was written with vocabulary {vocabulary.fingerprint} and can only be used with it"
        with pytest.raises(VocabularyMismatch, match=f"{message}, but the one in use is {other.fingerprint}"):
            KeypointSearcher(index, other)
        with pytest.raises(VocabularyMismatch, match=f"{message}, but none was given"):
            set_vocabulary(index, None)

    def test_the_indexer_checks_the_vocabulary(self, index: ImageIndex, encoder: Encoder, folder: Path) -> None:
        indexer = Indexer(encoder, index, BulkWriter(index.client, index.alias))
        with pytest.raises(VocabularyMismatch):
            index_catalog(Catalog(folder), indexer, folder.parent / "other-state")

    def test_an_older_index_accepts_a_vocabulary_while_it_is_empty(
        self, client: Elasticsearch, fresh_name: str, encoder: Encoder, folder: Path, vocabulary: Vocabulary
    ) -> None:
        made = ImageIndex.create(client, fresh_name, encoder)
        assert made.vocabulary is None
        index = run(client, fresh_name, encoder, folder, vocabulary)
        assert index.uuids == made.uuids
        assert index.vocabulary == vocabulary.fingerprint


@pytest.fixture(scope="module")
def two_indices(client: Elasticsearch) -> Iterator[tuple[str, str]]:
    with fresh_index_name(client) as one, fresh_index_name(client) as other:
        yield one, other


def test_indices_of_two_vocabularies_behind_one_alias_are_refused(
    client: Elasticsearch, two_indices: tuple[str, str], encoder: Encoder, vocabulary: Vocabulary
) -> None:
    one, other = (ImageIndex.create(client, name, encoder) for name in two_indices)
    set_vocabulary(one, vocabulary.fingerprint)
    client.indices.put_alias(index=other.indices[0], name=one.alias)
    with pytest.raises(VocabularyMismatch):
        ImageIndex.open(client, two_indices[0], encoder)


def test_the_job_learns_a_vocabulary_and_lists_what_it_leaves_out(folder: Path, tmp_path: Path) -> None:
    (folder / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "words.npz"
    result = CliRunner().invoke(fit_vocabulary.main, [str(folder), "--out", str(out), "--words", "200"])
    assert result.exit_code == 0, result.output
    loaded = Vocabulary.load(out)
    assert f"vocabulary {loaded.fingerprint}, 200 words of sift" in result.output
    assert f"left out {folder / 'broken.png'}: an image must be one of" in result.output
    again = CliRunner().invoke(fit_vocabulary.main, [str(folder), "--out", str(out)])
    assert "a vocabulary is never overwritten" in str(again.exception)


def test_orb_words_can_be_searched_as_well(
    client: Elasticsearch, fresh_name: str, encoder: Encoder, folder: Path
) -> None:
    extractor = LocalExtractor("orb")
    vocabulary = Vocabulary(extractor, words=200).fit([extractor.extract(picture(row)) for row in range(PICTURES)])
    searcher = KeypointSearcher(run(client, fresh_name, encoder, folder, vocabulary), vocabulary)
    hits = searcher.by_image(turned(picture(4), 25)[0])
    assert (hits[0].id, hits[0].verified) == (name_of(4), True)
