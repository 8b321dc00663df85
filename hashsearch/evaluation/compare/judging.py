"""Rankings of a task judged by its right answers: the part of a result file that follows from the hits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hashsearch.evaluation.data.tasks import Task
from hashsearch.evaluation.metrics import statistics
from hashsearch.evaluation.metrics.ranking import padded_scores, relevant_hits

PRECISION = 0.95  # of the hits above the threshold
_MOST_LABELS = 30  # of a confusion matrix; the rest are counted together
_OTHERS = "(others)"


def judged(task: Task, rows: Sequence[ArrayLike], scores: Sequence[ArrayLike], k: int, seed: int) -> dict[str, Any]:
    """figures, per_query, by_group, threshold, roc, histogram and confusion of each query's hits, best first."""
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
    """Means of every figure over the queries of each group, in order of appearance."""
    by_group: dict[str, dict[str, float]] = {}
    names = np.array(groups)
    for group in dict.fromkeys(groups):
        members = names == group
        means = {name: float(np.asarray(values)[members].mean()) for name, values in per_query.items()}
        by_group[group] = {**means, "queries": int(members.sum())}
    return by_group


def _confusion(task: Task, rows: Sequence[ArrayLike]) -> dict[str, Any]:
    """Counts of the first hit's class (columns) by the query's class (rows).

    Beyond 30 classes only those most frequent among the queries have their own row and column.
    """
    pairs = [
        (picture.label, task.base[int(np.asarray(hits)[0])].label)
        for picture, hits in zip(task.queries, rows)
        if np.size(hits)
    ]
    frequent = Counter(query for query, _ in pairs).most_common(_MOST_LABELS)
    labels = sorted(label for label, _ in frequent)
    if {label for pair in pairs for label in pair} - {*labels}:
        labels.append(_OTHERS)
    number = {label: at for at, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), np.int64)
    for query, hit in pairs:
        counts[number.get(query, -1), number.get(hit, -1)] += 1
    return {"labels": labels, "counts": counts.tolist()}
