"""Who is better: columns of figures and costs, the best of each column, and what is not significantly worse."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from hashsearch.evaluation.metrics import ranking as metrics
from hashsearch.evaluation.metrics import statistics
from hashsearch.evaluation.metrics.ranking import Counts, PerQuery, Relevant
from hashsearch.evaluation.report.robustness import DistortionSeries, series_of
from hashsearch.evaluation.report.sections import MAIN, Estimate, Result, Section

SIGNIFICANT = 0.05
NO_COST = 0.001  # costs below it, in any unit, are not compared

# The figures of a table, and each query's share of them, which paired tests need.
QUALITY: dict[str, Callable[[Relevant, Counts], PerQuery]] = {
    "precision@1": lambda hits, counts: metrics.precision(hits, 1),
    "accuracy@5": lambda hits, counts: metrics.hit_rate(hits, 5),
    "recall@10": lambda hits, counts: metrics.recall(hits, counts, 10),
    MAIN: lambda hits, counts: metrics.average_precision(hits, 10, counts),
    "mrr": lambda hits, counts: metrics.reciprocal_rank(hits),
    "ndcg@10": lambda hits, counts: metrics.ndcg(hits, counts, 10),
}


@dataclass(frozen=True)
class Cost:
    """A column of what a method costs: where its number is in a result, and whether less of it is better."""

    name: str
    unit: str
    where: tuple[str, ...]
    less_is_better: bool = True


COSTS = (
    Cost("p50", "ms", ("latency_ms", "p50")),
    Cost("p95", "ms", ("latency_ms", "p95")),
    Cost("p99", "ms", ("latency_ms", "p99")),
    Cost("extraction", "images/s", ("extract_images_per_second",), less_is_better=False),
    Cost("size", "bytes/image", ("bytes_per_image",)),
    Cost("learn", "s", ("learn_seconds",)),
    Cost("index", "s", ("index_seconds",)),
)


@dataclass(frozen=True)
class MarkedEstimate:
    """One value of a table. `mark` is "best", "same" where the best is not significantly better, else empty."""

    estimate: Estimate | None
    mark: str = ""


@dataclass(frozen=True)
class PairedDifference:
    """A method's average precision less the baseline's, its interval, and the chance of it if neither were better."""

    difference: float
    low: float
    high: float
    p_value: float

    @property
    def significant(self) -> bool:
        return self.p_value < SIGNIFICANT


@dataclass(frozen=True, eq=False)
class SectionComparison:
    """A section judged: its values with their marks, and every method's difference from the baseline, by its name."""

    section: Section
    baseline: Result | None
    values: dict[tuple[str, str], MarkedEstimate]
    against: dict[str, PairedDifference]
    distortions: list[DistortionSeries]

    def value(self, result: Result, column: str) -> MarkedEstimate:
        return self.values[result.method, column]

    def as_good_as_best(self) -> list[Result]:
        """The other methods that the best by average precision is not significantly better than."""
        best = self.section.best
        return [result for result in self.section.working if result is not best and self.value(result, MAIN).mark]


def judge(section: Section, baseline: str | None = None) -> SectionComparison:
    """The section's values with winners and paired tests; the baseline as `Section.baseline` chooses it."""
    chosen = section.baseline(baseline)
    values = {}
    for column in QUALITY:
        values.update(_marked_quality(section, column))
    for cost in COSTS:
        values.update(_marked_costs(section.working, cost))
    return SectionComparison(section, chosen, values, _against(section, chosen), series_of(section))


def _marked_quality(section: Section, column: str) -> dict[tuple[str, str], MarkedEstimate]:
    figures = {result: figure for result in section.working if (figure := result.figure(column))}
    highest = max((figure.value for figure in figures.values()), default=0.0)
    best = [result for result, figure in figures.items() if figure.value == highest]
    others = {result.method: compare(section, result, best[0], column) for result in figures if result not in best}
    p_values = _corrected({method: difference.p_value for method, difference in others.items()})
    values = {}
    for result in section.working:
        same = p_values.get(result.method, 0) >= SIGNIFICANT
        mark = "best" if result in best else "same" if same else ""
        values[result.method, column] = MarkedEstimate(figures.get(result), mark)
    return values


def _marked_costs(results: Sequence[Result], cost: Cost) -> dict[tuple[str, str], MarkedEstimate]:
    numbers = {result: result.number(*cost.where) for result in results}
    known = [number for number in numbers.values() if number is not None]
    best = (min if cost.less_is_better else max)(known, default=None)
    if best is not None and best < NO_COST:
        best = None
    return {
        (result.method, cost.name): MarkedEstimate(
            None if number is None else Estimate(number), "best" if number is not None and number == best else ""
        )
        for result, number in numbers.items()
    }


def compare(section: Section, result: Result, other: Result, column: str = MAIN) -> PairedDifference:
    """A method's difference from another one on the same queries, by a paired randomisation test."""
    of_each = QUALITY[column]
    first, second = (of_each(section.hits(compared), section.relevant_counts) for compared in (result, other))
    test = statistics.compare(first, second, seed=0)
    return PairedDifference(test["difference"], test["low"], test["high"], test["p_value"])


def _against(section: Section, baseline: Result | None) -> dict[str, PairedDifference]:
    """Every other method against the baseline."""
    if baseline is None:
        return {}
    others = [result for result in section.working if result is not baseline]
    differences = {result.method: compare(section, result, baseline) for result in others}
    p_values = _corrected({method: difference.p_value for method, difference in differences.items()})
    return {method: replace(found, p_value=p_values[method]) for method, found in differences.items()}


def _corrected(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values corrected for the number of tests: of many, one is small by chance (Holm 1979)."""
    corrected = {}
    least = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        least = min(1.0, max(least, p_values[name] * (len(p_values) - rank)))
        corrected[name] = least
    return corrected
