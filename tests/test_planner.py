"""Plans on real indices: the default strategy by size, how many codes are compared, cached counts, tuning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from elasticsearch import Elasticsearch
from support.indices import documents_of, filled, filled_both_ways, fresh_index_name
from support.vectors import clustered, cosines, toy_encoder

from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.maintenance import add_graph, save_tuning
from hashsearch.elastic.tuned import Tuned
from hashsearch.elastic.writing import BulkWriter
from hashsearch.encoder import EncodedQuery, Encoder
from hashsearch.errors import SearchError
from hashsearch.search.planner import (
    CANDIDATES,
    COMPARED_AT_LEAST,
    MAX_TERMS,
    SCANNED_UP_TO,
    QueryPlanner,
    SearchOptions,
    SearchQuery,
    default_compared,
)
from hashsearch.search.searcher import Searcher

COUNT, DIMS = 300, 64
VECTORS = clustered(COUNT, DIMS)
BLOCKS = toy_encoder(VECTORS, 64, "blocks")
CELLS = toy_encoder(VECTORS, 64, "cells", cells=20)
ENCODERS = {"blocks": BLOCKS, "cells": CELLS}
QUERY = CELLS.encode_query(VECTORS[7])


@pytest.fixture(scope="module")
def indices(client: Elasticsearch) -> Iterator[dict[str, ImageIndex]]:
    with filled_both_ways(client, ENCODERS, VECTORS) as made:
        yield made


def encoder_of(kind: str) -> Encoder:
    return ENCODERS[kind.removesuffix("-graph")]


def more(index: ImageIndex, encoder: Encoder) -> None:
    """Write the index's images again, and as many others."""
    twice = clustered(2 * COUNT, DIMS, seed=3)
    assert BulkWriter(index.client, index.alias).write(documents_of(encoder, twice)) == []
    index.refresh()


class TestStrategy:
    @pytest.mark.parametrize(
        ("kind", "scanned_up_to", "expected"),
        [
            ("cells", SCANNED_UP_TO, "scan"),
            ("cells", COUNT, "scan"),
            ("cells", COUNT - 1, "sub_codes"),
            ("blocks", COUNT - 1, "scan"),
            ("cells-graph", SCANNED_UP_TO, "graph"),
            ("cells-graph", 0, "graph"),
            ("blocks-graph", 0, "graph"),
        ],
    )
    def test_the_default_goes_by_the_index(
        self, indices: dict[str, ImageIndex], kind: str, scanned_up_to: int, expected: str
    ) -> None:
        assert QueryPlanner(encoder_of(kind), indices[kind], scanned_up_to).strategy(SearchOptions()) == expected

    def test_a_search_uses_the_default_strategy(self, indices: dict[str, ImageIndex]) -> None:
        """In a large index only cells are compared, and hits name the shared ones."""
        searcher = Searcher(CELLS, indices["cells"])
        assert not any(hit.sub_codes for hit in searcher.by_vector(VECTORS[7]))
        searcher.planner = QueryPlanner(CELLS, indices["cells"], scanned_up_to=COUNT - 1)
        hits = searcher.by_vector(VECTORS[7], SearchOptions(k=5, compared=60))
        assert hits == searcher.by_vector(VECTORS[7], SearchOptions(k=5, compared=60, strategy="sub_codes"))
        assert all(hit.sub_codes for hit in hits)
        assert hits[0].id == "0007"
        best = np.argsort(-cosines(VECTORS, VECTORS[7]))[:5]
        assert len({int(hit.id) for hit in hits} & set(best.tolist())) >= 4

    @pytest.mark.parametrize(
        ("kind", "strategy"),
        [("cells", "scan"), ("cells", "sub_codes"), ("blocks-graph", "graph"), ("blocks-graph", "scan")],
    )
    def test_the_strategy_of_the_options_is_used(
        self, indices: dict[str, ImageIndex], kind: str, strategy: str
    ) -> None:
        planner = QueryPlanner(encoder_of(kind), indices[kind], scanned_up_to=0)
        assert planner.strategy(SearchOptions(strategy=strategy)) == strategy

    def test_a_graph_strategy_without_a_graph_is_refused(self, indices: dict[str, ImageIndex]) -> None:
        message = f"strategy 'graph' needs an index with a graph, and '{indices['cells'].alias}' has none"
        with pytest.raises(SearchError, match=message):
            QueryPlanner(encoder_of("cells"), indices["cells"]).strategy(SearchOptions(strategy="graph"))


