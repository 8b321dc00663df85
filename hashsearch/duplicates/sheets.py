"""Contact sheets: the largest groups of near-duplicates as one page that needs no other file, light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashsearch.duplicates.finding import Group, Member
from hashsearch.images.sources import DEFAULT_READER, ImageReader, file_within
from hashsearch.reporting.album import Album
from hashsearch.reporting.pages import render_page
from hashsearch.reporting.words import counted

GROUPS, IMAGES = 200, 12  # groups on the page, images of each group
SIDE = 160  # pixels of a thumbnail
_BUDGET = 9_000_000  # bytes of all thumbnails, as encoded in the page
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class SheetImage:
    """An image of a group, its thumbnail as a `data:` address if there is one."""

    member: Member
    thumbnail: str | None

    @property
    def address(self) -> str | None:
        """The image's address on the web, None if it is a file."""
        uri = self.member.record.get("uri")
        return uri if uri and uri.startswith(("http://", "https://")) else None


class Sheets:
    """The first `GROUPS` groups that are added; thumbnails are of files inside the folders `roots`."""

    def __init__(self, roots: Sequence[Path] = (), reader: ImageReader = DEFAULT_READER) -> None:
        self._roots = roots
        self._album = Album(_BUDGET, SIDE, reader=reader)
        self._shown: list[tuple[Group, list[SheetImage]]] = []

    def add(self, group: Group) -> None:
        """Show the group, if there is room for it."""
        if len(self._shown) < GROUPS:
            images = [SheetImage(member, self._thumbnail(member)) for member in group.members[:IMAGES]]
            self._shown.append((group, images))

    def page(self, **about: Any) -> str:
        """The page, as HTML; `about` is what its template shows of the run."""
        summary = about["summary"]
        return render_page(
            _TEMPLATES / "sheets.html",
            pictures=True,
            style=(_TEMPLATES / "sheets.css").read_text(encoding="utf-8"),
            title=f"{counted(summary.groups, 'group')} of near-duplicates in {about['index']}",
            shown=self._shown,
            left_out=summary.groups - len(self._shown),
            without_thumbnail=sum(image.thumbnail is None for _, images in self._shown for image in images),
            roots=bool(self._roots),
            **about,
        )

    def _thumbnail(self, member: Member) -> str | None:
        file = file_within(member.record.get("uri"), self._roots)
        return self._album.picture({"path": str(file)}) if file else None
