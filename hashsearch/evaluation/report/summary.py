"""What the figures say, in words: for each section, and over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hashsearch.evaluation.report.comparing import PairedDifference, SectionComparison, compare
from hashsearch.evaluation.report.robustness import breaking_point, mean_accuracy
from hashsearch.evaluation.report.sections import FIRST, MAIN, Estimate, Result
from hashsearch.evaluation.report.tables import interval
from hashsearch.reporting.words import amount, chance, counted, gain, listed, share

POINT = 0.01  # what "within a point of the best" allows
FEW = 5  # queries: a group of fewer is called neither hard nor easy


class Statement(NamedTuple):
    """A sentence and what it is about."""

    about: str
    says: str


def summarise(comparison: SectionComparison) -> list[Statement]:
    """A section in words."""
    best = comparison.section.best
    if best is None:
        lines = [Statement("No result", "no method has figures for this task.")]
        return [*lines, *_failures(comparison)]
    figure = best.figure(MAIN) or Estimate(best.main)
    lines = [Statement("Best", f"{best.method}: mAP@10 {with_interval(figure)}{_first(best)}. {_ties(comparison)}")]
    lines += _baseline(comparison)
    lines += [Statement("Fusion", sentence) for sentence in _fusions(comparison)]
    lines += _classifiers(comparison) + _fastest(comparison, best)
    lines += _distortions(comparison, best) if comparison.distortions else _hardest_groups(best)
    return [*lines, *_without_hits(comparison), *_failures(comparison)]


def _first(result: Result) -> str:
    found = result.figure(FIRST)
    return f", the first hit right for {found.value:.1%} of queries" if found else ""


def _ties(comparison: SectionComparison) -> str:
    same = [result.method for result in comparison.as_good_as_best()]
    if same:
        return f"It is not significantly better than {listed(same)}."
    return "It is significantly better than every other." if len(comparison.section.working) > 1 else ""


def _baseline(comparison: SectionComparison) -> list[Statement]:
    baseline, best = comparison.baseline, comparison.section.best
    if baseline is None or not comparison.against:
        return []
    better = [name for name, found in comparison.against.items() if found.significant and found.difference > 0]
    worse = [name for name, found in comparison.against.items() if found.significant and found.difference < 0]
    level = len(comparison.against) - len(better) - len(worse)
    says = f"{_no(len(better))} significantly better{_named(better)}, {len(worse)} worse"
    says += f", {level} not told apart."
    if best is not None and best.method in comparison.against:
        says += f" The best stands at {difference(comparison.against[best.method])}."
    about = f"Against {baseline.method} (mAP@10 {share(baseline.main)})"
    return [Statement(about, says)]


def _no(number: int) -> str:
    return counted(number, "method is", "methods are") if number else "no method is"


def _named(names: Sequence[str]) -> str:
    return f" ({listed(names)})" if names else ""


def _fusions(comparison: SectionComparison) -> list[str]:
    """For each fusion whether it adds anything to the best of its parts (where unknown: of all single methods)."""
    section = comparison.section
    sentences = []
    for fusion in [result for result in section.working if result.kind == "fusion"]:
        parts = parts_of(comparison, fusion)
        if parts:
            best = max(parts, key=lambda part: part.main)
            sentences.append(_gain_sentence(fusion, best, compare(section, fusion, best)))
    return sentences


def parts_of(comparison: SectionComparison, fusion: Result) -> list[Result]:
    """The methods that a fusion fuses: the list in its settings that names such, else all single ones."""
    section = comparison.section
    for value in (fusion.content.get("settings") or {}).values():
        if isinstance(value, list) and value:
            parts = [section.find(name) for name in value if isinstance(name, str)]
            if len(parts) == len(value) and all(parts):
                return [part for part in parts if part]
    return [result for result in section.working if result.kind != "fusion"]


def _gain_sentence(fusion: Result, part: Result, found: PairedDifference) -> str:
    told = difference(found)
    if not found.significant:
        return f"{fusion.method} adds nothing that can be told to its best part, {part.method}: {told}."
    if found.difference > 0:
        return f"{fusion.method} adds to its best part, {part.method}: {told}."
    return f"{fusion.method} is worse than its best part alone, {part.method}: {told}."


def _classifiers(comparison: SectionComparison) -> list[Statement]:
    """What share of queries a classifier tells the class of, which no figure of a ranking says."""
    known = [
        f"{result.method} {accuracy:.1%}"
        for result in comparison.section.working
        if (accuracy := result.number("extra", "classifier_accuracy")) is not None
    ]
    return [Statement("As classifiers", f"the class is told for {listed(known, 6)} of queries.")] if known else []


def _fastest(comparison: SectionComparison, best: Result) -> list[Statement]:
    near = [
        (latency, result)
        for result in comparison.section.working
        if result.main >= best.main - POINT and (latency := result.number("latency_ms", "p50")) is not None
    ]
    if not near:
        return []
    latency, fastest = min(near, key=lambda pair: pair[0])
    own = best.number("latency_ms", "p50")
    says = f"{fastest.method}, {amount(latency)} ms in the median"
    if fastest is best:
        says += ", the best itself."
    else:
        says += f" ({share(fastest.main)})" + ("" if own is None else f"; the best takes {amount(own)} ms") + "."
    return [Statement("Fastest within a point of the best", says)]


def _distortions(comparison: SectionComparison, best: Result) -> list[Statement]:
    known = [(value, one) for one in comparison.distortions if (value := mean_accuracy(best, one)) is not None]
    known.sort(key=lambda pair: pair[0])
    hard = [f"{one.name} ({value:.0%} right)" for value, one in known[:3]]
    broken = [f"{one.name} {point}" for _, one in known if (point := breaking_point(best, one)) not in ("holds", "")]
    says = f"for {best.method} {listed(hard)}, over all strengths."
    if broken:
        says += f" Fewer than half of its first hits are right from {listed(broken, 8)} on."
    else:
        says += " At no strength tried are fewer than half of its first hits right."
    lines = [Statement("Hardest distortions", says)] if hard else []
    return lines + _specialists(comparison, best)


def _specialists(comparison: SectionComparison, best: Result) -> list[Statement]:
    """Distortions at which another method is clearly better than the best over all: what a fusion could bring."""
    found = []
    for one in comparison.distortions:
        values = {result: mean_accuracy(result, one) for result in comparison.section.working if result is not best}
        known = {result: value for result, value in values.items() if value is not None}
        own = mean_accuracy(best, one)
        if known and own is not None:
            other = max(known, key=lambda result: known[result])
            if known[other] >= own + 0.05:
                found.append((known[other] - own, f"{one.name} ({other.method}, {gain(known[other] - own)})"))
    found.sort(key=lambda pair: -pair[0])
    if not found:
        return []
    return [
        Statement(
            "Where others are better", f"first hits right more often than the best's: {listed([f[1] for f in found])}."
        )
    ]


def _hardest_groups(best: Result) -> list[Statement]:
    groups = best.content.get("by_group") or {}
    known = [
        (float(found[MAIN]), str(name))
        for name, found in groups.items()
        if found.get(MAIN) is not None and found.get("queries", 0) >= FEW and found[MAIN] < best.main
    ]
    if not known:
        return []
    hard = [f"{name} ({share(value)})" for value, name in sorted(known)[:3]]
    return [Statement("Hardest classes", f"for {best.method} {listed(hard)}.")]


def _without_hits(comparison: SectionComparison) -> list[Statement]:
    """Methods that answer with nothing at all, such as a search within a radius: zeros that are none of ranking."""
    empty = {result.method: sum(not found for found in result.rows) for result in comparison.section.working}
    says = [
        f"{method} for {number} of {len(comparison.section.queries)} queries"
        for method, number in empty.items()
        if number
    ]
    return [Statement("No hit at all", f"{listed(says)}.")] if says else []


def _failures(comparison: SectionComparison) -> list[Statement]:
    section = comparison.section
    lines = [Statement("Failed", f"{result.method}: {result.error}") for result in section.failed]
    lines += [Statement("Left out", note) for note in section.notes]
    if section.problems:
        lines.append(
            Statement(
                "Left out",
                f"{counted(len(section.problems), 'picture or query', 'pictures or queries')}, listed below.",
            )
        )
    broken = [result.method for result in section.working if result.content.get("failures")]
    if broken:
        lines.append(
            Statement(
                "Unreadable for a method",
                f"pictures failed for {listed(broken)}; a query that failed counts as not found.",
            )
        )
    return lines


def summarise_all(comparisons: Sequence[SectionComparison]) -> list[Statement]:
    """What holds over all sections: who wins how often, who is on average best, what failed."""
    told = [comparison for comparison in comparisons if comparison.section.best]
    wins: dict[str, int] = {}
    for comparison in told:
        leading = [comparison.section.working[0], *comparison.as_good_as_best()]
        for result in leading:
            wins[result.method] = wins.get(result.method, 0) + 1
    lines = []
    if len(told) > 1:
        most = max(wins.values())
        names = [name for name, number in wins.items() if number == most]
        of = counted(len(told), "task")
        lines.append(
            Statement(
                "Most often in front",
                f"{listed(names)}: best, or not significantly worse than the best, in {most} of {of}.",
            )
        )
        lines += _on_average(told)
    failed = [f"{result.method} on {one.section.title}" for one in comparisons for result in one.section.failed]
    if failed:
        lines.append(
            Statement("Failed", f"{listed(failed, 8)}. A failed method has no figures; it is not counted as zero.")
        )
    return lines


def _on_average(told: Sequence[SectionComparison]) -> list[Statement]:
    everywhere = [
        result.method
        for result in told[0].section.working
        if all(comparison.section.find(result.method) for comparison in told)
    ]
    if len(told) < 2 or not everywhere:
        return []
    means = {
        name: float(np.mean([result.main for comparison in told if (result := comparison.section.find(name))]))
        for name in everywhere
    }
    order = sorted(means, key=lambda name: -means[name])[:3]
    says = ", ".join(f"{name} {share(means[name])}" for name in order)
    return [Statement("Best on average", f"mAP@10 over {counted(len(told), 'task')}: {says}.")]


def with_interval(estimate: Estimate) -> str:
    """.933 (.910-.941)."""
    ends = interval(estimate)
    return f"{share(estimate.value)} ({ends})" if ends else share(estimate.value)


def difference(against: PairedDifference) -> str:
    """+.013 (.002 to .024, p = .012)."""
    ends = f"{gain(against.low)} to {gain(against.high)}"
    return f"{gain(against.difference)} ({ends}, {chance(against.p_value)})"
