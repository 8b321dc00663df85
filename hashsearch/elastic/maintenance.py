"""Changes to a whole index: new fields, its vocabulary and tuning, merging, and the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from hashsearch.elastic import document, templates
from hashsearch.elastic.client import store_error, store_errors
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.tuned import Tuned
from hashsearch.errors import VocabularyMismatch
from hashsearch.overlap import batched

_MERGE_SECONDS = 6 * 3600
_REMOVED_AT_ONCE = 1000  # images in one request


def add_fields(index: ImageIndex) -> None:
    """Add the fields that this version writes to an index that an older version created."""
    current = templates.fields()
    for name, description in index.descriptions().items():
        missing = current.keys() - description["mappings"]["properties"].keys()
        if missing:
            _put_mapping(index, name, properties={field: current[field] for field in missing})


def set_vocabulary(index: ImageIndex, vocabulary: str | None) -> ImageIndex:
    """The index, from now on for images with words of the vocabulary with this fingerprint; None: without words.

    Only an empty index can be given a vocabulary. VocabularyMismatch when it holds images with other words or none.
    """
    if vocabulary == index.vocabulary:
        return index
    index.refresh()
    if vocabulary is None or index.count():
        raise VocabularyMismatch(index.alias, index.vocabulary, vocabulary)
    add_fields(index)
    _save_meta(index, "vocabulary", vocabulary)
    return replace(index, vocabulary=vocabulary)


def save_tuning(index: ImageIndex, tuned: Tuned | None) -> ImageIndex:
    """The index with these tuned values, which searches use by default from now on; None removes them."""
    _save_meta(index, "search", tuned and asdict(tuned))
    return replace(index, tuned=tuned)


def remove_images(index: ImageIndex, image_ids: Sequence[str]) -> int:
    """Remove images from all indices behind the alias; returns how many documents that were."""
    removed = 0
    for ids in batched(image_ids, _REMOVED_AT_ONCE):
        removed += index.policy.call(partial(_remove_documents, index, ids))
    return removed


def _remove_documents(index: ImageIndex, ids: list[str]) -> int:
    """Delete by id in each index, in one bulk request: the local node has no delete by query."""
    deletes = [{"delete": {"_index": name, "_id": image_id}} for name in index.indices for image_id in ids]
    with store_errors(index.alias):
        response = index.client.bulk(operations=deletes).body
    outcomes = [item["delete"] for item in response["items"]]
    for outcome in outcomes:
        if "error" in outcome:
            raise store_error(index.alias, outcome["status"], outcome["error"])
    return sum(outcome["result"] == "deleted" for outcome in outcomes)


def merge(index: ImageIndex, segments: int = 1) -> None:
    """Merge each shard into at most `segments` segments; this may take hours."""
    indices = index.client.options(request_timeout=_MERGE_SECONDS).indices
    _send(index, partial(indices.flush, index=index.alias))
    _send(index, partial(indices.forcemerge, index=index.alias, max_num_segments=segments))
    _send(index, partial(indices.refresh, index=index.alias))


def add_graph(index: ImageIndex) -> ImageIndex:
    """The index with a graph over its quantised embeddings, also over those written from now on.

    Merging builds the graph: on a freshly filled index that takes half the time of one that grows with the index. An
    index without a graph loses its tuned values. ConfigError when the re-rank vectors cannot be quantised.
    """
    add_fields(index)
    index.check_quantizable()
    untuned = index if index.graph else save_tuning(index, None)
    for name, description in index.descriptions().items():
        embedding = description["mappings"]["properties"][document.EMBEDDING]
        _put_mapping(index, name, properties={document.EMBEDDING: {**embedding, "index_options": templates.GRAPH}})
        _unmerge(index, name)
    merge(index)
    return replace(untuned, graph=True)


def _unmerge(index: ImageIndex, name: str) -> None:
    """Rewrite one unchanged image in each shard of one segment, which a merge would skip otherwise."""
    with store_errors(index.alias):
        shards = index.client.indices.segments(index=name)["indices"][name]["shards"]
    for shard, copies in shards.items():
        if len(copies[0]["segments"]) == 1:
            _rewrite_image(index, name, shard)


def _rewrite_image(index: ImageIndex, name: str, shard: str) -> None:
    """Write any one image of a shard again, unless another program changes it meanwhile."""
    body = {"size": 1, "seq_no_primary_term": True, **document.WHOLE}
    with store_errors(index.alias):
        answer = index.client.search(index=name, preference=f"_shards:{shard}", body=body).body
        for hit in index.checked(answer)["hits"]["hits"]:
            index.client.index(
                index=name,
                id=hit["_id"],
                document=document.stored_document(hit, index.dtype),
                if_seq_no=hit["_seq_no"],
                if_primary_term=hit["_primary_term"],
            )


def _save_meta(index: ImageIndex, key: str, value: Any) -> None:
    """Set one key of each index's `_meta`, or remove it with None; the others stay."""
    for name, description in index.descriptions().items():
        meta = {**description["mappings"]["_meta"], key: value}
        _put_mapping(index, name, meta={known: kept for known, kept in meta.items() if kept is not None})


def _put_mapping(index: ImageIndex, name: str, **change: Any) -> None:
    _send(index, partial(index.client.indices.put_mapping, index=name, **change))


def _send(index: ImageIndex, request: Callable[[], object]) -> None:
    """Make a request that may be repeated; it is sent again as the index's policy says."""

    def send() -> None:
        with store_errors(index.alias):
            request()

    index.policy.call(send)
