"""The results in sentences: of each section, and over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hashsearch.evaluation.report.comparing import PairedDifference, SectionComparison, compare
from hashsearch.evaluation.report.robustness import breaking_point, mean_accuracy
from hashsearch.evaluation.report.sections import FIRST, MAIN, Estimate, Result
from hashsearch.evaluation.report.tables import interval
from hashsearch.reporting.words import amount, chance, counted, gain, listed, share

NEAR = 0.01  # of mAP@10: how much worse than the best a faster method may be
FEW = 5  # queries: smaller groups are not ranked by difficulty
MUCH = 0.05  # of right first hits: how much better than the best a specialist is


class Statement(NamedTuple):
    """A sentence and what it is about."""

    about: str
    says: str


def summarise(comparison: SectionComparison) -> list[Statement]:
    """A section in sentences."""
    best = comparison.section.best
    if best is None:
        return [Statement("No result", "no method has figures for this task."), *_failures(comparison)]
    statements = [_best(comparison, best)]
    statements += _baseline(comparison)
    statements += [Statement("Fusion", sentence) for sentence in _fusions(comparison)]
    statements += _classifiers(comparison) + _fastest(comparison, best)
    statements += _distortions(comparison, best) if comparison.distortions else _hardest_classes(best)
    return [*statements, *_without_hits(comparison), *_failures(comparison)]


def _best(comparison: SectionComparison, best: Result) -> Statement:
    figure, first = best.figure(MAIN) or Estimate(best.main), best.figure(FIRST)
    says = f"{best.method}: mAP@10 {with_interval(figure)}"
    if first:
        says += f", first hit right for {first.value:.1%} of queries"
    same = [result.method for result in comparison.as_good_as_best()]
    if same:
        return Statement("Best", f"{says}. It is not significantly better than {listed(same)}.")
    alone = len(comparison.section.working) == 1
    return Statement("Best", f"{says}." if alone else f"{says}. It is significantly better than every other method.")


def _baseline(comparison: SectionComparison) -> list[Statement]:
    baseline, best = comparison.baseline, comparison.section.best
    if baseline is None or not comparison.against:
        return []
    significant = {name: against for name, against in comparison.against.items() if against.significant}
    better = [name for name, against in significant.items() if against.difference > 0]
    worse = [name for name, against in significant.items() if against.difference < 0]
    level = len(comparison.against) - len(better) - len(worse)
    names = f" ({listed(better)})" if better else ""
    says = f"{counted(len(better), 'method is', 'methods are')} significantly better{names}, {len(worse)} worse"
    says += f", {level} not significantly different."
    if best is not None and best.method in comparison.against:
        says += f" Difference of the best: {difference(comparison.against[best.method])}."
    return [Statement(f"Against {baseline.method} (mAP@10 {share(baseline.main)})", says)]


def _fusions(comparison: SectionComparison) -> list[str]:
    """A sentence for each fusion: whether it is better than the best of its members."""
    section = comparison.section
    sentences = []
    for fusion in [result for result in section.working if result.kind == "fusion"]:
        members = members_of(comparison, fusion)
        if members:
            best = max(members, key=lambda member: member.main)
            sentences.append(_fusion_sentence(fusion, best, compare(section, fusion, best)))
    return sentences


def members_of(comparison: SectionComparison, fusion: Result) -> list[Result]:
    """The methods that a fusion combines: the list of methods in its settings, else all that are not fusions."""
    section = comparison.section
    for value in (fusion.content.get("settings") or {}).values():
        if isinstance(value, list) and value:
            members = [section.find(name) for name in value if isinstance(name, str)]
            if len(members) == len(value) and all(members):
                return [member for member in members if member]
    return [result for result in section.working if result.kind != "fusion"]


def _fusion_sentence(fusion: Result, member: Result, against: PairedDifference) -> str:
    if not against.significant:
        verdict = "not significantly different from"
    else:
        verdict = "better than" if against.difference > 0 else "worse than"
    return f"{fusion.method} is {verdict} its best member, {member.method}: {difference(against)}."


def _classifiers(comparison: SectionComparison) -> list[Statement]:
    """How often classifiers name the right class, which figures of a ranking do not show."""
    known = [
        f"{result.method} {accuracy:.1%}"
        for result in comparison.section.working
        if (accuracy := result.number("extra", "classifier_accuracy")) is not None
    ]
    return [Statement("As classifiers", f"share of queries with the right class: {listed(known, 6)}.")] if known else []


def _fastest(comparison: SectionComparison, best: Result) -> list[Statement]:
    near = [
        (latency, result)
        for result in comparison.section.working
        if result.main >= best.main - NEAR and (latency := result.number("latency_ms", "p50")) is not None
    ]
    if not near:
        return []
    latency, fastest = min(near, key=lambda pair: pair[0])
    says = f"{fastest.method}, median {amount(latency)} ms"
    own = best.number("latency_ms", "p50")
    if fastest is best:
        says += "; it is also the best."
    else:
        says += f", mAP@10 {share(fastest.main)}" + ("." if own is None else f"; the best takes {amount(own)} ms.")
    return [Statement(f"Fastest within {amount(NEAR)} of the best", says)]


def _distortions(comparison: SectionComparison, best: Result) -> list[Statement]:
    known = [(mean, series) for series in comparison.distortions if (mean := mean_accuracy(best, series)) is not None]
    known.sort(key=lambda pair: pair[0])
    if not known:
        return _specialists(comparison, best)
    points = [(series.name, breaking_point(best, series)) for _, series in known]
    broken = [f"{name} {point}" for name, point in points if point not in ("holds", "")]
    hard = [f"{series.name} ({mean:.0%} right)" for mean, series in known[:3]]
    says = f"for {best.method}: {listed(hard)}, over all strengths."
    if broken:
        says += f" Fewer than half of its first hits are right from {listed(broken, 8)} on."
    else:
        says += " At every strength tried, at least half of its first hits are right."
    return [Statement("Hardest distortions", says), *_specialists(comparison, best)]


def _specialists(comparison: SectionComparison, best: Result) -> list[Statement]:
    """Distortions for which another method is clearly better than the best over all: what a fusion could gain."""
    gains = []
    for series in comparison.distortions:
        others = [result for result in comparison.section.working if result is not best]
        known = {result: mean for result in others if (mean := mean_accuracy(result, series)) is not None}
        own = mean_accuracy(best, series)
        if known and own is not None:
            other = max(known, key=lambda result: known[result])
            if known[other] >= own + MUCH:
                gains.append((known[other] - own, f"{series.name} ({other.method}, {gain(known[other] - own)})"))
    gains.sort(key=lambda pair: -pair[0])
    if not gains:
        return []
    says = f"more first hits right than the best: {listed([words for _, words in gains])}."
    return [Statement("Where others are better", says)]


def _hardest_classes(best: Result) -> list[Statement]:
    groups = best.content.get("by_group") or {}
    known = [
        (float(group[MAIN]), str(name))
        for name, group in groups.items()
        if group.get(MAIN) is not None and group.get("queries", 0) >= FEW and group[MAIN] < best.main
    ]
    if not known:
        return []
    hard = [f"{name} ({share(value)})" for value, name in sorted(known)[:3]]
    return [Statement("Hardest classes", f"for {best.method}: {listed(hard)}.")]


def _without_hits(comparison: SectionComparison) -> list[Statement]:
    """Queries for which a method returns nothing, such as a search within a radius; they count as zero."""
    empty = {result.method: sum(not hits for hits in result.rows) for result in comparison.section.working}
    queries = len(comparison.section.queries)
    says = [f"{method} for {number} of {queries} queries" for method, number in empty.items() if number]
    return [Statement("No hits", f"{listed(says)}.")] if says else []


def _failures(comparison: SectionComparison) -> list[Statement]:
    section = comparison.section
    statements = [Statement("Failed", f"{result.method}: {result.error}") for result in section.failed]
    statements += [Statement("Left out", note) for note in section.notes]
    if section.problems:
        left_out = counted(len(section.problems), "image or query", "images or queries")
        statements.append(Statement("Left out", f"{left_out}, listed below."))
    broken = [result.method for result in section.working if result.content.get("failures")]
    if broken:
        says = f"{listed(broken)} could not read every image; a query that failed counts as not found."
        statements.append(Statement("Unreadable images", says))
    return statements


def summarise_all(comparisons: Sequence[SectionComparison]) -> list[Statement]:
    """All sections in sentences: which method is best most often, which on average, what failed."""
    with_figures = [comparison for comparison in comparisons if comparison.section.best]
    statements = []
    if len(with_figures) > 1:
        statements += [_most_often(with_figures), *_on_average(with_figures)]
    sections = [comparison.section for comparison in comparisons]
    failed = [f"{result.method} on {section.title}" for section in sections for result in section.failed]
    if failed:
        says = f"{listed(failed, 8)}. Failed methods have no figures; they are not counted as zero."
        statements.append(Statement("Failed", says))
    return statements


def _most_often(comparisons: Sequence[SectionComparison]) -> Statement:
    wins: dict[str, int] = {}
    for comparison in comparisons:
        for result in (comparison.section.working[0], *comparison.as_good_as_best()):
            wins[result.method] = wins.get(result.method, 0) + 1
    most = max(wins.values())
    names = listed([name for name, number in wins.items() if number == most])
    says = f"{names}: best, or not significantly worse than the best, in {most} of {counted(len(comparisons), 'task')}."
    return Statement("Best most often", says)


def _on_average(comparisons: Sequence[SectionComparison]) -> list[Statement]:
    """The best three by mean, of the methods that worked in every section."""
    sections = [comparison.section for comparison in comparisons]
    means = {}
    for method in [result.method for result in sections[0].working]:
        results = [result for section in sections if (result := section.find(method))]
        if len(results) == len(sections):
            means[method] = float(np.mean([result.main for result in results]))
    if not means:
        return []
    best = sorted(means, key=lambda method: -means[method])[:3]
    says = ", ".join(f"{method} {share(means[method])}" for method in best)
    return [Statement("Best on average", f"mAP@10 over {counted(len(sections), 'task')}: {says}.")]


def with_interval(estimate: Estimate) -> str:
    """.933 (.910-.941)."""
    ends = interval(estimate)
    return f"{share(estimate.value)} ({ends})" if ends else share(estimate.value)


def difference(against: PairedDifference) -> str:
    """+.013 (.002 to .024, p = .012)."""
    ends = f"{gain(against.low)} to {gain(against.high)}"
    return f"{gain(against.difference)} ({ends}, {chance(against.p_value)})"