class TestBudget:
    @pytest.mark.parametrize(
        ("images", "cells", "compared"),
        [
            (0, 256, 10_000),
            (50_001, 256, 10_000),
            (400_000, 4096, 10_000),
            (400_040, 4096, 10_001),
            (1_000_000, 4096, 25_000),
            (1_000_000, 256, 62_500),
            (1_000_000, 640, 25_000),
            (10_000_000, 4096, 250_000),
        ],
    )
    def test_the_default_of_compared_is_the_largest_of_three(self, images: int, cells: int, compared: int) -> None:
        assert default_compared(images, cells) == compared

    @pytest.mark.parametrize("compared", [1, 40, 41, 150, 10**9])
    def test_nearest_cells_are_added_up_to_compared(self, indices: dict[str, ImageIndex], compared: int) -> None:
        terms, centres = CELLS.encode(VECTORS).sub_codes[:, 0], CELLS.sub_codes.arrays()["centres_"]
        planner = QueryPlanner(CELLS, indices["cells"])
        for vector in VECTORS[::30]:
            query = CELLS.encode_query(vector)
            searched = planner.terms(query, SearchOptions(compared=compared))
            order = [f"c00:{cell:04x}" for cell in np.argsort(((centres - query.embedding) ** 2).sum(axis=1))]
            assert searched == order[: len(searched)] != []
            assert len(searched) == 1 or np.isin(terms, searched).sum() <= compared
            assert len(searched) == 20 or np.isin(terms, order[: len(searched) + 1]).sum() > compared

    def test_at_least_one_cell_is_searched(self, indices: dict[str, ImageIndex]) -> None:
        searched = QueryPlanner(CELLS, indices["cells"]).terms(QUERY, SearchOptions(compared=1))
        assert searched == CELLS.encode(VECTORS[7:8]).sub_codes[0].tolist()
        assert np.count_nonzero(CELLS.encode(VECTORS).sub_codes == searched[0]) > 1

    def test_the_default_is_more_than_a_small_index_holds(self, indices: dict[str, ImageIndex]) -> None:
        assert COUNT < COMPARED_AT_LEAST
        assert len(QueryPlanner(CELLS, indices["cells"]).terms(QUERY, SearchOptions())) == 20

    def test_blocks_search_16_probes_by_default(self, indices: dict[str, ImageIndex]) -> None:
        planner, query = QueryPlanner(BLOCKS, indices["blocks"]), BLOCKS.encode_query(VECTORS[7])
        assert len(set(planner.terms(query, SearchOptions(probes=3)))) == 3 * 4
        assert set(planner.terms(query, SearchOptions())) == set(planner.terms(query, SearchOptions(probes=16)))

    def test_options_for_the_other_kind_of_sub_codes_are_refused(self, indices: dict[str, ImageIndex]) -> None:
        with pytest.raises(SearchError, match="probes go with blocks, and this encoder has cells; got 7"):
            QueryPlanner(CELLS, indices["cells"]).terms(QUERY, SearchOptions(probes=7))
        with pytest.raises(SearchError, match="compared goes with cells, and this encoder has blocks; got 7"):
            QueryPlanner(BLOCKS, indices["blocks"]).terms(BLOCKS.encode_query(VECTORS[7]), SearchOptions(compared=7))

    def test_more_terms_than_elasticsearch_takes_are_refused(self, indices: dict[str, ImageIndex]) -> None:
        long = toy_encoder(VECTORS, 2048)
        with pytest.raises(
            SearchError, match=f"select at most {MAX_TERMS} sub-codes, and 697 per block select {697 * 128}"
        ):
            QueryPlanner(long, indices["blocks"]).terms(long.encode_query(VECTORS[7]), SearchOptions(probes=697))


@pytest.fixture(scope="module")
def mixed(client: Elasticsearch) -> Iterator[ImageIndex]:
    """One image in ten is of a rare category."""
    texts = [{"category": "common" if row % 10 else "rare"} for row in range(COUNT)]
    with fresh_index_name(client) as name:
        yield filled(client, name, CELLS, VECTORS, texts)


