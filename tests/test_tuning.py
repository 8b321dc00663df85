"""Tuning of real indices: what it chooses reaches the target as numpy counts it, and nothing that does less does."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from elasticsearch import Elasticsearch
from support.indices import filled, filled_both_ways
from support.shop import Shop
from support.vectors import clustered, cosines, toy_encoder

from hashsearch.cli.jobs.tune_recall import main
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.maintenance import save_tuning
from hashsearch.elastic.tuned import Tuned
from hashsearch.errors import EvaluationError, ImageNotFound, IndexNotFound
from hashsearch.evaluation.live.tradeoff import draw, table
from hashsearch.evaluation.live.tuning import (
    LADDER,
    Grid,
    Sample,
    Trial,
    Tuning,
    border,
    cheapest,
    measured,
    of_index,
    of_vectors,
    tune,
)
from hashsearch.search.planner import SearchOptions
from hashsearch.search.searcher import Searcher

COUNT, DIMS, TARGET = 1200, 64, 0.9
VECTORS = clustered(COUNT, DIMS, spread=1.0)
NOT_INDEXED = clustered(40, DIMS, seed=8, spread=1.0)
ENCODERS = {
    "cells": toy_encoder(VECTORS, 48, "cells", cells=30),
    "blocks": toy_encoder(VECTORS, 48, "blocks"),
}


@pytest.fixture(scope="module")
def searchers(client: Elasticsearch) -> Iterator[dict[str, Searcher]]:
    with filled_both_ways(client, ENCODERS, VECTORS) as made:
        yield {key: Searcher(ENCODERS[key.removesuffix("-graph")], index) for key, index in made.items()}


def figure(value: float, width: float = 0.0) -> Any:
    return {"value": value, "low": value - width, "high": value + width}


def trial(strategy: str, candidates: int, limit: int | None, recall: float, p50: float) -> Trial:
    return Trial(strategy, candidates, limit, None, figure(recall), figure(p50, 0.1), figure(2 * p50))


def numpys_recall(searcher: Searcher, sample: Sample, options: SearchOptions) -> float:
    """Mean recall@10 of queries by indexed images, by their ids."""
    shares = []
    for query in sample.queries:
        row = int(query.own_id or "")
        exact = cosines(VECTORS, VECTORS[row])
        exact[row] = -1
        best = {f"{place:04}" for place in np.argsort(-exact)[:10]}
        shares.append(len(best & {hit.id for hit in searcher.by_id(query.own_id or "", options)}) / 10)
    return float(np.mean(shares))


@pytest.fixture(scope="module")
def sample(searchers: dict[str, Searcher]) -> Sample:
    return of_index(searchers["cells"], 60, 10)


@pytest.fixture(scope="module")
def tuning(searchers: dict[str, Searcher], sample: Sample) -> Tuning:
    return tune(searchers["cells"], sample, TARGET)


class TestTune:
    def test_a_sample_is_of_indexed_images_that_are_not_their_own_answers(self, sample: Sample) -> None:
        assert len({query.own_id for query in sample.queries}) == 60
        for query, nearest in zip(sample.queries, sample.exact, strict=True):
            others = np.delete(cosines(VECTORS, VECTORS[int(query.own_id or "")]), int(query.own_id or ""))
            assert nearest == pytest.approx(np.sort(others)[:-11:-1], abs=1e-6)

    def test_the_choice_reaches_the_target(
        self, searchers: dict[str, Searcher], sample: Sample, tuning: Tuning
    ) -> None:
        assert tuning.choice is not None
        assert tuning.choice.recall["low"] >= TARGET
        searcher = Searcher(ENCODERS["cells"], replace(searchers["cells"].index, tuned=tuning.tuned()))
        recall = numpys_recall(searcher, sample, SearchOptions())
        assert recall == pytest.approx(tuning.choice.recall["value"], abs=0.002)  # equally near codes at the limit
        assert recall >= TARGET

    def test_no_cheaper_setting_reaches_the_target(self, tuning: Tuning) -> None:
        assert tuning.choice is not None
        assert {one.strategy for one in tuning.trials} == {"sub_codes", "scan"}
        assert not [one for one in tuning.trials if one.outdoes(tuning.choice) and one.reaches(TARGET)]
        for strategy in ("sub_codes", "scan"):
            fewest = min(one.candidates for one in tuning.trials if one.strategy == strategy)
            assert fewest == LADDER[0]

    def test_recall_rises_with_the_candidates(self, tuning: Tuning) -> None:
        scanned = [one for one in tuning.trials if one.strategy == "scan"]
        assert [one.candidates for one in scanned] == list(LADDER[: len(scanned)])
        assert [one.recall["value"] for one in scanned] == sorted(one.recall["value"] for one in scanned)

    def test_the_present_setting_is_measured_too(self, tuning: Tuning) -> None:
        assert (tuning.now.strategy, tuning.now.candidates) == ("scan", 500)
        assert (tuning.images, tuning.queries, tuning.k, tuning.target) == (COUNT, 60, 10, TARGET)

    def test_a_tuning_is_stored_in_the_index(self, client: Elasticsearch, fresh_name: str, tuning: Tuning) -> None:
        save_tuning(filled(client, fresh_name, ENCODERS["cells"], VECTORS[:50]), tuning.tuned())
        stored = ImageIndex.open(client, fresh_name, ENCODERS["cells"]).tuned
        assert stored == tuning.tuned()
        assert isinstance(stored, Tuned)
        assert tuning.choice is not None
        assert (stored.candidates, stored.compared) == (tuning.choice.candidates, tuning.choice.compared)
        assert (stored.target, stored.images, stored.at) == (TARGET, COUNT, tuning.at)

    @pytest.mark.parametrize(
        ("kind", "strategies"),
        [("blocks", {"sub_codes", "scan"}), ("cells-graph", {"graph", "sub_codes", "scan"})],
    )
    def test_the_strategies_that_the_index_has_are_tried(
        self, searchers: dict[str, Searcher], kind: str, strategies: set[str]
    ) -> None:
        searcher = searchers[kind]
        tuning = tune(searcher, of_index(searcher, 30, 10), 0.8)
        assert {one.strategy for one in tuning.trials} == strategies
        of_sub_codes = [one for one in tuning.trials if one.strategy == "sub_codes"]
        assert all((one.probes is None) == (kind != "blocks") for one in of_sub_codes)
        assert all((one.compared is None) == (kind == "blocks") for one in of_sub_codes)
        assert tuning.choice is not None

    def test_few_queries_prove_little(self, searchers: dict[str, Searcher]) -> None:
        """Even if all was found: 3 of 30 hits might have been missed as well."""
        tuning = tune(searchers["cells"], of_index(searchers["cells"], 3, 10), 0.99)
        best = max(tuning.trials, key=lambda one: one.recall["low"])
        assert best.recall["value"] == 1
        assert best.recall["low"] == pytest.approx(30 / (30 + 1.96**2))
        assert tuning.choice is None
        with pytest.raises(EvaluationError, match=r"no setting reaches recall@10 of 0\.99, .* at least 0\.88"):
            tuning.tuned()

    def test_queries_can_be_vectors_that_are_not_indexed(self, searchers: dict[str, Searcher]) -> None:
        sample = of_vectors(searchers["cells"], NOT_INDEXED, 5)
        for row, nearest in enumerate(sample.exact):
            assert nearest == pytest.approx(np.sort(cosines(VECTORS, NOT_INDEXED[row]))[:-6:-1], abs=1e-6)
        exhaustive = measured(searchers["cells"], sample, SearchOptions(5, COUNT, "scan"))
        assert exhaustive.recall["value"] == 1
        assert 0 < exhaustive.p50_ms["value"] <= exhaustive.p95_ms["value"]

    @pytest.mark.parametrize("target", [0.0, 1.0, -1.0, float("nan")])
    def test_a_target_must_be_between_0_and_1(
        self, searchers: dict[str, Searcher], sample: Sample, target: float
    ) -> None:
        with pytest.raises(EvaluationError, match=f"a target must be above 0 and below 1, got {target}"):
            tune(searchers["cells"], sample, target)

    def test_an_index_of_one_image_is_refused(self, client: Elasticsearch, fresh_name: str) -> None:
        searcher = Searcher(ENCODERS["cells"], filled(client, fresh_name, ENCODERS["cells"], VECTORS[:1]))
        with pytest.raises(EvaluationError, match=r"at least 2 images to be tuned, and .* holds 1"):
            of_index(searcher, 10, 10)
        with pytest.raises(EvaluationError, match="at least 2 images to be tuned"):
            of_vectors(searcher, NOT_INDEXED, 10)

    def test_tuning_without_queries_is_refused(self, searchers: dict[str, Searcher]) -> None:
        with pytest.raises(EvaluationError, match="tuning needs at least one query, got none"):
            of_vectors(searchers["cells"], NOT_INDEXED[:0], 10)


class TestBorder:
    """The walk, over recalls that are known: `least[limit]` candidates reach the target."""

    @pytest.mark.parametrize("least", [(1, 1, 1), (4, 4, 4), (1, 2, 4), (2, 2, 9), (1, 9, 9), (9, 9, 9)])
    def test_the_walk_meets_every_setting_that_no_other_outdoes(self, least: tuple[int, int, int]) -> None:
        limits, ladder = (30, 20, 10), (1, 2, 3, 4)
        reaching = dict(zip(limits, least, strict=True))

        def measure(options: SearchOptions) -> Trial:
            assert options.compared is not None and options.candidates is not None
            reaches = options.candidates >= reaching[options.compared]
            return trial("sub_codes", options.candidates, options.compared, float(reaches), 1.0)

        grid = Grid("sub_codes", [{"compared": limit} for limit in limits], ladder)
        tried = list(border(grid, 0.9, measure, k=1))
        assert len(tried) <= 2 * len(limits) + len(ladder)
        every = [measure(SearchOptions(1, count, "sub_codes", limit)) for limit, count in product(limits, ladder)]
        good = [one for one in every if one.reaches(0.9)]
        worth = {(one.compared, one.candidates) for one in good if not any(other.outdoes(one) for other in good)}
        assert worth <= {(one.compared, one.candidates) for one in tried}

    def test_the_walk_stops_where_more_candidates_do_not_raise_the_recall(self) -> None:
        """Cells that hold nine of ten of the nearest: the last stays out of reach."""

        def measure(options: SearchOptions) -> Trial:
            assert options.candidates is not None
            return trial("scan", options.candidates, None, min(options.candidates / 100, 0.9), 1.0)

        tried = list(border(Grid("scan", [{}], LADDER), 0.95, measure, k=10))
        assert [one.candidates for one in tried] == [20, 50, 100, 150, LADDER[-1]]

    def test_the_walk_goes_on_where_the_most_candidates_reach_the_target(self) -> None:
        def measure(options: SearchOptions) -> Trial:
            assert options.candidates is not None
            return trial("scan", options.candidates, None, 0.9 if options.candidates < 500 else 0.99, 1.0)

        tried = list(border(Grid("scan", [{}], LADDER), 0.95, measure, k=10))
        assert [one.candidates for one in tried] == [20, 50, LADDER[-1], 100, 150, 200, 300, 500]


class TestCheapest:
    def test_the_quickest_setting_that_reaches_the_target_is_chosen(self) -> None:
        slow, quick = trial("scan", 100, None, 0.99, 5.0), trial("graph", 300, None, 0.97, 2.0)
        wrong = trial("graph", 100, None, 0.90, 1.0)
        assert cheapest([slow, quick, wrong], 0.95) is quick
        assert cheapest([slow, quick, wrong], 0.98) is slow
        assert cheapest([slow, quick, wrong], 0.999) is None
        assert cheapest([], 0.5) is None

    def test_less_work_is_preferred_to_a_lucky_time(self) -> None:
        less, more = trial("sub_codes", 100, 2000, 0.99, 5.0), trial("sub_codes", 100, 4000, 0.99, 4.0)
        assert cheapest([more, less], 0.95) is less
        assert cheapest([more, replace(less, candidates=200)], 0.95) is more
        assert cheapest([more, trial("scan", 50, None, 0.99, 5.0)], 0.95) is more

    def test_the_lower_end_of_the_interval_must_reach_the_target(self) -> None:
        unsure = replace(trial("scan", 100, None, 0.99, 1.0), recall=figure(0.99, 0.01))
        assert cheapest([unsure], 0.985) is None


@pytest.fixture
def two_strategies() -> Tuning:
    """A tuning of two strategies."""
    trials = [
        trial("sub_codes", 100, 2500, 0.97, 2.5),
        trial("sub_codes", 150, 2500, 0.992, 2.6),
        trial("scan", 100, None, 0.995, 9.0),
    ]
    now = trial("scan", 500, None, 0.9999, 11.0)
    return Tuning("hashsearch-shop", 100_000, 0.99, 10, 500, "2026-01-01", 61.5, now, trials, trials[1])


class TestReport:
    def test_the_table_marks_the_choice(self, two_strategies: Tuning) -> None:
        lines = table(two_strategies).splitlines()
        assert lines[0].split() == "strategy limit candidates recall lower p50 ms p95 ms".split()
        assert lines[1].split() == ["now", "scan", "500", "0.9999", "0.9999", "11.0", "22.0"]
        (chosen,) = (line for line in lines if line.strip().startswith("*"))
        assert chosen.split() == ["*", "sub_codes", "2,500", "compared", "150", "0.9920", "0.9920", "2.6", "5.2"]
        assert len({len(line) for line in lines}) == 1

    @pytest.mark.parametrize("reached", [True, False])
    def test_the_curve_is_a_picture_of_every_trial(self, two_strategies: Tuning, reached: bool) -> None:
        drawn = ET.fromstring(draw(two_strategies if reached else replace(two_strategies, choice=None)))
        assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
        marks = [one for one in drawn.iter() if "mark" in (one.get("class") or "").split()]
        assert len(marks) == len(two_strategies.trials) + 1
        assert len([one for one in drawn.iter() if one.get("class") == "ring"]) == reached
        words = {one.text for one in drawn.iter("{http://www.w3.org/2000/svg}text")}
        assert {"scan", "sub_codes", "target 0.99", "now", "recall@10"} <= words

    def test_a_single_setting_is_drawn_too(self, two_strategies: Tuning) -> None:
        alone = replace(two_strategies, trials=[two_strategies.now], choice=two_strategies.now)
        assert ET.fromstring(draw(alone)).get("class") == "chart"


class TestCommand:
    """`python -m jobs.tune_recall`."""

    @pytest.fixture
    def words(self, node: SimpleNamespace, fresh_name: str, tmp_path: Path) -> list[str]:
        folder = ENCODERS["cells"].save(tmp_path / "encoder")
        place = ["--es-url", node.url, "--home", str(tmp_path / "home"), "--encoder", str(folder)]
        return ["--index", fresh_name, *place, "--sample", "30"]

    def run(self, words: list[str], **environment: str) -> Result:
        return CliRunner(env=environment).invoke(main, words)

    def tuned(self, client: Elasticsearch, name: str) -> Tuned | None:
        return ImageIndex.open(client, name, ENCODERS["cells"]).tuned

    def test_the_command_measures_prints_and_stores(
        self, client: Elasticsearch, fresh_name: str, words: list[str], tmp_path: Path
    ) -> None:
        filled(client, fresh_name, ENCODERS["cells"], VECTORS[:300])
        shown = self.run([*words, "--target", "0.9", "--dry-run"])
        assert shown.exit_code == 0, shown.output
        assert " * " in shown.stdout and " now " in shown.stdout
        assert self.tuned(client, fresh_name) is None
        kept = self.run([*words, "--target", "0.9", "--out", str(tmp_path / "out")])
        assert kept.exit_code == 0, kept.output
        tuned = self.tuned(client, fresh_name)
        assert tuned is not None and tuned.recall >= 0.9
        saved = json.loads((tmp_path / "out" / "tune.json").read_text())
        assert saved["choice"]["candidates"] == tuned.candidates
        assert saved["at"] == tuned.at
        assert ET.parse(tmp_path / "out" / "curve.svg").getroot().get("class") == "chart"
        missed = self.run([*words, "--target", "0.9999", "--out", str(tmp_path / "missed")])
        assert isinstance(missed.exception, EvaluationError)
        assert " now " in missed.stdout
        assert json.loads((tmp_path / "missed" / "tune.json").read_text())["choice"] is None
        assert self.tuned(client, fresh_name) == tuned

    def test_queries_can_be_photos_of_a_folder(self, shop: Shop, node: SimpleNamespace, tmp_path: Path) -> None:
        folder = shop.searcher.encoder.save(tmp_path / "encoder")
        name = shop.searcher.index.alias.removeprefix("hashsearch-")
        words = ["--index", name, "--es-url", node.url, "--encoder", str(folder), "--queries", str(shop.folder)]
        done = self.run([*words, "-k", "3", "--target", "0.8", "--dry-run"])
        assert done.exit_code == 3, done.output
        assert "left out" in done.stderr and "note.png" in done.stderr
        assert " * " in done.stdout
        small = self.run([*words, "-k", "3", "--dry-run"], HASHSEARCH_MAX_PIXELS="99")
        assert "an image may have at most 99 pixels, got 96 x 72" in small.stderr

    @pytest.mark.parametrize("wrong", [["--target", "1"], ["--target", "0"], ["-k", "0"], ["--sample", "0"]])
    def test_options_out_of_range_are_refused_at_once(self, words: list[str], wrong: list[str]) -> None:
        assert self.run([*words, *wrong]).exit_code == 2

    def test_a_missing_index_is_an_error(self, words: list[str]) -> None:
        assert isinstance(self.run(words).exception, IndexNotFound)


def test_queries_by_deleted_images_are_still_searched(client: Elasticsearch, fresh_name: str) -> None:
    searcher = Searcher(ENCODERS["cells"], filled(client, fresh_name, ENCODERS["cells"], VECTORS[:60]))
    sample = of_index(searcher, 40, 10)
    client.delete(index=searcher.index.alias, id=sample.queries[0].own_id or "", refresh=True)
    with pytest.raises(ImageNotFound):
        searcher.by_id(sample.queries[0].own_id or "")
    assert measured(searcher, sample, SearchOptions()).recall["value"] > 0.9  # a stored query needs no image


def test_an_index_of_fewer_than_k_images_is_tuned(client: Elasticsearch, fresh_name: str) -> None:
    searcher = Searcher(ENCODERS["cells"], filled(client, fresh_name, ENCODERS["cells"], VECTORS[:5]))
    sample = of_index(searcher, 40, 10)
    assert np.isfinite(sample.exact).sum() == 5 * 4
    tuning = tune(searcher, sample, 0.8)
    assert tuning.choice is not None
    assert tuning.choice.recall["value"] == 1
