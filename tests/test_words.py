"""Visual words of planted descriptors and of drawn pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.drawn import PICTURES, picture, turned

from hashsearch.descriptors.keypoints import KINDS, LocalExtractor, LocalFeatures, no_features
from hashsearch.descriptors.words import Vocabulary, WordIndex
from hashsearch.errors import ConfigError, VocabularyError


def of_descriptors(descriptors: np.ndarray) -> LocalFeatures:
    n = len(descriptors)
    return LocalFeatures("sift", (9, 9), 1.0, np.zeros((n, 2), np.float32), np.ones(n, np.float32), descriptors)


def planted(groups: int, members: int, seed: int = 0) -> tuple[LocalFeatures, np.ndarray]:
    """Descriptors in well separated groups, and the group of each."""
    generator = np.random.default_rng(seed)
    middles = generator.integers(20, 230, (groups, 128))
    group = np.tile(np.arange(groups), members)
    noisy = middles[group] + generator.integers(-3, 4, (groups * members, 128))
    return of_descriptors(noisy.astype(np.uint8)), group


@pytest.fixture(scope="module")
def drawn() -> list[LocalFeatures]:
    return [LocalExtractor().extract(picture(row)) for row in range(PICTURES)]


@pytest.fixture(scope="module")
def vocabulary(drawn: list[LocalFeatures]) -> Vocabulary:
    return Vocabulary(words=200).fit(drawn)


def test_a_word_is_the_nearest_centre() -> None:
    features, _ = planted(12, 20)
    fitted = Vocabulary(words=30).fit([features])
    distances = ((features.vectors()[:, np.newaxis] - fitted.words_) ** 2).sum(axis=2)
    np.testing.assert_array_equal(fitted.transform(features), distances.argmin(axis=1))


def test_descriptors_of_different_groups_are_different_words() -> None:
    features, group = planted(5, 40)
    words = Vocabulary(words=60).fit([features]).transform(features)
    assert all(len(set(group[words == word])) == 1 for word in set(words.tolist()))


def test_it_learns_from_all_images_alike_and_the_same_each_time() -> None:
    parts = [planted(4, 30, seed)[0] for seed in range(5)]
    one, other = (Vocabulary(words=40, seed=3).fit(parts, max_descriptors=200) for _ in range(2))
    np.testing.assert_array_equal(one.words_, other.words_)
    assert all(len(set(one.transform(part).tolist())) > 2 for part in parts)


def test_words_are_text_that_an_index_splits_at_blanks(vocabulary: Vocabulary, drawn: list[LocalFeatures]) -> None:
    words = vocabulary.transform(drawn[0])
    terms = vocabulary.terms(drawn[0]).split()
    assert [int(term.removeprefix("w")) for term in terms] == words.tolist()
    assert {len(term) for term in terms} == {5}


def test_a_blank_image_has_no_words(vocabulary: Vocabulary) -> None:
    assert vocabulary.transform(no_features("sift", (5, 5))).shape == (0,)
    assert vocabulary.terms(no_features("sift", (5, 5))) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_turned_pictures_are_recalled_by_their_words(kind: str) -> None:
    extractor = LocalExtractor(kind)
    drawn = [extractor.extract(picture(row)) for row in range(PICTURES)]
    vocabulary = Vocabulary(extractor, words=150).fit(drawn)
    index = WordIndex([vocabulary.transform(one) for one in drawn], vocabulary.words)
    for row in range(PICTURES):
        query = extractor.extract(turned(picture(row), 40, 0.9)[0])
        assert index.scores(vocabulary.transform(query)).argmax() == row


def test_scores_are_bm25_worked_out_by_hand() -> None:
    """Three images of words a = 0, b = 1: (a, a, b), (b), none; Elasticsearch's formula with k1 1.2 and b .75."""
    index = WordIndex([np.array([0, 0, 1]), np.array([1]), np.array([], np.int64)], 3)
    rare, common = np.log(1 + (2 - 1 + 0.5) / (1 + 0.5)), np.log(1 + (2 - 2 + 0.5) / (2 + 0.5))
    long, short = 1.2 * (0.25 + 0.75 * 3 / 2), 1.2 * (0.25 + 0.75 * 1 / 2)
    np.testing.assert_allclose(index.scores(np.array([0])), [2.2 * rare * 2 / (2 + long), 0, 0], rtol=1e-6)
    np.testing.assert_allclose(
        index.scores(np.array([1, 1])), [2.2 * common / (1 + long), 2.2 * common / (1 + short), 0], rtol=1e-6
    )
    assert index.scores(np.array([2], np.int64)).tolist() == [0, 0, 0]


