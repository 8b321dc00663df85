"""Searches on a real node against numpy: the same ids, the same cosines, the same distances, none missed."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from elasticsearch import Elasticsearch
from numpy.typing import NDArray
from support.faults import Exchange, FaultProxy, passes, rewrites
from support.indices import documents_of, filled, fresh_index_name
from support.shop import Shop
from support.vectors import clustered, cosines, toy_encoder
from threadpoolctl import threadpool_info

from hashsearch.elastic import templates
from hashsearch.elastic.client import connect
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.writing import BulkWriter
from hashsearch.encoder import Encoder
from hashsearch.errors import (
    EmbedderError,
    EncoderError,
    HashingError,
    HashsearchError,
    ImageNotFound,
    IndexNotFound,
    SearchError,
    StoreUnavailable,
)
from hashsearch.hashing.bits import hamming
from hashsearch.hashing.rerank_vectors import RerankVectors
from hashsearch.hashing.sub_codes import Blocks
from hashsearch.hashing.vectors import Vectors
from hashsearch.images.decoding import decode
from hashsearch.search.planner import SearchOptions
from hashsearch.search.searcher import Hit, QueryInput, Searcher, as_table
from hashsearch.threads import all_cores

COUNT, DIMS, BITS = 400, 64, 80  # not a power of two: scores like (80 - 7) / 80 are not exact in float32
VECTORS = clustered(COUNT, DIMS)
TEXTS: list[dict[str, Any]] = [
    {
        "title": f"Product {row}",
        "category": ("mugs", "pens", "labels", "flyers")[row % 4],
        "attributes": {
            "colour": ("red", "blue", "green")[row % 3],
            "size": {"width": row % 5},
            "tags": ["a", f"t{row % 7}"],
        },
        "width": row + 1,
        "height": 2 * row + 1,
    }
    for row in range(COUNT)
]
ENCODERS = {
    "blocks": toy_encoder(VECTORS, BITS, "blocks"),
    "cells": toy_encoder(VECTORS, BITS, "cells", cells=30, nearest=2),
}
SMALLER = {  # stored vectors that are not the embeddings; their cosine differs
    "projected": RerankVectors(dims=10),
    "bytes": RerankVectors(dtype="int8"),
    "projected-bytes": RerankVectors(dims=10, dtype="int8"),
}
QUERIES = [
    *VECTORS[[3, 77, 250]],
    VECTORS[5] + VECTORS[150],
    1000 * VECTORS[9],
    np.random.default_rng(5).random(DIMS).astype(np.float32),
]


@dataclass
class Indexed:
    """A searcher, and its index's codes and vectors for numpy."""

    searcher: Searcher
    vectors: Vectors

    @property
    def encoder(self) -> Encoder:
        return self.searcher.encoder

    def distances(self, query: Vectors) -> NDArray[np.int32]:
        code = self.encoder.encode_query(query).code[np.newaxis]
        distances: NDArray[np.int32] = hamming(code, self.encoder.encode(self.vectors).codes)[0]
        return distances

    def cosines(self, query: Vectors) -> NDArray[np.float64]:
        """Cosines between the stored vectors and the query."""
        if self.encoder.rerank_vectors.whole:
            return cosines(self.vectors, query)
        stored = self.encoder.encode(self.vectors).rerank_vectors
        return cosines(stored, self.encoder.encode_query(query).rerank_vector)

    def query_terms(self, query: Vectors, probes: int | None = None, compared: int | None = None) -> list[str]:
        """The sub-codes that a query searches: `probes` per block, or cells with `compared` images."""
        encoded, kind = self.encoder.encode_query(query), self.encoder.sub_codes
        if isinstance(kind, Blocks):
            assert probes is not None
            return kind.query_terms(encoded.code, encoded.margins, probes)
        assert compared is not None
        terms = self.encoder.encode(self.vectors).sub_codes
        sizes = np.array([np.count_nonzero(terms == name) for name in kind.names()])
        return kind.query_terms(encoded.embedding, sizes, compared)

    def check_values(self, hits: list[Hit], query: Vectors) -> None:
        """Cosine and distance of each hit are correct."""
        found, distances = self.cosines(query), self.distances(query)
        for hit in hits:
            row = int(hit.id)
            assert hit.cosine == pytest.approx(found[row], abs=1e-5)
            assert hit.hamming == distances[row]

    def check(self, hits: list[Hit], query: Vectors, options: SearchOptions, allowed: NDArray[np.bool_]) -> None:
        """The hits are the best by cosine among the candidates, the nearest codes of the allowed images.

        Which of several codes at the same distance are still candidates is free where not all can be.
        """
        assert options.candidates is not None
        found, distances = self.cosines(query), self.distances(query)
        places = np.flatnonzero(allowed)
        if not len(places):
            assert hits == []
            return
        bound = np.sort(distances[places])[: options.candidates][-1]
        sure = {int(row) for row in places if distances[row] < bound}
        candidates = {int(row) for row in places if distances[row] <= bound}
        if len(candidates) <= options.candidates:
            sure = candidates
        floor = -1.0 if options.min_cosine is None else options.min_cosine
        sure, candidates = ({row for row in rows if found[row] >= floor} for rows in (sure, candidates))
        rows = [int(hit.id) for hit in hits]
        self.check_values(hits, query)
        assert set(rows) <= candidates
        assert len(set(rows)) == len(rows) >= min(options.k, len(sure))
        assert rows == sorted(rows, key=lambda row: -round(hits[rows.index(row)].cosine, 7))
        missed = sure - set(rows)
        assert all(found[row] <= hits[-1].cosine + 1e-6 for row in missed)
        assert not missed or len(rows) == options.k
        for hit in hits:
            assert hit.hamming is not None
            assert hit.hamming_rank == 1 + np.count_nonzero(distances[places] < hit.hamming)


