"""Blocks or a scan: the choice as a table, the expected costs against numpy, the hits on real indices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from elasticsearch import Elasticsearch
from support.indices import filled, filled_both_ways
from support.vectors import clustered, toy_encoder

from hashsearch.elastic import queries
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.queries import MAX_CANDIDATES
from hashsearch.encoder import EncodedQuery, Encoder
from hashsearch.hashing.bits import hamming
from hashsearch.hashing.sub_codes import Blocks
from hashsearch.search.radius import MEASURED, Prefilter, RadiusPlanner, cheapest, prefilters
from hashsearch.search.searcher import Searcher, SearchOptions

COUNT, DIMS, BITS = 1500, 64, 112
VECTORS = clustered(COUNT, DIMS, spread=0.3)
BLOCKS, CELLS = toy_encoder(VECTORS, BITS, "blocks"), toy_encoder(VECTORS, BITS, "cells", cells=20)
ENCODERS = {"blocks": BLOCKS, "cells": CELLS}
CODES = BLOCKS.encode(VECTORS).codes
assert isinstance(BLOCKS.sub_codes, Blocks)
CUT: Blocks = BLOCKS.sub_codes
QUERIES = [BLOCKS.encode_query(vector) for vector in (VECTORS[3], VECTORS[77], VECTORS[5] + VECTORS[150])]
RADII = (0, 1, 5, 6, 7, 13, 20, 33, 40, 69, BITS)
DEAR_SCAN = replace(MEASURED, code=1e12, planning=0.0)  # any prefilter is cheaper


def prefilter(terms: int, postings: float, passing: float, required: int = 1) -> Prefilter:
    return Prefilter(np.zeros(0, np.uint8), required, terms, postings, passing)


def unseen(choice: Prefilter) -> float:
    """What is added to the number of passing codes, as a sample lacks the rarest."""
    return 0.25 ** (choice.required - 1)


class TestCheapest:
    @pytest.mark.parametrize(
        ("images", "bits", "terms", "postings", "passing", "expected"),
        [
            # at a million codes of 1024 bits, as expected of real photos: radius 8, 63, 127, 160, 191
            (1_000_000, 1024, 10, 300, 0, "blocks"),
            (1_000_000, 1024, 128, 4_900, 50, "blocks"),
            (1_000_000, 1024, 1808, 56_000, 2_700, "blocks"),
            (1_000_000, 1024, 6128, 151_000, 4_700, "scan"),
            (1_000_000, 1024, 15_488, 370_000, 17_000, "scan"),
            # more images: terms cost the same
            (10_000_000, 1024, 15_488, 500_000, 30_000, "blocks"),
            # fewer: a scan costs less
            (10_000, 1024, 1808, 560, 27, "scan"),
            (100_000, 1024, 1808, 5_600, 270, "scan"),
            (100_000, 1024, 128, 490, 5, "blocks"),
            # short codes are scanned faster
            (1_000_000, 64, 6_000, 60_000, 3_500, "scan"),
            # nearly everything passes
            (1_000_000, 1024, 1088, 2_000_000, 900_000, "scan"),
            # more terms than Elasticsearch takes
            (10_000_000, 1024, 65_537, 0, 0, "scan"),
            (10_000_000, 1024, 65_536, 0, 0, "blocks"),
            (0, 1024, 64, 0, 0, "scan"),
        ],
    )
    def test_the_cheaper_of_blocks_and_scan_is_chosen(
        self, images: int, bits: int, terms: int, postings: float, passing: float, expected: str
    ) -> None:
        cheapest_choice = cheapest([prefilter(terms, postings, passing)], images, bits)
        assert ("scan" if cheapest_choice is None else "blocks") == expected

    def test_the_cheapest_of_several_prefilters_is_chosen(self) -> None:
        loose, fitting, strict = (
            prefilter(1088, 50e3, 38e3),
            prefilter(2168, 60e3, 1300.0, 4),
            prefilter(3608, 80e3, 200.0, 8),
        )
        assert cheapest([loose, fitting, strict], 1_000_000, 1024) is fitting
        assert cheapest([], 1_000_000, 1024) is None

    def test_many_that_pass_cost_a_walk_past_all_others(self) -> None:
        few, many = prefilter(0, 0, MAX_CANDIDATES), prefilter(0, 0, MAX_CANDIDATES + 1)
        costs = replace(MEASURED, single=1.0, code=3.0, bit=0.0)
        assert cheapest([few], 100_000, 1024, costs=replace(costs, passed_over=5.0)) is few
        assert cheapest([many], 100_000, 1024, costs=replace(costs, passed_over=5.0)) is None


@pytest.mark.slow
@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("query", QUERIES)
def test_the_expected_cost_of_a_prefilter_is_that_of_the_sample(query: EncodedQuery, radius: int) -> None:
    """With all images as the sample it is exact, and all images within the radius pass."""
    distances = CUT.distances(query.code, CUT.values(CODES))
    choices = list(prefilters(CUT, radius, distances, 10 * COUNT))
    assert [choice.required for choice in choices] == [1, 2, 3, 4, 6]  # of 7 blocks
    terms = BLOCKS.encode(VECTORS).sub_codes
    inside = hamming(query.code[np.newaxis], CODES)[0] <= radius
    for choice in choices:
        groups = CUT.neighbours(query.code, choice.reaches)
        near = np.array([np.isin(terms, group).any(axis=1) for group in groups]).sum(axis=0)
        assert choice.terms == sum(map(len, groups))
        assert choice.postings == pytest.approx(10 * near.sum())
        assert choice.passing == pytest.approx(10 * (np.count_nonzero(near >= choice.required) + unseen(choice)))
        assert (near >= choice.required)[inside].all()


@pytest.fixture(scope="module")
def indices(client: Elasticsearch) -> Iterator[dict[str, ImageIndex]]:
    with filled_both_ways(client, ENCODERS, VECTORS) as filled_indices:
        yield filled_indices


def encoder_of(kind: str) -> Encoder:
    return ENCODERS[kind.removesuffix("-graph")]


class TestOnAnIndex:
    @pytest.mark.parametrize("kind", ["blocks", "blocks-graph"])
    @pytest.mark.parametrize("radius", RADII)
    def test_a_prefilter_by_blocks_misses_no_image_within_the_radius(
        self, indices: dict[str, ImageIndex], kind: str, radius: int
    ) -> None:
        searcher = Searcher(BLOCKS, indices[kind])
        searcher.radius_planner = RadiusPlanner(BLOCKS, indices[kind], DEAR_SCAN)
        for query, vector in zip(QUERIES, (VECTORS[3], VECTORS[77], VECTORS[5] + VECTORS[150])):
            if radius <= 40:  # above that there are more terms than Elasticsearch takes
                assert searcher.radius_planner.clauses(query.code, radius)
            distances = hamming(query.code[np.newaxis], CODES)[0]
            hits = searcher.within_radius(vector, radius)
            assert {int(hit.id) for hit in hits} == set(np.flatnonzero(distances <= radius).tolist())
            assert [hit.hamming for hit in hits] == np.sort(distances)[: len(hits)].tolist()

    @pytest.mark.parametrize("radius", RADII[:-1])
    def test_every_prefilter_passes_as_many_as_expected_and_all_within_the_radius(
        self, indices: dict[str, ImageIndex], radius: int
    ) -> None:
        index, query = indices["blocks"], QUERIES[2]
        distances = hamming(query.code[np.newaxis], CODES)[0]
        for choice in prefilters(CUT, radius, CUT.distances(query.code, CUT.values(CODES)), COUNT):
            if choice.terms > 20_000:
                continue
            clause = queries.near_blocks(CUT.neighbours(query.code, choice.reaches), choice.required)
            within = queries.within(query.code.tobytes().hex(), radius, MAX_CANDIDATES, [clause])
            passing, inside = index.search(
                {"query": clause, "size": 0, "track_total_hits": True}, {"query": within, "size": COUNT}
            )
            assert passing["hits"]["total"]["value"] == choice.passing - unseen(choice)
            ids = {int(hit["_id"]) for hit in inside["hits"]["hits"]}
            assert ids == set(np.flatnonzero(distances <= radius).tolist())

    def test_filters_hold_beside_blocks(self, client: Elasticsearch, fresh_name: str) -> None:
        texts = [{"category": ("mugs", "pens")[row % 2]} for row in range(COUNT)]
        index = filled(client, fresh_name, BLOCKS, VECTORS, texts)
        searcher = Searcher(BLOCKS, index)
        searcher.radius_planner = RadiusPlanner(BLOCKS, index, DEAR_SCAN)
        hits = searcher.within_radius(VECTORS[3], 30, SearchOptions(category=["pens"]))
        inside = np.flatnonzero(hamming(QUERIES[0].code[np.newaxis], CODES)[0] <= 30)
        assert {int(hit.id) for hit in hits} == {row for row in inside.tolist() if row % 2}

    @pytest.mark.parametrize("kind", ["blocks", "cells", "cells-graph"])
    def test_codes_are_scanned_if_blocks_save_nothing_or_there_are_none(
        self, indices: dict[str, ImageIndex], kind: str
    ) -> None:
        assert RadiusPlanner(encoder_of(kind), indices[kind]).clauses(QUERIES[0].code, 6) == []

    def test_cells_are_never_used_as_a_prefilter(self, indices: dict[str, ImageIndex]) -> None:
        assert RadiusPlanner(CELLS, indices["cells"], DEAR_SCAN).clauses(QUERIES[0].code, 6) == []

    def test_an_empty_index_has_no_prefilter_and_no_hits(self, client: Elasticsearch, fresh_name: str) -> None:
        index = ImageIndex.create(client, fresh_name, BLOCKS)
        assert RadiusPlanner(BLOCKS, index, DEAR_SCAN).clauses(QUERIES[0].code, 6) == []
        assert Searcher(BLOCKS, index).within_radius(VECTORS[0], 6) == []


def test_an_index_without_the_codes_is_planned_as_a_scan(client: Elasticsearch, fresh_name: str) -> None:
    """A large index of a version without perceptual hashes."""
    vectors = clustered(40, 64)
    encoder = toy_encoder(vectors, bits=64)
    index = ImageIndex.create(client, fresh_name, encoder)
    for row in range(5):
        client.index(index=index.alias, id=str(row), document={"title": f"{row}"}, refresh=True)
    assert index.sampled_codes(9)[0] == 0
    planner = RadiusPlanner(encoder, index, replace(MEASURED, code=1e12, planning=0.0))
    assert planner.clauses(encoder.encode(vectors[:1]).codes[0], 3) == []
