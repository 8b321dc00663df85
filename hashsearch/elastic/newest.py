"""An alias with several indices: which of them is the newest, and the hits that a newer one supersedes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hashsearch.elastic.queries import MAX_CANDIDATES, Body

_DEFAULT_SIZE = 10  # of a search that has no size


def newest_first(descriptions: Mapping[str, Any], alias: str) -> list[str]:
    """The names of indices: the alias's write index, then the others from the last created to the first."""

    def age(name: str) -> tuple[bool, int, str]:
        is_write_index = descriptions[name]["aliases"].get(alias, {}).get("is_write_index", False)
        return is_write_index, int(descriptions[name]["settings"]["index"]["creation_date"]), name

    return sorted(descriptions, key=age, reverse=True)


def size_of(body: Body) -> int:
    """How many hits a search returns at most."""
    return int(body.get("size", _DEFAULT_SIZE))


def wider(body: Body, indices: int) -> Body:
    """The same search with enough hits that as many are left when each image is kept once."""
    return {**body, "size": min(MAX_CANDIDATES, size_of(body) * indices)} if size_of(body) else body


def older_ids(hits: Sequence[Mapping[str, Any]], order: Sequence[str]) -> list[str]:
    """Ids of hits that are not from the newest index, and may be superseded; `order` is newest first."""
    return sorted({hit["_id"] for hit in hits if _rank(hit, order)})


def without_superseded(
    hits: Sequence[dict[str, Any]], newer: Sequence[Mapping[str, Any]], order: Sequence[str]
) -> list[dict[str, Any]]:
    """The hits without those whose id is in a newer index too; `newer` are the hits of a search for their ids there."""
    best: dict[str, int] = {}
    for hit in newer:
        best[hit["_id"]] = min(_rank(hit, order), best.get(hit["_id"], len(order)))
    return [hit for hit in hits if _rank(hit, order) <= best.get(hit["_id"], len(order))]


def _rank(hit: Mapping[str, Any], order: Sequence[str]) -> int:
    """The place of a hit's index; that of an index that joined just now is first."""
    return order.index(hit["_index"]) if hit["_index"] in order else 0
