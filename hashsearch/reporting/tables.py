"""Cells of Markdown and CSV that cannot do harm."""

from __future__ import annotations


def _escaped(words: str, bold: bool = False) -> str:
    """Words that Markdown takes as they are: no HTML, no column, no link, no line of its own."""
    words = " ".join(words.split())
    for sign, safe in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("[", "\\["), ("`", "\\`"), ("_", "\\_")):
        words = words.replace(sign, safe)
    return words if bold else words.replace("*", "\\*")


def harmless(value: object) -> object:
    """A name that a spreadsheet would run as a formula is told to be text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