def matching(category: list[str] | None = None, **values: list[Any]) -> NDArray[np.bool_]:
    """Which rows have one of the categories and one of the values of each attribute."""

    def fits(text: dict[str, Any]) -> bool:
        attributes: dict[str, Any] = text["attributes"]
        known = {
            "colour": [attributes["colour"]],
            "width": [str(attributes["size"]["width"])],
            "tags": attributes["tags"],
        }
        return (not category or text["category"] in category) and all(
            set(known[name]) & set(wanted) for name, wanted in values.items()
        )

    return np.array([fits(text) for text in TEXTS])


EVERYTHING = np.ones(COUNT, bool)


@pytest.fixture(scope="module")
def searchers(client: Elasticsearch) -> Iterator[dict[str, Indexed]]:
    """By the kind of sub-codes and of the code's index."""
    indexed = {}
    with fresh_index_name(client) as name:
        for kind, encoder in ENCODERS.items():
            for graph in (False, True):
                key = f"{kind}-{'graph' if graph else 'flat'}"
                index = filled(client, f"{name}-{key}", encoder, VECTORS, TEXTS, graph=graph)
                indexed[key] = Indexed(Searcher(encoder, index), VECTORS)
        yield indexed


@pytest.fixture
def flat(searchers: dict[str, Indexed]) -> Indexed:
    return searchers["blocks-flat"]


class TestScan:
    @pytest.mark.parametrize(
        ("k", "candidates"), [(1, 1), (10, 10), (10, 50), (50, 200), (10, 400), (400, 400), (10, 10_000)]
    )
    def test_a_scan_equals_numpy(self, flat: Indexed, k: int, candidates: int) -> None:
        options = SearchOptions(k=k, candidates=candidates)
        for query in QUERIES:
            flat.check(flat.searcher.by_vector(query, options), query, options, EVERYTHING)

    def test_with_all_as_candidates_it_is_the_exact_cosine_search(self, flat: Indexed) -> None:
        for query in QUERIES:
            hits = flat.searcher.by_vector(query, SearchOptions(k=20, candidates=COUNT))
            best = np.argsort(-cosines(VECTORS, query))[:20]
            assert [int(hit.id) for hit in hits] == best.tolist()

    def test_a_hit_carries_what_is_stored(self, flat: Indexed) -> None:
        hit = flat.searcher.by_vector(VECTORS[17])[0]
        assert (hit.id, hit.uri, hit.title, hit.category) == ("0017", "/0017.jpg", "Product 17", "pens")
        assert (hit.attributes, hit.width, hit.height) == (TEXTS[17]["attributes"], 18, 35)
        assert (hit.hamming, hit.hamming_rank, hit.sub_codes) == (0, 1, ())
        assert hit.cosine == pytest.approx(1, abs=1e-6)
        assert hit.as_dict()["id"] == "0017"

    def test_without_explanation_there_is_neither_distance_nor_rank(self, flat: Indexed) -> None:
        explained = flat.searcher.by_vector(VECTORS[17])
        silent = flat.searcher.by_vector(VECTORS[17], SearchOptions(explain=False))
        assert silent == [replace(hit, hamming=None, hamming_rank=None) for hit in explained]

    def test_as_lines_for_a_terminal(self, flat: Indexed) -> None:
        for explain, expected in (
            (True, "1.0000        0    #1  0017  Product 17"),
            (False, "1.0000                 0017  Product 17"),
        ):
            hits = flat.searcher.by_vector(VECTORS[17], SearchOptions(k=1, explain=explain))
            assert as_table(hits).splitlines() == ["cosine  hamming   was  id", expected]

    def test_the_length_of_the_vector_does_not_count(self, flat: Indexed) -> None:
        for scale in (1e-30, 0.1, 1e30):
            hits = flat.searcher.by_vector((VECTORS[17].astype(float) * scale).astype(np.float32))
            assert [hit.id for hit in hits] == [hit.id for hit in flat.searcher.by_vector(VECTORS[17])]

    @pytest.mark.parametrize("min_cosine", [-1.0, 0.0, 0.7, 0.9, 0.999, 1.0])
    def test_minimum_cosine(self, flat: Indexed, min_cosine: float) -> None:
        options = SearchOptions(k=50, candidates=COUNT, min_cosine=min_cosine)
        for query in QUERIES[:2] if min_cosine == 1 else QUERIES:
            hits = flat.searcher.by_vector(query, options)
            found = cosines(VECTORS, query)
            assert all(hit.cosine >= min_cosine - 1e-6 for hit in hits)
            assert len(hits) >= min(50, int(np.count_nonzero(found >= min_cosine + 1e-6)))
            assert len(hits) <= min(50, int(np.count_nonzero(found >= min_cosine - 1e-6)))


