"""Data sets: folders, lists and catalogs read as labelled pictures, some to search and some to search with."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from hashsearch.errors import ConfigError, EvaluationError
from hashsearch.evaluation.data.layouts import Catalogued, Folders, Lists, PictureSplit, Splits
from hashsearch.evaluation.data.pictures import LeftOut, Picture
from hashsearch.images.sources import DEFAULT_READER, ImageReader

LAYOUTS: dict[str, type[Splits] | type[Folders] | type[Lists] | type[Catalogued]] = {
    "splits": Splits,
    "folders": Folders,
    "lists": Lists,
    "catalog": Catalogued,
}


@dataclass(frozen=True)
class DataSet:
    """Labelled pictures: `base` is searched and learned from, `queries` are searched with, `problems` are left out."""

    name: str
    base: tuple[Picture, ...]
    queries: tuple[Picture, ...]
    problems: tuple[LeftOut, ...] = ()

    def read_by(self, reader: ImageReader) -> DataSet:
        """The same data set, whose pictures are read within the limits of a reader."""
        base, queries = (
            tuple(replace(picture, reader=reader) for picture in part) for part in (self.base, self.queries)
        )
        return replace(self, base=base, queries=queries)


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
    """The pictures of a folder (or catalog file) in one of LAYOUTS, with that layout's options; no picture is opened.

    At most `limit` are searched and `limit_queries` searched with, chosen by the seed and spread over the classes.
    Unusable pictures are among the problems. EvaluationError, CatalogError or ConfigError where nothing can be read: no
    such folder, an unknown layout or option, no picture at all.
    """
    if layout not in LAYOUTS:
        raise EvaluationError(f"the layout of a data set must be one of {', '.join(LAYOUTS)}, got '{layout}'")
    if unknown := options.keys() - (known := [field.name for field in fields(LAYOUTS[layout])]):
        raise EvaluationError(
            f"the layout {layout} has the options {', '.join(known)}, got '{', '.join(sorted(unknown))}'"
        )
    if not folder.exists():
        raise EvaluationError(f"data set '{name}' must be a folder or a catalog file, but '{folder}' does not exist")
    pictures = _checked(LAYOUTS[layout](**options).read(folder))
    if not pictures.base:
        problems = pictures.problems
        reason = f"; first of {len(problems)} problems: {problems[0]}" if problems else ""
        raise EvaluationError(f"data set '{name}' must have a picture to search, found none in '{folder}'{reason}")
    return DataSet(
        name,
        tuple(spread(pictures.base, limit, seed)),
        tuple(spread(pictures.queries, limit_queries, seed)),
        tuple(pictures.problems),
    )


def data_of(table: Mapping[str, Any], data_folder: Path, seed: int, reader: ImageReader = DEFAULT_READER) -> DataSet:
    """The data set described by a table: `name`, `folder` (within `data_folder`), `layout` and the layout's options.

    Its pictures are read by `reader`. ConfigError where one of the first three is missing; the errors of `read_data`.
    """
    options = dict(table)
    name, folder, layout = (options.pop(key, None) for key in ("name", "folder", "layout"))
    if not all(isinstance(value, str) for value in (name, folder, layout)):
        raise ConfigError(
            f"a data set must have a name, a folder and a layout ({', '.join(LAYOUTS)}), "
            f"got {name!r}, {folder!r}, {layout!r}"
        )
    data = read_data(str(name), data_folder / str(folder), str(layout), **{"seed": seed, **options})
    return data.read_by(reader)


def _checked(pictures: PictureSplit) -> PictureSplit:
    """The pictures without missing and repeated files; a picture that is searched is not a query too."""
    checked = PictureSplit(problems=list(pictures.problems))
    known: set[Path] = set()
    for part, kept in ((pictures.base, checked.base), (pictures.queries, checked.queries)):
        for picture in part:
            if picture.path in known:
                checked.problems.append(LeftOut(picture.id, "each file may occur once in a data set, this is a repeat"))
            elif not picture.path.is_file():
                checked.problems.append(LeftOut(picture.id, f"there is no file '{picture.path}'"))
            else:
                kept.append(picture)
            known.add(picture.path)
    return checked


def spread(pictures: Sequence[Picture], count: int | None, seed: int) -> list[Picture]:
    """At most `count` pictures in their order (all if None), evenly from each class, or product where these are known.

    The choice depends only on the seed and the ids, so a smaller count takes a subset of a larger one's.
    """
    if count is not None and (not isinstance(count, int) or count < 1):
        raise EvaluationError(f"a number of pictures must be a whole number of at least 1, got {count!r}")
    if count is None or count >= len(pictures):
        return list(pictures)
    classes = defaultdict(list)
    for row, picture in enumerate(pictures):
        lot = hashlib.sha256(f"{seed} {picture.id}".encode("utf-8", "surrogatepass")).digest()
        classes[picture.product or picture.label].append((lot, row))
    turns = [(turn, *drawn) for members in classes.values() for turn, drawn in enumerate(sorted(members))]
    return [pictures[row] for row in sorted(row for _, _, row in sorted(turns)[:count])]
