"""Numbers and lists as written in sentences and tables."""

from __future__ import annotations

from collections.abc import Sequence


def share(value: float) -> str:
    """A figure between 0 and 1: .933, 1.000."""
    return f"{value:.3f}".replace("0.", ".", 1)


def gain(value: float) -> str:
    """A difference of such figures: +.013, -.002."""
    return f"{value:+.3f}".replace("0.", ".", 1)


def amount(value: float) -> str:
    """Any other number, with three digits or two below 1: .25, 12.4, 1,280."""
    if abs(value) < 0.001:
        return "<.001" if value else "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2g}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3g}"


def chance(p_value: float) -> str:
    """p = .012, p < .001."""
    return "p < .001" if p_value < 0.001 else f"p = {share(p_value)}"


def listed(names: Sequence[str], most: int = 4) -> str:
    """a, b and c; of many, the first ones and the number of the others."""
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def counted(number: int, thing: str, things: str = "") -> str:
    """1 query, 1,200 queries."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def shorten(words: str, length: int) -> str:
    """The words, with an ellipsis in their middle where they are longer than `length` characters."""
    if len(words) <= length:
        return words
    kept = length - 1
    return words[: kept - kept // 3] + "…" + words[-(kept // 3) :]
