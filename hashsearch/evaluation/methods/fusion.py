"""Several rankings merged into one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from hashsearch.evaluation.methods.method import Ranking

RANK_CONSTANT = 60


def fused(rankings: Sequence[ArrayLike], k: int, constant: int = RANK_CONSTANT) -> Ranking:
    """The `k` best rows by reciprocal-rank fusion: the sum over the rankings of 1 / (constant + rank), rank 1 first.

    Cormack, Clarke and Büttcher, SIGIR 2009, who recommend 60. Rows with equal scores come in ascending order.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, row in enumerate(np.asarray(ranking, np.int64).tolist(), 1):
            scores[row] = scores.get(row, 0.0) + 1 / (constant + rank)
    order = sorted(scores, key=lambda row: (-scores[row], row))[:k]
    return np.array(order, np.int64), np.array([scores[row] for row in order], np.float32)