def test_an_index_of_nothing_but_blank_images_scores_them_zero() -> None:
    none = np.array([], np.int64)
    assert WordIndex([none, none], 5).scores(np.array([1, 2])).tolist() == [0, 0]


class TestSaved:
    def test_a_loaded_vocabulary_is_the_saved_one(
        self, vocabulary: Vocabulary, drawn: list[LocalFeatures], tmp_path: Path
    ) -> None:
        loaded = Vocabulary.load(vocabulary.save(tmp_path / "words.npz"))
        assert loaded.fingerprint == vocabulary.fingerprint
        assert loaded.extractor == vocabulary.extractor
        assert loaded.terms(drawn[1]) == vocabulary.terms(drawn[1])

    def test_the_fingerprint_tells_apart_what_changes_words(self, vocabulary: Vocabulary) -> None:
        prints = {vocabulary.fingerprint}
        for extractor in (LocalExtractor(side=256), LocalExtractor(keypoints=128), LocalExtractor()):
            other = Vocabulary(extractor, words=200)
            other.words_ = vocabulary.words_ + (extractor == LocalExtractor())
            prints.add(other.fingerprint)
        assert len(prints) == 4

    def test_it_is_never_overwritten(self, vocabulary: Vocabulary, tmp_path: Path) -> None:
        file = vocabulary.save(tmp_path / "words.npz")
        with pytest.raises(VocabularyError, match=r"a vocabulary is never overwritten, and .*words\.npz exists"):
            vocabulary.save(file)

    @pytest.mark.parametrize("content", [b"", b"not a vocabulary", b"PK\x03\x04 cut off"])
    def test_another_file_is_refused(self, content: bytes, tmp_path: Path) -> None:
        file = tmp_path / "words.npz"
        file.write_bytes(content)
        with pytest.raises(VocabularyError, match=r"words\.npz is not a vocabulary"):
            Vocabulary.load(file)

    def test_a_cut_and_a_missing_file_are_refused(self, vocabulary: Vocabulary, tmp_path: Path) -> None:
        file = vocabulary.save(tmp_path / "words.npz")
        file.write_bytes(file.read_bytes()[:-2000])
        for wrong in (file, tmp_path / "missing.npz"):
            with pytest.raises(VocabularyError, match="is not a vocabulary"):
                Vocabulary.load(wrong)

    def test_arrays_of_something_else_are_refused(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "words.npz", words_=np.zeros((3, 128)))
        with pytest.raises(VocabularyError, match="KeyError"):
            Vocabulary.load(tmp_path / "words.npz")


def test_too_few_descriptors_are_an_error() -> None:
    with pytest.raises(VocabularyError, match="4096 words need at least as many descriptors to learn from, got 200"):
        Vocabulary().fit([planted(10, 20)[0]])
    with pytest.raises(VocabularyError, match="got 0"):
        Vocabulary().fit([])


def test_features_of_another_kind_are_an_error(vocabulary: Vocabulary) -> None:
    with pytest.raises(VocabularyError, match="the vocabulary is for 'sift' features, got 'orb'"):
        vocabulary.transform(no_features("orb", (5, 5)))


def test_it_must_be_fitted_first() -> None:
    with pytest.raises(VocabularyError, match="must be fitted"):
        Vocabulary().transform(no_features("sift", (5, 5)))


def test_the_number_of_words_is_bounded() -> None:
    with pytest.raises(ConfigError, match="2 to 65536 words, got 1"):
        Vocabulary(words=1)
