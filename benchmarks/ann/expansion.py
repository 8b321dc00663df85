"""More vectors than photos: mixtures of real neighbours, calibrated to the growth that real data predicts.

A new vector is a convex mixture of a few neighbours of a real vector. Mixing alone pulls vectors towards the centres of
clusters, too near to queries; so a residual is added back: the difference of a real neighbour from the mean of its own
neighbours. The number of parents and the size of the residual are chosen so that the cosines of held-out queries to
their 1st and 10th neighbour follow the distribution that growing subsets of the real vectors predict for the target
size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ann.exact import BLOCK, blocks_of, nearest
from hashsearch.hashing.vectors import Vectors

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
RANKS = (1, 10)
_POOL = 64  # neighbours that parents and residuals are taken from
_AROUND = 16  # neighbours whose mean the residual is taken from

# (queries, ranks): the cosines of the 1st and the 10th neighbour
Nearness = NDArray[np.float32]


@dataclass(frozen=True)
class Mixing:
    """How a new vector is made: `parents` mixed with Dirichlet weights, plus `residual` times a residual.

    The residual's scale varies by vector: lognormal with median `residual` and standard deviation `spread`.
    """

    parents: int
    residual: float
    concentration: float = 0.5
    spread: float = 0.5


PARENTS = (2, 3, 4, 6, 8, 12)
RESIDUALS = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
_START = (2, 2)  # of the search, as positions in PARENTS and RESIDUALS


class Expansion:
    """Mixtures of real vectors `(n, dims) float32` of length 1, `n` above 64."""

    def __init__(self, real: Vectors) -> None:
        self.real = real
        self._neighbours = neighbours(real, _POOL)
        self._residuals = np.empty_like(real)
        for start in range(0, len(real), 1024):
            around = real[self._neighbours[start : start + 1024, 1 : _AROUND + 1]]
            self._residuals[start : start + 1024] = real[start : start + 1024] - around.mean(axis=1)

    def blocks(self, count: int, mixing: Mixing, seed: int) -> Iterator[Vectors]:
        """`count` new vectors of length 1, in blocks; reproducible by seed."""
        generator = np.random.default_rng(seed)
        for start in range(0, count, BLOCK):
            yield self._mixtures(min(BLOCK, count - start), mixing, generator)

    def _mixtures(self, count: int, mixing: Mixing, generator: np.random.Generator) -> Vectors:
        around = self._neighbours[generator.integers(len(self.real), size=count)]
        chosen = np.arange(count)
        weights = generator.dirichlet(np.full(mixing.parents, mixing.concentration), count).astype(np.float32)
        scale = mixing.residual * np.exp(mixing.spread * generator.standard_normal(count))
        lender = around[chosen, generator.integers(_POOL, size=count)]
        mixed: Vectors = self._residuals[lender]
        mixed *= scale.astype(np.float32)[:, np.newaxis]
        for parent in range(mixing.parents):
            vectors = self.real[around[chosen, generator.integers(_POOL, size=count)]]
            vectors *= weights[:, parent, np.newaxis]
            mixed += vectors
        mixed /= np.sqrt(np.einsum("ij,ij->i", mixed, mixed))[:, np.newaxis]
        return mixed


def neighbours(vectors: Vectors, count: int) -> NDArray[np.int32]:
    """Rows of each vector's `count` nearest, starting with itself: `(n, count)`."""
    rows = [nearest(block, blocks_of(vectors), count)[0] for block in _slices(vectors, 2048)]
    return np.concatenate(rows).astype(np.int32)


def _slices(vectors: Vectors, size: int) -> Iterator[Vectors]:
    for start in range(0, len(vectors), size):
        yield vectors[start : start + size]


def nearness(queries: Vectors, blocks: Iterable[Vectors]) -> Nearness:
    """Cosines of each query's 1st and 10th neighbour: `(queries, 2)`."""
    cosines = nearest(queries, blocks, max(RANKS))[1]
    return cosines[:, [rank - 1 for rank in RANKS]]


def quantiles(cosines: Nearness) -> NDArray[np.float64]:
    """Quantiles at `LEVELS` of the cosines at each rank: `(ranks, levels)`."""
    return np.quantile(cosines.astype(np.float64), LEVELS, axis=0).T


@dataclass(frozen=True)
class Growth:
    """How quantiles change with the number of real vectors: subset `sizes`, and `(sizes, ranks, levels)`."""

    sizes: tuple[int, ...]
    measured: NDArray[np.float64]

    @classmethod
    def of(cls, queries: Vectors, real: Vectors) -> Growth:
        """Measured on the first 1,000, 2,000, 4,000, ... and all of the real vectors, which are in random order."""
        sizes = [1000 * 2**step for step in range(20) if 1000 * 2**step < 0.75 * len(real)] + [len(real)]
        return cls(tuple(sizes), np.stack([quantiles(nearness(queries, blocks_of(real[:size]))) for size in sizes]))

    def at(self, count: int) -> NDArray[np.float64]:
        """Predicted quantiles `(ranks, levels)` for `count` vectors.

        log(1 - cosine) is fitted as a line in log n: where n points fill d dimensions evenly, the squared distance to
        the nearest one shrinks as n ** (-2 / d). The fitted slope is applied from the quantiles of all real vectors on.
        """
        steps = np.log(self.sizes)
        gaps = np.log(1 - self.measured).reshape(len(steps), -1)
        slopes = np.polyfit(steps, gaps, 1)[0] if len(steps) > 1 else np.zeros(gaps.shape[1])
        predicted: NDArray[np.float64] = 1 - np.exp(gaps[-1] + slopes * (np.log(count) - steps[-1]))
        return predicted.reshape(self.measured.shape[1:])


@dataclass(frozen=True)
class Trial:
    """A mixing, its quantiles, and their root mean square error against the predicted ones."""

    mixing: Mixing
    found: NDArray[np.float64]
    error: float

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self.mixing), "error": round(self.error, 5)}


def try_mixing(
    expansion: Expansion, queries: Vectors, target: NDArray[np.float64], count: int, mixing: Mixing, seed: int
) -> Trial:
    """The quantiles of a mixing at `count` vectors, including the real ones."""
    real = nearest(queries, blocks_of(expansion.real), max(RANKS))[1]
    new = nearest(queries, expansion.blocks(count - len(expansion.real), mixing, seed), max(RANKS))[1]
    both = -np.sort(-np.hstack([real, new]), axis=1)[:, [rank - 1 for rank in RANKS]]
    found = quantiles(both)
    return Trial(mixing, found, float(np.sqrt(np.mean((found - target) ** 2))))


def calibrate(attempt: Callable[[Mixing], Trial]) -> list[Trial]:
    """All mixings tried, best first: hill climbing over `PARENTS` x `RESIDUALS`."""
    trials: dict[tuple[int, int], Trial] = {}

    def tried(place: tuple[int, int]) -> Trial:
        if place not in trials:
            trials[place] = attempt(Mixing(PARENTS[place[0]], RESIDUALS[place[1]]))
        return trials[place]

    best, before = _START, None
    while best != before:
        before = best
        around = [
            best,
            *((best[0] + step, best[1]) for step in (-1, 1)),
            *((best[0], best[1] + step) for step in (-1, 1)),
        ]
        inside = [place for place in around if place[0] in range(len(PARENTS)) and place[1] in range(len(RESIDUALS))]
        best = min(inside, key=lambda place: tried(place).error)
    return sorted(trials.values(), key=lambda trial: trial.error)
