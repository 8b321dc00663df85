"""A catalog dump to entries: a folder of images, or CSV, TSV, JSON lines or Parquet, gzipped or not."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import random
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import orjson

from hashsearch.errors import CatalogError, ConfigError

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
    """One image of the catalog. `source` is a path or an http(s) address; `attributes` hold what JSON does."""

    id: str
    source: str
    title: str | None = None
    category: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BadEntry:
    """A row that is no entry, and the rule it breaks."""

    id: str | None
    reason: str


@dataclass(frozen=True)
class Catalog:
    """Entries in a fixed order, which a checkpoint counts on. `columns` names those for id, image, title, category.

    Columns that are not named are looked for under their usual names; all others become attributes.
    """

    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for role in self.columns:
            if role not in _COLUMNS:
                raise ConfigError(f"a column's role must be one of {', '.join(_COLUMNS)}, got '{role}'")
        if not self.path.exists():
            raise CatalogError(f"there is no catalog at '{self.path}'")

    def check(self) -> None:
        """Refuse a file of an unknown format, and columns that a table does not have, before any entry is read.

        JSON lines may differ in their names, so their columns are not checked.
        """
        if self.path.is_dir():
            return
        first = next(self._rows(), None)
        if not isinstance(first, dict) or not _has_header(self.path):
            return
        for role, column in self.columns.items():
            if column not in first:
                raise ConfigError(
                    f"the {role} is in column '{column}', which '{self.path.name}' does not have: its columns are "
                    f"{', '.join(first)}"
                )

    @cached_property
    def fingerprint(self) -> str:
        """Changes when a file's content, a folder's file names or the columns change: then no checkpoint holds."""
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
        """How many entries there are, bad ones included."""
        return len(self._files) if self.path.is_dir() else sum(1 for _ in self._rows())

    def __iter__(self) -> Iterator[Entry | BadEntry]:
        """All entries in order; a row that is none becomes a BadEntry. CatalogError when the file itself is broken."""
        if self.path.is_dir():
            yield from map(self._entry_of_file, self._files)
            return
        seen: set[int] = set()  # hashes: some 60 bytes an entry
        for row in self._rows():
            entry = row if isinstance(row, BadEntry) else self._entry_of_row(row)
            if isinstance(entry, Entry) and hash(entry.id) in seen:
                entry = BadEntry(entry.id, "an id may stand in the catalog once, this one came before")
            if isinstance(entry, Entry):
                seen.add(hash(entry.id))
            yield entry

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

    def _rows(self) -> Iterator[dict[str, Any] | BadEntry]:
        name = self.path.name.lower().removesuffix(".gz")
        try:
            if name.endswith(".parquet"):
                yield from _parquet_rows(self.path)
                return
            with _open_text(self.path) as lines:
                if name.endswith((".csv", ".tsv")):
                    yield from _csv_rows(lines, "\t" if name.endswith(".tsv") else ",")
                elif name.endswith((".jsonl", ".ndjson")):
                    yield from _json_rows(lines)
                else:
                    raise CatalogError(
                        f"a catalog is a folder, .csv, .tsv, .jsonl, .ndjson (or those with .gz) or .parquet, "
                        f"got '{self.path.name}'"
                    )
        except (OSError, EOFError, zlib.error, csv.Error) as error:
            raise CatalogError(f"catalog '{self.path}' cannot be read: {error}") from error

    def _entry_of_row(self, row: dict[str, Any]) -> Entry | BadEntry:
        named = {role: self._take(row, role) for role in _COLUMNS}
        image_id = _text(named["id"])
        if image_id is None:
            return BadEntry(None, f"an entry must have an id, in the column {self._wanted('id')}")
        source = _text(named["image"])
        if source is None:
            return BadEntry(image_id, f"an entry must have a path or address, in the column {self._wanted('image')}")
        if not source.startswith(("http://", "https://")):
            source = str(self.path.absolute().parent / source)
        extra = row.pop("attributes", None)
        attributes = {**row, **(extra if isinstance(extra, dict) else {} if extra is None else {"attributes": extra})}
        return _checked(Entry(image_id, source, _text(named["title"]), _text(named["category"]), attributes))

    def _take(self, row: dict[str, Any], role: str) -> Any:
        """Remove and return the value for a role from the row."""
        if role in self.columns:
            return row.pop(self.columns[role], None)
        for name in _COLUMNS[role]:
            if row.get(name) not in (None, ""):
                return row.pop(name)
        return None

    def _wanted(self, role: str) -> str:
        return f"'{self.columns[role]}'" if role in self.columns else " or ".join(f"'{n}'" for n in _COLUMNS[role])


def _checked(entry: Entry) -> Entry | BadEntry:
    """The entry with attributes as JSON holds them, those without a name or value left out, if it can be written."""
    try:
        written = orjson.dumps(entry, default=str, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError as error:
        return BadEntry(entry.id, f"an entry must be UTF-8 text and 64-bit numbers, not too deep: {error}")
    if (size := len(entry.id.encode())) > _MAX_ID_BYTES:
        return BadEntry(entry.id, f"an id may have at most {_MAX_ID_BYTES} bytes, got {size}")
    attributes = orjson.loads(written)["attributes"]
    return replace(entry, attributes={name: value for name, value in attributes.items() if name and not _empty(value)})


def _has_header(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith((".csv", ".tsv", ".parquet"))


def _empty(value: Any) -> bool:
    return value in (None, "", []) or value != value  # NaN is no value


def _text(value: Any) -> str | None:
    return None if _empty(value) else str(value)


def _open_text(path: Path) -> IO[str]:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _csv_rows(lines: Iterable[str], delimiter: str) -> Iterator[dict[str, Any] | BadEntry]:
    for row in csv.DictReader(lines, delimiter=delimiter):
        if None in row or None in row.values():
            yield BadEntry(None, f"a row must have as many fields as the header: {list(row.values())[:3]} ... does not")
        else:
            yield row


def _json_rows(lines: Iterable[str]) -> Iterator[dict[str, Any] | BadEntry]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield BadEntry(None, f"line {number} must be a JSON object: {error}")
            continue
        yield (
            row if isinstance(row, dict) else BadEntry(None, f"line {number} must be a JSON object, got {line[:40]}")
        )


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("Parquet catalogs need pyarrow: pip install 'hashsearch[parquet]'") from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise CatalogError(f"catalog '{path}' cannot be read: {error}") from error


def sample_sources(catalogs: Sequence[Catalog], count: int, seed: int) -> list[str]:
    """Sources of at most `count` entries of all the catalogs, each as likely as the other, in the catalogs' order."""
    return [source for source, _ in sample_labelled(catalogs, count, seed)]


def sample_labelled(catalogs: Sequence[Catalog], count: int, seed: int) -> list[tuple[str, str | None]]:
    """The same sources, each with its category; CatalogError when there is no entry."""
    sources = [(entry.source, entry.category) for catalog in catalogs for entry in catalog if isinstance(entry, Entry)]
    if not sources:
        raise CatalogError(f"there are no images in {', '.join(str(catalog.path) for catalog in catalogs)}")
    chosen = random.Random(seed).sample(range(len(sources)), min(count, len(sources)))
    return [sources[place] for place in sorted(chosen)]