class TestFilters:
    @pytest.mark.parametrize(
        ("category", "attributes", "allowed"),
        [
            (["mugs"], {}, matching(["mugs"])),
            (["mugs", "pens"], {}, matching(["mugs", "pens"])),
            ([], {"colour": ["red"]}, matching(colour=["red"])),
            ([], {"colour": ["red", "blue"], "size.width": ["3"]}, matching(colour=["red", "blue"], width=["3"])),
            (["labels"], {"tags": ["t1", "t2"]}, matching(["labels"], tags=["t1", "t2"])),
            (["labels"], {"colour": ["none"]}, matching(["labels"], colour=["none"])),
            (["none"], {}, matching(["none"])),
        ],
    )
    @pytest.mark.parametrize("candidates", [20, COUNT])
    def test_filters_apply_before_candidates_are_selected(
        self,
        flat: Indexed,
        category: list[str],
        attributes: dict[str, list[str]],
        allowed: NDArray[np.bool_],
        candidates: int,
    ) -> None:
        options = SearchOptions(k=10, candidates=candidates, category=category, attributes=attributes)
        for query in QUERIES[:3]:
            flat.check(flat.searcher.by_vector(query, options), query, options, allowed)

    @pytest.mark.parametrize("strategy", ["scan", "sub_codes"])
    def test_filters_apply_with_every_strategy(self, searchers: dict[str, Indexed], strategy: str) -> None:
        options = SearchOptions(
            k=COUNT, candidates=COUNT, strategy=strategy, category=["mugs"], attributes={"tags": ["t1"]}
        )
        allowed = matching(["mugs"], tags=["t1"])
        hits = searchers["cells-flat"].searcher.by_vector(QUERIES[0], replace(options, compared=2 * COUNT))
        assert {int(hit.id) for hit in hits} == set(np.flatnonzero(allowed).tolist())


class TestById:
    def test_a_search_by_id_leaves_the_image_itself_out(self, flat: Indexed) -> None:
        others = EVERYTHING.copy()
        others[42] = False
        for candidates in (10, COUNT):
            options = SearchOptions(k=10, candidates=candidates)
            hits = flat.searcher.by_id("0042", options)
            flat.check(hits, VECTORS[42], options, others)
            assert len(hits) == 10

    @pytest.mark.parametrize(
        ("kind", "limit"), [("blocks", {"probes": 1}), ("blocks", {"probes": 5}), ("cells", {"compared": 90})]
    )
    def test_a_search_by_id_searches_the_sub_codes_of_its_embedding(
        self, searchers: dict[str, Indexed], kind: str, limit: dict[str, Any]
    ) -> None:
        indexed = searchers[f"{kind}-flat"]
        options = SearchOptions(k=10, candidates=COUNT, strategy="sub_codes", **limit)
        terms = indexed.encoder.encode(VECTORS).sub_codes
        for row in (42, 7):
            allowed = np.asarray(np.isin(terms, indexed.query_terms(VECTORS[row], **limit)).any(axis=1))
            allowed[row] = False
            indexed.check(indexed.searcher.by_id(f"{row:04}", options), VECTORS[row], options, allowed)

    def test_an_unknown_id_is_refused(self, flat: Indexed) -> None:
        for image_id in ("missing", ""):
            with pytest.raises(ImageNotFound, match=f"no image with id '{image_id}'"):
                flat.searcher.by_id(image_id)


@pytest.fixture(scope="module", params=SMALLER)
def smaller(request: pytest.FixtureRequest, client: Elasticsearch) -> Iterator[Indexed]:
    encoder = toy_encoder(VECTORS, BITS, "cells", SMALLER[request.param], cells=30, nearest=2)
    with fresh_index_name(client) as name:
        yield Indexed(Searcher(encoder, filled(client, name, encoder, VECTORS, TEXTS)), VECTORS)


