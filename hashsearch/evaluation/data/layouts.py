"""How data sets lie on disk: folders a class, in splits or not, lists of files, catalogs.

Each layout is made of its options and reads a folder (or catalog file) to the pictures found there.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hashsearch.catalog.reading import BadEntry, Catalog, Entry
from hashsearch.catalog.rows import RowFile
from hashsearch.errors import EvaluationError
from hashsearch.evaluation.data.pictures import Picture, Problem

_HELD_OUT = ("val", "test")


@dataclass
class Found:
    """Pictures to search and to search with, and what is wrong with others."""

    base: list[Picture] = field(default_factory=list)
    queries: list[Picture] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class Splits:
    """FOLDER/train/CLASS/*, FOLDER/val/CLASS/*, FOLDER/test/CLASS/*; a class may be folders deep, and is called so.

    `base` and `queries` name the folders to take; without `queries` it is those of val and test that there are.
    """

    base: str | Sequence[str] = "train"
    queries: str | Sequence[str] = ()

    def read(self, folder: Path) -> Found:
        """The pictures of all splits; EvaluationError for a split that is not there."""
        found = Found()
        for pictures, names in ((found.base, self.base), (found.queries, self.queries)):
            for part in _parts(folder, names):
                pictures.extend(_in_classes(folder, part.name + "/", found.problems))
        return found


@dataclass(frozen=True)
class Folders:
    """FOLDER/CLASS/*: of each class every fifth file by name (`every`) is searched with, the others are searched."""

    every: int = 5

    def read(self, folder: Path) -> Found:
        """The pictures of all class folders."""
        found = Found()
        return _shared(_in_classes(folder, "", found.problems), self.every, found)


def _in_classes(folder: Path, part: str, problems: list[Problem]) -> list[Picture]:
    """Pictures of FOLDER/PART by their class folders; those in no folder have no label."""
    pictures = []
    for entry in Catalog(folder / part):
        if isinstance(entry, BadEntry):
            problems.append(Problem(f"{part}{entry.id}", entry.reason))
        else:
            pictures.append(Picture(part + entry.id, Path(entry.source), entry.category or ""))
    classes = {picture.label for picture in pictures}
    for inside in _innermost(folder / part):
        if inside not in classes:
            problems.append(Problem(part + inside, "a class must have a picture, this folder has none"))
    return pictures


def _innermost(folder: Path) -> Iterator[str]:
    """Folders without folders in them, as paths within `folder`; hidden ones are none."""
    for path, inside, _ in os.walk(folder):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        if not inside and Path(path) != folder:
            yield Path(path).relative_to(folder).as_posix()


def _shared(pictures: Sequence[Picture], every: int, found: Found) -> Found:
    """Every so-manyth picture of each class (of each product, where these are known) as a query, from the first on."""
    if not isinstance(every, int) or every < 2:
        raise EvaluationError(f"'every' must be a whole number from 2, got {every!r}")
    counts: dict[str, int] = defaultdict(int)
    for picture in pictures:
        of = picture.product or picture.label
        (found.base if counts[of] % every else found.queries).append(picture)
        counts[of] += 1
    return found


@dataclass(frozen=True)
class Lists:
    """FOLDER/train.txt, FOLDER/val.txt, FOLDER/test.txt: lines of "path, id, id ...", paths within FOLDER.

    `label` and `product` count the columns, the path being 0. `label_names` and `product_names` say where the ids are
    named: a CSV file within FOLDER and its columns of ids and names, as in `["classes.csv", 1, 0]`.
    `base` and `queries` name the lists to take; without `queries` it is those of val and test that there are.
    """

    base: str | Sequence[str] = "train"
    queries: str | Sequence[str] = ()
    label: int = 1
    product: int | None = None
    label_names: Sequence[str | int] = ()
    product_names: Sequence[str | int] = ()

    def __post_init__(self) -> None:
        for column in (self.label, self.product or 1):
            if not isinstance(column, int) or column < 1:
                raise EvaluationError(f"the label and the product must be columns from 1 on, got {column!r}")

    def read(self, folder: Path) -> Found:
        """The pictures of all lists; EvaluationError for a list that is not there, or not readable."""
        found = Found()
        named = _names(folder, self.label_names), _names(folder, self.product_names)
        for pictures, names in ((found.base, self.base), (found.queries, self.queries)):
            for part in _parts(folder, names, ".txt"):
                pictures.extend(self._of_list(part, named, found.problems))
        return found

    def _of_list(
        self, path: Path, named: tuple[Mapping[str, str], Mapping[str, str]], problems: list[Problem]
    ) -> Iterator[Picture]:
        wanted = max(self.label, self.product or 0) + 1
        for number, row in _rows(path):
            if len(row) < wanted:
                problems.append(Problem(f"{path.name}:{number}", f"a line must have {wanted} columns, got {row}"))
                continue
            product = "" if self.product is None else row[self.product]
            label = named[0].get(row[self.label], row[self.label])
            yield Picture(row[0], path.parent / row[0], label, product=named[1].get(product, product))


def _parts(folder: Path, names: str | Sequence[str], ending: str = "") -> list[Path]:
    """The folders (or lists) of these names; without names those of val and test that there are."""
    wanted = [names] if isinstance(names, str) else list(names)
    paths = [folder / f"{name}{ending}" for name in wanted or _HELD_OUT]
    there = [path for path in paths if path.exists()]
    if wanted and there != paths:
        missing = next(path for path in paths if path not in there)
        raise EvaluationError(f"each split named must be there, there is no '{missing}'")
    return there


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Numbers and columns of the lines that are not blank; EvaluationError for a file that is not readable as text."""
    return RowFile(path, "the list", EvaluationError).lists()


def _names(folder: Path, where: Sequence[str | int]) -> dict[str, str]:
    """Names by id from the columns of a CSV file; EvaluationError where they are not as told."""
    if not where:
        return {}
    try:
        file, ids, names = where
        return {row[int(ids)]: row[int(names)] for _, row in _rows(folder / str(file))}
    except (ValueError, IndexError) as error:
        raise EvaluationError(
            f"names must be told as [file, column of ids, column of names], every row with both, got {list(where)}"
        ) from error


@dataclass(frozen=True)
class Catalogued:
    """A catalog, as `hashsearch.catalog` reads it; every fifth picture of each class (`every`) is searched with.

    `label` and `product` are `category`, `title`, `id` or the name of an attribute; `columns` name the catalog's own.
    """

    label: str = "category"
    product: str = ""
    every: int = 5
    columns: Mapping[str, str] = field(default_factory=dict)

    def read(self, folder: Path) -> Found:
        """The pictures of the entries whose source is a file; raises CatalogError and ConfigError."""
        found, pictures = Found(), []
        for entry in Catalog(folder, self.columns):
            if isinstance(entry, BadEntry):
                found.problems.append(Problem(entry.id or str(folder), entry.reason))
            elif entry.source.startswith(("http://", "https://")):
                found.problems.append(Problem(entry.id, f"only files are compared, got the address '{entry.source}'"))
            else:
                label, product = _value(entry, self.label), _value(entry, self.product)
                pictures.append(Picture(entry.id, Path(entry.source), label, product=product))
        return _shared(pictures, self.every, found)


def _value(entry: Entry, name: str) -> str:
    """What the entry says under that name, "" if nothing."""
    own = {"category": entry.category, "title": entry.title, "id": entry.id}
    value = own[name] if name in own else entry.attributes.get(name)
    return "" if value is None else str(value)
