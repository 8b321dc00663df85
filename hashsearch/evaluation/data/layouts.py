"""How data sets are stored: a folder for each class, with splits or without, lists of files, catalogs.

Each layout holds its options, and reads the pictures of a folder (or catalog file).
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
from hashsearch.evaluation.data.pictures import LeftOut, Picture

_QUERY_SPLITS = ("val", "test")


@dataclass
class PictureSplit:
    """Pictures to search, pictures to search with, and those left out."""

    base: list[Picture] = field(default_factory=list)
    queries: list[Picture] = field(default_factory=list)
    problems: list[LeftOut] = field(default_factory=list)


@dataclass(frozen=True)
class Splits:
    """FOLDER/train/CLASS/*, FOLDER/val/CLASS/*, FOLDER/test/CLASS/*; a class may be nested, its label is the path.

    `base` and `queries` name the folders to read; without `queries` val and test, where they exist.
    """

    base: str | Sequence[str] = "train"
    queries: str | Sequence[str] = ()

    def read(self, folder: Path) -> PictureSplit:
        """The pictures of all splits; EvaluationError for a named split that does not exist."""
        split = PictureSplit()
        for pictures, names in ((split.base, self.base), (split.queries, self.queries)):
            for path in _split_paths(folder, names):
                pictures.extend(_in_classes(folder, path.name + "/", split.problems))
        return split


@dataclass(frozen=True)
class Folders:
    """FOLDER/CLASS/*: in each class every fifth file by name (`every`) is a query, the others are searched."""

    every: int = 5

    def read(self, folder: Path) -> PictureSplit:
        """The pictures of all class folders."""
        split = PictureSplit()
        return _shared(_in_classes(folder, "", split.problems), self.every, split)


def _in_classes(folder: Path, prefix: str, problems: list[LeftOut]) -> list[Picture]:
    """Pictures of FOLDER/PREFIX by their class folders; pictures outside of class folders have no label."""
    pictures = []
    for entry in Catalog(folder / prefix):
        if isinstance(entry, BadEntry):
            problems.append(LeftOut(f"{prefix}{entry.id}", entry.reason))
        else:
            pictures.append(Picture(prefix + entry.id, Path(entry.source), entry.category or ""))
    classes = {picture.label for picture in pictures}
    for name in _innermost(folder / prefix):
        if name not in classes:
            problems.append(LeftOut(prefix + name, "a class folder must hold a picture, this one holds none"))
    return pictures


def _innermost(folder: Path) -> Iterator[str]:
    """Folders that hold no folders, as paths within `folder`; hidden folders are ignored."""
    for path, folders, _ in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if not folders and Path(path) != folder:
            yield Path(path).relative_to(folder).as_posix()


def _shared(pictures: Sequence[Picture], every: int, split: PictureSplit) -> PictureSplit:
    """Add the first of every `every` pictures of a class (or product, where known) as a query, the others as base."""
    if not isinstance(every, int) or every < 2:
        raise EvaluationError(f"'every' must be a whole number of at least 2, got {every!r}")
    counts: dict[str, int] = defaultdict(int)
    for picture in pictures:
        group = picture.product or picture.label
        (split.base if counts[group] % every else split.queries).append(picture)
        counts[group] += 1
    return split


@dataclass(frozen=True)
class Lists:
    """FOLDER/train.txt, FOLDER/val.txt, FOLDER/test.txt: lines of "path, id, id ...", with paths within FOLDER.

    `label` and `product` are column numbers; the path is column 0. `label_names` and `product_names` map ids to names:
    a CSV file within FOLDER, its ID column and its name column, such as `["classes.csv", 1, 0]`.
    `base` and `queries` name the lists to read; without `queries` val and test, where they exist.
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
                raise EvaluationError(f"'label' and 'product' must be column numbers of at least 1, got {column!r}")

    def read(self, folder: Path) -> PictureSplit:
        """The pictures of all lists; EvaluationError for a named list that does not exist or cannot be read."""
        split = PictureSplit()
        names_by_id = _names(folder, self.label_names), _names(folder, self.product_names)
        for pictures, names in ((split.base, self.base), (split.queries, self.queries)):
            for path in _split_paths(folder, names, ".txt"):
                pictures.extend(self._of_list(path, names_by_id, split.problems))
        return split

    def _of_list(
        self, path: Path, names_by_id: tuple[Mapping[str, str], Mapping[str, str]], problems: list[LeftOut]
    ) -> Iterator[Picture]:
        columns = max(self.label, self.product or 0) + 1
        for number, row in _rows(path):
            if len(row) < columns:
                problems.append(LeftOut(f"{path.name}:{number}", f"a line must have {columns} columns, got {row}"))
                continue
            product = "" if self.product is None else row[self.product]
            label = names_by_id[0].get(row[self.label], row[self.label])
            yield Picture(row[0], path.parent / row[0], label, product=names_by_id[1].get(product, product))


def _split_paths(folder: Path, names: str | Sequence[str], ending: str = "") -> list[Path]:
    """The folders (or lists) with these names; without names, those of val and test that exist."""
    required = [names] if isinstance(names, str) else list(names)
    paths = [folder / f"{name}{ending}" for name in required or _QUERY_SPLITS]
    existing = [path for path in paths if path.exists()]
    if required and existing != paths:
        missing = next(path for path in paths if path not in existing)
        raise EvaluationError(f"every named split must exist, but there is no '{missing}'")
    return existing


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Numbers and columns of the lines that are not blank; EvaluationError for a file that cannot be read as text."""
    return RowFile(path, "the list", EvaluationError).lists()


def _names(folder: Path, option: Sequence[str | int]) -> dict[str, str]:
    """Names by id from two columns of a CSV file; EvaluationError where the option or a row does not fit."""
    if not option:
        return {}
    try:
        file, ids, names = option
        return {row[int(ids)]: row[int(names)] for _, row in _rows(folder / str(file))}
    except (ValueError, IndexError) as error:
        raise EvaluationError(
            f"names must be given as [file, ID column, name column], and every row must have both, got {list(option)}"
        ) from error


@dataclass(frozen=True)
class Catalogued:
    """A catalog, as `hashsearch.catalog` reads it; every fifth picture of each class (`every`) is a query.

    `label` and `product` are `category`, `title`, `id` or an attribute's name; `columns` are the catalog's own names.
    """

    label: str = "category"
    product: str = ""
    every: int = 5
    columns: Mapping[str, str] = field(default_factory=dict)

    def read(self, folder: Path) -> PictureSplit:
        """The pictures of the entries whose source is a file; CatalogError and ConfigError of the catalog."""
        split, pictures = PictureSplit(), []
        for entry in Catalog(folder, self.columns):
            if isinstance(entry, BadEntry):
                split.problems.append(LeftOut(entry.id or str(folder), entry.reason))
            elif entry.source.startswith(("http://", "https://")):
                split.problems.append(LeftOut(entry.id, f"a comparison reads files only, got the URL '{entry.source}'"))
            else:
                label, product = _value(entry, self.label), _value(entry, self.product)
                pictures.append(Picture(entry.id, Path(entry.source), label, product=product))
        return _shared(pictures, self.every, split)


def _value(entry: Entry, name: str) -> str:
    """The entry's field or attribute of that name, "" without it."""
    known = {"category": entry.category, "title": entry.title, "id": entry.id}
    value = known[name] if name in known else entry.attributes.get(name)
    return "" if value is None else str(value)
