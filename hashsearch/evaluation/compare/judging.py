"""Rankings of a task to all that a result file says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hashsearch.evaluation.data.tasks import Task
from hashsearch.evaluation.metrics import statistics
from hashsearch.evaluation.metrics.ranking import padded_scores, relevant_hits

PRECISION = 0.95  # wanted of the threshold
_MOST_LABELS = 30  # of a confusion matrix; the rest are counted as one
_OTHERS = "(others)"


def judged(task: Task, rows: Sequence[ArrayLike], scores: Sequence[ArrayLike], k: int, seed: int) -> dict[str, Any]:
    """Figures, per_query, by_group, threshold, roc, histogram and confusion of each query's hits, best first."""
    relevant = relevant_hits(rows, task.relevant, k)
    padded = padded_scores(scores, k)
    counts = np.array([len(rows) for rows in task.relevant], np.int64)
    figures, per_query = statistics.figures(relevant, padded, counts, seed)
    return {
        "figures": figures,
        "per_query": per_query,
        "by_group": _by_group(task.groups, per_query),
        "threshold": statistics.threshold(relevant, padded, PRECISION, int(counts.sum())),
        "roc": statistics.roc(relevant, padded),
        "histogram": statistics.histogram(relevant, padded),
        "confusion": _confusion(task, rows) if task.name.startswith("same_class") else None,
    }


def _by_group(groups: Sequence[str], per_query: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Means of every figure over the queries of each group, in the order in which they appear."""
    told: dict[str, dict[str, float]] = {}
    names = np.array(groups)
    for group in dict.fromkeys(groups):
        chosen = names == group
        means = {name: float(np.asarray(values)[chosen].mean()) for name, values in per_query.items()}
        told[group] = {**means, "queries": int(chosen.sum())}
    return told


def _confusion(task: Task, rows: Sequence[ArrayLike]) -> dict[str, Any]:
    """How often the first hit of a query of one class is of another: rows are the queries' classes.

    Of more than 30 classes the most frequent among the queries are told apart.
    """
    firsts = [
        (picture.label, task.base[int(np.asarray(hits)[0])].label)
        for picture, hits in zip(task.queries, rows)
        if np.size(hits)
    ]
    often = Counter(asked for asked, _ in firsts).most_common(_MOST_LABELS)
    labels = sorted(label for label, _ in often)
    if {label for pair in firsts for label in pair} - {*labels}:
        labels.append(_OTHERS)
    place = {label: number for number, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), np.int64)
    for asked, found in firsts:
        counts[place.get(asked, -1), place.get(found, -1)] += 1
    return {"labels": labels, "counts": counts.tolist()}