class TestFilters:
    """The number of images that pass the filter counts, not that of the index."""

    RARE = SearchOptions(category=["rare"])

    def test_few_images_that_pass_a_filter_of_a_large_index_are_scanned(self, mixed: ImageIndex) -> None:
        planner = QueryPlanner(CELLS, mixed, scanned_up_to=COUNT // 10)
        assert planner.strategy(SearchOptions()) == "sub_codes"
        assert planner.strategy(self.RARE) == "scan"
        assert planner.strategy(SearchOptions(category=["common"])) == "sub_codes"

    def test_only_images_that_pass_the_filter_count_as_compared(self, mixed: ImageIndex) -> None:
        planner, most = QueryPlanner(CELLS, mixed), COUNT // 20
        terms = CELLS.encode(VECTORS).sub_codes[:, 0]
        wide = planner.terms(QUERY, replace(self.RARE, compared=most))
        narrow = planner.terms(QUERY, SearchOptions(compared=most))
        assert len(wide) > len(narrow)
        assert np.isin(terms[::10], wide).sum() <= most
        assert np.isin(terms, wide).sum() > most

    def test_a_search_finds_the_nearest_that_pass(self, mixed: ImageIndex) -> None:
        searcher, options = Searcher(CELLS, mixed), SearchOptions(k=5, category=["rare"])
        searcher.planner = QueryPlanner(CELLS, mixed, scanned_up_to=COUNT // 10)
        best = 10 * np.argsort(-cosines(VECTORS[::10], VECTORS[7]))[:5]
        assert [int(hit.id) for hit in searcher.by_vector(VECTORS[7], options)] == best.tolist()

    def test_counts_of_the_latest_filters_are_cached(self, mixed: ImageIndex) -> None:
        planner = QueryPlanner(CELLS, mixed, scanned_up_to=0)
        for number in range(300):
            assert planner.strategy(SearchOptions(category=[f"none-{number}"])) == "scan"
        assert len(planner._cached) == 256


class TestCensus:
    def plan(self, planner: QueryPlanner, query: EncodedQuery) -> tuple[str, int]:
        """The default strategy, and how many cells have at most COUNT images."""
        return planner.strategy(SearchOptions()), len(planner.terms(query, SearchOptions(compared=COUNT)))

    def test_counts_are_cached_until_they_expire(self, client: Elasticsearch, fresh_name: str) -> None:
        index = filled(client, fresh_name, CELLS, VECTORS)
        remembering = QueryPlanner(CELLS, index, scanned_up_to=COUNT)
        forgetting = QueryPlanner(CELLS, index, scanned_up_to=COUNT, counts_expire=0)
        for planner in (remembering, forgetting):
            assert self.plan(planner, QUERY) == ("scan", 20)
        more(index, CELLS)
        assert self.plan(remembering, QUERY) == ("scan", 20)
        strategy, cells = self.plan(forgetting, QUERY)
        assert strategy == "sub_codes"
        assert 1 <= cells < 20
        remembering.counts_expire = 0
        assert self.plan(remembering, QUERY) == (strategy, cells)

    def test_an_index_can_be_filled_while_it_is_searched(self, client: Elasticsearch, fresh_name: str) -> None:
        index = ImageIndex.create(client, fresh_name, CELLS)
        searcher, options = Searcher(CELLS, index), SearchOptions(strategy="sub_codes", candidates=COUNT)
        assert searcher.by_vector(VECTORS[7], options) == []
        assert BulkWriter(client, index.alias).write(documents_of(CELLS, VECTORS)) == []
        index.refresh()
        best = np.argsort(-cosines(VECTORS, VECTORS[7]))[:10]
        assert [int(hit.id) for hit in searcher.by_vector(VECTORS[7], options)] == best.tolist()

    def test_a_graph_needs_no_counts(
        self, indices: dict[str, ImageIndex], client: Elasticsearch, fresh_name: str
    ) -> None:
        """Nor does a strategy that is given: no request is sent to an index that is gone."""
        gone = add_graph(ImageIndex.create(client, fresh_name, CELLS))
        client.indices.delete(index=",".join(gone.indices))
        assert QueryPlanner(CELLS, gone).strategy(SearchOptions()) == "graph"
        assert QueryPlanner(CELLS, gone).strategy(SearchOptions(strategy="sub_codes")) == "sub_codes"


def tuned(strategy: str, **limits: Any) -> Tuned:
    """A tuning of an index of COUNT images for ten hits."""
    values = {"candidates": 40, "compared": None, "probes": None, **limits}
    return Tuned(strategy, **values, k=10, target=0.9, recall=0.95, images=COUNT, at="2026-01-01T00:00:00+00:00")


def tuned_planner(encoder: Encoder, index: ImageIndex, values: Tuned, scanned_up_to: int = COUNT // 10) -> QueryPlanner:
    return QueryPlanner(encoder, replace(index, tuned=values), scanned_up_to)


class TestTuned:
    """Tuned values replace options that are None, and only those."""

    @pytest.mark.parametrize(
        ("options", "strategy", "candidates"),
        [
            (SearchOptions(), "scan", 40),
            (SearchOptions(k=3), "scan", 40),
            (SearchOptions(candidates=70), "scan", 70),
            (SearchOptions(k=11), "scan", CANDIDATES),
            (SearchOptions(k=900), "scan", 900),
            (SearchOptions(category=["rare"]), "scan", CANDIDATES),
            (SearchOptions(strategy="sub_codes"), "sub_codes", CANDIDATES),
            (SearchOptions(strategy="scan"), "scan", 40),
        ],
    )
    def test_tuned_strategy_and_candidates(
        self, mixed: ImageIndex, options: SearchOptions, strategy: str, candidates: int
    ) -> None:
        plan = tuned_planner(CELLS, mixed, tuned("scan")).plan(SearchQuery(QUERY), options)
        assert (plan.strategy, plan.candidates) == (strategy, candidates)

    def test_tuning_takes_precedence_over_a_graph(self, indices: dict[str, ImageIndex]) -> None:
        planner = tuned_planner(CELLS, indices["cells-graph"], tuned("scan"))
        assert planner.strategy(SearchOptions()) == "scan"
        assert planner.strategy(SearchOptions(strategy="graph")) == "graph"
        assert planner.candidates(SearchOptions(), "graph") == CANDIDATES

    @pytest.mark.parametrize(
        ("options", "compared"),
        [
            (SearchOptions(), 60),
            (SearchOptions(strategy="sub_codes"), 60),
            (SearchOptions(compared=90), 90),
            (SearchOptions(k=11), COMPARED_AT_LEAST),
        ],
    )
    def test_tuned_compared(self, indices: dict[str, ImageIndex], options: SearchOptions, compared: int) -> None:
        index = indices["cells"]
        plan = tuned_planner(CELLS, index, tuned("sub_codes", compared=60)).plan(SearchQuery(QUERY), options)
        assert plan.strategy == "sub_codes"
        assert plan.terms == QueryPlanner(CELLS, index).terms(QUERY, SearchOptions(compared=compared))

    @pytest.mark.parametrize(("then", "compared"), [(COUNT // 3, 180), (COUNT, 60), (2 * COUNT, 60)])
    def test_tuned_compared_grows_with_the_index(
        self, indices: dict[str, ImageIndex], then: int, compared: int
    ) -> None:
        values = replace(tuned("sub_codes", compared=60), images=then)
        terms = tuned_planner(CELLS, indices["cells"], values).terms(QUERY, SearchOptions())
        assert terms == QueryPlanner(CELLS, indices["cells"]).terms(QUERY, SearchOptions(compared=compared))

    @pytest.mark.parametrize(("options", "probes"), [(SearchOptions(), 3), (SearchOptions(probes=5), 5)])
    def test_tuned_probes(self, indices: dict[str, ImageIndex], options: SearchOptions, probes: int) -> None:
        query = BLOCKS.encode_query(VECTORS[7])
        plan = tuned_planner(BLOCKS, indices["blocks"], tuned("sub_codes", probes=3)).plan(SearchQuery(query), options)
        assert len(plan.terms) == probes * 4

    def test_tuned_sub_codes_do_not_apply_with_filters(self, mixed: ImageIndex, indices: dict[str, ImageIndex]) -> None:
        """If few images pass the filter they are scanned, else at least the default number is compared."""
        planner = tuned_planner(CELLS, mixed, tuned("sub_codes", compared=20))
        assert planner.strategy(SearchOptions(category=["rare"])) == "scan"
        common = planner.plan(SearchQuery(QUERY), SearchOptions(category=["common"]))
        assert (common.strategy, common.candidates, len(common.terms)) == ("sub_codes", CANDIDATES, 20)
        blocks = tuned_planner(BLOCKS, indices["blocks"], tuned("sub_codes", probes=3))
        assert blocks.strategy(SearchOptions(category=["rare"])) == "scan"

    def test_a_tuned_search_with_a_narrow_filter_misses_nothing(self, mixed: ImageIndex) -> None:
        index = replace(mixed, tuned=tuned("sub_codes", compared=5, candidates=10))
        searcher = Searcher(CELLS, index)
        best = 10 * np.argsort(-cosines(VECTORS[::10], VECTORS[7]))[:5]
        hits = searcher.by_vector(VECTORS[7], SearchOptions(k=5, category=["rare"]))
        assert [int(hit.id) for hit in hits] == best.tolist()

    def test_a_search_uses_the_tuning_stored_in_the_index(self, client: Elasticsearch, fresh_name: str) -> None:
        save_tuning(filled(client, fresh_name, CELLS, VECTORS), tuned("sub_codes", compared=60))
        searcher = Searcher(CELLS, ImageIndex.open(client, fresh_name, CELLS))
        options = SearchOptions(strategy="sub_codes", compared=60, candidates=40)
        hits, expected = searcher.by_vector(VECTORS[7]), searcher.by_vector(VECTORS[7], options)
        assert [(hit.id, hit.sub_codes) for hit in hits] == [(hit.id, hit.sub_codes) for hit in expected]
        assert all(hit.sub_codes for hit in hits)
