"""Request bodies as values: the one place that knows how recall and re-ranking are said to Elasticsearch.

    knn on `embedding` (cosine, exact)         over what its filter lets through: the candidates
      filter: knn on `code` (Hamming)          the `candidates` nearest codes
        filter: terms on `sub_codes`, category and attributes

`score = (bits - hamming) / bits` on `code`, `score = (1 + cosine) / 2` on `embedding`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hashsearch.encoder import EncodedQuery
from hashsearch.hashing.rerank_vectors import as_json

Body = dict[str, Any]

MAX_CANDIDATES = 10_000  # Elasticsearch's limit for num_candidates and for the hits of one answer
_MOST_OVERSAMPLE = 10  # Elasticsearch's limit
_SHOWN = ["uri", "title", "category", "attributes", "width", "height", "indexed_at"]


class CodeFields(NamedTuple):
    """Where an index holds a kind of code of its images, and the terms made of it."""

    code: str
    terms: str


CODE, PHASH = CodeFields("code", "sub_codes"), CodeFields("phash", "phash_blocks")


def filters(category: Sequence[str], attributes: Mapping[str, Sequence[str]]) -> list[Body]:
    """Clauses that all must hold: the category is one of those named, and each attribute has one of its values."""
    clauses: list[Body] = [{"terms": {"category": list(category)}}] if category else []
    clauses += [{"terms": {f"attributes.{name}": list(values)}} for name, values in attributes.items()]
    return clauses


def sub_codes(terms: Sequence[str], field: str = CODE.terms) -> Body:
    """A clause: at least one of the terms is among the image's sub-codes."""
    return {"terms": {field: list(terms)}}


def near_blocks(terms: Sequence[Sequence[str]], required: int, field: str = CODE.terms) -> Body:
    """A clause: at least `required` of these groups of terms, one a block, have one among the image's sub-codes."""
    if required == 1:
        return sub_codes([term for group in terms for term in group], field)
    return {"bool": {"should": [sub_codes(group, field) for group in terms], "minimum_should_match": required}}


def or_without(field: str, clause: Body) -> Body:
    """A clause: the other clause holds, or the image does not have the field."""
    return {"bool": {"should": [clause, none_of({"exists": {"field": field}})]}}


def near_hash(hash_hex: str, most: int, clauses: Sequence[Body], radius: int | None = None) -> Body:
    """The `most` nearest perceptual hashes of each shard, within the Hamming radius if one is given."""
    knn: Body = {"field": PHASH.code, "query_vector": hash_hex, "k": most, "num_candidates": most}
    if radius is not None:
        knn["similarity"] = radius
    return {"knn": {**knn, "filter": list(clauses)} if clauses else knn}


def nearest_hashes(near: Sequence[Body], most: int) -> Body:
    """The whole search: the `most` images that are nearest to any one of these hashes, with their own."""
    query = {"dis_max": {"queries": list(near)}}
    return {"query": query, "size": most, "_source": _SHOWN, "docvalue_fields": [PHASH.code]}


def by_words(words: Sequence[str], most: int, clauses: Sequence[Body]) -> Body:
    """The whole search: the `most` images that share most of the visual words, the rare ones above all (BM25)."""
    shared: Body = {"match": {"words": " ".join(words)}}
    query = {"bool": {"must": shared, "filter": list(clauses)}} if clauses else shared
    return {"query": query, "size": most, "_source": _SHOWN, "track_total_hits": False}


def recall(code_hex: str, candidates: int, clauses: Sequence[Body]) -> Body:
    """The `candidates` nearest codes by Hamming distance, of each shard."""
    knn: Body = {"field": "code", "query_vector": code_hex, "k": candidates, "num_candidates": candidates}
    return {"knn": {**knn, "filter": list(clauses)} if clauses else knn}


