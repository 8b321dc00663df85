"""Templates on a real node, and the names of what they make."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from hashsearch.elastic import templates
from hashsearch.errors import ConfigError

FILES = Path(__file__).parents[1] / "index_templates"


@pytest.mark.parametrize("name", ["a", "images", "grocery_2", "0", "a-b", "x" * 100])
def test_an_alias_is_the_name_with_a_prefix(name: str) -> None:
    assert templates.alias_of(name) == f"hashsearch-{name}"


@pytest.mark.parametrize(
    "name", ["", "A", "-a", "_a", "a b", "a*", "a,b", "a/b", "a.b", "..", "ä", "x" * 101, "a\n", "<a-{now/d}>"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"an index name must be 1 to 100 of a-z.*got '{re.escape(name)}'"):
        templates.alias_of(name)


def test_an_index_carries_its_day_and_encoder() -> None:
    index = templates.dated_index_of("grocery", date(2026, 1, 2), "0123456789abcdef")
    assert index == "hashsearch-grocery-2026.01.02-0123456789abcdef"


def test_every_file_is_found_as_installed() -> None:
    for file in FILES.glob("*.json"):
        assert templates.template(file.stem) == json.loads(file.read_text())
    assert {file.stem for file in FILES.glob("*.json")} == {
        "hashsearch",
        "hashsearch-settings",
        "hashsearch-mappings",
    }


def made(client: Elasticsearch, name: str) -> dict[str, Any]:
    """The description of an index made with the template and our mappings."""
    templates.install(client)
    templates.install(client)  # again: nothing changes
    index = templates.dated_index_of(name, date(2026, 1, 2), "0123456789abcdef")
    mappings = templates.index_mappings(64, 64, "0123456789abcdef")
    client.indices.create(index=index, mappings=mappings, settings={"index": templates.SORTED})
    description: dict[str, Any] = client.indices.get(index=index)[index]
    return description


VECTORS = ("code", "embedding", "phash")


def test_a_new_index_has_the_fields_of_an_image(client: Elasticsearch, fresh_name: str) -> None:
    description = made(client, fresh_name)
    mappings, settings = description["mappings"], description["settings"]["index"]
    assert mappings["dynamic"] == "strict"
    assert mappings["_meta"] == {"encoder": "0123456789abcdef"}
    assert set(mappings["_source"]["excludes"]) == {"code", "sub_codes", "embedding", "phash", "phash_blocks", "words"}
    fields = mappings["properties"]
    assert {name: field["type"] for name, field in fields.items()} == {
        "code": "dense_vector",
        "sub_codes": "keyword",
        "embedding": "dense_vector",
        "phash": "dense_vector",
        "phash_blocks": "keyword",
        "words": "text",
        "uri": "keyword",
        "title": "text",
        "category": "keyword",
        "attributes": "flattened",
        "width": "integer",
        "height": "integer",
        "sha256": "keyword",
        "indexed_at": "date",
    }
    vectors = {name: (fields[name].get("element_type", "float"), fields[name]["dims"]) for name in VECTORS}
    assert vectors == {"code": ("bit", 64), "embedding": ("float", 64), "phash": ("bit", 64)}
    assert fields["embedding"]["similarity"] == "cosine"
    kinds = {name: fields[name]["index_options"]["type"] for name in VECTORS}
    assert kinds == {"code": "flat", "embedding": "flat", "phash": "flat"}
    assert (settings["number_of_shards"], settings["auto_expand_replicas"]) == ("1", "0-1")


def test_a_new_index_is_sorted_by_sub_codes(client: Elasticsearch, fresh_name: str) -> None:
    sort = made(client, fresh_name)["settings"]["index"]["sort"]
    assert sort == {"field": ["sub_codes"], "order": ["asc"], "mode": ["max"]}


def test_embeddings_may_be_given_a_graph_later(client: Elasticsearch, fresh_name: str) -> None:
    made(client, fresh_name)
    (index,) = client.indices.get(index=f"{templates.alias_of(fresh_name)}-*")
    for _ in range(2):  # again: nothing changes
        embedding = client.indices.get(index=index)[index]["mappings"]["properties"]["embedding"]
        graph = {"embedding": {**embedding, "index_options": templates.GRAPH}}
        client.indices.put_mapping(index=index, properties=graph)
    after = client.indices.get(index=index)[index]["mappings"]["properties"]["embedding"]
    assert after.pop("index_options").items() >= {"type": "bbq_hnsw", "m": 16, "ef_construction": 100}.items()
    assert after.items() <= embedding.items()


def test_re_rank_vectors_of_bytes(client: Elasticsearch, fresh_name: str) -> None:
    templates.install(client)
    index = templates.dated_index_of(fresh_name, date(2026, 1, 2), "0123456789abcdef")
    mappings = templates.index_mappings(48, 64, "0123456789abcdef", element_type="byte")
    client.indices.create(index=index, mappings=mappings)
    embedding = client.indices.get(index=index)[index]["mappings"]["properties"]["embedding"]
    assert (embedding["element_type"], embedding["dims"], embedding["similarity"]) == ("byte", 48, "cosine")
    assert embedding["index_options"] == {"type": "flat"}


def test_the_files_can_be_installed_by_curl(client: Elasticsearch) -> None:
    """As they are, without this package: each is the body of one request."""
    for name, path in (
        ("hashsearch-settings", "/_component_template/hashsearch-settings"),
        ("hashsearch-mappings", "/_component_template/hashsearch-mappings"),
        ("hashsearch", "/_index_template/hashsearch"),
    ):
        body = json.loads((FILES / f"{name}.json").read_text())
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        assert client.perform_request("PUT", path, headers=headers, body=body).body == {"acknowledged": True}
