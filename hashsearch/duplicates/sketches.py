"""Short sketches of vectors whose dot product is never below the cosine, so few numbers rule out most pairs.

A normalized vector is the sum of its projection on a few axes and a remainder orthogonal to them. By the Cauchy-Schwarz
inequality the remainders of two vectors add at most the product of their lengths to the cosine (L2AP: Anastasiu and
Karypis, ICDE 2014, bounds the rest of a sparse vector like this). A sketch is the coordinates along the axes and the
length of the remainder; the dot product of two sketches is that bound. It is tightest for the principal axes.
"""

from __future__ import annotations

import numpy as np

from hashsearch.hashing.binarizers import principal_axes
from hashsearch.hashing.vectors import Vectors

NUMBERS = 64  # of a sketch; 128 take 1.7 times as long to compare and save less, down to a cosine of .95
ROUNDING = 1e-5  # error of a dot product in single precision


class Sketches:
    """Sketches of normalized vectors. Learned: `axes_ (dims, numbers - 1) float32`, with orthonormal columns."""

    def __init__(self, numbers: int = NUMBERS) -> None:
        self.numbers = numbers

    def fit(self, vectors: Vectors) -> Sketches:
        """Fit the axes to normalized vectors `(n, dims)` and return self."""
        self.axes_: Vectors = principal_axes(vectors, self.numbers - 1).astype(np.float32)
        return self

    @property
    def width(self) -> int:
        """Numbers of a sketch; for short vectors fewer than `numbers`."""
        return int(self.axes_.shape[1]) + 1

    def transform(self, vectors: Vectors) -> Vectors:
        """Sketches `(n, dims) -> (n, width) float32`.

        Their dot product is at least the cosine, less `ROUNDING`. The square of a remainder is increased by it, so that
        rounding does not make a short one vanish.
        """
        projected = vectors @ self.axes_
        remainder = np.sqrt(np.maximum(1 - np.einsum("ij,ij->i", projected, projected), 0) + ROUNDING)
        return np.column_stack([projected, remainder])
