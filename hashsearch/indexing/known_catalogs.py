"""The catalogs that were indexed into an index, and whether another one would replace their images."""

from __future__ import annotations

from pathlib import Path

from hashsearch.catalog.reading import Catalog, Entry
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.errors import ChangesNotAccepted, ConfigError
from hashsearch.files import read_json, write_json
from hashsearch.indexing.changes import is_other_source
from hashsearch.overlap import batched

_FILE = "catalogs.json"
_AT_ONCE = 1000  # ids in one look-up


class KnownCatalogs:
    """The paths of the catalogs that were indexed into one index, in the folder of its checkpoint.

    Another index under the same name has other UUIDs, and no known catalogs.
    """

    def __init__(self, folder: Path, index: ImageIndex) -> None:
        self._file = folder / _FILE
        self._index = index

    def check(self, catalog: Catalog) -> None:
        """Raise ChangesNotAccepted if a catalog that is not known has ids of the index with pictures of other sources.

        Catalogs that name the same pictures, as the dumps of each week do, replace nothing.
        """
        if _name(catalog) in self._names() or not self._index.count():
            return
        replaced = replaced_ids(catalog, self._index)
        if replaced:
            raise ChangesNotAccepted(
                f"'{catalog.path}' was never indexed into '{self._index.alias}', and would replace the pictures of "
                f"{len(replaced)} ids there by others, the first of '{replaced[0]}'. Use another --index, or "
                "--accept-changes. Nothing was written"
            )

    def add(self, catalog: Catalog) -> None:
        """Remember a catalog; it may replace images from now on."""
        names = [name for name in self._names() if name != _name(catalog)]
        write_json(self._file, {"index": list(self._index.uuids), "catalogs": [*names, _name(catalog)]})

    def _names(self) -> list[str]:
        try:
            saved = read_json(self._file) or {}
        except (OSError, ConfigError, RecursionError):
            return []  # a damaged file only leads to a question more
        names = saved.get("catalogs")
        return names if saved.get("index") == list(self._index.uuids) and isinstance(names, list) else []


def replaced_ids(catalog: Catalog, index: ImageIndex) -> list[str]:
    """Ids of the entries whose image in the index is from another source."""
    replaced: list[str] = []
    for entries in batched((entry for entry in catalog if isinstance(entry, Entry)), _AT_ONCE):
        records = index.records([entry.id for entry in entries])
        replaced += [entry.id for entry in entries if is_other_source(entry, records.get(entry.id))]
    return replaced


def _name(catalog: Catalog) -> str:
    return str(catalog.path.resolve())
