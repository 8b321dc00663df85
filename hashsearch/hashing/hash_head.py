"""A coding layer learned from labels: pictures of a class get codes that are near each other, others far ones.

In training a bit is the relaxed `u = tanh(projection)`, between -1 and 1. Three losses pull at it:

- triplets: a picture lies nearer to one of its class than to one of another, by a margin (NINH: Lai et al., CVPR 2015),
  the other being semi-hard (FaceNet: Schroff et al., CVPR 2015, eq. 4);
- balance: each bit is set in half of the pictures (SSDH: Yang et al., TPAMI 2018);
- quantisation: `u` is near -1 or 1, so that little is lost when it becomes a bit (DSH: Liu et al., CVPR 2016).

Each loss returns its value and its gradient by the relaxed codes; `learn_directions` follows them with Adam.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import HashingError
from hashsearch.hashing.vectors import Labels, Vectors

Floats = NDArray[np.floating]
Classes = NDArray[np.int64]
Loss = tuple[float, Floats]

_BATCH, _CLASSES = 128, 16  # pictures of a batch, and the most classes that they are of
_ROUND = 50  # batches between two looks at the pictures held out
_PATIENCE = 8  # rounds without a better one
_HELD_OUT, _MOST_HELD_OUT = 5, 1000  # one of so many pictures, and so many at most
_FIRST = 10  # nearest codes that are judged
_STEP = 0.06  # of Adam, as a share of a weight's size at the start


@dataclass(frozen=True)
class LossWeights:
    """The margin, in shares of a code's bits, and how much two losses weigh beside that of triplets."""

    margin: float
    balance: float
    quantisation: float


def of_a_shared_class(labels: Labels) -> NDArray[np.bool_]:
    """Which labels name a class that another has too: `(n,) bool`; HashingError unless there are two such classes."""
    counts = Counter(labels)
    shared = {label for label, count in counts.items() if count > 1 and label not in (None, "")}
    if len(shared) < 2:
        raise HashingError(f"labels must tell two classes or more of two images or more, got {len(shared)} such")
    return np.array([label in shared for label in labels])


def numbered(labels: Labels) -> Classes:
    """The classes of labels, counted from 0 in their order: `(n,) int64`."""
    numbers = {label: number for number, label in enumerate(Counter(labels))}
    return np.array([numbers[label] for label in labels], dtype=np.int64)


