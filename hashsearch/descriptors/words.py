"""Visual words: local descriptors as terms, so that an inverted index recalls the images that share some.

Sivic and Zisserman, "Video Google", ICCV 2003. The words are k-means centres of many descriptors; a descriptor is the
word nearest to it.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashsearch.descriptors.keypoints import LocalExtractor, LocalFeatures
from hashsearch.errors import ConfigError, VocabularyError
from hashsearch.hashing.kmeans import kmeans
from hashsearch.hashing.vectors import Vectors

_FORMAT = 1
_DAMAGE = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, ConfigError)
_MOST_WORDS = 65536

# Elasticsearch's own constants of BM25, best of those tried for visual words as well.
_K1, _B = 1.2, 0.75


class Vocabulary:
    """Words for the features of one extractor, which belongs to it: words of others mean nothing.

    Learned: `words_ (words, dims) float32`. Bits are learned from as zeros and ones, whose squared Euclidean distance
    is the Hamming distance, so that ORB and AKAZE have words as well.
    """

    def __init__(self, extractor: LocalExtractor | None = None, words: int = 4096, seed: int = 0) -> None:
        if not 2 <= words <= _MOST_WORDS:
            raise ConfigError(f"a vocabulary must have 2 to {_MOST_WORDS} words, got {words}")
        self.extractor = extractor or LocalExtractor()
        self.words = words
        self.seed = seed

    def fit(self, features: Sequence[LocalFeatures], most: int = 250_000) -> Vocabulary:
        """Learn from `most` descriptors of a sample of images, picked at random, and return self.

        VocabularyError when there are fewer descriptors than words.
        """
        for one in features:
            self._check(one)
        generator = np.random.default_rng(self.seed)
        ends = np.cumsum([len(one) for one in features])
        total = int(ends[-1]) if len(ends) else 0
        if total < self.words:
            raise VocabularyError(f"{self.words} words need at least as many descriptors to learn from, got {total}")
        chosen = np.sort(generator.permutation(total)[: max(most, self.words)])
        parts = np.split(chosen, np.searchsorted(chosen, ends[:-1]))
        starts = ends - [len(one) for one in features]
        picked = [one.vectors()[rows - start] for one, rows, start in zip(features, parts, starts) if len(rows)]
        self.words_: Vectors = kmeans(np.concatenate(picked), self.words, generator)
        return self

    def transform(self, features: LocalFeatures) -> NDArray[np.int64]:
        """The word of each keypoint `(n,)`, strongest keypoint first."""
        if not hasattr(self, "words_"):
            raise VocabularyError("a vocabulary must be fitted before it is used")
        self._check(features)
        return np.asarray((self._half_norms - features.vectors() @ self.words_.T).argmin(axis=1), np.int64)

    def terms(self, features: LocalFeatures) -> str:
        """The words as a text `w0123 w0007 ...`, for an index that counts terms; empty for a blank image."""
        return " ".join(map(_term, self.transform(features).tolist()))

    def query_terms(self, features: LocalFeatures) -> list[str]:
        """The words to ask for, each once: those that repeat say more of a texture than of the picture."""
        return list(map(_term, np.unique(self.transform(features)).tolist()))

    @property
    def fingerprint(self) -> str:
        """Changes with everything that changes an image's words."""
        return hashlib.sha256(self._settings().encode() + np.ascontiguousarray(self.words_).tobytes()).hexdigest()[:16]

    def save(self, file: Path) -> Path:
        """Write the file and return it; VocabularyError when it exists, for an index may need it."""
        try:
            with file.open("xb") as stream:
                np.savez(stream, allow_pickle=False, settings=np.array(self._settings()), words_=self.words_)
        except OSError as error:
            raise VocabularyError(f"the vocabulary could not be saved, it must be a new file: {error}") from error
        return file

    @classmethod
    def load(cls, file: Path) -> Vocabulary:
        """The vocabulary saved in a file; VocabularyError when that is not one, or damaged."""
        try:
            with np.load(file, allow_pickle=False) as saved:
                settings, words = json.loads(str(saved["settings"])), saved["words_"]
            if settings["format"] != _FORMAT or len(words) != settings["words"]:
                raise ValueError(f"format {settings['format']} with {len(words)} words, this version reads {_FORMAT}")
            vocabulary = cls(LocalExtractor(**settings["extractor"]), settings["words"], settings["seed"])
        except _DAMAGE as error:
            raise VocabularyError(f"{file} is no vocabulary: {type(error).__name__}: {error}") from error
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
            raise VocabularyError(f"this vocabulary is for '{self.extractor.kind}' features, got '{features.kind}'")


def _term(word: int) -> str:
    return f"w{word:04}"


class WordIndex:
    """Images by their words, in memory, ranked as Elasticsearch ranks them (BM25; Robertson and Zaragoza 2009)."""

    def __init__(self, words: Sequence[NDArray[np.int64]], vocabulary_size: int) -> None:
        """From the words of each image `(keypoints,)`."""
        lengths = np.array([len(one) for one in words], np.float64)
        keys = [np.unique(one + row * vocabulary_size, return_counts=True) for row, one in enumerate(words)]
        rows, word = np.divmod(np.concatenate([key for key, _ in keys]).astype(np.int64), vocabulary_size)
        counts = np.concatenate([count for _, count in keys]).astype(np.float64)
        order = np.argsort(word, kind="stable")
        self._rows = rows[order]
        self._starts = np.searchsorted(word[order], np.arange(vocabulary_size + 1))
        held = np.diff(self._starts)
        images = max(1, np.count_nonzero(lengths))  # Elasticsearch counts those that have words
        rarity = np.log(1 + (images - held + 0.5) / (held + 0.5))
        stretch = _K1 * (1 - _B + _B * lengths / max(1.0, lengths.sum() / images))
        self._weights = ((_K1 + 1) * rarity[word] * counts / (counts + stretch[rows]))[order]
        self.images = len(words)

    def scores(self, words: NDArray[np.int64]) -> NDArray[np.float32]:
        """How well each image `(images,)` answers a query's words `(keypoints,)`, asked for once each."""
        scores = np.zeros(self.images)
        for word in np.unique(words):
            postings = slice(self._starts[word], self._starts[word + 1])
            scores[self._rows[postings]] += self._weights[postings]
        return scores.astype(np.float32)
