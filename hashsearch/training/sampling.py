"""Which photos make a batch: labels in, indices out. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def shuffled(count: int, batch: int, rng: np.random.Generator) -> Iterator[Rows]:
    """Batches of all indices below `count` in random order; the last batch may be smaller."""
    order = rng.permutation(count)
    for first in range(0, count, batch):
        yield order[first : first + batch]


def by_class(labels: NDArray[np.int64], batch: int, per_class: int, rng: np.random.Generator) -> Iterator[Rows]:
    """As many batches as `shuffled` makes, each of `batch // per_class` classes with `per_class` photos of each.

    Losses over pairs need pairs: FaceNet (Schroff et al., CVPR 2015, 3.2) takes some 40 images of each identity for a
    batch. Photos of a class with fewer are repeated; augmentation makes them different. If there are fewer classes,
    each has more photos.
    """
    members = {label: np.flatnonzero(labels == label) for label in np.unique(labels)}
    names = np.array(list(members))
    chosen = min(batch // per_class, len(names))
    for _ in range(-(-len(labels) // batch)):
        of_batch = rng.choice(names, chosen, replace=False)
        counts = np.full(chosen, batch // chosen)
        yield np.concatenate([_drawn(members[name], count, rng) for name, count in zip(of_batch, counts, strict=True)])


def _drawn(rows: Rows, count: int, rng: np.random.Generator) -> Rows:
    turns = [rng.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate(turns)[:count]
