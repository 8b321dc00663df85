"""An index to all groups of its near-duplicates, each with the image to keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashsearch.duplicates.components import Components
from hashsearch.duplicates.keeping import Keeping, Record
from hashsearch.duplicates.pairs import EQUAL, directions, similar_pairs
from hashsearch.duplicates.spool import Rows, Spool
from hashsearch.elastic.document import SHOWN
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.queries import Body
from hashsearch.errors import ConfigError, SearchError
from hashsearch.overlap import batched
from hashsearch.progress import Progress, no_progress

MOST_IN_GROUP = 100_000  # what is stored of a group is in memory while it is written
_PAGE = 500  # images asked for at once
_LARGEST = Keeping()


@dataclass(frozen=True)
class Member:
    """An image of a group: its cosine to the one that is kept, to six digits, and what is stored of it, vectors aside.

    `verdict`: `keep`; `copy`, whose cosine reaches the threshold; or `chained`, which is only like others of the group.
    """

    id: str
    cosine: float
    verdict: str
    record: Record

    def as_dict(self) -> dict[str, Any]:
        """The image as JSON holds it."""
        stored = {name: self.record.get(name) for name in SHOWN}
        return {"id": self.id, "verdict": self.verdict, "cosine": self.cosine, **stored}


@dataclass(frozen=True)
class Group:
    """Two or more images that hang together: the one to keep, then the others, most like it first."""

    number: int
    members: tuple[Member, ...]

    @property
    def least_cosine(self) -> float:
        """Of all the others to the one that is kept."""
        return self.members[-1].cosine

    def as_dict(self) -> dict[str, Any]:
        """The group as JSON holds it."""
        return {
            "group": self.number,
            "images": len(self.members),
            "least_cosine": self.least_cosine,
            "members": [member.as_dict() for member in self.members],
        }


@dataclass(frozen=True)
class Found:
    """How many images were compared, how many pairs of them reach the cosine, and the groups, largest first."""

    images: int
    pairs: int
    groups: Iterator[Group]


def find(
    index: ImageIndex,
    cosine: float,
    keeping: Keeping = _LARGEST,
    clauses: Sequence[Body] = (),
    most_in_group: int = MOST_IN_GROUP,
    progress: Progress = no_progress,
) -> Found:
    """All near-duplicates among the images that the clauses let through, as of one moment.

    Images are a pair when the cosine of their stored re-rank vectors reaches `cosine`; none is missed. A group is what
    hangs together by pairs. Groups of one size are in the order of their lowest ids. An image that goes away
    meanwhile is left out. SearchError for a cosine that is not -1 to 1, and for one so low that more than
    `most_in_group` images hang together; ConfigError for a rule by a field that no image has.
    """
    check_cosine(cosine)
    _require_field(index, keeping)
    ids, vectors = read_vectors(index, clauses, progress)
    together, count = Components(len(ids)), 0
    for firsts, seconds in similar_pairs(vectors, cosine, progress):
        together.join(firsts, seconds)
        count += len(firsts)
    groups = sorted(together.groups(), key=lambda rows: (-len(rows), min(ids[row] for row in rows)))
    if groups and len(groups[0]) > most_in_group:
        raise SearchError(
            f"at most {most_in_group} images may hang together, and at cosine {cosine:g} {len(groups[0])} do: "
            "ask for a higher cosine"
        )
    return Found(len(ids), count, _told(index, ids, vectors, groups, cosine, keeping))


def check_cosine(cosine: float) -> None:
    """SearchError unless the cosine is -1 to 1."""
    if not -1 <= cosine <= 1:
        raise SearchError(f"cosine must be -1 to 1, got {cosine}")


def _require_field(index: ImageIndex, keeping: Keeping) -> None:
    field = keeping.stored_as
    if field and index.count() and not index.count([{"exists": {"field": field}}]):
        raise ConfigError(
            f"what to keep can be told by title, category or an attribute that images have, "
            f"and none of '{index.alias}' has '{keeping.field}'"
        )


def read_vectors(
    index: ImageIndex, clauses: Sequence[Body], progress: Progress = no_progress
) -> tuple[list[str], Spool]:
    """Ids of the images that the clauses let through, and their vectors in the same order, as of one moment."""
    ids: list[str] = []
    vectors = Spool(index.dims, index.dtype)
    total = index.count(clauses)
    for page, stored in index.rerank_vectors(clauses):
        ids += page
        vectors.append(stored)
        progress("read vectors", len(ids), max(total, len(ids)))
    return ids, vectors


def _told(
    index: ImageIndex, ids: Sequence[str], vectors: Spool, groups: Sequence[Rows], cosine: float, keeping: Keeping
) -> Iterator[Group]:
    number = 0
    for batch in _pages(groups):
        records = _records(index, [ids[row] for rows in batch for row in rows])
        for rows in batch:
            there = {ids[row]: row for row in rows.tolist() if ids[row] in records}  # one in two indices is one image
            if len(there) > 1:
                number += 1
                yield Group(number, tuple(_members(there, vectors, cosine, keeping, records)))


def _pages(groups: Sequence[Rows]) -> Iterator[list[Rows]]:
    """Whole groups, together of a page's images or, of a larger group, the only one."""
    page: list[Rows] = []
    held = 0
    for rows in groups:
        if page and held + len(rows) > _PAGE:
            yield page
            page, held = [], 0
        page.append(rows)
        held += len(rows)
    if page:
        yield page


def _records(index: ImageIndex, image_ids: Sequence[str]) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for part in batched(image_ids, _PAGE):
        found |= index.records(part)
    return found


def _members(
    there: Mapping[str, int], vectors: Spool, cosine: float, keeping: Keeping, records: Mapping[str, Record]
) -> list[Member]:
    """The images of a group, by id with their rows: the one to keep first, then the most like it."""
    kept = keeping.choose({image_id: records[image_id] for image_id in there})
    towards = directions(vectors, np.array([there[kept]]))[0]
    members = []
    for part in batched(there, _PAGE):
        cosines = directions(vectors, np.array([there[image_id] for image_id in part])) @ towards
        for image_id, near in zip(part, cosines.tolist()):
            verdict = "keep" if image_id == kept else "copy" if near >= cosine - EQUAL else "chained"
            members.append(Member(image_id, min(round(near, 6), 1.0), verdict, records[image_id]))
    return sorted(members, key=lambda member: (member.verdict != "keep", -member.cosine, member.id))
