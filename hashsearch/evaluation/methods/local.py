"""Local features: candidates by visual words, or every picture, verified by geometry."""

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
    """Similarity is 1 plus the match score where a match is verified, else a score from the words, below 1.

    `recall` "words": BM25 in Elasticsearch over `words` visual words, fitted on the pictures to learn from; the best
    `verified` candidates are matched. "brute": every picture is matched, and those that do not match are not hits.
    """

    context: RunContext
    recall: str = "words"
    words: int = 4096
    verified: int = 50

    def __post_init__(self) -> None:
        if self.recall not in RECALLS:
            raise ConfigError(f"the recall of local features must be one of {', '.join(RECALLS)}, got '{self.recall}'")
        if not isinstance(self.verified, int) or not 0 <= self.verified <= 1000:
            raise ConfigError(f"'verified' must be 0 to 1000 pictures, got {self.verified!r}")
        self._scratch_index = ScratchIndex(self.context)

    def learn(self, features: Sequence[Feature], labels: Labels) -> None:
        if self.recall == "brute":
            return
        from hashsearch.descriptors.keypoints import LocalExtractor
        from hashsearch.descriptors.words import Vocabulary

        local_features = [_read(feature) for feature in features]
        if not local_features:
            raise EvaluationError("visual words must be learned from pictures, got none to learn from")
        extractor = LocalExtractor(local_features[0].kind)
        self._vocabulary = Vocabulary(extractor, self.words, self.context.seed).fit(local_features)

    def index(self, features: Sequence[Feature]) -> None:
        self._features = [_read(feature) for feature in features]
        self._bytes = sum(len(feature) for feature in features)
        if self.recall == "brute":
            return
        text = {"type": "text", "analyzer": "whitespace", "index_options": "freqs"}
        documents = ({"words": self._vocabulary.terms(features)} for features in self._features)
        self._scratch_index.fill({"words": text}, documents)

    def search(self, feature: Feature, k: int) -> Ranking:
        query = _read(feature)
        if not len(query):
            raise EvaluationError("a query picture must have keypoints, found none")
        if self.recall == "brute":
            return _best(self._matched(query, range(len(self._features))), k)
        from hashsearch.elastic import queries

        size = max(k, self.verified)
        body = queries.by_words(self._vocabulary.query_terms(query), size, [])
        rows, scores = self._scratch_index.search(body["query"], size)
        by_words = dict(zip(rows.tolist(), (scores / (1 + scores)).tolist()))
        return _best(by_words | self._matched(query, rows[: self.verified].tolist()), k)

    def _matched(self, query: LocalFeatures, rows: Sequence[int]) -> dict[int, float]:
        """1 plus the match score of each picture that matches, by row."""
        from hashsearch.descriptors.matching import verify

        matches = ((row, verify(query, self._features[row])) for row in rows)
        return {row: 1 + match.score for row, match in matches if match.verified}

    def bytes_per_image(self) -> float:
        indexed = self._scratch_index.bytes() if self.recall == "words" else 0
        return (self._bytes + indexed) / len(self._features)

    def close(self) -> None:
        self._scratch_index.close()


def _read(feature: Feature) -> LocalFeatures:
    from hashsearch.descriptors.keypoints import LocalFeatures

    return LocalFeatures.from_array(feature)


def _best(similarities: dict[int, float], k: int) -> Ranking:
    order = sorted(similarities, key=lambda row: (-similarities[row], row))[:k]
    return np.array(order, np.int64), np.array([similarities[row] for row in order], np.float32)
