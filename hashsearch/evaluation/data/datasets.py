"""Folders, lists and catalogs to labelled pictures, in two parts: what is searched and what is searched with."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hashsearch.errors import ConfigError, EvaluationError
from hashsearch.evaluation.data.layouts import Catalogued, Folders, Found, Lists, Splits
from hashsearch.evaluation.data.pictures import Picture, Problem

LAYOUTS: dict[str, type[Splits] | type[Folders] | type[Lists] | type[Catalogued]] = {
    "splits": Splits,
    "folders": Folders,
    "lists": Lists,
    "catalog": Catalogued,
}


@dataclass(frozen=True)
class DataSet:
    """Labelled pictures: `base` is searched, and learnt from; `queries` are searched with. `problems` are left out."""

    name: str
    base: tuple[Picture, ...]
    queries: tuple[Picture, ...]
    problems: tuple[Problem, ...] = ()


def read_data(
    name: str,
    folder: Path,
    layout: str,
    *,
    limit: int | None = None,
    limit_queries: int | None = None,
    seed: int = 0,
    **options: Any,
) -> DataSet:
    """The pictures of a folder (or catalog file) in one of LAYOUTS, with that layout's options; none is opened.

    At most `limit` are searched and `limit_queries` searched with, chosen by the seed and spread over the classes. What
    is left out for being wrong is among the problems; EvaluationError, CatalogError or ConfigError for what leaves
    nothing to work with: no such folder, an unknown layout or option, no picture at all.
    """
    if layout not in LAYOUTS:
        raise EvaluationError(f"the layout of data must be one of {', '.join(LAYOUTS)}, got '{layout}'")
    if unknown := options.keys() - (known := [field.name for field in fields(LAYOUTS[layout])]):
        raise EvaluationError(
            f"the layout {layout} has the options {', '.join(known)}, got '{', '.join(sorted(unknown))}'"
        )
    if not folder.exists():
        raise EvaluationError(f"the data '{name}' must be a folder or a catalog, there is nothing at '{folder}'")
    found = _without_doubtful(LAYOUTS[layout](**options).read(folder))
    if not found.base:
        told = f"; the first of {len(found.problems)} problems: {found.problems[0]}" if found.problems else ""
        raise EvaluationError(f"the data '{name}' must have a picture to search, found none in '{folder}'{told}")
    return DataSet(
        name,
        tuple(spread(found.base, limit, seed)),
        tuple(spread(found.queries, limit_queries, seed)),
        tuple(found.problems),
    )


def data_of(table: Mapping[str, Any], data_folder: Path, seed: int) -> DataSet:
    """The data set that a file describes: `name`, `folder` (within `data_folder`), `layout` and the layout's options.

    ConfigError where one of the first three is missing; the errors of `read_data`.
    """
    options = dict(table)
    name, folder, layout = (options.pop(key, None) for key in ("name", "folder", "layout"))
    if not all(isinstance(told, str) for told in (name, folder, layout)):
        raise ConfigError(
            f"data must have a name, a folder and a layout ({', '.join(LAYOUTS)}), got {name!r}, {folder!r}, {layout!r}"
        )
    return read_data(str(name), data_folder / str(folder), str(layout), **{"seed": seed, **options})


def _without_doubtful(found: Found) -> Found:
    """What was found without missing files and files that come twice; a picture that is searched is no query."""
    checked = Found(problems=list(found.problems))
    seen: set[Path] = set()
    for pictures, kept in ((found.base, checked.base), (found.queries, checked.queries)):
        for picture in pictures:
            if picture.path in seen:
                checked.problems.append(Problem(picture.id, "a file may come once in the data, this one came before"))
            elif not picture.path.is_file():
                checked.problems.append(Problem(picture.id, f"there is no file '{picture.path}'"))
            else:
                kept.append(picture)
            seen.add(picture.path)
    return checked


def spread(pictures: Sequence[Picture], count: int | None, seed: int) -> list[Picture]:
    """At most `count` pictures in their order, all if None: as many of each class (or product) as of the others, as far
    as there are. Which ones depends on the seed and the ids alone, so a smaller count takes some of a larger one's.
    """
    if count is not None and (not isinstance(count, int) or count < 1):
        raise EvaluationError(f"a number of pictures must be a whole number from 1, got {count!r}")
    if count is None or count >= len(pictures):
        return list(pictures)
    classes = defaultdict(list)
    for place, picture in enumerate(pictures):
        lot = hashlib.sha256(f"{seed} {picture.id}".encode("utf-8", "surrogatepass")).digest()
        classes[picture.product or picture.label].append((lot, place))
    turns = [(turn, *drawn) for members in classes.values() for turn, drawn in enumerate(sorted(members))]
    return [pictures[place] for place in sorted(place for _, _, place in sorted(turns)[:count])]
