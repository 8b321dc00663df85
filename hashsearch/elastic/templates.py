"""Index templates from `index_templates/*.json`, and the names of indices and aliases."""

from __future__ import annotations

import json
import re
from datetime import date
from importlib.resources import files
from typing import Any

from elasticsearch import Elasticsearch

from hashsearch.elastic.document import CODE, EMBEDDING
from hashsearch.errors import ConfigError

_PREFIX = "hashsearch-"
_SETTINGS, _MAPPINGS = "hashsearch-settings", "hashsearch-mappings"


def alias_of(name: str) -> str:
    """The alias for reading and writing a catalog: `grocery` -> `hashsearch-grocery`."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,99}", name):
        raise ConfigError(
            f"an index name must be 1 to 100 of a-z, 0-9, '_' and '-', not starting with '_' or '-', got '{name}'"
        )
    return _PREFIX + name


def dated_index_of(name: str, day: date, fingerprint: str) -> str:
    """The index behind the alias: `grocery` -> `hashsearch-grocery-2026.11.21-fad2c3690a761333`.

    It ends with the encoder's fingerprint: the index name of every hit shows which encoder wrote it.
    """
    return f"{alias_of(name)}-{day:%Y.%m.%d}-{fingerprint}"


def template(name: str) -> dict[str, Any]:
    """The content of one file of `index_templates/`, by its name without `.json`."""
    body: dict[str, Any] = json.loads((files("hashsearch.elastic") / "index_templates" / f"{name}.json").read_text())
    return body


def fields() -> dict[str, Any]:
    """The mapping of each field of a document."""
    properties: dict[str, Any] = template(_MAPPINGS)["template"]["mappings"]["properties"]
    return properties


def install(client: Elasticsearch) -> None:
    """Install the index template and its components; settings that are already installed are the user's and stay."""
    if not client.cluster.exists_component_template(name=_SETTINGS):
        client.cluster.put_component_template(name=_SETTINGS, **_arguments(template(_SETTINGS)))
    client.cluster.put_component_template(name=_MAPPINGS, **_arguments(template(_MAPPINGS)))
    client.indices.put_index_template(name="hashsearch", **_arguments(template("hashsearch")))


def _arguments(body: dict[str, Any]) -> dict[str, Any]:
    return {name.lstrip("_"): value for name, value in body.items()}


# Images of one cell lie together on disk and in memory: comparing them reads memory in order, and a graph over them is
# built in less time.
SORTED = {"sort.field": [CODE.terms], "sort.order": ["asc"], "sort.mode": ["max"]}
# One bit per dimension, compared with four bits of the query: more exact than codes, where both sides are single bits.
GRAPH = {"type": "bbq_hnsw", "m": 16, "ef_construction": 100}
QUANTISED_FROM = 64  # dims


def index_mappings(dims: int, bits: int, fingerprint: str, *, element_type: str = "float") -> dict[str, Any]:
    """What a new index adds to the template: the lengths of its vectors, and the encoder's fingerprint.

    `dims` and `element_type` (`float` or `byte`) are those of the re-rank vectors.
    """
    template_fields = fields()
    code = {**template_fields[CODE.code], "dims": bits}
    embedding = {**template_fields[EMBEDDING], "dims": dims, "element_type": element_type}
    return {"_meta": {"encoder": fingerprint}, "properties": {CODE.code: code, EMBEDDING: embedding}}
