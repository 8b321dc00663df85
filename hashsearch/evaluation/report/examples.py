"""Example queries with the top hits of several methods side by side, and each method's worst failures."""

from __future__ import annotations

from collections.abc import Sequence
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
FAILURES = 2  # shown of each method
SOLVED = 0.99  # average precision of a query that counts as solved


@dataclass(frozen=True)
class ExampleImage:
    """An image with its caption; `right` is None for a query."""

    picture: str | None
    name: str
    right: bool | None = None
    score: str = ""


@dataclass(frozen=True)
class MethodHits:
    """One method's first hits for a query."""

    method: str
    kind: str
    average_precision: str
    hits: tuple[ExampleImage, ...]


@dataclass(frozen=True)
class Example:
    """A query with the hits of one or more methods; `remark` says why it is shown."""

    query: ExampleImage
    rows: tuple[MethodHits, ...]
    remark: str = ""


def examples(section: Section, results: Sequence[Result], album: Album) -> list[Example]:
    """Queries that the methods disagree on most, of different groups, and one that none solves."""
    if not results:
        return []
    values = _average_precisions(section, results)
    apart = values.max(axis=0) - values.min(axis=0)
    contested = [int(at) for at in np.argsort(-apart, kind="stable") if apart[at] > 0]
    chosen = different_queries(section, contested, CONTESTED)
    hopeless = [int(at) for at in np.argsort(values.max(axis=0), kind="stable") if values[:, at].max() < SOLVED / 2]
    chosen += [at for at in different_queries(section, hopeless, HOPELESS) if at not in chosen]
    shown = []
    for at in chosen:
        right = int((values[:, at] >= SOLVED).sum())
        remark = f"solved by {right} of {len(results)} methods"
        if not right:
            remark = f"solved by no method; best average precision {share(values[:, at].max())}"
        rows = tuple(_row(section, result, at, values[which, at], album) for which, result in enumerate(results))
        shown.append(Example(_query(section, at, album), rows, remark))
    return [example for example in shown if _has_pictures(example)]


def failures(section: Section, album: Album) -> dict[str, list[Example]]:
    """For each method the queries with its lowest average precision, those that most others solve first."""
    if not section.working:
        return {}
    values = _average_precisions(section, section.working)
    solvers = (values >= SOLVED).sum(axis=0)
    worst_of = {}
    for which, result in enumerate(section.working):
        own = values[which]
        candidates = np.flatnonzero((own < SOLVED / 2) & (solvers > 0))
        order = sorted(candidates.tolist(), key=lambda at: (own[at], -solvers[at], at))
        worst = different_queries(section, order, FAILURES)
        shown = [
            Example(
                _query(section, at, album),
                (_row(section, result, at, own[at], album),),
                _solved_by(section, values, solvers, at),
            )
            for at in worst
        ]
        worst_of[result.method] = [example for example in shown if _has_pictures(example)]
    return {method: shown for method, shown in worst_of.items() if shown}


def _solved_by(section: Section, values: NDArray[np.float64], solvers: NDArray[np.int64], at: int) -> str:
    first = next(result.method for result, value in zip(section.working, values[:, at]) if value >= SOLVED)
    others = int(solvers[at]) - 1
    return f"solved by {first}" + (f" and {others} more" if others else "")


def _average_precisions(section: Section, results: Sequence[Result]) -> NDArray[np.float64]:
    """`(methods, queries)`."""
    return np.stack([QUALITY[MAIN](section.hits(result), section.relevant_counts) for result in results])


def different_queries(section: Section, order: Sequence[int], most: int) -> list[int]:
    """The first queries in this order, of different images, and of different classes or distortions while there are."""
    chosen: list[int] = []
    images: set[str] = set()
    groups: set[str] = set()
    for wanted in ("new image and group", "new image", "any"):
        for at in order:
            if len(chosen) == most:
                return chosen
            image, group = _image_and_group(section.queries[at])
            new_image = image not in images or wanted == "any"
            new_group = group not in groups or wanted != "new image and group"
            if at not in chosen and new_image and new_group:
                chosen.append(at)
                images.add(image)
                groups.add(group)
    return chosen


def _image_and_group(query: dict[str, Any]) -> tuple[str, str]:
    """The file of a query's image, and its distortion or else its class."""
    distortion = query.get("distortion")
    return str(query.get("path")), str(distortion["name"] if distortion else query.get("group"))


def _query(section: Section, at: int, album: Album) -> ExampleImage:
    query = section.queries[at]
    return ExampleImage(album.picture(query), str(query["group"]) if query.get("distortion") else _name(query, False))


def _row(section: Section, result: Result, at: int, value: float, album: Album) -> MethodHits:
    rows = result.rows[at][:SHOWN]
    scores = (result.content.get("scores") or [[]] * (at + 1))[at]
    hits = tuple(
        ExampleImage(
            album.picture(section.base[row]),
            _name(section.base[row], bool(section.queries[at].get("distortion"))),
            bool(section.hits(result)[at, rank]),
            f"{scores[rank]:.3g}" if rank < len(scores) else "",
        )
        for rank, row in enumerate(rows)
    )
    return MethodHits(result.method, result.kind, share(value), hits)


def _name(entry: dict[str, Any], near_duplicate: bool) -> str:
    """The class where that is what counts, else the picture's own name."""
    own = str(entry["id"]).rsplit("/", 1)[-1]
    return shorten(own, 12) if near_duplicate else str(entry.get("label") or own)


def _has_pictures(example: Example) -> bool:
    return example.query.picture is not None and any(hit.picture for row in example.rows for hit in row.hits)