def learn_directions(
    centred: Vectors,
    classes: Classes,
    start: Vectors,
    weights: LossWeights,
    rounds: int,
    generator: np.random.Generator,
) -> Vectors:
    """Directions `(dims, bits)` of length 1, learned from centred vectors `(n, dims)` and `classes (n,)`.

    Every fifth vector is held out. The directions kept are those, of `start` and of the end of every round, whose codes
    find most of the class among the first ten of the others.
    """
    order = generator.permutation(len(centred))
    held = min(len(order) // _HELD_OUT, _MOST_HELD_OUT)
    asked, taught = order[:held], order[held:]
    spread = (centred[taught] @ start).std()
    centred = centred / (spread or 1)  # where tanh bends; vectors that are all the same have no spread
    best, directions = start, start.copy()
    highest, since = class_precision(centred, classes, best, asked, taught), 0
    adam = Adam(_STEP * float(np.sqrt((directions**2).mean())))
    for _ in range(rounds):
        for batch in batches(classes, taught, _ROUND, generator):
            codes = np.tanh(centred[batch] @ directions)
            _, by_codes = coding_loss(codes, classes[batch], weights)
            directions -= adam.step(centred[batch].T @ (by_codes * (1 - codes**2)))
        found, since = class_precision(centred, classes, directions, asked, taught), since + 1
        if found > highest:
            best, highest, since = directions.copy(), found, 0
        elif since == _PATIENCE:
            break
    return best / np.linalg.norm(best, axis=0)


def coding_loss(codes: Floats, classes: Classes, weights: LossWeights) -> Loss:
    """The sum of the three losses of relaxed codes `(n, bits)`, weighed, and its gradient."""
    loss, gradient = triplet_loss(codes, classes, weights.margin)
    for weight, (other, by_codes) in (
        (weights.balance, balance_loss(codes)),
        (weights.quantisation, quantisation_loss(codes)),
    ):
        loss, gradient = loss + weight * other, gradient + weight * by_codes
    return loss, gradient


def triplet_loss(codes: Floats, classes: Classes, margin: float) -> Loss:
    """Mean of `max(0, margin + d(anchor, positive) - d(anchor, negative))` over semi-hard triplets; 0 without any.

    `d = |u - v|^2 / (4 bits)` is of -1 and 1 the share of bits that differ.
    """
    distances = relaxed_distances(codes)
    anchors, positives, negatives = semi_hard_triplets(distances, classes)
    if not len(anchors):
        return 0.0, np.zeros_like(codes)
    violation = margin + distances[anchors, positives] - distances[anchors, negatives]
    violated = (violation > 0).astype(codes.dtype) / len(anchors)
    pull = np.zeros_like(distances)
    np.add.at(pull, (anchors, positives), violated)
    np.add.at(pull, (anchors, negatives), -violated)
    pull += pull.T
    gradient = (pull.sum(axis=1, keepdims=True) * codes - pull @ codes) / (2 * codes.shape[1])
    return float(np.maximum(violation, 0).mean()), gradient


def balance_loss(codes: Floats) -> Loss:
    """Mean over bits of the squared mean of a bit, and its gradient."""
    means = codes.mean(axis=0)
    return float((means**2).mean()), np.broadcast_to(2 * means / codes.size, codes.shape)


def quantisation_loss(codes: Floats) -> Loss:
    """Mean of `(|u| - 1)^2`, and its gradient."""
    missing = np.abs(codes) - 1
    return float((missing**2).mean()), 2 * missing * np.sign(codes) / codes.size


def relaxed_distances(codes: Floats) -> Floats:
    """Squared distances of relaxed codes to each other over four times the bits: `(n, bits) -> (n, n)`."""
    lengths = (codes**2).sum(axis=1)
    return np.maximum(lengths[:, None] + lengths - 2 * codes @ codes.T, 0) / (4 * codes.shape[1])


def semi_hard_triplets(
    distances: Floats, classes: Classes
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Anchors, positives and negatives `(triplets,)`, one for each pair of a class, of distances `(n, n)`.

    The negative is the nearest of those farther away than the positive; where there is none, the farthest.
    """
    same = classes[:, None] == classes
    anchors, positives = np.nonzero(same & ~np.eye(len(classes), dtype=bool))
    others = np.where(same, np.inf, distances)[anchors]
    farther = np.where(others > distances[anchors, positives][:, None], others, np.inf)
    farthest = np.where(same, -np.inf, distances).argmax(axis=1)[anchors]
    negatives = np.where(np.isinf(farther).all(axis=1), farthest, farther.argmin(axis=1))
    real = ~same[anchors, negatives]  # not so in a batch of one class
    return anchors[real], positives[real], negatives[real]


def batches(
    classes: Classes, rows: NDArray[np.intp], count: int, generator: np.random.Generator
) -> Iterator[NDArray[np.intp]]:
    """So many batches of some of the rows: at most 16 classes, of each as many as of the others as far as there are."""
    ordered = rows[np.argsort(classes[rows], kind="stable")]
    members = np.split(ordered, np.flatnonzero(np.diff(classes[ordered])) + 1)
    drawn = min(len(members), _CLASSES)
    for _ in range(count):
        chosen = [members[place] for place in generator.choice(len(members), drawn, replace=False)]
        yield np.concatenate([generator.permutation(rows)[: _BATCH // drawn] for rows in chosen])


def class_precision(
    centred: Vectors, classes: Classes, directions: Vectors, asked: NDArray[np.intp], others: NDArray[np.intp]
) -> float:
    """Mean average precision at 10 of searches with the codes of `asked` among those of `others`; 0 without any."""
    if not len(asked):
        return 0.0
    bits = np.where(centred @ directions > 0, np.float32(1), np.float32(-1))
    likeness = bits[asked] @ bits[others].T
    count = min(_FIRST, len(others))
    nearest = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(likeness, nearest, axis=1), axis=1, kind="stable")
    relevant = classes[others][np.take_along_axis(nearest, order, axis=1)] == classes[asked][:, None]
    precisions = relevant.cumsum(axis=1) / np.arange(1, count + 1)
    there_are = np.bincount(classes[others], minlength=classes.max() + 1)[classes[asked]]
    return float(((precisions * relevant).sum(axis=1) / there_are.clip(1, count)).mean())


class Adam:
    """Steps of Adam (Kingma and Ba, ICLR 2015, algorithm 1) at one rate."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._mean: Floats | float = 0.0
        self._square: Floats | float = 0.0
        self._steps = 0

    def step(self, gradient: Floats) -> Floats:
        """What is to be subtracted from the parameters that the gradient is of."""
        self._steps += 1
        self._mean = 0.9 * self._mean + 0.1 * gradient
        self._square = 0.999 * self._square + 0.001 * gradient**2
        mean, square = self._mean / (1 - 0.9**self._steps), self._square / (1 - 0.999**self._steps)
        return self._rate * mean / (np.sqrt(square) + 1e-8)