class TestSmallerVectors:
    """Projected, as bytes, or both: the cosine is that of the stored vectors, to the last digit of its score."""

    @pytest.mark.parametrize(("k", "candidates"), [(10, 50), (10, 400), (400, 400)])
    def test_a_search_equals_numpy(self, smaller: Indexed, k: int, candidates: int) -> None:
        options = SearchOptions(k=k, candidates=candidates)
        for query in QUERIES:
            smaller.check(smaller.searcher.by_vector(query, options), query, options, EVERYTHING)

    def test_an_image_finds_itself_at_cosine_one(self, smaller: Indexed) -> None:
        hit = smaller.searcher.by_vector(VECTORS[17], SearchOptions(k=1))[0]
        assert (hit.id, hit.hamming) == ("0017", 0)
        assert hit.cosine == pytest.approx(1, abs=1e-5)

    @pytest.mark.parametrize("min_cosine", [0.0, 0.7, 0.9])
    def test_minimum_cosine(self, smaller: Indexed, min_cosine: float) -> None:
        options = SearchOptions(k=COUNT, candidates=COUNT, min_cosine=min_cosine)
        for query in QUERIES:
            hits, found = smaller.searcher.by_vector(query, options), smaller.cosines(query)
            assert {int(hit.id) for hit in hits} >= set(np.flatnonzero(found >= min_cosine + 1e-6).tolist())
            assert {int(hit.id) for hit in hits} <= set(np.flatnonzero(found >= min_cosine - 1e-6).tolist())

    def test_a_search_by_id_uses_the_stored_code_and_vector(self, smaller: Indexed) -> None:
        for row in range(0, COUNT, 40):
            options = SearchOptions(k=10, candidates=100)
            hits = smaller.searcher.by_id(f"{row:04}", options)
            smaller.check(hits, VECTORS[row], options, np.arange(COUNT) != row)

    def test_a_search_by_id_uses_the_cells_of_the_reconstructed_embedding(self, smaller: Indexed) -> None:
        """Nearly the cells of its embedding, so that nearly the same images are found."""
        options = SearchOptions(k=10, candidates=COUNT, strategy="sub_codes", compared=80)
        shared = 0
        for row in range(0, COUNT, 10):
            hits = smaller.searcher.by_id(f"{row:04}", options)
            smaller.check_values(hits, VECTORS[row])
            by_vector = smaller.searcher.by_vector(VECTORS[row], replace(options, k=11))
            shared += len({hit.id for hit in hits} & {hit.id for hit in by_vector})
        assert shared >= 0.9 * 10 * 40

    @pytest.mark.parametrize("radius", [0, 15, 30])
    def test_within_a_radius_of_an_indexed_image(self, smaller: Indexed, radius: int) -> None:
        hits = smaller.searcher.within_radius_of("0042", radius)
        distances = smaller.distances(VECTORS[42])
        assert {int(hit.id) for hit in hits} == set(np.flatnonzero(distances <= radius).tolist()) - {42}
        smaller.check_values(hits, VECTORS[42])


class TestSubCodes:
    @pytest.mark.parametrize(
        ("kind", "limit"),
        [
            *(("blocks", {"probes": probes}) for probes in (1, 4, 30)),
            *(("cells", {"compared": compared}) for compared in (1, 100, 2 * COUNT)),
        ],
    )
    @pytest.mark.parametrize("candidates", [15, COUNT])
    def test_only_images_that_share_a_sub_code_are_compared(
        self, searchers: dict[str, Indexed], kind: str, limit: dict[str, Any], candidates: int
    ) -> None:
        indexed = searchers[f"{kind}-flat"]
        options = SearchOptions(k=10, candidates=candidates, strategy="sub_codes", **limit)
        terms = indexed.encoder.encode(VECTORS).sub_codes
        for query in QUERIES:
            searched = indexed.query_terms(query, **limit)
            hits = indexed.searcher.by_vector(query, options)
            indexed.check(hits, query, options, np.asarray(np.isin(terms, searched).any(axis=1)))
            for hit in hits:
                assert hit.sub_codes == tuple(sorted(set(terms[int(hit.id)]) & set(searched)))
                assert hit.sub_codes

    @pytest.mark.parametrize(
        ("kind", "name", "limits"), [("blocks", "probes", (1, 8, 30)), ("cells", "compared", (1, 80, 800))]
    )
    def test_more_sub_codes_find_more_images(
        self, searchers: dict[str, Indexed], kind: str, name: str, limits: tuple[int, int, int]
    ) -> None:
        options: dict[str, Any] = {"k": COUNT, "candidates": COUNT, "strategy": "sub_codes"}
        searcher = searchers[f"{kind}-flat"].searcher
        found = [len(searcher.by_vector(QUERIES[-1], SearchOptions(**options | {name: limit}))) for limit in limits]
        assert found == sorted(found)
        assert found[0] < found[-1]

    def test_all_cells_of_a_small_index_are_searched_by_default(self, searchers: dict[str, Indexed]) -> None:
        indexed, options = searchers["cells-flat"], SearchOptions(k=COUNT, candidates=COUNT, strategy="sub_codes")
        for query in QUERIES:
            indexed.check(indexed.searcher.by_vector(query, options), query, options, EVERYTHING)

    def test_sixteen_probes_per_block_are_searched_by_default(self, searchers: dict[str, Indexed]) -> None:
        searcher, options = searchers["blocks-flat"].searcher, SearchOptions(strategy="sub_codes")
        for query in QUERIES:
            assert searcher.by_vector(query, options) == searcher.by_vector(query, replace(options, probes=16))

    def test_sub_codes_work_on_an_index_with_a_graph(self, searchers: dict[str, Indexed]) -> None:
        indexed = searchers["cells-graph"]
        options = SearchOptions(k=10, candidates=COUNT, strategy="sub_codes", compared=60)
        hits = indexed.searcher.by_vector(QUERIES[0], options)
        indexed.check_values(hits, QUERIES[0])
        assert hits[0].id == "0003"
        assert hits[0].sub_codes


