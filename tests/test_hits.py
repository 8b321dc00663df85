"""The stored fields in a hit are the same for all kinds of search, and come last."""

from __future__ import annotations

from typing import Any

import pytest

from hashsearch.elastic.document import described
from hashsearch.search.by_keypoints import KeypointHit
from hashsearch.search.by_phash import PerceptualHit
from hashsearch.search.hits import FoundImage
from hashsearch.search.searcher import Hit

STORED = ["uri", "title", "category", "attributes", "width", "height"]
HOW: dict[type[FoundImage], dict[str, Any]] = {
    Hit: {"cosine": 0.5, "hamming": 3, "hamming_rank": 1, "sub_codes": ("c00:0001",)},
    PerceptualHit: {"hamming": 3, "turn": "upright"},
    KeypointHit: {
        "verdict": "same",
        "score": 2.0,
        "inliers": 9,
        "share": 0.5,
        "overlap": 0.5,
        "word_rank": 1,
        "unread": None,
    },
}


@pytest.mark.parametrize("kind", HOW)
def test_a_hit_as_json_has_its_id_how_it_matched_and_the_stored_fields(kind: type[FoundImage]) -> None:
    source = {"uri": "/a.jpg", "attributes": {"colour": "red"}, "height": 3, "indexed_at": "2026-01-01"}
    hit = kind(**described({"_id": "a", "_source": source}), **HOW[kind])
    record = hit.as_dict()
    assert list(record) == ["id", *HOW[kind], *STORED]
    assert record == {
        "id": "a",
        **HOW[kind],
        "uri": "/a.jpg",
        "title": None,
        "category": None,
        "attributes": {"colour": "red"},
        "width": None,
        "height": 3,
    }


def test_an_image_without_attributes_has_none() -> None:
    assert described({"_id": "a", "_source": {}})["attributes"] == {}
