"""A catalog to entries: a folder of images, or the rows of a table file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from hashsearch.catalog.rows import ENDINGS, BadRow, Row, RowFile, format_of
from hashsearch.errors import CatalogError, ConfigError
from hashsearch.images.sources import located

_IMAGE_ENDINGS = {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
_COLUMNS = {
    "id": ("id", "sku"),
    "image": ("image", "path", "url", "uri", "file", "filename", "image_url"),
    "title": ("title", "name"),
    "category": ("category",),
}
_MAX_ID_BYTES = 512  # Elasticsearch's limit for an id


@dataclass(frozen=True)
class Entry:
    """One image of a catalog.

    Parameters
    ----------
    id : str
        Identifies the image in the catalog and in the index. At most 512 bytes as UTF-8.
    source : str
        Absolute path of the image file, or its http(s) address.
    title : str, optional
        Name to show.
    category : str, optional
        Category to filter by, and the label to learn from.
    attributes : mapping of str to JSON value
        All other columns. Empty values are left out.
    """

    id: str
    source: str
    title: str | None = None
    category: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BadEntry:
    """A row or file that cannot be an entry, and the rule it breaks."""

    id: str | None
    reason: str


@dataclass(frozen=True)
class Catalog:
    """Images to index, read from a folder or from a CSV, TSV, JSON lines or Parquet file, gzipped or not.

    Iterating yields an `Entry` for each image, always in the same order, and a `BadEntry` for each row that cannot be
    one. In a folder every image file is an entry: its id is its path within the folder, its category the folder it is
    in. In a file every row is an entry; relative paths start at the folder of the file.

    Parameters
    ----------
    path : Path
        The folder or file.
    columns : mapping of str to str
        Names of columns by role: "id", "image", "title", "category". Roles without a name use the first column of a
        usual name that has a value, such as "sku" for the id. All other columns become attributes.

    Raises
    ------
    CatalogError
        If there is nothing at `path`, or a file of another format; while iterating, if the file is damaged.
    ConfigError
        If `columns` has an unknown role; while iterating, if a Parquet file needs pyarrow and it is not installed.
    """

    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for role in self.columns:
            if role not in _COLUMNS:
                raise ConfigError(f"a column's role must be one of {', '.join(_COLUMNS)}, got '{role}'")
        if not self.path.exists():
            raise CatalogError(f"there is no catalog at '{self.path}'")
        if not self.path.is_dir() and format_of(self.path) is None:
            raise CatalogError(f"a catalog is a folder, {ENDINGS}, got '{self.path.name}'")

    def check(self) -> None:
        """Read the header, before any entry is read.

        Raises
        ------
        CatalogError
            If the file cannot be read.
        ConfigError
            If the file lacks a column that `columns` names. Objects of JSON lines may differ, so there it is no error.
        """
        if self.path.is_dir():
            return
        names = RowFile(self.path).header()
        for role, column in self.columns.items():
            if names is not None and column not in names:
                raise ConfigError(
                    f"the {role} is in column '{column}', which '{self.path.name}' does not have: its columns are "
                    f"{', '.join(names)}"
                )

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the file's content or of the folder's file names, and of the columns.

        A checkpoint is valid for the catalog with the fingerprint that it was made with.
        """
        digest = hashlib.sha256(json.dumps(sorted(self.columns.items())).encode())
        if self.path.is_dir():
            for file in self._files:
                digest.update(file.relative_to(self.path).as_posix().encode("utf-8", "surrogateescape") + b"\0")
        else:
            with self.path.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()[:16]

    @cached_property
    def total(self) -> int:
        """Number of entries, bad ones included."""
        return len(self._files) if self.path.is_dir() else sum(1 for _ in RowFile(self.path).rows())

    def __iter__(self) -> Iterator[Entry | BadEntry]:
        return map(self._entry_of_file, self._files) if self.path.is_dir() else self._entries_of_rows()

    @cached_property
    def _files(self) -> list[Path]:
        return sorted(
            file
            for file in self.path.rglob("*")
            if file.suffix.lower() in _IMAGE_ENDINGS
            and file.is_file()
            and not any(part.startswith(".") for part in file.relative_to(self.path).parts)
        )

    def _entry_of_file(self, file: Path) -> Entry | BadEntry:
        inside = file.relative_to(self.path)
        category = inside.parent.as_posix() if inside.parent.parts else None
        title = inside.stem.replace("_", " ").replace("-", " ")
        return _checked(Entry(inside.as_posix(), str(file.absolute()), title, category))

    def _entries_of_rows(self) -> Iterator[Entry | BadEntry]:
        file = RowFile(self.path)
        known_ids: set[int] = set()  # hashes, which take 60 bytes each
        for row in file.rows():
            if isinstance(row, BadRow):
                yield BadEntry(None, row.reason)
                continue
            entry = self._entry_of_row(row)
            if isinstance(entry, Entry) and hash(entry.id) in known_ids:
                entry = BadEntry(entry.id, "an id may occur only once in a catalog, an earlier row has it")
            if isinstance(entry, BadEntry):
                yield replace(entry, reason=f"{file.unit} {row.number}: {entry.reason}")
                continue
            known_ids.add(hash(entry.id))
            yield entry

    def _entry_of_row(self, row: Row) -> Entry | BadEntry:
        rest = dict(row.values)
        values = {role: self._take(rest, role) for role in _COLUMNS}
        image_id = _text(values["id"])
        if image_id is None:
            return BadEntry(None, f"an entry must have an id in column {self._column_names('id')}")
        source = _text(values["image"])
        if source is None:
            return BadEntry(image_id, f"an entry must have a path or address in column {self._column_names('image')}")
        source = located(source, self.path.absolute().parent)
        nested = rest.pop("attributes", None)
        attributes = {**rest, **(nested if isinstance(nested, dict) else {"attributes": nested})}
        return _checked(Entry(image_id, source, _text(values["title"]), _text(values["category"]), attributes))

    def _take(self, values: dict[str, Any], role: str) -> Any:
        """Remove and return the value of a role."""
        if role in self.columns:
            return values.pop(self.columns[role], None)
        for name in _COLUMNS[role]:
            if values.get(name) not in (None, ""):
                return values.pop(name)
        return None

    def _column_names(self, role: str) -> str:
        return " or ".join(f"'{name}'" for name in ([self.columns[role]] if role in self.columns else _COLUMNS[role]))


def _checked(entry: Entry) -> Entry | BadEntry:
    """The entry with its attributes as JSON values, those without a name or value left out, if JSON can hold it."""
    try:
        written = orjson.dumps(entry, default=str, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError as error:
        return BadEntry(entry.id, f"an entry must be UTF-8 text and 64-bit numbers, not nested too deeply: {error}")
    if (size := len(entry.id.encode())) > _MAX_ID_BYTES:
        return BadEntry(entry.id, f"an id may have at most {_MAX_ID_BYTES} bytes, got {size}")
    attributes = orjson.loads(written)["attributes"]
    return replace(entry, attributes={name: value for name, value in attributes.items() if name and not _empty(value)})


def _empty(value: Any) -> bool:
    return value in (None, "", []) or value != value  # NaN is no value


def _text(value: Any) -> str | None:
    return None if _empty(value) else str(value)
