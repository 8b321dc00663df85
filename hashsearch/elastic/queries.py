"""Request bodies as values: the only place that writes recall and re-ranking in Elasticsearch's query language.

    knn on `embedding` (cosine, exact)         scores the candidates, which its filter selects
      filter: knn on `code` (Hamming)          the `candidates` nearest codes
        filter: terms on `sub_codes`, category and attributes

`score = (bits - hamming) / bits` on `code`, `score = (1 + cosine) / 2` on `embedding`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from hashsearch.elastic.document import (
    CATEGORY,
    CODE,
    EMBEDDING,
    PHASH,
    SHOWN,
    WORDS,
    attribute,
)
from hashsearch.encoder import EncodedQuery
from hashsearch.errors import SearchError
from hashsearch.hashing.rerank_vectors import as_json

Body = dict[str, Any]

MAX_CANDIDATES = 10_000  # Elasticsearch's limit for num_candidates and for the hits of one response
KEPT_BETWEEN_PAGES = "15m"  # how long a point in time lasts after each page, for whoever works on that page
_MAX_VALUE = 32_766  # bytes of a term in Lucene
_MAX_OVERSAMPLE = 10  # Elasticsearch's limit
_SHOWN = list(SHOWN)


def filters(category: Sequence[str], attributes: Mapping[str, Sequence[str]]) -> list[Body]:
    """Clauses that all must match: one of the categories, and for each attribute one of its values.

    SearchError for a value that is too long for Elasticsearch.
    """
    for value in chain(category, *attributes.values()):
        if (size := len(value.encode(errors="replace"))) > _MAX_VALUE:
            raise SearchError(f"a filter value may have at most {_MAX_VALUE} bytes as UTF-8, got {size}")
    clauses: list[Body] = [{"terms": {CATEGORY: list(category)}}] if category else []
    clauses += [{"terms": {attribute(name): list(values)}} for name, values in attributes.items()]
    return clauses


def sub_codes(terms: Sequence[str], field: str = CODE.terms) -> Body:
    """A clause that matches images with at least one of the terms among their sub-codes."""
    return {"terms": {field: list(terms)}}


def near_blocks(terms: Sequence[Sequence[str]], required: int, field: str = CODE.terms) -> Body:
    """A clause that matches images with sub-codes from at least `required` of these groups, one group per block."""
    if required == 1:
        return sub_codes([term for group in terms for term in group], field)
    return {"bool": {"should": [sub_codes(group, field) for group in terms], "minimum_should_match": required}}


def or_without(field: str, clause: Body) -> Body:
    """A clause that matches images that match the other clause or do not have the field."""
    return {"bool": {"should": [clause, none_of({"exists": {"field": field}})]}}


def near_hash(hash_hex: str, limit: int, clauses: Sequence[Body], radius: int | None = None) -> Body:
    """The `limit` nearest perceptual hashes of each shard, within the Hamming radius if one is given."""
    knn: Body = {"field": PHASH.code, "query_vector": hash_hex, "k": limit, "num_candidates": limit}
    if radius is not None:
        knn["similarity"] = radius
    return {"knn": {**knn, "filter": list(clauses)} if clauses else knn}


def nearest_hashes(near: Sequence[Body], limit: int) -> Body:
    """The whole search: the `limit` images nearest to any of these hashes, with their own hashes."""
    query = {"dis_max": {"queries": list(near)}}
    return {"query": query, "size": limit, "_source": _SHOWN, "docvalue_fields": [PHASH.code]}


def by_words(words: Sequence[str], limit: int, clauses: Sequence[Body]) -> Body:
    """The whole search: the `limit` best images by BM25 over their visual words."""
    shared: Body = {"match": {WORDS: " ".join(words)}}
    query = {"bool": {"must": shared, "filter": list(clauses)}} if clauses else shared
    return {"query": query, "size": limit, "_source": _SHOWN, "track_total_hits": False}


def recall(code_hex: str, candidates: int, clauses: Sequence[Body]) -> Body:
    """The `candidates` nearest codes of each shard by Hamming distance."""
    knn: Body = {"field": CODE.code, "query_vector": code_hex, "k": candidates, "num_candidates": candidates}
    return {"knn": {**knn, "filter": list(clauses)} if clauses else knn}


def rerank(query: EncodedQuery, clauses: Sequence[Body], k: int, candidates: int, min_cosine: float | None) -> Body:
    """The whole search: the k best of `candidates` images that match the clauses, by exact cosine.

    With a clause for recalled codes, these are the candidates. `num_candidates` must be their number: below it
    Elasticsearch would walk all vectors instead of scoring only the images that match the clauses.

    Without such a clause, the candidates are what a walk of the embeddings' graph finds by quantised vectors. All of
    them are then rescored by their floats; Elasticsearch rescores at most ten times its own k, so its k may have to be
    larger than ours. An index without quantised vectors is scored by floats at once. `similarity` would cut by the
    quantised score, `min_score` does not.
    """
    knn_k = max(k, -(-candidates // _MAX_OVERSAMPLE))
    knn: Body = {
        "field": EMBEDDING,
        "query_vector": as_json(query.rerank_vector),
        "k": knn_k,
        "num_candidates": candidates,
        "rescore_vector": {"oversample": candidates / knn_k},
    }
    if clauses:
        knn["filter"] = list(clauses)
    body: Body = {"query": {"knn": knn}, "size": k, "_source": _SHOWN}
    return body if min_cosine is None else {**body, "min_score": (1 + min_cosine) / 2}


def explained(body: Body) -> Body:
    """The same search, with the code and the sub-codes of each hit."""
    return {**body, "docvalue_fields": [*CODE]}


def recalled_scores(recalled: Body, size: int) -> Body:
    """Only the candidates' scores, best first: they give a hit's rank before re-ranking."""
    return {"query": recalled, "size": size, "stored_fields": "_none_"}


def within(code_hex: str, radius: int, limit: int, clauses: Sequence[Body]) -> Body:
    """The codes within the Hamming radius, the `limit` nearest of each shard.

    Elasticsearch compares only the codes of images that match the clauses if these are at most `limit`; otherwise it
    also iterates over all others.
    """
    body = recall(code_hex, limit, clauses)
    body["knn"]["similarity"] = radius
    return body


def ids(image_ids: Sequence[str]) -> Body:
    """A clause that matches these images."""
    return {"ids": {"values": list(image_ids)}}


def none_of(clause: Body) -> Body:
    """A clause that matches images that do not match the other clause."""
    return {"bool": {"must_not": clause}}


def categories(size: int) -> Body:
    """Only the `size` largest categories, with the number of images in each."""
    terms = {"terms": {"field": CATEGORY, "size": size}}
    return {"size": 0, "track_total_hits": False, "aggs": {"categories": terms}}


def sub_code_counts(size: int, clauses: Sequence[Body]) -> Body:
    """Only the number of images that match the clauses, and of those with each of the `size` commonest sub-codes."""
    terms = {"terms": {"field": CODE.terms, "size": size}}
    return {"query": all_of(clauses), "size": 0, "track_total_hits": True, "aggs": {"sub_codes": terms}}


def sample(size: int, clauses: Sequence[Body]) -> Body:
    """Random images that match the clauses, different ones each time."""
    return {"query": {"function_score": {"query": all_of(clauses), "random_score": {}}}, "size": size}


def sampled_codes(size: int, field: str = CODE.code) -> Body:
    """The codes of `size` random images, and the number of images that have one."""
    images = sample(size, [{"exists": {"field": field}}])
    return {**images, "track_total_hits": True, "stored_fields": "_none_", "docvalue_fields": [field]}


def counted(clauses: Sequence[Body]) -> Body:
    """The body of a count request: images that match all clauses."""
    return {"query": all_of(clauses)}


def page(
    clauses: Sequence[Body],
    pit: str,
    after: Sequence[Any] | None,
    field: str | None = CODE.code,
    size: int = MAX_CANDIDATES,
) -> Body:
    """One page of all images that match the clauses, each with one field or none, in index order."""
    body: Body = {
        "query": all_of(clauses),
        "size": size,
        "pit": {"id": pit, "keep_alive": KEPT_BETWEEN_PAGES},
        "sort": [{"_shard_doc": "asc"}],
        "track_total_hits": False,
        "_source": False,
        "docvalue_fields": [field] if field else [],
    }
    return {**body, "search_after": after} if after else body


def all_of(clauses: Sequence[Body]) -> Body:
    """A clause that matches images that match all clauses."""
    return {"bool": {"filter": list(clauses)}} if clauses else {"match_all": {}}