class TestGraph:
    @pytest.mark.parametrize("kind", ["blocks-graph", "cells-graph"])
    @pytest.mark.parametrize("k", [10, 100, COUNT])
    def test_with_all_images_as_candidates_it_equals_numpy(
        self, searchers: dict[str, Indexed], kind: str, k: int
    ) -> None:
        indexed = searchers[kind]
        for query in QUERIES:
            hits = indexed.searcher.by_vector(query, SearchOptions(k=k, candidates=COUNT))
            exact = cosines(VECTORS, query)
            assert [hit.cosine for hit in hits] == pytest.approx(np.sort(exact)[::-1][:k], abs=1e-6)
            assert [hit.cosine for hit in hits] == pytest.approx([exact[int(hit.id)] for hit in hits], abs=1e-6)
            assert all(hit.hamming is not None and hit.hamming_rank is None for hit in hits)

    def test_min_cosine_is_that_of_the_floats(self, searchers: dict[str, Indexed]) -> None:
        searcher = searchers["cells-graph"].searcher
        for query in QUERIES:
            exact = np.sort(cosines(VECTORS, query))[::-1]
            least = float(exact[6] + exact[7]) / 2
            hits = searcher.by_vector(query, SearchOptions(k=10, candidates=COUNT, min_cosine=least))
            assert len(hits) == 7

    @pytest.mark.parametrize("kind", ["blocks-graph", "cells-graph"])
    def test_codes_can_be_scanned_in_an_index_with_a_graph(self, searchers: dict[str, Indexed], kind: str) -> None:
        indexed, options = searchers[kind], SearchOptions(k=10, candidates=50, strategy="scan")
        for query in QUERIES:
            indexed.check(indexed.searcher.by_vector(query, options), query, options, EVERYTHING)

    def test_a_graph_finds_nearly_all_with_correct_cosines_and_distances(self, searchers: dict[str, Indexed]) -> None:
        indexed = searchers["blocks-graph"]
        shares = []
        for query in QUERIES:
            hits = indexed.searcher.by_vector(query, SearchOptions(k=10, candidates=200, strategy="graph"))
            indexed.check_values(hits, query)
            best = set(np.argsort(-cosines(VECTORS, query))[:10].tolist())
            shares.append(len(best & {int(hit.id) for hit in hits}) / 10)
        assert np.mean(shares) > 0.9

    def test_a_graph_is_the_default_where_there_is_one(self, searchers: dict[str, Indexed]) -> None:
        indexed = searchers["blocks-graph"]
        assert indexed.searcher.by_vector(QUERIES[0]) == indexed.searcher.by_vector(
            QUERIES[0], SearchOptions(strategy="graph")
        )

    def test_an_index_without_a_graph_refuses_the_graph_strategy(self, searchers: dict[str, Indexed]) -> None:
        with pytest.raises(SearchError, match="strategy 'graph' needs an index with a graph"):
            searchers["blocks-flat"].searcher.by_vector(QUERIES[0], SearchOptions(strategy="graph"))


