"""Tables as values, written as Markdown and HTML, and cells of Markdown and CSV that cannot do harm."""

from __future__ import annotations

from dataclasses import dataclass

NO_VALUE = "-"


@dataclass(frozen=True)
class TableCell:
    """One cell: its text, smaller text below, a mark ("best", "same", "holds" or "") and a number to sort by."""

    text: str
    below: str = ""
    mark: str = ""
    order: float | None = None


@dataclass(frozen=True)
class TableRow:
    """A row that is named after a method of a kind; a note stands beside its name."""

    name: str
    kind: str
    cells: tuple[TableCell, ...]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Column titles, each with a unit or nothing below it, and rows."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[TableRow, ...]


def markdown_table(table: Table) -> str:
    """A table in Markdown: the best of a column is bold, what is as good has a degree sign."""
    heads = ["method", *(f"{title} {unit}".strip() for title, unit in table.columns)]
    lines = [heads, ["---"] * len(heads)]
    for row in table.rows:
        name = row.name if not row.note else f"{row.name} ({row.note})"
        lines.append([name, *map(_markdown_cell, row.cells)])
    written = [
        " | ".join(cell if cell == "---" else escaped_markdown(cell, bold=True) for cell in line) for line in lines
    ]
    return "\n".join(f"| {line} |" for line in written)


def _markdown_cell(cell: TableCell) -> str:
    text = f"**{cell.text}**" if cell.mark == "best" else cell.text + ("°" if cell.mark == "same" else "")
    return f"{text} ({cell.below})" if cell.below else text


def escaped_markdown(words: str, bold: bool = False) -> str:
    """Text that Markdown shows as it is, on one line: no HTML, table column, link or code; `bold` lets asterisks be."""
    words = " ".join(words.split())
    for sign, safe in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("[", "\\["), ("`", "\\`"), ("_", "\\_")):
        words = words.replace(sign, safe)
    return words if bold else words.replace("*", "\\*")


def safe_cell(value: object) -> object:
    """A value for CSV: text that a spreadsheet would run as a formula gets an apostrophe in front, so it stays text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
