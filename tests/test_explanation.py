"""Why an image is found or not, on a real node, against numpy on the same codes and vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from elasticsearch import Elasticsearch
from numpy.typing import NDArray
from support.indices import filled, fresh_index_name
from support.vectors import clustered, cosines, flipped, toy_encoder

from hashsearch.encoder import Encoder
from hashsearch.errors import EncoderError, ImageNotFound, SearchError
from hashsearch.hashing.bits import hamming
from hashsearch.search.explanation import Explanation
from hashsearch.search.planner import SearchOptions
from hashsearch.search.searcher import Searcher

COUNT, DIMS, BITS = 300, 64, 96
VECTORS = clustered(COUNT, DIMS, seed=2)
QUERY = VECTORS[11] + 0.2 * VECTORS[40]
TEXTS = [{"category": ("mugs", "pens")[row % 2], "attributes": {"third": row % 3}} for row in range(COUNT)]
ENCODERS = {
    "blocks": toy_encoder(VECTORS, BITS, "blocks"),
    "cells": toy_encoder(VECTORS, BITS, "cells", cells=20),
}
COSINES = cosines(VECTORS, QUERY)
EVERY = SearchOptions(k=10, candidates=COUNT)


@dataclass
class Indexed:
    """A searcher, and its index's codes for numpy."""

    encoder: Encoder
    searcher: Searcher

    @property
    def distances(self) -> NDArray[np.int32]:
        code = self.encoder.encode_query(QUERY).code[np.newaxis]
        distances: NDArray[np.int32] = hamming(code, self.encoder.encode(VECTORS).codes)[0]
        return distances

    def explain(self, row: int, options: SearchOptions = EVERY) -> Explanation:
        return self.searcher.explain(QUERY, f"{row:04}", options)

    def searched(self, **limits: Any) -> list[str]:
        options = SearchOptions(strategy="sub_codes", **limits)
        return self.searcher.planner.terms(self.encoder.encode_query(QUERY), options)


@pytest.fixture(scope="module")
def indexed(client: Elasticsearch) -> Iterator[dict[str, Indexed]]:
    with fresh_index_name(client) as name:
        indices = {kind: filled(client, f"{name}-{kind}", one, VECTORS, TEXTS) for kind, one in ENCODERS.items()}
        graphed = filled(client, f"{name}-graph", ENCODERS["cells"], VECTORS, TEXTS, graph=True)
        yield {
            **{kind: Indexed(encoder, Searcher(encoder, indices[kind])) for kind, encoder in ENCODERS.items()},
            "graph": Indexed(ENCODERS["cells"], Searcher(ENCODERS["cells"], graphed)),
        }


@pytest.fixture
def cells(indexed: dict[str, Indexed]) -> Indexed:
    return indexed["cells"]


def test_the_ranks_of_images_in_a_scan_equal_numpys(cells: Indexed) -> None:
    ranks = 1 + (cells.distances[:, None] > cells.distances).sum(axis=1)
    by_cosine = 1 + np.argsort(np.argsort(-COSINES))
    hits = {hit.id: hit for hit in cells.searcher.by_vector(QUERY, EVERY)}
    for row in range(0, COUNT, 7):
        result = cells.explain(row)
        assert (result.id, result.strategy, result.candidates, result.bits) == (f"{row:04}", "scan", COUNT, BITS)
        assert (result.compared, result.candidate, result.filtered_by) == (True, True, ())
        assert (result.hamming, result.hamming_rank) == (cells.distances[row], ranks[row])
        assert result.cosine == pytest.approx(COSINES[row], abs=1e-6)
        assert result.cosine_rank == by_cosine[row]
        assert result.found == (result.id in hits) == (by_cosine[row] <= 10)


