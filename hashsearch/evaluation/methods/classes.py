"""Similarity by a classifier: pictures are similar when it gives them similar class scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashsearch.errors import ConfigError, EvaluationError
from hashsearch.evaluation.methods.features import Feature
from hashsearch.evaluation.methods.method import Labels, Ranking, RunContext, best
from hashsearch.hashing.vectors import Vectors, normalised


def _softmax(seed: int) -> Any:
    """Multinomial logistic regression."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=10, max_iter=1000, random_state=seed)


def _svm(seed: int) -> Any:
    """A linear support vector machine, one class against the rest."""
    from sklearn.svm import LinearSVC

    return LinearSVC(random_state=seed)


CLASSIFIERS: dict[str, Callable[[int], Any]] = {"softmax": _softmax, "svm": _svm}


@dataclass
class Classes:
    """The cosine of two pictures' class scores, learned on labelled pictures by one of scikit-learn's classifiers.

    A picture's scores are the softmax of the classifier's decision values; with "softmax" these are probabilities. They
    are compared by cosine: a dot product would rank the most certain pictures above a copy of an uncertain one.
    """

    context: RunContext
    classifier: str = "softmax"

    def __post_init__(self) -> None:
        if self.classifier not in CLASSIFIERS:
            raise ConfigError(f"a classifier must be one of {', '.join(CLASSIFIERS)}, got '{self.classifier}'")

    def learn(self, features: Sequence[Feature], labels: Labels) -> None:
        labelled = np.flatnonzero(labels != "").tolist()
        if len(set(labels[labelled].tolist())) < 2:
            raise EvaluationError("a classifier must learn from pictures of two classes or more, got fewer")
        self._fitted = CLASSIFIERS[self.classifier](self.context.seed)
        self._fitted.fit(normalised(np.stack([features[row] for row in labelled])), labels[labelled])

    def index(self, features: Sequence[Feature]) -> None:
        self._scores = self._score(np.stack(features))

    def search(self, feature: Feature, k: int) -> Ranking:
        return best(self._scores @ self._score(feature[np.newaxis])[0], k)

    def classify(self, features: Sequence[Feature]) -> Labels:
        """The predicted class of each picture."""
        classes: Labels = self._fitted.predict(normalised(np.stack(features)))
        return classes

    def _score(self, vectors: Vectors) -> Vectors:
        """Class scores `(n, classes)`, of length 1."""
        margins = self._fitted.decision_function(normalised(vectors))
        if margins.ndim == 1:  # for two classes scikit-learn returns one margin
            margins = np.stack([-margins, margins], axis=1)
        powers = np.exp(margins - margins.max(axis=1, keepdims=True))
        return normalised(powers)

    def bytes_per_image(self) -> float:
        return float(self._scores[0].nbytes)

    def close(self) -> None: ...
