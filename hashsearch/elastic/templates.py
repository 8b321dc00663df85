"""Index templates from `index_templates/*.json`, and the names of indices and aliases."""

from __future__ import annotations

import json
import re
from datetime import date
from importlib.resources import files
from typing import Any

from elasticsearch import Elasticsearch

from hashsearch.errors import ConfigError

_PREFIX = "hashsearch-"
_SETTINGS, _MAPPINGS = "hashsearch-settings", "hashsearch-mappings"


def alias_of(name: str) -> str:
    """The alias that a catalog is written and read through: `grocery` -> `hashsearch-grocery`."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,99}", name):
        raise ConfigError(
            f"an index is named with 1 to 100 of a-z, 0-9, '_' and '-', not starting with '_' or '-', got '{name}'"
        )
    return _PREFIX + name


def dated_index_of(name: str, day: date, fingerprint: str) -> str:
    """The index behind the alias: `grocery` -> `hashsearch-grocery-2026.11.21-fad2c3690a761333`.

    The encoder's fingerprint is part of it, so that every hit tells by its index's name what encoder wrote it.
    """
    return f"{alias_of(name)}-{day:%Y.%m.%d}-{fingerprint}"


def template(name: str) -> dict[str, Any]:
    """One file of `index_templates/`, without its ending."""
    body: dict[str, Any] = json.loads((files("hashsearch.elastic") / "index_templates" / f"{name}.json").read_text())
    return body


def fields() -> dict[str, Any]:
    """The fields of an image, by name."""
    properties: dict[str, Any] = template(_MAPPINGS)["template"]["mappings"]["properties"]
    return properties


def install(client: Elasticsearch) -> None:
    """Put the component templates and the index template; settings that are there already are the user's and stay."""
    if not client.cluster.exists_component_template(name=_SETTINGS):
        client.cluster.put_component_template(name=_SETTINGS, **_arguments(template(_SETTINGS)))
    client.cluster.put_component_template(name=_MAPPINGS, **_arguments(template(_MAPPINGS)))
    client.indices.put_index_template(name="hashsearch", **_arguments(template("hashsearch")))


def _arguments(body: dict[str, Any]) -> dict[str, Any]:
    return {name.lstrip("_"): value for name, value in body.items()}


# Images of one cell lie together on disk and in memory: comparing them is a walk through memory, not a jump each, and a
# graph over them is built in less time.
SORTED = {"sort.field": ["sub_codes"], "sort.order": ["asc"], "sort.mode": ["max"]}
# One bit a dimension, compared with a query of four: a better guide than the codes, where both sides are bits.
GRAPH = {"type": "bbq_hnsw", "m": 16, "ef_construction": 100}
QUANTISED_FROM = 64  # dims


def index_mappings(dims: int, bits: int, fingerprint: str, *, element_type: str = "float") -> dict[str, Any]:
    """What a new index adds to the template: lengths, and the encoder's fingerprint.

    `dims` and `element_type`, `float` or `byte`, are those of the re-rank vectors.
    """
    known = fields()
    code = {**known["code"], "dims": bits}
    embedding = {**known["embedding"], "dims": dims, "element_type": element_type}
    return {"_meta": {"encoder": fingerprint}, "properties": {"code": code, "embedding": embedding}}