def test_the_explanation_of_a_hit_agrees_with_the_hit(cells: Indexed) -> None:
    for hit in cells.searcher.by_vector(QUERY, EVERY):
        result = cells.explain(int(hit.id))
        assert (result.found, result.hamming, result.hamming_rank) == (True, hit.hamming, hit.hamming_rank)
        assert result.cosine == pytest.approx(hit.cosine, abs=1e-6)
    assert result.cosine_rank == 10
    assert result.why == f"found: #10 by cosine, #{hit.hamming_rank} by code before re-ranking"


def test_differing_bits_are_sorted_by_margin(cells: Indexed) -> None:
    query, row = cells.encoder.encode_query(QUERY), int(np.argmax(cells.distances))
    result = cells.explain(row)
    assert len(result.differing_bits) == result.hamming
    stored = cells.encoder.encode(VECTORS[row : row + 1]).codes[0]
    assert (flipped(query.code, np.array(result.differing_bits)) == stored).all()
    margins = np.abs(query.margins)
    assert (np.diff(margins[list(result.differing_bits)]) >= 0).all()
    assert result.differing_margin == pytest.approx(np.median(margins[list(result.differing_bits)]))
    assert result.margin == pytest.approx(np.median(margins))


def test_an_equal_code_has_rank_1_and_no_differing_bits(cells: Indexed) -> None:
    result = cells.searcher.explain(VECTORS[11], "0011", EVERY)
    assert (result.hamming, result.hamming_rank, result.differing_bits, result.differing_margin) == (0, 1, (), None)
    assert "margins" not in result.as_lines()


def test_an_image_that_is_no_candidate(cells: Indexed) -> None:
    options = SearchOptions(k=5, candidates=20)
    row = int(np.argmax(cells.distances))
    result = cells.explain(row, options)
    assert (result.found, result.compared, result.candidate) == (False, True, False)
    assert 1 <= result.cosine_rank <= 21
    assert result.why == (
        f"not found: its code is #{result.hamming_rank} by Hamming distance, and only 20 candidates are re-ranked; "
        f"by cosine it would be #{result.cosine_rank}"
    )
    assert result.cosine == pytest.approx(COSINES[row], abs=1e-6)


def test_a_candidate_beyond_k(cells: Indexed) -> None:
    row = int(np.argsort(-COSINES)[10])
    result = cells.explain(row)
    assert (result.found, result.candidate, result.cosine_rank) == (False, True, 11)
    assert result.why == "not found: it is #11 of the candidates by cosine, and k is 10"


def test_a_candidate_below_min_cosine(cells: Indexed) -> None:
    best = np.argsort(-COSINES)
    least = float(COSINES[best[2:4]].mean())
    result = cells.explain(int(best[3]), replace(EVERY, min_cosine=least))
    assert (result.found, result.cosine_rank) == (False, 4)
    assert result.why.endswith(f"is below min_cosine {least}")
    assert cells.explain(int(best[2]), replace(EVERY, min_cosine=least)).found


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"category": ["mugs"]}, ("category",)),
        ({"attributes": {"third": ["0"]}}, ("attributes.third",)),
        ({"category": ["mugs"], "attributes": {"third": ["0"]}}, ("category", "attributes.third")),
        ({"category": ["pens"], "attributes": {"third": ["0"]}}, ("attributes.third",)),
    ],
)
@pytest.mark.parametrize("kind", ["cells", "graph"])
def test_an_image_that_a_filter_excludes(
    indexed: dict[str, Indexed], kind: str, options: dict[str, Any], names: tuple[str, ...]
) -> None:
    result = indexed[kind].explain(11, replace(EVERY, **options))  # pens, and the remainder is 2
    assert (result.found, result.compared, result.candidate, result.hamming_rank) == (False, False, False, None)
    assert result.filtered_by == names
    assert result.why == f"not found: excluded by the filter on {' and on '.join(names)}"


def test_filters_that_the_image_passes_do_not_exclude_it(cells: Indexed) -> None:
    result = cells.explain(11, replace(EVERY, category=["pens"], attributes={"third": ["2"]}))
    assert (result.found, result.filtered_by, result.cosine_rank) == (True, (), 1)


