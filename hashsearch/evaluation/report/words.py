"""Numbers and lists as they stand in sentences and tables."""

from __future__ import annotations

from hashsearch.evaluation.report.comparing import Against
from hashsearch.evaluation.report.sections import Figure
from hashsearch.reporting.words import chance, gain, share


def interval(figure: Figure) -> str:
    """.910-.941, empty where there is none."""
    if figure.low is None or figure.high is None:
        return ""
    return f"{share(figure.low)}-{share(figure.high)}"


def with_interval(figure: Figure) -> str:
    """.933 (.910-.941)."""
    ends = interval(figure)
    return f"{share(figure.value)} ({ends})" if ends else share(figure.value)


def difference(against: Against) -> str:
    """+.013 (.002 to .024, p = .012)."""
    ends = f"{gain(against.low)} to {gain(against.high)}"
    return f"{gain(against.difference)} ({ends}, {chance(against.p_value)})"
