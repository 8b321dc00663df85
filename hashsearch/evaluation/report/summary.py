"""What the figures say, in words: for each section, and over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hashsearch.evaluation.report.comparing import Against, SectionComparison, compare
from hashsearch.evaluation.report.robustness import breaking_point, mean_accuracy, series_of
from hashsearch.evaluation.report.sections import FIRST, MAIN, Figure, Result
from hashsearch.evaluation.report.words import difference, with_interval
from hashsearch.reporting.words import amount, chance, counted, gain, listed, share

POINT = 0.01  # what "within a point of the best" allows
FEW = 5  # queries: a group of fewer is called neither hard nor easy


class Line(NamedTuple):
    """A statement and what it is about."""

    about: str
    says: str


def summarise(standing: SectionComparison) -> list[Line]:
    """A section in words."""
    section, best = standing.section, standing.section.best
    if best is None:
        lines = [Line("No result", "no method has figures for this task.")]
        return [*lines, *_failures(standing)]
    figure = best.figure(MAIN) or Figure(best.main)
    lines = [Line("Best", f"{best.method}: mAP@10 {with_interval(figure)}{_first(best)}. {_ties(standing)}")]
    lines += _baseline(standing)
    lines += [Line("Fusion", sentence) for sentence in _fusions(standing)]
    lines += _classifiers(standing) + _fastest(standing, best)
    lines += _distortions(standing, best) if series_of(section) else _hardest_groups(best)
    return [*lines, *_without_hits(standing), *_failures(standing)]


def _first(result: Result) -> str:
    found = result.figure(FIRST)
    return f", the first hit right for {found.value:.1%} of queries" if found else ""


def _ties(standing: SectionComparison) -> str:
    same = [result.method for result in standing.as_good_as_best()]
    if same:
        return f"It is not significantly better than {listed(same)}."
    return "It is significantly better than every other." if len(standing.section.working) > 1 else ""


def _baseline(standing: SectionComparison) -> list[Line]:
    baseline, best = standing.baseline, standing.section.best
    if baseline is None or not standing.against:
        return []
    better = [name for name, found in standing.against.items() if found.significant and found.difference > 0]
    worse = [name for name, found in standing.against.items() if found.significant and found.difference < 0]
    level = len(standing.against) - len(better) - len(worse)
    says = f"{_no(len(better))} significantly better{_named(better)}, {len(worse)} worse"
    says += f", {level} not told apart."
    if best is not None and best.method in standing.against:
        says += f" The best stands at {difference(standing.against[best.method])}."
    about = f"Against {baseline.method} (mAP@10 {share(baseline.main)})"
    return [Line(about, says)]


def _no(number: int) -> str:
    return counted(number, "method is", "methods are") if number else "no method is"


def _named(names: Sequence[str]) -> str:
    return f" ({listed(names)})" if names else ""


def _fusions(standing: SectionComparison) -> list[str]:
    """For each fusion whether it adds anything to the best of its parts (where unknown: of all single methods)."""
    section = standing.section
    sentences = []
    for fusion in [result for result in section.working if result.kind == "fusion"]:
        parts = parts_of(standing, fusion)
        if parts:
            best = max(parts, key=lambda part: part.main)
            sentences.append(_gain_sentence(fusion, best, compare(section, fusion, best)))
    return sentences


def parts_of(standing: SectionComparison, fusion: Result) -> list[Result]:
    """The methods that a fusion fuses: the list in its settings that names such, else all single ones."""
    section = standing.section
    for value in (fusion.content.get("settings") or {}).values():
        if isinstance(value, list) and value:
            parts = [section.find(name) for name in value if isinstance(name, str)]
            if len(parts) == len(value) and all(parts):
                return [part for part in parts if part]
    return [result for result in section.working if result.kind != "fusion"]


def _gain_sentence(fusion: Result, part: Result, found: Against) -> str:
    told = difference(found)
    if not found.significant:
        return f"{fusion.method} adds nothing that can be told to its best part, {part.method}: {told}."
    if found.difference > 0:
        return f"{fusion.method} adds to its best part, {part.method}: {told}."
    return f"{fusion.method} is worse than its best part alone, {part.method}: {told}."


def _classifiers(standing: SectionComparison) -> list[Line]:
    """What share of queries a classifier tells the class of, which no figure of a ranking says."""
    known = [
        f"{result.method} {accuracy:.1%}"
        for result in standing.section.working
        if (accuracy := result.number("extra", "classifier_accuracy")) is not None
    ]
    return [Line("As classifiers", f"the class is told for {listed(known, 6)} of queries.")] if known else []


def _fastest(standing: SectionComparison, best: Result) -> list[Line]:
    near = [
        (latency, result)
        for result in standing.section.working
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
    return [Line("Fastest within a point of the best", says)]


def _distortions(standing: SectionComparison, best: Result) -> list[Line]:
    series = series_of(standing.section)
    known = [(value, one) for one in series if (value := mean_accuracy(best, one)) is not None]
    known.sort(key=lambda pair: pair[0])
    hard = [f"{one.name} ({value:.0%} right)" for value, one in known[:3]]
    broken = [f"{one.name} {point}" for _, one in known if (point := breaking_point(best, one)) not in ("holds", "")]
    says = f"for {best.method} {listed(hard)}, over all strengths."
    if broken:
        says += f" Fewer than half of its first hits are right from {listed(broken, 8)} on."
    else:
        says += " At no strength tried are fewer than half of its first hits right."
    lines = [Line("Hardest distortions", says)] if hard else []
    return lines + _specialists(standing, best)


def _specialists(standing: SectionComparison, best: Result) -> list[Line]:
    """Distortions at which another method is clearly better than the best over all: what a fusion could bring."""
    found = []
    for one in series_of(standing.section):
        values = {result: mean_accuracy(result, one) for result in standing.section.working if result is not best}
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
        Line(
            "Where others are better", f"first hits right more often than the best's: {listed([f[1] for f in found])}."
        )
    ]


def _hardest_groups(best: Result) -> list[Line]:
    groups = best.content.get("by_group") or {}
    known = [
        (float(found[MAIN]), str(name))
        for name, found in groups.items()
        if found.get(MAIN) is not None and found.get("queries", 0) >= FEW and found[MAIN] < best.main
    ]
    if not known:
        return []
    hard = [f"{name} ({share(value)})" for value, name in sorted(known)[:3]]
    return [Line("Hardest classes", f"for {best.method} {listed(hard)}.")]


def _without_hits(standing: SectionComparison) -> list[Line]:
    """Methods that answer with nothing at all, such as a search within a radius: zeros that are none of ranking."""
    empty = {result.method: sum(not found for found in result.rows) for result in standing.section.working}
    says = [
        f"{method} for {number} of {len(standing.section.queries)} queries"
        for method, number in empty.items()
        if number
    ]
    return [Line("No hit at all", f"{listed(says)}.")] if says else []


def _failures(standing: SectionComparison) -> list[Line]:
    section = standing.section
    lines = [Line("Failed", f"{result.method}: {result.error}") for result in section.failed]
    lines += [Line("Left out", note) for note in section.notes]
    if section.problems:
        lines.append(
            Line(
                "Left out",
                f"{counted(len(section.problems), 'picture or query', 'pictures or queries')}, listed below.",
            )
        )
    broken = [result.method for result in section.working if result.content.get("failures")]
    if broken:
        lines.append(
            Line(
                "Unreadable for a method",
                f"pictures failed for {listed(broken)}; a query that failed counts as not found.",
            )
        )
    return lines


def summarise_all(standings: Sequence[SectionComparison]) -> list[Line]:
    """What holds over all sections: who wins how often, who is on average best, what failed."""
    told = [standing for standing in standings if standing.section.best]
    wins: dict[str, int] = {}
    for standing in told:
        leading = [standing.section.working[0], *standing.as_good_as_best()]
        for result in leading:
            wins[result.method] = wins.get(result.method, 0) + 1
    lines = []
    if len(told) > 1:
        most = max(wins.values())
        names = [name for name, number in wins.items() if number == most]
        of = counted(len(told), "task")
        lines.append(
            Line(
                "Most often in front",
                f"{listed(names)}: best, or not significantly worse than the best, in {most} of {of}.",
            )
        )
        lines += _on_average(told)
    failed = [f"{result.method} on {one.section.title}" for one in standings for result in one.section.failed]
    if failed:
        lines.append(Line("Failed", f"{listed(failed, 8)}. A failed method has no figures; it is not counted as zero."))
    return lines


def _on_average(told: Sequence[SectionComparison]) -> list[Line]:
    everywhere = [
        result.method
        for result in told[0].section.working
        if all(standing.section.find(result.method) for standing in told)
    ]
    if len(told) < 2 or not everywhere:
        return []
    means = {
        name: float(np.mean([result.main for standing in told if (result := standing.section.find(name))]))
        for name in everywhere
    }
    order = sorted(means, key=lambda name: -means[name])[:3]
    says = ", ".join(f"{name} {share(means[name])}" for name in order)
    return [Line("Best on average", f"mAP@10 over {counted(len(told), 'task')}: {says}.")]


def verdict(found: Against) -> str:
    """The table's word on a method against the baseline."""
    return f"{gain(found.difference)}, {chance(found.p_value)}"
