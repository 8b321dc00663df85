"""Filters on a real index: unknown names are errors that list the known ones, and empty results say why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.indices import documents_of, filled, fresh_index_name
from support.vectors import clustered, toy_encoder

from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.queries import filters
from hashsearch.elastic.writing import BulkWriter
from hashsearch.errors import SearchError
from hashsearch.search.filtering import FilterChecks
from hashsearch.search.planner import SearchOptions
from hashsearch.search.searcher import Searcher

COUNT = 40
VECTORS = clustered(COUNT, 64)
ENCODER = toy_encoder(VECTORS, bits=64)
NAMES = ["a.b", "colour", "on sale", "parts", "preis/€", "rare", "size.width"]


def texts() -> list[dict[str, Any]]:
    always = {"colour": "red", "a.b": "x", "size": {"width": 3}, "parts": ["lid"], "preis/€": 1.5, "on sale": True}
    every: list[dict[str, Any]] = [{"category": "mugs", "attributes": always} for _ in range(COUNT)]
    every[7] = {"category": "mugs", "attributes": {**always, "rare": "yes"}}
    return every


@pytest.fixture(scope="module")
def index(client: Elasticsearch) -> Iterator[ImageIndex]:
    with fresh_index_name(client) as name:
        yield filled(client, name, ENCODER, VECTORS, texts())


@pytest.fixture(scope="module")
def searcher(index: ImageIndex) -> Searcher:
    return Searcher(ENCODER, index)


class TestNames:
    def test_every_stored_name_is_known_however_rare(self, index: ImageIndex) -> None:
        FilterChecks(index).check_names(NAMES)

    @pytest.mark.parametrize(
        "name", ["color", "Colour", "colou", "colour ", "col*", "*", "size", "a", "_keyed", "a\0b"]
    )
    def test_an_unknown_name_is_an_error_that_lists_the_known_ones(self, index: ImageIndex, name: str) -> None:
        with pytest.raises(SearchError) as error:
            FilterChecks(index).check_names(["colour", name])
        expected = f"a filter must name an attribute of the images, got '{name}'; known: {', '.join(NAMES)}"
        assert str(error.value) == expected

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(name=st.text(min_size=1) | st.text(min_size=300, max_size=2000))
    def test_any_name_is_known_unknown_or_too_long_to_check(self, searcher: Searcher, name: str) -> None:
        options = SearchOptions(attributes={name: ["red"]})
        try:
            hits = searcher.by_vector(VECTORS[0], options)
        except SearchError as error:
            assert name not in NAMES and str(error).startswith("a filter must name an attribute of the images")
        else:
            assert name in NAMES or (len(name.encode()) > 500 and not hits)

    def test_an_empty_index_and_one_without_attributes(self, client: Elasticsearch, fresh_name: str) -> None:
        index = ImageIndex.create(client, fresh_name, ENCODER)
        FilterChecks(index).check_names(["colour"])
        assert BulkWriter(client, index.alias).write(documents_of(ENCODER, VECTORS[:3])) == []
        index.refresh()
        with pytest.raises(SearchError, match="got 'colour'; the images have no attributes"):
            FilterChecks(index).check_names(["colour"])

    def test_known_names_are_looked_up_once_a_minute_and_new_ones_at_once(
        self, client: Elasticsearch, fresh_name: str
    ) -> None:
        index = filled(client, fresh_name, ENCODER, VECTORS[:3], texts()[:3])
        checks = FilterChecks(index)
        checks.check_names(["colour"])
        with pytest.raises(SearchError):
            checks.check_names(["new"])
        ((image_id, document),) = documents_of(ENCODER, VECTORS[:1], [{"attributes": {"new": 1}}])
        for row in range(3):
            client.delete(index=index.alias, id=f"{row:04}", refresh=True)
        client.index(index=index.alias, id=image_id, document=document, refresh=True)
        checks.check_names(["colour", "new"])
        with pytest.raises(SearchError, match="got 'colour'"):
            FilterChecks(index, names_expire=0).check_names(["colour"])

    def test_every_kind_of_search_refuses_an_unknown_name(self, searcher: Searcher) -> None:
        options = SearchOptions(attributes={"color": ["red"]})
        for search in (
            lambda: searcher.by_vector(VECTORS[0], options),
            lambda: searcher.by_id("0000", options),
            lambda: list(searcher.search_many(["0000", VECTORS[1]], options)),
            lambda: searcher.explain("0000", "0001", options),
            lambda: searcher.within_radius(VECTORS[0], 5, options),
            lambda: searcher.within_radius_of("0000", 5, options),
        ):
            with pytest.raises(SearchError, match=r"got 'color'; known: a\.b, colour"):
                search()


class TestNote:
    @pytest.mark.parametrize(
        ("category", "attributes", "note"),
        [
            ((), {}, None),
            (("mugs",), {"colour": ["red"]}, None),
            (("hats",), {}, "no image passes the filters"),
            ((), {"colour": ["blue"]}, "no image passes the filters"),
            (("mugs",), {"rare": ["yes"], "colour": ["blue"]}, "no image passes the filters"),
        ],
    )
    def test_an_empty_result_says_that_no_image_passes_the_filters(
        self, searcher: Searcher, category: tuple[str, ...], attributes: dict[str, list[str]], note: str | None
    ) -> None:
        options = SearchOptions(category=category, attributes=attributes)
        hits = searcher.by_vector(VECTORS[0], options)
        assert (not hits) == (note is not None)
        assert searcher.note(hits, options) == note
        assert searcher.filter_checks.note(filters(category, attributes)) == note

    def test_an_empty_result_of_another_cause_has_no_note(self, searcher: Searcher) -> None:
        options = SearchOptions(category=["mugs"], min_cosine=1.0)
        assert searcher.note(searcher.by_vector(-VECTORS[0], options), options) is None