class TestMany:
    """Many queries at once: each finds what it finds alone, in order."""

    EVERY = (
        ("blocks-flat", SearchOptions()),
        ("blocks-flat", SearchOptions(k=3, candidates=20, explain=False)),
        ("blocks-flat", SearchOptions(strategy="sub_codes", probes=4)),
        ("cells-flat", SearchOptions(strategy="sub_codes", compared=80, min_cosine=0.5)),
        ("cells-flat", SearchOptions(category=["mugs"], attributes={"colour": ["red"]})),
        ("cells-graph", SearchOptions()),
        ("cells-graph", SearchOptions(strategy="scan", explain=False)),
    )

    @pytest.mark.parametrize(("kind", "options"), EVERY)
    def test_each_query_of_many_finds_what_it_finds_alone(
        self, searchers: dict[str, Indexed], kind: str, options: SearchOptions
    ) -> None:
        searcher = searchers[kind].searcher
        found = searcher.search_many(VECTORS[::2], options)  # several requests and batches
        for vector, hits in zip(VECTORS[::2], found, strict=True):
            self.same(hits, searcher.by_vector(vector, options))
        ids = ["0003", "0150", "0003"]
        for image_id, hits in zip(ids, searcher.search_many(ids, options), strict=True):
            self.same(hits, searcher.by_id(image_id, options))

    def same(self, hits: list[Hit] | HashsearchError, others: list[Hit]) -> None:
        """Equal but for the last digit of a cosine, which changes when Java compiles its loops."""
        assert isinstance(hits, list)
        assert [replace(hit, cosine=0) for hit in hits] == [replace(hit, cosine=0) for hit in others]
        assert [hit.cosine for hit in hits] == pytest.approx([hit.cosine for hit in others], abs=1e-6)

    def test_an_unusable_query_has_its_error_in_its_place(self, flat: Indexed) -> None:
        inputs = [VECTORS[5], np.zeros(DIMS, np.float32), "0007", "nobody", VECTORS[9][:-1], "", VECTORS[9]]
        found = list(flat.searcher.search_many(inputs))
        errors = {position: result for position, result in enumerate(found) if isinstance(result, HashsearchError)}
        assert {position: type(error) for position, error in errors.items()} == {
            1: EncoderError,
            3: ImageNotFound,
            4: HashingError,
            5: ImageNotFound,
        }
        assert "no image with id 'nobody'" in str(errors[3])
        self.same(found[0], flat.searcher.by_vector(VECTORS[5]))
        self.same(found[2], flat.searcher.by_id("0007"))
        self.same(found[6], flat.searcher.by_vector(VECTORS[9]))

    def test_pictures_vectors_and_ids_may_be_mixed(self, shop: Shop) -> None:
        searcher, red, gold = shop.searcher, *(decode(shop.picture(f"{one}.png")) for one in ("mugs/red", "mugs/gold"))
        inputs: list[QueryInput] = [
            red,
            np.zeros((4, 4), np.uint8),
            "mugs/blue.png",
            gold,
            shop.vectors["flyers/red.png"],
        ]
        found = list(searcher.search_many(inputs))
        assert isinstance(found[1], EmbedderError)
        assert "an image must be (height, width, 3) uint8, got (4, 4)" in str(found[1])
        self.same(found[0], searcher.by_image(red))
        self.same(found[2], searcher.by_id("mugs/blue.png"))
        self.same(found[3], searcher.by_image(gold))
        self.same(found[4], searcher.by_vector(shop.vectors["flyers/red.png"]))

    def test_no_queries_have_no_results(self, flat: Indexed) -> None:
        assert list(flat.searcher.search_many([])) == []
        assert [type(one) for one in flat.searcher.search_many(["nobody"])] == [ImageNotFound]

    def test_queries_may_be_endless(self, flat: Indexed) -> None:
        answers = flat.searcher.search_many(VECTORS[row % COUNT] for row in count(0))
        assert [one[0].id for one in islice(answers, 3) if isinstance(one, list)] == ["0000", "0001", "0002"]

    def test_an_error_of_all_queries_is_raised(self, searchers: dict[str, Indexed]) -> None:
        with pytest.raises(SearchError, match="needs an index with a graph"):
            list(searchers["blocks-flat"].searcher.search_many(VECTORS[:2], SearchOptions(strategy="graph")))


class TestRadius:
    @pytest.mark.parametrize("kind", ["blocks-flat", "cells-flat", "blocks-graph", "cells-graph"])
    @pytest.mark.parametrize("query", range(len(QUERIES)))
    def test_radius_search_misses_no_image_within_the_radius(
        self, searchers: dict[str, Indexed], kind: str, query: int
    ) -> None:
        indexed, vector = searchers[kind], QUERIES[query]
        distances = indexed.distances(vector)
        for radius in sorted({0, 1, *map(int, np.sort(distances)[:6]), *range(query, BITS, 9), BITS}):
            hits = indexed.searcher.within_radius(vector, radius)
            assert {int(hit.id) for hit in hits} == set(np.flatnonzero(distances <= radius).tolist())
            indexed.check_values(hits, vector)
            assert hits == sorted(hits, key=lambda hit: (hit.hamming, -hit.cosine, hit.id))

    def test_every_radius_of_a_scan(self, flat: Indexed) -> None:
        """The limit is sent as a float32 score; each distance must come out on the right side of it."""
        distances, mugs = flat.distances(QUERIES[3]), SearchOptions(category=["mugs"])
        for radius in range(BITS + 1):
            hits = flat.searcher.within_radius(QUERIES[3], radius, mugs)
            assert len(hits) == np.count_nonzero(matching(["mugs"]) & (distances <= radius))

    @pytest.mark.parametrize("kind", ["blocks-flat", "cells-graph"])
    def test_filters_apply_within_a_radius(self, searchers: dict[str, Indexed], kind: str) -> None:
        options = SearchOptions(category=["mugs", "pens"], attributes={"colour": ["red"]})
        allowed = matching(["mugs", "pens"], colour=["red"])
        distances = searchers[kind].distances(QUERIES[0])
        hits = searchers[kind].searcher.within_radius(QUERIES[0], 30, options)
        assert {int(hit.id) for hit in hits} == set(np.flatnonzero(allowed & (distances <= 30)).tolist())

    @pytest.mark.parametrize("kind", ["blocks-flat", "blocks-graph"])
    def test_min_cosine_applies_within_a_radius(self, searchers: dict[str, Indexed], kind: str) -> None:
        found, distances = cosines(VECTORS, QUERIES[0]), searchers[kind].distances(QUERIES[0])
        hits = searchers[kind].searcher.within_radius(QUERIES[0], 40, SearchOptions(min_cosine=0.8))
        assert {int(hit.id) for hit in hits} == set(np.flatnonzero((found >= 0.8) & (distances <= 40)).tolist())

    @pytest.mark.parametrize("radius", [-1, BITS + 1, 10**9])
    def test_a_radius_out_of_range_is_refused(self, flat: Indexed, radius: int) -> None:
        with pytest.raises(SearchError, match=f"radius must be 0 to {BITS}, the bits of a code, got {radius}"):
            flat.searcher.within_radius(QUERIES[0], radius)


MANY = 10_050


