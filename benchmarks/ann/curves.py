"""Each method's curve of recall against cost, and its cost at a target recall, from result files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, log, log10
from typing import Any

from benchmarks.ann.methods import METHODS
from hashsearch.errors import ConfigError
from hashsearch.evaluation.compare.results import Result

Cost = Callable[[Result], float]  # lower is better

FAMILIES = {
    "ours": "hashsearch",
    "elastic": "Elasticsearch's own",
    "painless": "scripted, on OpenSearch",
    "libraries": "libraries, no server",
}


def recall_of(result: Result) -> float:
    return float(result["recall"]["mean"])


def p50(result: Result) -> float:
    """Milliseconds."""
    return float(result["latency_ms"]["p50"])


def p95(result: Result) -> float:
    """Milliseconds."""
    return float(result["latency_ms"]["p95"])


def seconds_a_query(clients: int) -> Cost:
    """Inverse throughput with a number of clients; infinite where it was not measured."""

    def cost(result: Result) -> float:
        throughput = result["throughput"].get(str(clients))
        return 1 / float(throughput["qps"]) if throughput else float("inf")

    return cost


def nines(recall: float, finest: float) -> float:
    """Recall on a log scale: .9 is 1, .99 is 2, .999 is 3; `finest` is the miss rate that stands for no miss at all."""
    return -log10(max(1 - recall, finest))


@dataclass(frozen=True)
class At:
    """A cost at a target recall; an upper `bound` when even the method's lowest recall was above the target."""

    cost: float
    bound: bool


@dataclass(frozen=True)
class Curve:
    """All results of one method on one data set."""

    method: str
    results: Sequence[Result]

    @property
    def family(self) -> str:
        """A key of `FAMILIES`; ConfigError for a method that is not in the table."""
        if self.method not in METHODS:
            raise ConfigError(f"results must be of known methods ({', '.join(METHODS)}), got '{self.method}'")
        return METHODS[self.method]

    @property
    def build(self) -> dict[str, Any]:
        """Of the newest result."""
        return dict(max(self.results, key=lambda result: str(result["date"]))["build"])

    @property
    def sizes(self) -> dict[str, Any]:
        """Of the newest result."""
        return dict(max(self.results, key=lambda result: str(result["date"]))["sizes"])

    @cached_property
    def finest(self) -> float:
        """Half a miss in all answers: the miss rate that stands for none."""
        return min(0.5 / float(result["timing"]["k"] * result["latency_ms"]["queries"]) for result in self.results)

    def pareto(self, cost: Cost = p50) -> list[Result]:
        """Results that no other beats in both recall and cost, by increasing recall."""
        best: list[Result] = []
        for result in sorted(self.results, key=lambda result: (-recall_of(result), cost(result))):
            if not best or cost(result) < cost(best[-1]):
                best.append(result)
        return best[::-1]

    def at(self, wanted: float, cost: Cost = p50) -> At | None:
        """The cost at a recall, interpolated in log cost and nines; None when the recall is not reached."""
        front = self.pareto(cost)
        above = [result for result in front if recall_of(result) >= wanted]
        below = [result for result in front if recall_of(result) < wanted]
        if not above:
            return None
        if not below:
            return At(cost(above[0]), bound=recall_of(above[0]) > wanted)
        low, high = (nines(recall_of(result), self.finest) for result in (below[-1], above[0]))
        share = (nines(wanted, self.finest) - low) / (high - low)
        costs = log(cost(below[-1])), log(cost(above[0]))
        return At(exp(costs[0] + share * (costs[1] - costs[0])), bound=False)


@dataclass(frozen=True)
class Board:
    """All results on one data set."""

    data: dict[str, Any]
    curves: Sequence[Curve]

    @property
    def name(self) -> str:
        """Of the data set."""
        return str(self.data["name"])

    @property
    def results(self) -> list[Result]:
        """Of all methods."""
        return [result for curve in self.curves for result in curve.results]


def boards(results: Iterable[Result]) -> list[Board]:
    """A board for each data set, by dims and size, its methods in the table's order.

    ConfigError when results of one name come from different data.
    """
    by_data: dict[str, list[Result]] = {}
    for result in results:
        by_data.setdefault(result["data"]["name"], []).append(result)
    all_boards = []
    for name, same_data in by_data.items():
        if len({result["data"]["fingerprint"] for result in same_data}) > 1:
            raise ConfigError(f"the results of '{name}' must be of the same vectors, but their fingerprints differ")
        methods = sorted({result["method"] for result in same_data}, key=lambda m: (list(METHODS).index(m), m))
        curves = [Curve(method, [result for result in same_data if result["method"] == method]) for method in methods]
        all_boards.append(Board(same_data[0]["data"], curves))
    return sorted(all_boards, key=lambda board: (board.data["dims"], board.data["n"]))
