"""Local features: recalled by visual words, or each picture in turn, and verified by geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hashsearch.errors import ConfigError, EvaluationError
from hashsearch.evaluation.methods.features import Feature
from hashsearch.evaluation.methods.method import Labels, Ranking, RunContext, ScratchIndex

if TYPE_CHECKING:
    from hashsearch.descriptors.keypoints import LocalFeatures

RECALLS = ("words", "brute")


@dataclass
class Local:
    """Similarity is 1 and the score of the match where one is verified, else what the words make of it, below 1.

    `recall` "words": BM25 in Elasticsearch over `words` words, learned from the pictures to learn from; the best
    `verified` of them are matched. "brute": all pictures are, and those that do not match are no hits.
    """

    place: RunContext
    recall: str = "words"
    words: int = 4096
    verified: int = 50

    def __post_init__(self) -> None:
        if self.recall not in RECALLS:
            raise ConfigError(f"the recall of local features must be one of {', '.join(RECALLS)}, got '{self.recall}'")
        if not isinstance(self.verified, int) or not 0 <= self.verified <= 1000:
            raise ConfigError(f"from 0 to 1000 pictures can be verified, got {self.verified!r}")
        self._shelf = ScratchIndex(self.place)

    def learn(self, features: Sequence[Feature], labels: Labels) -> None:
        if self.recall == "brute":
            return
        from hashsearch.descriptors.keypoints import LocalExtractor
        from hashsearch.descriptors.words import Vocabulary

        read = [_read(feature) for feature in features]
        if not read:
            raise EvaluationError("visual words must be learned from pictures, got none to learn from")
        self._vocabulary = Vocabulary(LocalExtractor(read[0].kind), self.words, self.place.seed).fit(read)

    def index(self, features: Sequence[Feature]) -> None:
        self._features = [_read(feature) for feature in features]
        self._bytes = sum(len(feature) for feature in features)
        if self.recall == "brute":
            return
        text = {"type": "text", "analyzer": "whitespace", "index_options": "freqs"}
        documents = ({"words": self._vocabulary.terms(features)} for features in self._features)
        self._shelf.fill({"words": text}, documents)

    def search(self, feature: Feature, k: int) -> Ranking:
        query = _read(feature)
        if not len(query):
            raise EvaluationError("a picture must have keypoints to be searched by, found none")
        if self.recall == "brute":
            return _best(self._matched(query, range(len(self._features))), k)
        from hashsearch.elastic import queries

        most = max(k, self.verified)
        asked = queries.by_words(self._vocabulary.query_terms(query), most, [])
        rows, scores = self._shelf.search(asked["query"], most)
        by_words = dict(zip(rows.tolist(), (scores / (1 + scores)).tolist()))
        return _best(by_words | self._matched(query, rows[: self.verified].tolist()), k)

    def _matched(self, query: LocalFeatures, rows: Sequence[int]) -> dict[int, float]:
        """One and the score of each picture that matches."""
        from hashsearch.descriptors.matching import verify

        matches = ((row, verify(query, self._features[row])) for row in rows)
        return {row: 1 + match.score for row, match in matches if match.verified}

    def bytes_per_image(self) -> float:
        indexed = self._shelf.bytes() if self.recall == "words" else 0
        return (self._bytes + indexed) / len(self._features)

    def close(self) -> None:
        self._shelf.close()


def _read(feature: Feature) -> LocalFeatures:
    from hashsearch.descriptors.keypoints import LocalFeatures

    return LocalFeatures.from_array(feature)


def _best(similarities: dict[int, float], k: int) -> Ranking:
    order = sorted(similarities, key=lambda row: (-similarities[row], row))[:k]
    return np.array(order, np.int64), np.array([similarities[row] for row in order], np.float32)
