"""Example queries with the methods' top results side by side, and each method's worst failures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.evaluation.report.comparing import QUALITY
from hashsearch.evaluation.report.sections import MAIN, Result, Section
from hashsearch.reporting.album import Album
from hashsearch.reporting.words import share, shorten

SHOWN = 5  # hits of a row
CONTESTED, HOPELESS = 4, 1  # example queries that methods disagree on, that none solves
FAILURES = 2  # of each method
SOLVED = 0.99  # average precision of a query that counts as solved


@dataclass(frozen=True)
class Shot:
    """A picture with what stands under it; `right` is None for a query."""

    picture: str | None
    name: str
    right: bool | None = None
    score: str = ""


@dataclass(frozen=True)
class Row:
    """One method's first hits of a query."""

    method: str
    kind: str
    average_precision: str
    hits: tuple[Shot, ...]


@dataclass(frozen=True)
class Example:
    """A query with the answers of one or more methods; `remark` says why it is shown."""

    query: Shot
    rows: tuple[Row, ...]
    remark: str = ""


def examples(section: Section, results: Sequence[Result], album: Album) -> list[Example]:
    """Queries that the methods disagree on most, of different groups, and one that none solves."""
    if not results:
        return []
    values = _average_precisions(section, results)
    apart = values.max(axis=0) - values.min(axis=0)
    chosen = list(
        _different(section, [int(at) for at in np.argsort(-apart, kind="stable") if apart[at] > 0], CONTESTED)
    )
    hopeless = [int(at) for at in np.argsort(values.max(axis=0), kind="stable") if values[:, at].max() < SOLVED / 2]
    chosen += [at for at in _different(section, hopeless, HOPELESS) if at not in chosen]
    shown = []
    for at in chosen:
        right = int((values[:, at] >= SOLVED).sum())
        best = f"the best average precision is {share(values[:, at].max())}" if values[:, at].any() else "found by none"
        remark = f"solved by {right} of {len(results)} methods" if right else best
        rows = tuple(_row(section, result, at, values[which, at], album) for which, result in enumerate(results))
        shown.append(Example(_query(section, at, album), rows, remark))
    return [example for example in shown if _has_pictures(example)]


def failures(section: Section, album: Album) -> dict[str, list[Example]]:
    """For each method the queries with its lowest average precision, those that most others solve first."""
    if not section.working:
        return {}
    values = _average_precisions(section, section.working)
    solvers = (values >= SOLVED).sum(axis=0)
    found = {}
    for which, result in enumerate(section.working):
        own = values[which]
        candidates = np.flatnonzero((own < SOLVED / 2) & (solvers > 0))
        order = sorted(candidates.tolist(), key=lambda at: (own[at], -solvers[at], at))
        worst = list(_different(section, order, FAILURES))
        shown = [
            Example(
                _query(section, at, album),
                (_row(section, result, at, own[at], album),),
                _solved_by(section, values, solvers, at),
            )
            for at in worst
        ]
        found[result.method] = [example for example in shown if _has_pictures(example)]
    return {method: shown for method, shown in found.items() if shown}


def _solved_by(section: Section, values: NDArray[np.float64], solvers: NDArray[np.int64], at: int) -> str:
    first = next(result.method for result, value in zip(section.working, values[:, at]) if value >= SOLVED)
    others = int(solvers[at]) - 1
    return f"solved by {first}" + (f" and {others} more" if others else "")


def _average_precisions(section: Section, results: Sequence[Result]) -> NDArray[np.float64]:
    """`(methods, queries)`."""
    return np.stack([QUALITY[MAIN](section.hits(result), section.relevant_counts) for result in results])


def _different(section: Section, order: Sequence[int], most: int) -> Iterator[int]:
    """The first queries in this order, of each class, distortion and picture one while there are others."""
    seen: set[str] = set()
    fresh: list[int] = []
    again: list[int] = []
    for at in order:
        facts = _facts(section.queries[at])
        (again if facts & seen else fresh).append(at)
        seen |= facts
        if len(fresh) == most:
            break
    yield from [*fresh, *again][:most]


def _facts(query: dict[str, Any]) -> set[str]:
    made = query.get("distortion")
    return {f"path {query.get('path')}", f"group {made['name'] if made else query.get('group')}"}


def _query(section: Section, at: int, album: Album) -> Shot:
    query = section.queries[at]
    made = query.get("distortion")
    return Shot(album.picture(query), str(query["group"]) if made else _name(query, False))


def _row(section: Section, result: Result, at: int, value: float, album: Album) -> Row:
    rows = result.rows[at][:SHOWN]
    scores = (result.content.get("scores") or [[]] * (at + 1))[at]
    hits = tuple(
        Shot(
            album.picture(section.base[row]),
            _name(section.base[row], bool(section.queries[at].get("distortion"))),
            bool(section.hits(result)[at, rank]),
            f"{scores[rank]:.3g}" if rank < len(scores) else "",
        )
        for rank, row in enumerate(rows)
    )
    return Row(result.method, result.kind, share(value), hits)


def _name(entry: dict[str, Any], near_duplicate: bool) -> str:
    """The class where that is what counts, else the picture's own name."""
    own = str(entry["id"]).rsplit("/", 1)[-1]
    return shorten(own, 12) if near_duplicate else str(entry.get("label") or own)


def _has_pictures(example: Example) -> bool:
    return example.query.picture is not None and any(hit.picture for row in example.rows for hit in row.hits)