@pytest.fixture(scope="module")
def many(client: Elasticsearch) -> Iterator[Indexed]:
    """More images than one answer holds."""
    vectors = clustered(MANY, 4, seed=1) + np.float32(0.1)
    encoder = toy_encoder(vectors, 16)
    with fresh_index_name(client) as name:
        yield Indexed(Searcher(encoder, filled(client, name, encoder, vectors)), vectors)


class TestManyImages:
    def test_all_codes_come_in_pages(self, many: Indexed) -> None:
        pages = list(many.searcher.index.codes([]))
        assert [len(ids) for ids, _ in pages] == [10_000, 50]
        ids = [image_id for ids, _ in pages for image_id in ids]
        assert len(set(ids)) == MANY
        codes = np.concatenate([codes for _, codes in pages])
        assert (codes == many.encoder.encode(many.vectors).codes[[int(image_id) for image_id in ids]]).all()

    def test_a_radius_with_more_than_one_answer_holds_is_refused_not_cut(self, many: Indexed) -> None:
        query = many.vectors[0]
        for options in (SearchOptions(), SearchOptions(min_cosine=0.9)):
            with pytest.raises(SearchError, match="10000 or more images are within radius 16: use a smaller radius"):
                many.searcher.within_radius(query, 16, options)
        distances = many.distances(query)
        radius = int(np.sort(distances)[5000])
        expected = np.count_nonzero(distances <= radius)
        assert 5000 < expected < 10_000
        assert len(many.searcher.within_radius(query, radius)) == expected


class TestSeveralShards:
    def test_every_shard_contributes_its_candidates(self, client: Elasticsearch, fresh_name: str) -> None:
        encoder = ENCODERS["blocks"]
        templates.install(client)
        client.indices.create(
            index=f"hashsearch-{fresh_name}-2026.01.01",
            aliases={f"hashsearch-{fresh_name}": {"is_write_index": True}},
            mappings=templates.index_mappings(DIMS, BITS, encoder.fingerprint),
            settings={"number_of_shards": 3},
        )
        index = ImageIndex.open(client, fresh_name, encoder)
        BulkWriter(client, index.alias).write(documents_of(encoder, VECTORS, TEXTS))
        index.refresh()
        indexed = Indexed(Searcher(encoder, index), VECTORS)
        assert (index.shards, index.count()) == (3, COUNT)
        for query in QUERIES:
            options = SearchOptions(k=10, candidates=COUNT)
            indexed.check(indexed.searcher.by_vector(query, options), query, options, EVERYTHING)
            some = indexed.searcher.by_vector(query, SearchOptions(k=10, candidates=20))
            indexed.check_values(some, query)
            assert len(some) == 10
            distances = indexed.distances(query)
            for hit in some:
                assert hit.hamming is not None and hit.hamming_rank is not None
                assert hit.hamming_rank <= 1 + np.count_nonzero(distances < hit.hamming)
            inside = indexed.searcher.within_radius(query, 25)
            assert {int(hit.id) for hit in inside} == set(np.flatnonzero(distances <= 25).tolist())


