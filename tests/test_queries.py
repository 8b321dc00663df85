"""Request bodies, compared as values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hashsearch.elastic import queries
from hashsearch.encoder import EncodedQuery
from hashsearch.errors import SearchError
from hashsearch.hashing.binarizers import MeanThreshold
from hashsearch.search.planner import SearchOptions

VECTOR = np.array([0.6, 0.8], np.float32)
QUERY = EncodedQuery(VECTOR, VECTOR, MeanThreshold(bits=8))
CATEGORY = {"terms": {"category": ["mugs", "pens"]}}
COLOUR = {"terms": {"attributes.colour": ["red"]}}


def test_filters_are_one_clause_each() -> None:
    assert queries.filters([], {}) == []
    assert queries.filters(["mugs", "pens"], {}) == [CATEGORY]
    assert queries.filters(("mugs", "pens"), {"colour": ("red",), "size.width": ["3", "4"]}) == [
        CATEGORY,
        COLOUR,
        {"terms": {"attributes.size.width": ["3", "4"]}},
    ]


@pytest.mark.parametrize("letter", ["a", "é", "\U0001f5bc", "\ud800"])
def test_a_filter_value_has_as_many_bytes_as_lucene_takes(letter: str) -> None:
    width = len(letter.encode(errors="replace"))
    most = letter * (32_766 // width)
    assert queries.filters([most], {"colour": [most]})
    for category, attributes in (([most + letter], {}), ([], {"colour": ["red", most + letter]})):
        with pytest.raises(SearchError, match=r"at most 32766 bytes as UTF-8, got 3276[78]"):
            queries.filters(category, attributes)
        with pytest.raises(SearchError, match="at most 32766 bytes"):
            SearchOptions(category=category, attributes=attributes)


def test_recall_is_knn_on_the_code() -> None:
    knn = {"field": "code", "query_vector": "ab", "k": 500, "num_candidates": 500}
    assert queries.recall("ab", 500, []) == {"knn": knn}
    assert queries.recall("ab", 500, [CATEGORY, COLOUR]) == {"knn": {**knn, "filter": [CATEGORY, COLOUR]}}


def test_within_keeps_what_is_as_near_as_the_radius() -> None:
    knn = {"field": "code", "query_vector": "ab", "k": 700, "num_candidates": 700, "similarity": 3}
    assert queries.within("ab", 3, 700, []) == {"knn": knn}
    assert queries.within("ab", 3, 700, [CATEGORY]) == {"knn": {**knn, "filter": [CATEGORY]}}


def test_near_blocks() -> None:
    groups = [["b00:abab"], ["b01:0000", "b01:0001"]]
    assert queries.near_blocks(groups, 1) == {"terms": {"sub_codes": ["b00:abab", "b01:0000", "b01:0001"]}}
    should = [{"terms": {"sub_codes": group}} for group in groups]
    assert queries.near_blocks(groups, 2) == {"bool": {"should": should, "minimum_should_match": 2}}


def test_near_hashes() -> None:
    knn = {"field": "phash", "query_vector": "ab", "k": 7, "num_candidates": 7}
    assert queries.near_hash("ab", 7, []) == {"knn": knn}
    assert queries.near_hash("ab", 7, [CATEGORY], 0) == {"knn": {**knn, "similarity": 0, "filter": [CATEGORY]}}
    body = queries.nearest_hashes([{"knn": knn}, CATEGORY], 7)
    assert (body["query"], body["size"]) == ({"dis_max": {"queries": [{"knn": knn}, CATEGORY]}}, 7)
    assert body["docvalue_fields"] == ["phash"]


def test_or_without() -> None:
    without = {"bool": {"must_not": {"exists": {"field": "phash_blocks"}}}}
    clause = queries.near_blocks([["b00:abab"]], 1, "phash_blocks")
    assert clause == {"terms": {"phash_blocks": ["b00:abab"]}}
    assert queries.or_without("phash_blocks", clause) == {"bool": {"should": [clause, without]}}


def test_sampled_codes_bring_nothing_but_codes_and_their_number() -> None:
    body = queries.sampled_codes(7)
    coded = {"bool": {"filter": [{"exists": {"field": "code"}}]}}
    assert body.pop("query") == {"function_score": {"query": coded, "random_score": {}}}
    assert body == {"size": 7, "track_total_hits": True, "stored_fields": "_none_", "docvalue_fields": ["code"]}


@pytest.mark.parametrize("min_cosine", [None, 0.0, 0.5, -1.0])
def test_the_whole_search_is_one_body(min_cosine: float | None) -> None:
    recalled = queries.recall("ab", 500, [queries.sub_codes(["b00:abab"]), CATEGORY])
    body = queries.rerank(QUERY, [recalled], 10, 500, min_cosine)
    assert body["query"]["knn"].pop("query_vector").tolist() == VECTOR.tolist()
    assert body.pop("min_score", None) == (None if min_cosine is None else (1 + min_cosine) / 2)
    rescored = {"k": 50, "num_candidates": 500, "rescore_vector": {"oversample": 10}}
    assert body == {
        "query": {"knn": {"field": "embedding", **rescored, "filter": [recalled]}},
        "size": 10,
        "_source": ["uri", "title", "category", "attributes", "width", "height", "indexed_at"],
    }
    assert recalled["knn"]["filter"] == [{"terms": {"sub_codes": ["b00:abab"]}}, CATEGORY]


@pytest.mark.parametrize(("k", "candidates"), [(10, 10), (10, 101), (20, 500), (300, 500), (10_000, 10_000)])
def test_every_candidate_is_scored_by_its_floats(k: int, candidates: int) -> None:
    knn = queries.rerank(QUERY, [], k, candidates, None)["query"]["knn"]
    assert "filter" not in knn
    assert knn["k"] * knn["rescore_vector"]["oversample"] == pytest.approx(candidates)
    assert 1 <= knn["rescore_vector"]["oversample"] <= 10
    assert k <= knn["k"] <= knn["num_candidates"] == candidates


def test_an_explained_search_brings_code_and_sub_codes_too() -> None:
    body = {"query": {"match_all": {}}, "size": 10}
    assert queries.explained(body) == {**body, "docvalue_fields": ["code", "sub_codes"]}
    assert body == {"query": {"match_all": {}}, "size": 10}


def test_a_re_rank_vector_of_bytes_is_sent_in_hex() -> None:
    query = replace(QUERY, rerank_vector=np.array([95, -127], np.int8))
    body = queries.rerank(query, [queries.recall("ab", 500, [])], 10, 500, None)
    assert body["query"]["knn"]["query_vector"] == "5f81"


def test_recalled_scores_bring_nothing_but_scores() -> None:
    recalled = queries.recall("ab", 5, [])
    assert queries.recalled_scores(recalled, 15) == {"query": recalled, "size": 15, "stored_fields": "_none_"}


def test_counts_of_sub_codes_bring_no_hits() -> None:
    assert queries.sub_code_counts(256, [CATEGORY]) == {
        "query": {"bool": {"filter": [CATEGORY]}},
        "size": 0,
        "track_total_hits": True,
        "aggs": {"sub_codes": {"terms": {"field": "sub_codes", "size": 256}}},
    }


def test_clauses_on_ids() -> None:
    assert queries.ids(["1", "2"]) == {"ids": {"values": ["1", "2"]}}
    assert queries.none_of(queries.ids(["1"])) == {"bool": {"must_not": {"ids": {"values": ["1"]}}}}


def test_pages_follow_each_other() -> None:
    first = queries.page([], "pit-1", None)
    assert first["query"] == {"match_all": {}}
    assert "search_after" not in first
    then = queries.page([CATEGORY], "pit-2", [17])
    assert then["query"] == {"bool": {"filter": [CATEGORY]}}
    assert then["search_after"] == [17]
    assert then["pit"]["id"] == "pit-2"
    assert (then["size"], then["sort"]) == (10_000, [{"_shard_doc": "asc"}])
    assert then["docvalue_fields"] == ["code"]
    vectors = queries.page([], "pit-3", None, "embedding", 500)
    assert (vectors["size"], vectors["docvalue_fields"]) == (500, ["embedding"])


def test_images_are_counted() -> None:
    assert queries.counted([]) == {"query": {"match_all": {}}}
    assert queries.counted([CATEGORY]) == {"query": {"bool": {"filter": [CATEGORY]}}}


def test_bodies_do_not_share_what_is_changed_later() -> None:
    clauses = [CATEGORY]
    body = queries.recall("ab", 5, clauses)
    clauses.append(COLOUR)
    assert body["knn"]["filter"] == [CATEGORY]