@pytest.mark.parametrize(("kind", "limits"), [("cells", {"compared": 40}), ("blocks", {"probes": 2})])
def test_only_images_that_share_a_sub_code_are_compared(
    indexed: dict[str, Indexed], kind: str, limits: dict[str, Any]
) -> None:
    options = replace(EVERY, strategy="sub_codes", **limits)
    terms, searched = indexed[kind].encoder.encode(VECTORS).sub_codes, indexed[kind].searched(**limits)
    sharing = np.asarray(np.isin(terms, searched).any(axis=1))
    distances = indexed[kind].distances
    for row in (*np.flatnonzero(sharing)[:8].tolist(), *np.flatnonzero(~sharing)[:8].tolist()):
        result = indexed[kind].explain(row, options)
        assert result.compared is result.candidate is bool(sharing[row])
        assert (result.sub_codes_asked, set(result.sub_codes)) == (len(searched), set(terms[row]))
        assert result.shared == tuple(sorted(set(terms[row]) & set(searched)))
        if sharing[row]:
            assert result.hamming_rank == 1 + np.count_nonzero(distances[sharing] < distances[row])
            assert "shared " + ", ".join(result.shared) in result.as_lines()
        else:
            assert result.hamming_rank is None
            assert result.why.startswith(f"not found: it has none of the {len(searched)} sub-codes that were searched")
            assert result.cosine == pytest.approx(COSINES[row], abs=1e-6)
            assert "searched: none shared" in result.as_lines()


def test_a_graph_reports_candidates_but_not_what_it_visited(indexed: dict[str, Indexed]) -> None:
    best = np.argsort(-COSINES)
    result = indexed["graph"].explain(int(best[0]))
    assert (result.strategy, result.found, result.compared, result.hamming_rank) == ("graph", True, None, None)
    assert result.why == "found: #1 by cosine"
    assert result.hamming == indexed["graph"].distances[best[0]]
    missed = indexed["graph"].explain(int(best[-1]), SearchOptions(k=5, candidates=10))
    assert (missed.found, missed.candidate, missed.compared) == (False, False, None)
    assert missed.why.startswith("not found: the graph search did not visit it")
    assert missed.cosine_rank == 11


def test_an_image_is_not_among_its_own_hits(cells: Indexed) -> None:
    result = cells.searcher.explain("0011", "0011")
    assert (result.found, result.compared) == (False, False)
    assert result.why == "not found: it is the query image itself, which is left out of its own hits"
    other = cells.searcher.explain("0011", "0040", EVERY)
    others = np.arange(COUNT) != 11
    codes = cells.encoder.encode(VECTORS).codes
    distances = hamming(codes[11:12], codes)[0]
    assert other.hamming_rank == 1 + np.count_nonzero(distances[others] < distances[40])


def test_unknown_images_and_unusable_queries_are_refused(cells: Indexed, indexed: dict[str, Indexed]) -> None:
    for searched, image_id in ((QUERY, "nobody"), ("nobody", "0011"), (QUERY, "")):
        with pytest.raises(ImageNotFound, match="no image with id"):
            cells.searcher.explain(searched, image_id)
    with pytest.raises(EncoderError, match="a vector must not be zero"):
        cells.searcher.explain(np.zeros(DIMS, np.float32), "0011")
    with pytest.raises(SearchError, match="needs an index with a graph"):
        cells.explain(11, SearchOptions(strategy="graph"))


def test_an_explanation_as_lines_and_as_json(cells: Indexed) -> None:
    result = cells.explain(11, EVERY)
    lines = result.as_lines().splitlines()
    assert lines[0] == "0011: found: #1 by cosine, #1 by code before re-ranking"
    assert lines[1] == f"cosine     {result.cosine:.4f}, #1 of at most {COUNT} candidates"
    assert lines[2] == f"hamming    {result.hamming} of {BITS} bits differ, #1 of the compared codes"
    assert len(lines) == 4
    assert result.as_dict()["differing_bits"] == result.differing_bits
