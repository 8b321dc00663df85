"""Why an image is found or is not, on a real node, against what numpy knows of the same codes and vectors."""

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
class Made:
    """A searcher, and what numpy knows of its index."""

    encoder: Encoder
    searcher: Searcher

    @property
    def distances(self) -> NDArray[np.int32]:
        code = self.encoder.encode_query(QUERY).code[np.newaxis]
        row: NDArray[np.int32] = hamming(code, self.encoder.encode(VECTORS).codes)[0]
        return row

    def explain(self, row: int, options: SearchOptions = EVERY) -> Explanation:
        return self.searcher.explain(QUERY, f"{row:04}", options)

    def asked(self, **limits: Any) -> list[str]:
        options = SearchOptions(strategy="sub_codes", **limits)
        return self.searcher.recall.terms(self.encoder.encode_query(QUERY), options)


@pytest.fixture(scope="module")
def made(client: Elasticsearch) -> Iterator[dict[str, Made]]:
    with fresh_index_name(client) as name:
        indices = {kind: filled(client, f"{name}-{kind}", one, VECTORS, TEXTS) for kind, one in ENCODERS.items()}
        graphed = filled(client, f"{name}-graph", ENCODERS["cells"], VECTORS, TEXTS, graph=True)
        yield {
            **{kind: Made(encoder, Searcher(encoder, indices[kind])) for kind, encoder in ENCODERS.items()},
            "graph": Made(ENCODERS["cells"], Searcher(ENCODERS["cells"], graphed)),
        }


@pytest.fixture
def cells(made: dict[str, Made]) -> Made:
    return made["cells"]


def test_every_image_of_a_scan_has_the_place_that_numpy_gives_it(cells: Made) -> None:
    ranks = 1 + (cells.distances[:, None] > cells.distances).sum(axis=1)
    by_cosine = 1 + np.argsort(np.argsort(-COSINES))
    hits = {hit.id: hit for hit in cells.searcher.by_vector(QUERY, EVERY)}
    for row in range(0, COUNT, 7):
        told = cells.explain(row)
        assert (told.id, told.strategy, told.candidates, told.bits) == (f"{row:04}", "scan", COUNT, BITS)
        assert (told.compared, told.candidate, told.filtered_by) == (True, True, ())
        assert (told.hamming, told.hamming_rank) == (cells.distances[row], ranks[row])
        assert told.cosine == pytest.approx(COSINES[row], abs=1e-6)
        assert told.cosine_rank == by_cosine[row]
        assert told.found == (told.id in hits) == (by_cosine[row] <= 10)


def test_a_found_one_is_told_as_its_hit_is(cells: Made) -> None:
    for hit in cells.searcher.by_vector(QUERY, EVERY):
        told = cells.explain(int(hit.id))
        assert (told.found, told.hamming, told.hamming_rank) == (True, hit.hamming, hit.hamming_rank)
        assert told.cosine == pytest.approx(hit.cosine, abs=1e-6)
    assert told.cosine_rank == 10
    assert told.why == f"found: #10 by cosine, #{hit.hamming_rank} by code before re-ranking"


def test_the_bits_that_differ_come_least_certain_first(cells: Made) -> None:
    query, row = cells.encoder.encode_query(QUERY), int(np.argmax(cells.distances))
    told = cells.explain(row)
    assert len(told.differing_bits) == told.hamming
    stored = cells.encoder.encode(VECTORS[row : row + 1]).codes[0]
    assert (flipped(query.code, np.array(told.differing_bits)) == stored).all()
    margins = np.abs(query.margins)
    assert (np.diff(margins[list(told.differing_bits)]) >= 0).all()
    assert told.differing_margin == pytest.approx(np.median(margins[list(told.differing_bits)]))
    assert told.margin == pytest.approx(np.median(margins))


def test_a_code_that_does_not_differ_is_the_first(cells: Made) -> None:
    told = cells.searcher.explain(VECTORS[11], "0011", EVERY)
    assert (told.hamming, told.hamming_rank, told.differing_bits, told.differing_margin) == (0, 1, (), None)
    assert "margins" not in told.as_lines()


def test_one_that_is_no_candidate(cells: Made) -> None:
    options = SearchOptions(k=5, candidates=20)
    row = int(np.argmax(cells.distances))
    told = cells.explain(row, options)
    assert (told.found, told.compared, told.candidate) == (False, True, False)
    assert 1 <= told.cosine_rank <= 21
    assert told.why.startswith(
        f"not found: its code was compared, but is #{told.hamming_rank} by distance, and 20 were"
    )
    assert told.cosine == pytest.approx(COSINES[row], abs=1e-6)


def test_a_candidate_that_others_are_nearer_than(cells: Made) -> None:
    row = int(np.argsort(-COSINES)[10])
    told = cells.explain(row)
    assert (told.found, told.candidate, told.cosine_rank) == (False, True, 11)
    assert told.why == "not found: it is #11 of the candidates by cosine, and k is 10"


