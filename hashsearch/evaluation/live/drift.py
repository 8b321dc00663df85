"""How far the embeddings of an index have drifted since another night; pure numpy.

Two samples of embeddings are compared by the Fréchet distance of two Gaussians (Dowson and Landau 1982; Heusel et al.
2017 for networks' features), with diagonal covariance, because a night stores only a mean and a variance for each
dimension: `|mean - mean'|^2 + sum (deviation - deviation')^2`. Embeddings have length 1: 0 means equal, 2 far apart.
Samples of the same distribution differ too, by chance. How much is estimated from tonight's sample: it is split into
random halves many times, and the distance is scaled from the halves' sizes to those of the two nights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashsearch.hashing.vectors import Vectors

_SPLITS = 200
_QUANTILE = 0.99  # chance alone exceeds the noise in one night out of a hundred


@dataclass(frozen=True)
class Spread:
    """Summary of a sample of embeddings: mean and variance `(dims,) float64`, and the sample's size."""

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    count: int

    @classmethod
    def of(cls, vectors: Vectors) -> Spread:
        """The spread of vectors `(n, dims)`, at least one."""
        return cls(vectors.mean(axis=0, dtype=np.float64), vectors.var(axis=0, dtype=np.float64), len(vectors))


def distance(a: Spread, b: Spread) -> float:
    """The Fréchet distance, squared as usual."""
    between = float(np.sum((a.mean - b.mean) ** 2))
    return between + float(np.sum((np.sqrt(a.variance) - np.sqrt(b.variance)) ** 2))


def mean_cosine(a: Spread, b: Spread) -> float:
    """The cosine between the means; 1 means the same direction."""
    lengths = float(np.linalg.norm(a.mean) * np.linalg.norm(b.mean))
    return float(a.mean @ b.mean) / max(lengths, 1e-12)


def noise(vectors: Vectors, other_count: int, seed: int) -> float:
    """The distance from `vectors (n, dims)` that a sample of `other_count` without any drift rarely exceeds."""
    count = len(vectors)
    half = count // 2
    if not half:
        return float("inf")
    values = vectors.astype(np.float64)
    in_half = np.argsort(np.random.default_rng(seed).random((_SPLITS, count)), axis=1) < half
    means, deviations = [], []
    for members, size in ((in_half, half), (~in_half, count - half)):
        mean = members @ values / size
        means.append(mean)
        deviations.append(np.sqrt(np.maximum(members @ values**2 / size - mean**2, 0)))
    distances = ((means[0] - means[1]) ** 2 + (deviations[0] - deviations[1]) ** 2).sum(axis=1)
    scale = (1 / count + 1 / other_count) / (1 / half + 1 / (count - half))
    return float(np.quantile(distances, _QUANTILE) * scale)
