"""Vectors to short sketches whose scalar product is never below the cosine: what is far apart is told by few numbers.

A vector of length 1 is its part in a few directions and a rest at right angles to them. By Cauchy and Schwarz the rests
of two vectors add at most the product of their lengths to the cosine (as in L2AP: Anastasiu and Karypis, ICDE 2014, who
bound the rest of a sparse vector so). With the length of the rest as its last number, a sketch's scalar product with
another one is that bound. It is tight where the directions hold most of the length: the principal axes.
"""

from __future__ import annotations

import numpy as np

from hashsearch.hashing.binarizers import principal_axes
from hashsearch.hashing.vectors import Vectors

NUMBERS = 64  # of a sketch; with 128 they take 1.7 times as long to compare, and down to a cosine of .95 spare less
ROUNDING = 1e-5  # of sums of products in single precision


class Sketches:
    """Sketches of vectors of length 1. Learned: `axes_ (dims, numbers - 1) float32`, orthonormal columns."""

    def __init__(self, numbers: int = NUMBERS) -> None:
        self.numbers = numbers

    def fit(self, vectors: Vectors) -> Sketches:
        """Learn the axes from vectors `(n, dims)` of length 1 and return self."""
        self.axes_: Vectors = principal_axes(vectors, self.numbers - 1).astype(np.float32)
        return self

    @property
    def width(self) -> int:
        """Numbers of a sketch; of short vectors fewer than asked for."""
        return self.axes_.shape[1] + 1

    def transform(self, vectors: Vectors) -> Vectors:
        """Sketches `(n, dims) -> (n, width) float32`.

        Their scalar product is at least the cosine, less `ROUNDING`. A rest is made longer by it, or rounding could
        take a short one away altogether.
        """
        held = vectors @ self.axes_
        rest = np.sqrt(np.maximum(1 - np.einsum("ij,ij->i", held, held), 0) + ROUNDING)
        return np.column_stack([held, rest])
