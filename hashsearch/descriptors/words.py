"""Visual words: local descriptors as terms of an inverted index, which finds the images that share words.

Sivic and Zisserman, "Video Google", ICCV 2003. Words are k-means centres of many descriptors; the word of a descriptor
is the nearest centre.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashsearch.descriptors.keypoints import LocalExtractor, LocalFeatures
from hashsearch.errors import ConfigError, VocabularyError
from hashsearch.files import atomic_file, read_arrays
from hashsearch.hashing.kmeans import kmeans
from hashsearch.hashing.vectors import Vectors

_FORMAT = 1
_DAMAGE = (OSError, ValueError, KeyError, TypeError, RecursionError, ConfigError)
_MAX_WORDS = 65536

_K1, _B = 1.2, 0.75  # Elasticsearch's defaults for BM25, which were also the best ones tried for visual words


class Vocabulary:
    """Visual words for the features of one extractor, which is part of the vocabulary.

    Learned: `words_ (words, dims) float32`. Binary descriptors (ORB, AKAZE) are taken as zeros and ones, whose squared
    Euclidean distance is the Hamming distance.
    """

    def __init__(self, extractor: LocalExtractor | None = None, words: int = 4096, seed: int = 0) -> None:
        if not 2 <= words <= _MAX_WORDS:
            raise ConfigError(f"a vocabulary must have 2 to {_MAX_WORDS} words, got {words}")
        self.extractor = extractor or LocalExtractor()
        self.words = words
        self.seed = seed

    def fit(self, features: Sequence[LocalFeatures], max_descriptors: int = 250_000) -> Vocabulary:
        """Learn from a random sample of at most `max_descriptors` of the images' descriptors and return self.

        VocabularyError if there are fewer descriptors than words.
        """
        for image in features:
            self._check(image)
        generator = np.random.default_rng(self.seed)
        ends = np.cumsum([len(image) for image in features])
        total = int(ends[-1]) if len(ends) else 0
        if total < self.words:
            raise VocabularyError(f"{self.words} words need at least as many descriptors to learn from, got {total}")
        sampled = np.sort(generator.permutation(total)[: max(max_descriptors, self.words)])
        by_image = np.split(sampled, np.searchsorted(sampled, ends[:-1]))
        starts = ends - [len(image) for image in features]
        vectors = [image.vectors()[rows - start] for image, rows, start in zip(features, by_image, starts) if len(rows)]
        self.words_: Vectors = kmeans(np.concatenate(vectors), self.words, generator)
        return self

    def transform(self, features: LocalFeatures) -> NDArray[np.int64]:
        """The word of each keypoint `(n,)`, strongest keypoint first."""
        if not hasattr(self, "words_"):
            raise VocabularyError("a vocabulary must be fitted before it is used")
        self._check(features)
        return np.asarray((self._half_norms - features.vectors() @ self.words_.T).argmin(axis=1), np.int64)

    def terms(self, features: LocalFeatures) -> str:
        """The words as text `w0123 w0007 ...`, for a text field; empty for a blank image."""
        return " ".join(map(_term, self.transform(features).tolist()))

    def query_terms(self, features: LocalFeatures) -> list[str]:
        """The words to search, each once: repeated words come from texture and say little about the picture."""
        return list(map(_term, np.unique(self.transform(features)).tolist()))

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with everything that changes an image's words."""
        return hashlib.sha256(self._settings().encode() + np.ascontiguousarray(self.words_).tobytes()).hexdigest()[:16]

    def save(self, file: Path) -> Path:
        """Write the file atomically and return it; VocabularyError if it exists, as an index may need it."""
        if file.exists():
            raise VocabularyError(f"a vocabulary is never overwritten, and {file} exists")
        try:
            with atomic_file(file) as stream:
                np.savez(stream, allow_pickle=False, settings=np.array(self._settings()), words_=self.words_)
        except OSError as error:
            raise VocabularyError(f"cannot save the vocabulary in {file}: {error}") from error
        return file

    @classmethod
    def load(cls, file: Path) -> Vocabulary:
        """The vocabulary saved in a file; VocabularyError if the file is missing, damaged or something else."""
        try:
            saved = read_arrays(file)
            settings, words = json.loads(str(saved["settings"])), saved["words_"]
            if settings["format"] != _FORMAT or len(words) != settings["words"]:
                raise ValueError(
                    f"format {settings['format']} and {len(words)} words, expected format {_FORMAT} and "
                    f"{settings['words']} words"
                )
            vocabulary = cls(LocalExtractor(**settings["extractor"]), settings["words"], settings["seed"])
        except _DAMAGE as error:
            raise VocabularyError(f"{file} is not a vocabulary: {type(error).__name__}: {error}") from error
        vocabulary.words_ = words
        return vocabulary

    def _settings(self) -> str:
        settings = {"extractor": self.extractor.parameters(), "words": self.words, "seed": self.seed}
        return json.dumps({"format": _FORMAT, **settings}, sort_keys=True)

    @cached_property
    def _half_norms(self) -> Vectors:
        halves: Vectors = (self.words_**2).sum(axis=1) / 2
        return halves

    def _check(self, features: LocalFeatures) -> None:
        if features.kind != self.extractor.kind:
            raise VocabularyError(f"the vocabulary is for '{self.extractor.kind}' features, got '{features.kind}'")


def _term(word: int) -> str:
    return f"w{word:04}"


class WordIndex:
    """An inverted index of visual words in memory, with Elasticsearch's ranking (BM25; Robertson and Zaragoza 2009)."""

    def __init__(self, words: Sequence[NDArray[np.int64]], vocabulary_size: int) -> None:
        """From the words `(keypoints,)` of each image."""
        lengths = np.array([len(image) for image in words], np.float64)
        keys = [np.unique(image + row * vocabulary_size, return_counts=True) for row, image in enumerate(words)]
        rows, word = np.divmod(np.concatenate([key for key, _ in keys]).astype(np.int64), vocabulary_size)
        counts = np.concatenate([count for _, count in keys]).astype(np.float64)
        order = np.argsort(word, kind="stable")
        self._rows = rows[order]
        self._starts = np.searchsorted(word[order], np.arange(vocabulary_size + 1))
        with_word = np.diff(self._starts)
        images = max(1, np.count_nonzero(lengths))  # Elasticsearch counts only images that have words
        idf = np.log(1 + (images - with_word + 0.5) / (with_word + 0.5))
        saturation = _K1 * (1 - _B + _B * lengths / max(1.0, lengths.sum() / images))
        self._weights = ((_K1 + 1) * idf[word] * counts / (counts + saturation[rows]))[order]
        self.images = len(words)

    def scores(self, words: NDArray[np.int64]) -> NDArray[np.float32]:
        """The score of each image `(images,)` for a query's words `(keypoints,)`; repeated words count once."""
        scores = np.zeros(self.images)
        for word in np.unique(words):
            postings = slice(self._starts[word], self._starts[word + 1])
            scores[self._rows[postings]] += self._weights[postings]
        return scores.astype(np.float32)
