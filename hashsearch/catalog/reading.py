"""A catalog to entries: a folder of images, or the rows of a table file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from hashsearch.catalog.folder import PassedOver, scan
from hashsearch.catalog.roles import ROLES, Columns
from hashsearch.catalog.row import BadRow, Row
from hashsearch.catalog.rows import ENDINGS, RowFile, format_of
from hashsearch.errors import CatalogError, ConfigError
from hashsearch.images.embedded import embedded_source
from hashsearch.images.sources import located

_MAX_ID_BYTES = 512  # Elasticsearch's limit for an id
_NAMED = 40  # columns that a message names


@dataclass(frozen=True)
class Entry:
    """One image of a catalog.

    Parameters
    ----------
    id : str
        Identifies the image in the catalog and in the index. At most 512 bytes as UTF-8.
    source : str
        Absolute path of the image file, its http(s) address, or the place in a Parquet file that holds its bytes.
    title : str, optional
        Name to show.
    category : str, optional
        Category to filter by, and the label to learn from.
    attributes : mapping of str to JSON value
        All other columns. Empty and binary values are left out.
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
    one. In a folder every image file is an entry, whatever its name: its id is its path within the folder, its category
    the folder it is in. In a file every row is an entry; relative paths start at the folder of the file.

    Parameters
    ----------
    path : Path
        The folder or file.
    columns : mapping of str to str
        Names of columns by role: "id", "image", "title", "category". Roles without a name use the first usual name that
        the header has, such as "sku" for the id, whatever its case; in JSON lines the first with a value. Without a
        column for the id, the image's path or address is the id. All other columns become attributes.

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
            if role not in ROLES:
                raise ConfigError(f"a column's role must be one of {', '.join(ROLES)}, got '{role}'")
        if not self.path.exists():
            raise CatalogError(f"there is no catalog at '{self.path}'")
        if not self.path.is_dir() and format_of(self.path) is None:
            raise CatalogError(f"a catalog is a folder, {ENDINGS}, got '{self.path.name}'")
        if not self.path.is_dir() and not self.path.is_file():
            raise CatalogError(f"a catalog is a folder or a regular file, and '{self.path}' is neither")

    def check(self, allow_empty: bool | None = None) -> None:
        """Check that there is something to index, up to the first entry.

        Parameters
        ----------
        allow_empty : bool, optional
            Whether a catalog without any entry is accepted; False lets the error name the option, None does not.

        Raises
        ------
        CatalogError
            If the catalog cannot be read, has no entries, or has only bad ones for one and the same reason.
        ConfigError
            If no row has a column that `columns` names.
        """
        if self.path.is_dir():
            if not self._files and not allow_empty:
                detail = f" ({self.passed_over})" if self.passed_over else ""
                raise self._without_entries(detail, allow_empty)
            return
        self._check_columns()
        self._check_entries(allow_empty)

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
        return len(self._files) if self.path.is_dir() else RowFile(self.path).count()

    @property
    def passed_over(self) -> PassedOver:
        """What is in the folder and no entry, by reason; nothing for a file."""
        return self._scanned[1] if self.path.is_dir() else PassedOver()

    @cached_property
    def left_out(self) -> tuple[str, ...]:
        """Columns of binary values, which cannot be attributes; not that of images."""
        if self.path.is_dir():
            return ()
        return tuple(name for name in RowFile(self.path).binary_columns() if name != self._roles.image)

    def __iter__(self) -> Iterator[Entry | BadEntry]:
        return map(self._entry_of_file, self._files) if self.path.is_dir() else self._entries_of_rows()

    @property
    def _files(self) -> list[Path]:
        return self._scanned[0]

    @cached_property
    def _scanned(self) -> tuple[list[Path], PassedOver]:
        return scan(self.path)

    @cached_property
    def _roles(self) -> Columns:
        file = RowFile(self.path)
        return Columns(self.columns, file.columns(), file.has_header)

    @cached_property
    def _has_embedded_images(self) -> bool:
        return self._roles.image in RowFile(self.path).binary_columns()

    def _check_columns(self) -> None:
        """ConfigError if a column that was named is in no row."""
        file = RowFile(self.path)
        names = dict.fromkeys(file.columns())
        missing = set(self.columns.values()) - set(names)
        if missing and not file.has_header:
            for row in file.rows():
                if isinstance(row, Row):
                    names.update(dict.fromkeys(row.values))
                    if missing <= names.keys():
                        return
        for role, column in self.columns.items():
            if names and column not in names:
                raise ConfigError(
                    f"the {role} is in column '{column}', which '{self.path.name}' does not have: {_columns(names)}"
                )

    def _check_entries(self, allow_empty: bool | None) -> None:
        """CatalogError if there are no entries, or only bad ones that all break one rule."""
        rows = 0
        rules: set[str] = set()
        for entry in self:
            if isinstance(entry, Entry) or len(rules) > 1:
                return
            rows += 1
            rules.add(re.sub(r"^(line|row) \d+:? ", "", entry.reason))
        if not rows and not allow_empty:
            header = RowFile(self.path).columns()
            raise self._without_entries(f", only a header: {', '.join(header)}" if header else "", allow_empty)
        if rows > 1 and len(rules) == 1:
            which = f"none of the {rows} rows of '{self.path.name}' can be indexed"
            raise CatalogError(f"{which}, all for one reason: {rules.pop()}; {_columns(self._roles.names)}")

    def _without_entries(self, detail: str, allow_empty: bool | None) -> CatalogError:
        hint = "" if allow_empty is None else "; --allow-empty accepts a catalog without images"
        return CatalogError(f"the catalog '{self.path}' has no images{detail}{hint}")

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
        roles = self._roles
        values, rest = roles.split(row.values)
        image = self._source(row.number, values["image"])
        image_id = _name(values["id"])
        if roles.id is None and image_id is None:
            image_id = _name(_path(values["image"])) or (str(row.number) if image else None)
        if image is None and (image_id is not None or roles.id is None):
            return BadEntry(image_id, f"an entry must have a path or address in column {roles.named('image')}")
        if image is None or image_id is None:
            return BadEntry(None, f"an entry must have an id in column {roles.named('id')}")
        nested = rest.pop("attributes", None)
        attributes = {**rest, **(nested if isinstance(nested, dict) else {"attributes": nested})}
        return _checked(Entry(image_id, image, _text(values["title"]), _text(values["category"]), attributes))

    def _source(self, number: int, value: Any) -> str | None:
        """The address of a row's image: in the file itself, or what the row says."""
        if self._has_embedded_images:
            return embedded_source(self.path.absolute(), number, str(self._roles.image))
        text = _name(_path(value))
        return None if text is None else located(text, self.path.absolute().parent)