class TestOptions:
    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"k": 0}, "k must be 1 to 10000, got 0"),
            ({"k": 10_001}, "k must be 1 to 10000, got 10001"),
            ({"k": 501, "candidates": 500}, "k must be 1 to the number of candidates, 500, got 501"),
            ({"k": 0, "candidates": 500}, "k must be 1 to the number of candidates, 500, got 0"),
            ({"candidates": 0}, "candidates must be 1 to 10000, got 0"),
            ({"candidates": 10_001}, "candidates must be 1 to 10000, got 10001"),
            ({"strategy": "guess"}, "strategy must be one of scan, sub_codes, graph, got 'guess'"),
            ({"compared": 0}, "compared must be at least 1, got 0"),
            ({"min_cosine": 1.01}, "min_cosine must be -1 to 1, got 1.01"),
            ({"min_cosine": float("nan")}, "min_cosine must be -1 to 1, got nan"),
        ],
    )
    def test_options_out_of_range_are_refused(self, wrong: dict[str, Any], message: str) -> None:
        with pytest.raises(SearchError, match=message):
            SearchOptions(**wrong)

    @pytest.mark.parametrize("probes", [0, -1, 698])
    def test_probes_out_of_range_are_refused(self, flat: Indexed, probes: int) -> None:
        with pytest.raises(SearchError, match=f"probes must be 1 to 697 for blocks, got {probes}"):
            flat.searcher.by_vector(QUERIES[0], SearchOptions(strategy="sub_codes", probes=probes))

    @pytest.mark.parametrize(
        ("kind", "limit", "message"),
        [
            ("cells-flat", {"probes": 5}, "probes go with blocks, and this encoder has cells; got 5"),
            ("blocks-flat", {"compared": 5}, "compared goes with cells, and this encoder has blocks; got 5"),
        ],
    )
    def test_options_for_the_other_kind_of_sub_codes_are_refused(
        self, searchers: dict[str, Indexed], kind: str, limit: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(SearchError, match=message):
            searchers[kind].searcher.by_vector(QUERIES[0], SearchOptions(strategy="sub_codes", **limit))

    def test_more_terms_than_elasticsearch_takes_are_refused(self, client: Elasticsearch, fresh_name: str) -> None:
        vectors = clustered(50, 8)
        encoder = toy_encoder(vectors, 2048)
        searcher = Searcher(encoder, filled(client, fresh_name, encoder, vectors))
        with pytest.raises(
            SearchError, match="probes may select at most 65536 sub-codes, and 697 per block select 89216"
        ):
            searcher.by_vector(vectors[0], SearchOptions(strategy="sub_codes", probes=697))
        assert searcher.by_vector(vectors[0], SearchOptions(strategy="sub_codes", probes=500))[0].id == "0000"


class TestWrongQueries:
    def test_a_zero_vector_is_refused(self, flat: Indexed) -> None:
        with pytest.raises(EncoderError, match="a vector must not be zero"):
            flat.searcher.by_vector(np.zeros(DIMS, np.float32))

    @pytest.mark.parametrize("vector", [np.ones(DIMS - 1), np.full(DIMS, np.inf), np.ones((2, DIMS))])
    def test_vectors_of_another_shape_or_not_finite_are_refused(self, flat: Indexed, vector: Vectors) -> None:
        with pytest.raises(HashsearchError):
            flat.searcher.by_vector(vector)

    def test_text_that_is_not_utf_8_is_refused(self, flat: Indexed) -> None:
        for options in (SearchOptions(category=["\ud800"]), SearchOptions(attributes={"\udcff": ["red"]})):
            with pytest.raises(SearchError, match="UTF-8"):
                flat.searcher.by_vector(QUERIES[0], options)
        with pytest.raises(SearchError, match="UTF-8"):
            flat.searcher.by_id("\ud800")


class TestNoAnswer:
    def test_a_vector_is_sent_in_its_shortest_digits(self, flat: Indexed, node: SimpleNamespace) -> None:
        """As doubles they would be twice as long."""
        body, hits = self.sent(flat, node, SearchOptions())
        assert hits
        embedding = flat.encoder.encode_query(QUERIES[0]).embedding
        assert ",".join(str(number) for number in embedding).encode() in body

    @pytest.mark.parametrize("explain", [True, False])
    def test_codes_are_fetched_only_to_explain(self, flat: Indexed, node: SimpleNamespace, explain: bool) -> None:
        body, _ = self.sent(flat, node, SearchOptions(explain=explain))
        searches = [json.loads(line) for line in body.splitlines()[1::2]]
        assert len(searches) == (2 if explain else 1)
        assert searches[0].get("docvalue_fields") == (["code", "sub_codes"] if explain else None)

    def sent(self, indexed: Indexed, node: SimpleNamespace, options: SearchOptions) -> tuple[bytes, list[Hit]]:
        """The body of the first request of a search, and its hits."""
        bodies: list[bytes] = []

        def looks(exchange: Exchange) -> None:
            bodies.append(exchange.body)
            passes(exchange)

        proxy = FaultProxy(node.url, "_msearch")
        proxy.plan(looks)
        with connect(proxy.url) as client:
            hits = self.moved(indexed, client).by_vector(QUERIES[0], options)
        proxy.stop()
        return bodies[0], hits

    def moved(self, indexed: Indexed, client: Elasticsearch) -> Searcher:
        return Searcher(indexed.encoder, replace(indexed.searcher.index, client=client))

    def test_a_node_that_is_down_is_reported(self, flat: Indexed) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with connect(f"http://127.0.0.1:{port}") as client:
            searcher = self.moved(flat, client)
            for search in (searcher.by_vector, lambda vector: searcher.within_radius(vector, 3)):
                with pytest.raises(StoreUnavailable):
                    search(QUERIES[0])

    def test_a_deleted_index_is_reported(self, client: Elasticsearch, fresh_name: str) -> None:
        index = filled(client, fresh_name, ENCODERS["blocks"], VECTORS[:5])
        (dated,) = client.indices.get(index=index.alias)
        client.indices.delete(index=dated)
        with pytest.raises(IndexNotFound):
            Searcher(ENCODERS["blocks"], index).by_vector(QUERIES[0])

    def test_an_answer_of_some_shards_is_refused(self, flat: Indexed, node: SimpleNamespace) -> None:
        def fails(answer: Any) -> None:
            answer["responses"][0]["_shards"]["failed"] = 1
            answer["responses"][0]["_shards"]["successful"] = 0

        proxy = FaultProxy(node.url, "_msearch")
        proxy.plan(rewrites(fails))
        with connect(proxy.url) as client, pytest.raises(StoreUnavailable, match="only 0 of 1 shards"):
            self.moved(flat, client).by_vector(QUERIES[0])
        proxy.stop()


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_with_a_searcher_blas_uses_one_thread_but_for_fitting(flat: Indexed) -> None:
    """Its threads go on spinning and take the cores from Elasticsearch."""
    Searcher(flat.searcher.encoder, flat.searcher.index)
    assert blas_threads() == {1}
    with all_cores():
        assert blas_threads() == {os.cpu_count()}
    assert blas_threads() == {1}
