"""Groups of near-duplicates to a folder: `groups.csv`, `groups.jsonl` and `report.html`, all three or none."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from hashsearch.duplicates.finding import Found
from hashsearch.duplicates.sheets import Sheets
from hashsearch.evaluation.compare.results import locked_results
from hashsearch.provenance import now
from hashsearch.reporting.tables import safe_cell
from hashsearch.reporting.words import counted

FILES = ("groups.csv", "groups.jsonl", "report.html")

_COLUMNS = "group images least_cosine verdict cosine id width height indexed_at category title uri".split()


@dataclass(frozen=True)
class Summary:
    """What was found: images compared, pairs, groups, and of the images in groups how many have each verdict."""

    images: int
    pairs: int
    groups: int
    copies: int
    chained: int

    def __str__(self) -> str:
        compared = f"{counted(self.images, 'image')}, {counted(self.pairs, 'pair')}, {counted(self.groups, 'group')}"
        told = f"{compared}: {counted(self.copies, 'copy', 'copies')} could go"
        if not self.chained:
            return told
        return f"{told}, {self.chained:,} more {'is' if self.chained == 1 else 'are'} chained: look there first"


def write_duplicates(
    found: Found, out: Path, roots: Sequence[Path] = (), *, index: str, cosine: float, rule: str
) -> Summary:
    """Write the groups to the folder `out`; what a former run wrote there stays until all is written.

    Thumbnails are of files inside the folders `roots`. `index`, `cosine` and `rule` are what the page tells of the
    run. ConfigError while another run writes there.
    """
    sheets = Sheets(roots)
    verdicts: Counter[str] = Counter()
    groups = 0
    with _drafts(out) as (table, lines, page):
        writer = csv.DictWriter(table, _COLUMNS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        for group in found.groups:
            told = group.as_dict()
            writer.writerows(
                {name: safe_cell(value) for name, value in (told | member).items()} for member in told["members"]
            )
            lines.write(json.dumps(told, ensure_ascii=False) + "\n")
            sheets.add(group)
            verdicts.update(member.verdict for member in group.members)
            groups += 1
        summary = Summary(found.images, found.pairs, groups, verdicts["copy"], verdicts["chained"])
        page.write(sheets.page(index=index, cosine=cosine, rule=rule, summary=summary, at=now()))
    return summary


@contextmanager
def _drafts(out: Path) -> Iterator[Sequence[TextIO]]:
    """The files of a folder, to be written beside those that are there, whose places they take at the end."""
    drafts = [out / f"{name}.new" for name in FILES]
    with locked_results(out):
        try:
            with ExitStack() as opened:
                files = [
                    opened.enter_context(draft.open("w", encoding="utf-8", errors="backslashreplace", newline=""))
                    for draft in drafts
                ]
                yield files
                for file in files:
                    file.flush()
                    os.fsync(file.fileno())
            for draft in drafts:
                draft.replace(draft.with_suffix(""))
        finally:
            for draft in drafts:
                draft.unlink(missing_ok=True)