def _checked(entry: Entry) -> Entry | BadEntry:
    """The entry with its attributes as JSON values, those without a name or value left out, if JSON can hold it."""
    try:
        written = orjson.dumps(entry, default=_json_value, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError as error:
        return BadEntry(entry.id, f"an entry must be UTF-8 text and 64-bit numbers, not nested too deeply: {error}")
    if "\0" in entry.id or "\0" in entry.source:
        return BadEntry(entry.id, "an id and a path may not contain the character NUL")
    if (size := len(entry.id.encode())) > _MAX_ID_BYTES:
        return BadEntry(entry.id, f"an id may have at most {_MAX_ID_BYTES} bytes, got {size}")
    attributes = orjson.loads(written)["attributes"]
    return replace(entry, attributes={name: value for name, value in attributes.items() if name and not _empty(value)})


def _json_value(value: Any) -> str | None:
    """A value that JSON does not have, as text; binary values become null."""
    return None if isinstance(value, (bytes, bytearray, memoryview)) else str(value)


def _columns(names: Mapping[str, Any] | list[str]) -> str:
    shown = [name for name in names if name]
    more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    return f"its columns are {', '.join(shown[:_NAMED])}{more}"


def _path(image: Any) -> Any:
    """The path in a value of an image column: itself, or that of Hugging Face's `{bytes, path}`."""
    return image.get("path") if isinstance(image, dict) else image


def _empty(value: Any) -> bool:
    return value in (None, "", []) or value != value  # NaN is no value


def _name(value: Any) -> str | None:
    """The text of an id or a path, which no list or object is."""
    return None if isinstance(value, (list, dict)) else _text(value)


def _text(value: Any) -> str | None:
    if _empty(value):
        return None
    if isinstance(value, (bool, list, dict)):
        value = json.dumps(value, ensure_ascii=False, default=_json_value)
    return str(value).strip() or None
