"""All groups of near-duplicates of an index, each with the image to keep."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashsearch.duplicates.components import Components
from hashsearch.duplicates.keeping import Keeping, Record
from hashsearch.duplicates.originals import State, find_original
from hashsearch.duplicates.pairs import EQUAL, directions, similar_pairs
from hashsearch.duplicates.spool import Rows, Spool
from hashsearch.elastic.document import SHOWN
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.queries import Body
from hashsearch.errors import ConfigError, SearchError
from hashsearch.overlap import batched
from hashsearch.progress import Progress, no_progress

MOST_IN_GROUP = 100_000  # the records of a group are in memory while it is written
_PAGE = 500  # images per request
_LARGEST = Keeping()


@dataclass(frozen=True)
class Member:
    """An image of a group: its cosine to the kept image, rounded to six digits, and its stored fields without vectors.

    `verdict` is `keep`, `copy` (the cosine reaches the threshold), `chained` (connected only through others), `same`
    (the same file as the image `same_as`) or `missing` (its file is gone, and that of the kept image is not). `file` is
    the state of its file.
    """

    id: str
    cosine: float
    verdict: str
    record: Record
    file: State = "present"
    same_as: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The image as JSON holds it."""
        stored = {name: self.record.get(name) for name in SHOWN}
        judged = {"id": self.id, "verdict": self.verdict, "cosine": self.cosine}
        return {**judged, "file": self.file, "same_as": self.same_as, **stored}


@dataclass(frozen=True)
class Group:
    """Two or more connected images: the one to keep, then the others, most similar to it first."""

    number: int
    members: tuple[Member, ...]

    @property
    def least_cosine(self) -> float:
        """The lowest cosine of a member to the kept image."""
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
class NearDuplicates:
    """How many images were compared, how many pairs reach the cosine, and the groups, largest first."""

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
) -> NearDuplicates:
    """All near-duplicates among the images that match the clauses, as of one point in time.

    Images are a pair when the cosine of their stored re-rank vectors is at least `cosine`; no pair is missed. A group
    is a connected component of pairs. Groups are sorted by size, then by lowest id. An image that is deleted before its
    group is read is left out. An image whose file is gone is kept only if those of all others are too.

    Parameters
    ----------
    index : ImageIndex
    cosine : float
        Threshold, -1 to 1.
    keeping : Keeping
        The rule that chooses the image to keep.
    clauses : sequence of dict
        Elasticsearch filter clauses that images must match.
    most_in_group : int
        The largest group allowed; it is in memory while it is written.
    progress : callable
        Called with the stage, the steps done so far and all steps of the stage.

    Returns
    -------
    NearDuplicates
        Its `groups` are read from the index as they are iterated.

    Raises
    ------
    SearchError
        The cosine is out of range, or so low that a group is larger than `most_in_group`.
    ConfigError
        The rule uses a field that no image has.
    """
    check_cosine(cosine)
    _require_field(index, keeping)
    ids, vectors = read_vectors(index, clauses, progress)
    components, pairs = Components(len(ids)), 0
    for firsts, seconds in similar_pairs(vectors, cosine, progress):
        components.join(firsts, seconds)
        pairs += len(firsts)
    groups = sorted(components.groups(), key=lambda rows: (-len(rows), min(ids[row] for row in rows)))
    if groups and len(groups[0]) > most_in_group:
        raise SearchError(
            f"a group may have at most {most_in_group} images, and at cosine {cosine:g} one has {len(groups[0])}: "
            "use a higher cosine"
        )
    return NearDuplicates(len(ids), pairs, _groups(index, ids, vectors, groups, cosine, keeping))


def check_cosine(cosine: float) -> None:
    """SearchError unless the cosine is -1 to 1."""
    if not -1 <= cosine <= 1:
        raise SearchError(f"cosine must be -1 to 1, got {cosine}")


def _require_field(index: ImageIndex, keeping: Keeping) -> None:
    field = keeping.stored_as
    if field and index.count() and not index.count([{"exists": {"field": field}}]):
        raise ConfigError(
            f"the field of the rule must be title, category or an attribute of the images, "
            f"and no image of '{index.alias}' has '{keeping.field}'"
        )


def read_vectors(
    index: ImageIndex, clauses: Sequence[Body], progress: Progress = no_progress
) -> tuple[list[str], Spool]:
    """Ids of the images that match the clauses, and their vectors in the same order, as of one point in time."""
    ids: list[str] = []
    vectors = Spool(index.dims, index.dtype)
    total = index.count(clauses)
    for page, stored in index.rerank_vectors(clauses):
        ids += page
        vectors.append(stored)
        progress("read vectors", len(ids), max(total, len(ids)))
    return ids, vectors


def _groups(
    index: ImageIndex, ids: Sequence[str], vectors: Spool, groups: Sequence[Rows], cosine: float, keeping: Keeping
) -> Iterator[Group]:
    number = 0
    for batch in _pages(groups):
        records = _records(index, [ids[row] for rows in batch for row in rows])
        for rows in batch:
            # An image in two indices has two rows and one record.
            stored = {ids[row]: row for row in rows.tolist() if ids[row] in records}
            if len(stored) > 1:
                number += 1
                yield Group(number, tuple(_members(stored, vectors, cosine, keeping, records)))


def _pages(groups: Sequence[Rows]) -> Iterator[list[Rows]]:
    """Batches of whole groups with at most a page of images together, or one larger group alone."""
    page: list[Rows] = []
    images = 0
    for rows in groups:
        if page and images + len(rows) > _PAGE:
            yield page
            page, images = [], 0
        page.append(rows)
        images += len(rows)
    if page:
        yield page


def _records(index: ImageIndex, image_ids: Sequence[str]) -> dict[str, Record]:
    records: dict[str, Record] = {}
    for part in batched(image_ids, _PAGE):
        records |= index.records(part)
    return records


def _members(
    rows: Mapping[str, int], vectors: Spool, cosine: float, keeping: Keeping, records: Mapping[str, Record]
) -> list[Member]:
    """The images of a group, given their rows by id: the one to keep first, then the most similar to it."""
    originals = {image_id: find_original(image_id, records[image_id]) for image_id in rows}
    remaining = [image_id for image_id, original in originals.items() if not original.gone]
    kept = keeping.choose({image_id: records[image_id] for image_id in remaining or rows})
    cosines = _cosines_to(kept, rows, vectors)
    rounded = {image_id: min(round(similarity, 6), 1.0) for image_id, similarity in cosines.items()}
    first_names: dict[Hashable, str] = {}
    members = []
    for image_id in sorted(rows, key=lambda image_id: (image_id != kept, -rounded[image_id], image_id)):
        original, record = originals[image_id], records[image_id]
        same_as = first_names.get(original.identity)
        first_names.setdefault(original.identity, image_id)
        if image_id == kept:
            verdict = "keep"
        elif same_as is not None:
            verdict = "same"
        elif original.gone and remaining:
            verdict = "missing"
        else:
            verdict = "copy" if cosines[image_id] >= cosine - EQUAL else "chained"
        members.append(Member(image_id, rounded[image_id], verdict, record, original.state, same_as))
    return members


def _cosines_to(kept: str, rows: Mapping[str, int], vectors: Spool) -> dict[str, float]:
    towards = directions(vectors, np.array([rows[kept]]))[0]
    cosines: dict[str, float] = {}
    for part in batched(rows, _PAGE):
        similar = directions(vectors, np.array([rows[image_id] for image_id in part])) @ towards
        cosines |= zip(part, similar.tolist())
    return cosines
