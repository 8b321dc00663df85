"""Result files with known figures, as a comparison writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hashsearch.evaluation.metrics import ranking as metrics
from hashsearch.evaluation.metrics import statistics

Ranking = Sequence[int]


class TaskFiles:
    """One task's folder. It searches pictures of `labels`; to a query of a label those with that label are relevant."""

    def __init__(
        self, results: Path, data: str, task: str, labels: Sequence[str], queries: Sequence[str], **more: Any
    ) -> None:
        self.folder = results / data / task
        self.folder.mkdir(parents=True)
        self.relevant = [[row for row, label in enumerate(labels) if label == query] for query in queries]
        self.content: dict[str, Any] = {
            "data": data,
            "task": task,
            "fingerprint": f"{data}-{task}",
            "seed": 0,
            "base": [
                {"id": f"{at}.jpg", "path": f"nowhere/{at}.jpg", "label": label} for at, label in enumerate(labels)
            ],
            "queries": [
                {"id": f"q{at}.jpg", "path": f"nowhere/q{at}.jpg", "label": label, "group": label, "distortion": None}
                | {"relevant": self.relevant[at]}
                for at, label in enumerate(queries)
            ],
            "problems": [],
            "sizes": {"learn": 0, "base": len(labels), "queries": len(queries)},
        } | more
        self.write_task()

    def write_task(self) -> None:
        (self.folder / "task.json").write_text(json.dumps(self.content))

    def distort(self, distortions: Sequence[tuple[str, float]]) -> None:
        """Make each query a near-duplicate, one for each distortion."""
        for query, (name, strength) in zip(self.content["queries"], distortions, strict=True):
            query |= {"distortion": {"name": name, "strength": strength, "seed": 0}, "group": f"{name} {strength:g}"}
        self.write_task()

    def method(self, name: str, rows: Sequence[Ranking], kind: str = "exact", **more: Any) -> dict[str, Any]:
        """A method whose hits are `rows` for each query; its figures are what they are. `more` replaces parts."""
        depth = max([10, *map(len, rows)])
        hits = metrics.relevant_hits(rows, self.relevant, depth)
        scores = [[1 - 0.01 * rank for rank in range(len(found))] for found in rows]
        counts = np.array([len(found) for found in self.relevant])
        figures, per_query = statistics.figures(hits, metrics.padded_scores(scores, depth), counts, seed=0)
        content = self._head(name, kind) | {
            "k": depth,
            "rows": [list(found) for found in rows],
            "scores": scores,
            "figures": figures,
            "per_query": per_query,
            "by_group": self._by_group(per_query),
            "latency_ms": {"p50": 2.0, "p95": 3.0, "p99": 4.0, "mean": 2.2},
            "extract_images_per_second": 100.0,
            "bytes_per_image": 128.0,
            "learn_seconds": 0.0,
            "index_seconds": 1.5,
            "error": None,
        }
        return self.write(content | more)

    def failed(self, name: str, error: str, kind: str = "local") -> None:
        """A method that did not work."""
        self.write(self._head(name, kind) | {"error": error})

    def write(self, content: Mapping[str, Any]) -> dict[str, Any]:
        number = len(list(self.folder.glob("*.json")))
        (self.folder / f"method-{number}.json").write_text(json.dumps(content))
        return dict(content)

    def _head(self, name: str, kind: str) -> dict[str, Any]:
        return {
            "data": self.content["data"],
            "task": self.content["task"],
            "fingerprint": self.content["fingerprint"],
            "method": name,
            "kind": kind,
            "settings": {"name": name},
            "seed": 0,
            "failures": [],
            "versions": {"hashsearch": "0.1"},
            "machine": {"cpu": "a processor", "cores": 2},
        }

    def _by_group(self, per_query: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
        groups = [query["group"] for query in self.content["queries"]]
        found = {}
        for group in dict.fromkeys(groups):
            rows = [at for at, of in enumerate(groups) if of == group]
            means = {name: float(np.mean([per_query[name][at] for at in rows])) for name in per_query}
            found[group] = means | {"queries": len(rows)}
        return found
