"""The hash head as a binarizer that can be fitted; what it learns is saved, loaded and used without TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashsearch.embedders import import_tensorflow
from hashsearch.errors import HashingError
from hashsearch.hashing import binarizers
from hashsearch.hashing.binarizers import Binarizer, HashHead
from hashsearch.hashing.hash_head import class_numbers
from hashsearch.hashing.vectors import Labels, Vectors, check_labels


class TrainableHashHead(HashHead):
    """A hash head that learns from labels. It starts from ITQ, or with more bits than that gives from random rotations.

    Parameters
    ----------
    bits : int
        Length of a code, a multiple of 8.
    seed : int
        Seed of the start, of the images held out and of the batches.
    rounds : int
        At most so many rounds of 50 batches.
    margin, balance, quantisation : float
        See `hashsearch.hashing.hash_head.LossWeights`.
    """

    def fit(self, vectors: Vectors, labels: Labels | None = None) -> Binarizer:
        """Learn from labelled vectors and return self.

        Parameters
        ----------
        vectors : (n, dims) float32
        labels : (n,), None or "" where the class is not known

        Raises
        ------
        HashingError
            Without labels, or with fewer than two classes of two images.
        """
        if labels is None:
            raise HashingError(f"binarizer '{self.name}' learns from labels, got none")
        Binarizer.fit(self, vectors)
        used = self.learns_from(check_labels(labels, len(vectors)))
        import_tensorflow("to train the head")
        from hashsearch.training.directions import learn_directions

        centred, classes = vectors[used] - self.center_, class_numbers(labels)[used]
        generator = np.random.default_rng(self.seed)
        self.directions_ = learn_directions(centred, classes, self.directions_, self.weights, self.rounds, generator)
        return self


def make_binarizer(name: str, **parameters: Any) -> Binarizer:
    """A new binarizer by name that can be fitted, a hash head too; HashingError lists the known names."""
    return TrainableHashHead(**parameters) if name == HashHead.name else binarizers.make_binarizer(name, **parameters)
