"""Filters that fit an index: unknown attribute names are errors, and an empty result says whether filters caused it.

The mapping does not list the names of attributes, as they are keys of one flattened field. A name is looked up by
whether any image has it, which is exact; the names that an error lists are those of a sample of images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from time import monotonic
from typing import Any

from hashsearch.elastic import queries
from hashsearch.elastic.document import ATTRIBUTES, attribute
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.errors import SearchError

NO_IMAGE_PASSES = "no image passes the filters"
NAMES_EXPIRE = 60.0  # seconds
_MAX_NAMES = 1000  # whose look-ups are remembered
_MAX_NAME = 500  # bytes; Elasticsearch cannot look up names of 1,000, and such a name is not checked
_QUOTED = 80  # characters of a name in an error
_SAMPLED, _LISTED = 1000, 30  # images that names are read from, and names in an error


class FilterChecks:
    """Checks the filters of searches on one index. Names that it has are remembered for `names_expire` seconds."""

    def __init__(self, index: ImageIndex, names_expire: float = NAMES_EXPIRE) -> None:
        self.index = index
        self.names_expire = names_expire
        self._known: dict[str, float] = {}
        self._listed: tuple[float, list[str]] | None = None

    def check_names(self, names: Iterable[str]) -> None:
        """Raise SearchError for an attribute that no image of the index has; any name fits an empty index."""
        for name in names:
            if monotonic() - self._known.get(name, float("-inf")) < self.names_expire:
                continue
            if len(name.encode(errors="replace")) > _MAX_NAME:
                continue
            if not self._exists(name):
                if not self.index.count():
                    return
                got = name if len(name) <= _QUOTED else f"{name[:_QUOTED]}..."
                raise SearchError(f"a filter must name an attribute of the images, got '{got}'; {self._known_names()}")
            if len(self._known) >= _MAX_NAMES:
                self._known.clear()
            self._known[name] = monotonic()

    def note(self, filters: Sequence[queries.Body]) -> str | None:
        """What to say with an empty result: that no image passes the filters, or None."""
        return NO_IMAGE_PASSES if filters and not self.index.count(filters) else None

    def _exists(self, name: str) -> bool:
        body = {"query": {"exists": {"field": attribute(name)}}, "size": 1, "terminate_after": 1, "_source": False}
        (answer,) = self.index.search(body)
        return bool(answer["hits"]["hits"])

    def _known_names(self) -> str:
        """The attributes of a sample of images, as a part of a sentence."""
        if self._listed is None or monotonic() - self._listed[0] > self.names_expire:
            has_any = queries.sample(_SAMPLED, [{"exists": {"field": ATTRIBUTES}}])
            (answer,) = self.index.search({**has_any, "_source": [ATTRIBUTES]})
            self._listed = (
                monotonic(),
                sorted({name for hit in answer["hits"]["hits"] for name in _names(hit["_source"].get(ATTRIBUTES, {}))}),
            )
        names = self._listed[1]
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        return f"known: {', '.join(names[:_LISTED])}{more}" if names else "the images have no attributes"


def _names(attributes: Mapping[str, Any]) -> Iterator[str]:
    """The names that a filter may use; `{"size": {"width": 3}}` has `size.width`."""
    for name, value in attributes.items():
        if isinstance(value, Mapping):
            yield from (f"{name}.{inner}" for inner in _names(value))
        else:
            yield name