def test_one_below_the_least_cosine(cells: Made) -> None:
    best = np.argsort(-COSINES)
    least = float(COSINES[best[2:4]].mean())
    told = cells.explain(int(best[3]), replace(EVERY, min_cosine=least))
    assert (told.found, told.cosine_rank) == (False, 4)
    assert told.why.endswith(f"is below min_cosine {least}")
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
def test_one_that_a_filter_keeps_out(
    made: dict[str, Made], kind: str, options: dict[str, Any], names: tuple[str, ...]
) -> None:
    told = made[kind].explain(11, replace(EVERY, **options))  # pens, and the remainder is 2
    assert (told.found, told.compared, told.candidate, told.hamming_rank) == (False, False, False, None)
    assert told.filtered_by == names
    assert told.why == f"not found: it does not pass the filter on {' and on '.join(names)}"


def test_filters_that_it_passes_are_no_reason(cells: Made) -> None:
    told = cells.explain(11, replace(EVERY, category=["pens"], attributes={"third": ["2"]}))
    assert (told.found, told.filtered_by, told.cosine_rank) == (True, (), 1)


@pytest.mark.parametrize(("kind", "limits"), [("cells", {"compared": 40}), ("blocks", {"probes": 2})])
def test_only_who_shares_a_sub_code_is_compared(made: dict[str, Made], kind: str, limits: dict[str, Any]) -> None:
    options = replace(EVERY, strategy="sub_codes", **limits)
    terms, asked = made[kind].encoder.encode(VECTORS).sub_codes, made[kind].asked(**limits)
    sharing = np.asarray(np.isin(terms, asked).any(axis=1))
    distances = made[kind].distances
    for row in (*np.flatnonzero(sharing)[:8].tolist(), *np.flatnonzero(~sharing)[:8].tolist()):
        told = made[kind].explain(row, options)
        assert told.compared is told.candidate is bool(sharing[row])
        assert (told.sub_codes_asked, set(told.sub_codes)) == (len(asked), set(terms[row]))
        assert told.shared == tuple(sorted(set(terms[row]) & set(asked)))
        if sharing[row]:
            assert told.hamming_rank == 1 + np.count_nonzero(distances[sharing] < distances[row])
            assert "shared " + ", ".join(told.shared) in told.as_lines()
        else:
            assert told.hamming_rank is None
            assert told.why.startswith(f"not found: none of its sub-codes is among the {len(asked)} asked for")
            assert told.cosine == pytest.approx(COSINES[row], abs=1e-6)
            assert "none of them shared" in told.as_lines()


def test_a_graph_tells_candidates_but_not_who_was_met(made: dict[str, Made]) -> None:
    best = np.argsort(-COSINES)
    told = made["graph"].explain(int(best[0]))
    assert (told.strategy, told.found, told.compared, told.hamming_rank) == ("graph", True, None, None)
    assert told.why == "found: #1 by cosine"
    assert told.hamming == made["graph"].distances[best[0]]
    missed = made["graph"].explain(int(best[-1]), SearchOptions(k=5, candidates=10))
    assert (missed.found, missed.candidate, missed.compared) == (False, False, None)
    assert missed.why.startswith("not found: the walk of the graph did not meet it")
    assert missed.cosine_rank == 11


def test_an_image_is_not_among_its_own_hits(cells: Made) -> None:
    told = cells.searcher.explain("0011", "0011")
    assert (told.found, told.compared) == (False, False)
    assert told.why == "not found: it is the image searched with, which its own hits leave out"
    other = cells.searcher.explain("0011", "0040", EVERY)
    others = np.arange(COUNT) != 11
    codes = cells.encoder.encode(VECTORS).codes
    distances = hamming(codes[11:12], codes)[0]
    assert other.hamming_rank == 1 + np.count_nonzero(distances[others] < distances[40])


def test_what_cannot_be_explained(cells: Made, made: dict[str, Made]) -> None:
    for asked, image_id in ((QUERY, "nobody"), ("nobody", "0011"), (QUERY, "")):
        with pytest.raises(ImageNotFound, match="no image with id"):
            cells.searcher.explain(asked, image_id)
    with pytest.raises(EncoderError, match="must have a direction"):
        cells.searcher.explain(np.zeros(DIMS, np.float32), "0011")
    with pytest.raises(SearchError, match="needs an index with a graph"):
        cells.explain(11, SearchOptions(strategy="graph"))


def test_as_lines_and_as_json(cells: Made) -> None:
    told = cells.explain(11, EVERY)
    lines = told.as_lines().splitlines()
    assert lines[0] == "0011: found: #1 by cosine, #1 by code before re-ranking"
    assert lines[1] == f"cosine     {told.cosine:.4f}, #1 of at most {COUNT} candidates"
    assert lines[2] == f"hamming    {told.hamming} of {BITS} bits differ, #1 of the compared codes"
    assert len(lines) == 4
    assert told.as_dict()["differing_bits"] == told.differing_bits
