"""Groups of near-duplicates to a folder: `groups.csv`, `groups.jsonl` and `report.html`, all three or none."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hashsearch.duplicates.finding import NearDuplicates
from hashsearch.duplicates.sheets import Sheets
from hashsearch.errors import ConfigError
from hashsearch.files import atomic_files, exclusive_lock
from hashsearch.images.sources import DEFAULT_READER, ImageReader
from hashsearch.provenance import now
from hashsearch.reporting.tables import safe_cell
from hashsearch.reporting.words import counted

FILES = ("groups.csv", "groups.jsonl", "report.html")

_COLUMNS = "group images least_cosine verdict cosine id width height indexed_at category title uri file same_as".split()


@dataclass(frozen=True)
class DuplicatesSummary:
    """How many images were compared, and pairs and groups found.

    Of the images in groups: those that are copies, chained, or another's file under a further name; those whose file is
    gone; and those whose file cannot be checked, because the index stores an address or no absolute path.
    """

    images: int
    pairs: int
    groups: int
    copies: int
    chained: int
    same: int = 0
    missing: int = 0
    unchecked: int = 0

    def __str__(self) -> str:
        compared = f"{counted(self.images, 'image')}, {counted(self.pairs, 'pair')}, {counted(self.groups, 'group')}"
        copies = f"{compared}: {counted(self.copies, 'copy', 'copies')} can be removed"
        chained = f"{counted(self.chained, 'chained image')} to check before removing"
        same = f"{counted(self.same, 'image is', 'images are')} the same file as another: do not remove"
        missing = f"the files of {counted(self.missing, 'image')} are missing or changed"
        unchecked = f"the files of {counted(self.unchecked, 'image')} cannot be checked (no local path)"
        counts = (self.chained, self.same, self.missing, self.unchecked)
        notes = [note for note, count in zip((chained, same, missing, unchecked), counts, strict=True) if count]
        return "; ".join([copies, *notes])


def write_duplicates(
    duplicates: NearDuplicates,
    out: Path,
    roots: Sequence[Path] = (),
    *,
    index: str,
    cosine: float,
    rule: str,
    reader: ImageReader = DEFAULT_READER,
) -> DuplicatesSummary:
    """Write the groups to the folder `out`; the files of an earlier run are replaced when all three are complete.

    Thumbnails are of files inside the folders `roots`, read by `reader`. `index`, `cosine` and `rule` are
    shown on the page. ConfigError while another run writes there.
    """
    out.mkdir(parents=True, exist_ok=True)
    busy = ConfigError(f"another run is writing to {out}; only one at a time may")
    options = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
    with exclusive_lock(out / "lock", busy), atomic_files([out / name for name in FILES], "w", **options) as files:
        table, lines, page = files
        sheets = Sheets(roots, reader)
        verdicts: Counter[str] = Counter()
        states: Counter[str] = Counter()
        groups = 0
        writer = csv.DictWriter(table, _COLUMNS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        for group in duplicates.groups:
            content = group.as_dict()
            for member in content["members"]:
                writer.writerow({name: safe_cell(value) for name, value in (content | member).items()})
            lines.write(json.dumps(content, ensure_ascii=False) + "\n")
            sheets.add(group)
            verdicts.update(member.verdict for member in group.members)
            states.update(member.file for member in group.members)
            groups += 1
        summary = DuplicatesSummary(
            duplicates.images,
            duplicates.pairs,
            groups,
            copies=verdicts["copy"],
            chained=verdicts["chained"],
            same=verdicts["same"],
            missing=states["missing"] + states["changed"],
            unchecked=states["unchecked"],
        )
        page.write(sheets.page(index=index, cosine=cosine, rule=rule, summary=summary, at=now()))
    return summary