def rerank(query: EncodedQuery, clauses: Sequence[Body], k: int, candidates: int, min_cosine: float | None) -> Body:
    """The whole search: the k best by exact cosine among `candidates` that the clauses let through.

    With a clause for recalled codes these are the candidates. `num_candidates` is their number: below it Elasticsearch
    would walk all vectors instead of scoring just those that the clauses let through. Without one they are what a walk
    of the embeddings' graph finds by their quantised form. Then all candidates are scored by their floats, which
    Elasticsearch does for at most ten times its k: so that may have to be larger than ours. Where there is no quantised
    form it scores by the floats at once. `similarity` would cut by the quantised form; `min_score` does not.
    """
    asked = max(k, -(-candidates // _MOST_OVERSAMPLE))
    knn: Body = {
        "field": "embedding",
        "query_vector": as_json(query.rerank_vector),
        "k": asked,
        "num_candidates": candidates,
        "rescore_vector": {"oversample": candidates / asked},
    }
    if clauses:
        knn["filter"] = list(clauses)
    body: Body = {"query": {"knn": knn}, "size": k, "_source": _SHOWN}
    return body if min_cosine is None else {**body, "min_score": (1 + min_cosine) / 2}


def explained(body: Body) -> Body:
    """The same search, with the code and the sub-codes of each hit."""
    return {**body, "docvalue_fields": ["code", "sub_codes"]}


def recalled_scores(recalled: Body, size: int) -> Body:
    """Only the candidates' scores, best first: they tell a hit's rank before re-ranking."""
    return {"query": recalled, "size": size, "stored_fields": "_none_"}


def within(code_hex: str, radius: int, most: int, clauses: Sequence[Body]) -> Body:
    """The codes within the Hamming radius, of each shard the `most` nearest, by comparing those of a flat field.

    Elasticsearch compares just the codes that the clauses let through while they are no more than `most`; else it
    walks past all others too.
    """
    body = recall(code_hex, most, clauses)
    body["knn"]["similarity"] = radius
    return body


def ids(image_ids: Sequence[str]) -> Body:
    """A clause: the image is one of these."""
    return {"ids": {"values": list(image_ids)}}


def none_of(clause: Body) -> Body:
    """A clause: the other clause does not hold."""
    return {"bool": {"must_not": clause}}


def categories(size: int) -> Body:
    """Only the `size` largest categories and how many images each has."""
    terms = {"terms": {"field": "category", "size": size}}
    return {"size": 0, "track_total_hits": False, "aggs": {"categories": terms}}


def sub_code_counts(size: int, clauses: Sequence[Body]) -> Body:
    """Only how many images the clauses let through, and how many of them each of the `size` largest sub-codes has."""
    terms = {"terms": {"field": "sub_codes", "size": size}}
    return {"query": all_of(clauses), "size": 0, "track_total_hits": True, "aggs": {"sub_codes": terms}}


def sample(size: int, clauses: Sequence[Body]) -> Body:
    """Images that the clauses let through, picked at random, others each time."""
    return {"query": {"function_score": {"query": all_of(clauses), "random_score": {}}}, "size": size}


def sampled_codes(size: int, field: str = CODE.code) -> Body:
    """The codes of `size` images picked at random, and how many images have one."""
    picked = sample(size, [{"exists": {"field": field}}])
    return {**picked, "track_total_hits": True, "stored_fields": "_none_", "docvalue_fields": [field]}


def counted(clauses: Sequence[Body]) -> Body:
    """How many images the clauses let through."""
    return {"query": all_of(clauses)}


def page(
    clauses: Sequence[Body],
    pit: str,
    after: Sequence[Any] | None,
    field: str = CODE.code,
    size: int = MAX_CANDIDATES,
) -> Body:
    """One page of every image that the clauses let through, with its code or another vector, in index order."""
    body: Body = {
        "query": all_of(clauses),
        "size": size,
        "pit": {"id": pit, "keep_alive": "1m"},
        "sort": [{"_shard_doc": "asc"}],
        "track_total_hits": False,
        "_source": False,
        "docvalue_fields": [field],
    }
    return {**body, "search_after": after} if after else body


def all_of(clauses: Sequence[Body]) -> Body:
    """A clause: all of the clauses hold."""
    return {"bool": {"filter": list(clauses)}} if clauses else {"match_all": {}}
