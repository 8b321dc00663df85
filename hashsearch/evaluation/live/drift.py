"""How far the embeddings of an index have moved since another night; pure numpy.

Two samples of embeddings are compared by the Fréchet distance of two Gaussians (Dowson and Landau 1982; Heusel et al.
2017 for networks' features), with diagonal covariance, for a night keeps a mean and a variance for each dimension only:
`|mean - mean'|^2 + sum (deviation - deviation')^2`. Embeddings have length 1, so 0 is the same, and 2 far apart.
Samples of one distribution differ too, by chance. How much is told by tonight's sample itself: parted into random
halves many times, and scaled from the halves' sizes to those of the two nights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashsearch.hashing.vectors import Vectors

_SPLITS = 200
_RARELY = 0.99  # chance alone goes beyond the noise in one night of a hundred


@dataclass(frozen=True)
class Spread:
    """A sample of embeddings in short: mean and variance `(dims,) float64`, and of how many they are."""

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    count: int

    @classmethod
    def of(cls, vectors: Vectors) -> Spread:
        """The spread of vectors `(n, dims)`, one at least."""
        return cls(vectors.mean(axis=0, dtype=np.float64), vectors.var(axis=0, dtype=np.float64), len(vectors))


def distance(one: Spread, other: Spread) -> float:
    """The Fréchet distance of the two, squared as it is usually given."""
    between = float(np.sum((one.mean - other.mean) ** 2))
    return between + float(np.sum((np.sqrt(one.variance) - np.sqrt(other.variance)) ** 2))


def mean_cosine(one: Spread, other: Spread) -> float:
    """The cosine between the means; 1 is the same direction."""
    lengths = float(np.linalg.norm(one.mean) * np.linalg.norm(other.mean))
    return float(one.mean @ other.mean) / max(lengths, 1e-12)


def noise(vectors: Vectors, other_count: int, seed: int) -> float:
    """The distance that a sample like `vectors (n, dims)` rarely has from one of `other_count` without any drift."""
    count = len(vectors)
    half = count // 2
    if not half:
        return float("inf")
    values = vectors.astype(np.float64)
    in_half = np.argsort(np.random.default_rng(seed).random((_SPLITS, count)), axis=1) < half
    means, deviations = [], []
    for chosen, size in ((in_half, half), (~in_half, count - half)):
        mean = chosen @ values / size
        means.append(mean)
        deviations.append(np.sqrt(np.maximum(chosen @ values**2 / size - mean**2, 0)))
    distances = ((means[0] - means[1]) ** 2 + (deviations[0] - deviations[1]) ** 2).sum(axis=1)
    scale = (1 / count + 1 / other_count) / (1 / half + 1 / (count - half))
    return float(np.quantile(distances, _RARELY) * scale)
