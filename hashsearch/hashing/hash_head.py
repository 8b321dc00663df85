"""What a hash head learns from: the classes of labels, and the weights of its losses."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import HashingError
from hashsearch.hashing.vectors import Labels

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class LossWeights:
    """The triplets' margin, as a share of a code's bits, and the weights of two losses relative to that of triplets."""

    margin: float
    balance: float
    quantisation: float


def in_shared_class(labels: Labels) -> NDArray[np.bool_]:
    """Which images share their class with another one: `(n,) bool`; HashingError for fewer than two such classes."""
    counts = Counter(labels)
    shared = {label for label, count in counts.items() if count > 1 and label not in (None, "")}
    if len(shared) < 2:
        raise HashingError(f"labels must tell two classes or more of two images or more, got {len(shared)} such")
    return np.array([label in shared for label in labels])


def class_numbers(labels: Labels) -> Classes:
    """Labels as numbers from 0, in the order of their first occurrence: `(n,) int64`."""
    numbers = {label: number for number, label in enumerate(Counter(labels))}
    return np.array([numbers[label] for label in labels], dtype=np.int64)
