"""The benchmark judges, expands, runs and reports as it says, on data with a known right answer and a real node."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from support.vectors import clustered

from benchmarks.ann import report, run
from benchmarks.ann.curves import Curve, boards
from benchmarks.ann.exact import BLOCK, blocks_of, nearest, recall
from benchmarks.ann.expansion import PARENTS, RESIDUALS, Growth, Mixing, Trial, calibrate
from benchmarks.ann.measuring import Timing, cold, measure
from benchmarks.ann.methods import METHODS, Place, Setting, Sizes, make_method
from benchmarks.ann.photos import Space, make_space
from benchmarks.ann.results import result_path
from benchmarks.ann.vectors import DataSet, Split, make_data_set, parse_set
from hashsearch.errors import ConfigError, SearchError
from hashsearch.evaluation.compare.results import Result
from hashsearch.files import read_json, write_json
from hashsearch.hashing.vectors import Vectors, normalised

DIMS, QUERIES, WARM = 64, 40, 10


def circle(*degrees: float) -> Vectors:
    """Vectors of length 1 in the plane, at these angles."""
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


# Five rows around the query at 0 degrees; rows 1 and 2 are the same, row 4 is the farthest.
BASE, QUERY = circle(10, 20, 20, 30, 90), circle(0)[0]
EXACT = np.sort(BASE @ QUERY)[::-1]


@pytest.mark.parametrize(
    ("rows", "k", "share"),
    [
        ([0, 1], 2, 1),
        ([1, 0], 2, 1),
        ([0, 2], 2, 1),  # as near as the second nearest, so it stands for it
        ([0, 3], 2, 0.5),
        ([4, 3], 2, 0),
        ([0], 2, 0.5),  # fewer than k
        ([], 2, 0),
        ([3, 0, 2], 3, 2 / 3),
        ([0, 1, 2, 3], 4, 1),
    ],
)
def test_an_answer_counts_by_its_cosine(rows: list[int], k: int, share: float) -> None:
    assert recall(BASE, QUERY, np.array(rows, dtype=np.int64), EXACT[:k]) == pytest.approx(share)


@pytest.mark.parametrize("rows", [[0, 0], [0, 5], [-1, 0], [0, 1, 2]])
def test_rows_that_cannot_be_an_answer_are_an_error(rows: list[int]) -> None:
    with pytest.raises(SearchError):
        recall(BASE, QUERY, np.array(rows, dtype=np.int64), EXACT[:2])


def test_exact_neighbours_do_not_depend_on_blocks() -> None:
    vectors = normalised(np.random.default_rng(0).standard_normal((BLOCK + 50, 8)))
    queries = vectors[[3, BLOCK + 7]]
    rows, cosines = nearest(queries, blocks_of(vectors), 20)
    order = np.argsort(-(queries @ vectors.T), axis=1)[:, :20]
    assert (rows == order).all()
    assert cosines == pytest.approx(np.take_along_axis(queries @ vectors.T, order, axis=1), abs=1e-6)
    assert rows[:, 0].tolist() == [3, BLOCK + 7]


def test_growth_is_extrapolated_along_its_line() -> None:
    sizes = (1000, 2000, 4000)
    gaps = np.array([[[size**-0.25] * 5, [2 * size**-0.1] * 5] for size in sizes])
    predicted = Growth(sizes, 1 - gaps).at(1_000_000)
    assert 1 - predicted == pytest.approx(np.array([[1e6**-0.25] * 5, [2 * 1e6**-0.1] * 5]))


def test_calibration_climbs_to_the_best_mixing() -> None:
    def attempt(mixing: Mixing) -> Trial:
        error = abs(np.log(mixing.parents / 6)) + abs(np.log(mixing.residual / 0.7))
        return Trial(mixing, np.zeros((2, 5)), float(error))

    trials = calibrate(attempt)
    assert (trials[0].mixing.parents, trials[0].mixing.residual) == (6, 0.7)
    assert len(trials) < len(PARENTS) * len(RESIDUALS)


@pytest.fixture(scope="module")
def split() -> Split:
    """2,000 vectors, 50 of them held out; the last three are copies of a held-out one."""
    vectors = normalised(clustered(2000, DIMS, clusters=60))
    held_out = np.random.default_rng(7).permutation(len(vectors) + 3)[0]
    assert held_out < len(vectors)
    vectors = np.vstack([vectors, np.repeat(vectors[held_out : held_out + 1], 3, axis=0)])
    return Split.of(Space(vectors, "clusters"), 7, QUERIES, WARM)


@pytest.fixture(scope="module")
def data(split: Split, tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    """A finished data set of 3,000 vectors."""
    folder = tmp_path_factory.mktemp("sets") / f"{DIMS}-3000"
    make_data_set(split, 3000, 7, folder)
    return DataSet.open(folder)


def test_held_out_vectors_are_not_in_the_base(split: Split, data: DataSet) -> None:
    assert split.duplicates == 3
    assert len(split.real) == 2000 - QUERIES - WARM
    held_out = np.vstack([data.queries, data.warm])
    assert (np.asarray(data.base) @ held_out.T).max() < 0.9999
    assert np.linalg.norm(data.base, axis=1) == pytest.approx(1, abs=1e-5)


def test_the_base_holds_all_real_vectors_and_mixtures_beside(split: Split, data: DataSet) -> None:
    rows, cosines = nearest(split.real, blocks_of(data.base), 1)
    assert cosines == pytest.approx(1, abs=1e-5)
    assert len(np.unique(rows)) == len(split.real)
    assert len(np.unique(data.base, axis=0)) == len(data.base)
    assert data.description["real"] == len(split.real)


def test_the_truth_is_exact(data: DataSet) -> None:
    cosines = -np.sort(-(data.queries @ np.asarray(data.base).T), axis=1)[:, :100]
    assert data.exact == pytest.approx(cosines, abs=1e-6)


def test_a_data_set_is_made_again_from_its_seed(split: Split, data: DataSet, tmp_path: Path) -> None:
    same = make_data_set(split, 3000, 7, tmp_path / "same")
    other = make_data_set(split, 3000, 8, tmp_path / "other")
    assert same["fingerprint"] == data.description["fingerprint"] != other["fingerprint"]


def test_a_small_data_set_is_a_subset_of_the_real_ones(split: Split, tmp_path: Path) -> None:
    made = make_data_set(split, 500, 7, tmp_path / "small")
    assert (made["real"], made["mixing"]) == (500, [])
    assert (np.load(tmp_path / "small" / "base.npy") == split.real[:500]).all()


@pytest.mark.parametrize("name", ["512", "512-", "x-10", "512-10k", "0-10"])
def test_a_data_set_is_named_by_dims_and_size(name: str) -> None:
    assert parse_set("512-10000") == (512, 10_000)
    with pytest.raises(ConfigError, match="DIMS-N"):
        parse_set(name)


def test_spaces_keep_cosines() -> None:
    vectors = clustered(300, 16)
    others = clustered(300, 8, seed=1)
    whole, both = (make_space(dims, ("a", vectors), ("b", others), 0).vectors for dims in (16, 24))
    expected = (normalised(vectors) @ normalised(vectors).T + normalised(others) @ normalised(others).T) / 2
    assert both @ both.T == pytest.approx(expected, abs=1e-5)
    flat = normalised(np.hstack([vectors[:, :4], np.zeros((300, 12), np.float32)]))  # of four dimensions in truth
    projected = make_space(4, ("a", flat), ("b", others), 0).vectors
    assert projected @ projected.T == pytest.approx(flat @ flat.T, abs=1e-5)
    assert whole @ whole.T == pytest.approx(normalised(vectors) @ normalised(vectors).T, abs=1e-6)
    with pytest.raises(ConfigError, match="1 to 16, or 24"):
        make_space(20, ("a", vectors), ("b", others), 0)


class Scan:
    """An exact method in this process; `{"wrong": rows}` gives these rows for every query instead."""

    name = "scan"
    restarts = 0

    def settings(self) -> Sequence[Setting]:
        return [{}]

    def build(self, vectors: Vectors) -> Mapping[str, float]:
        self.vectors = np.asarray(vectors)
        return {}

    def connect(self) -> None: ...

    def query(self, vector: Vectors, k: int, setting: Setting) -> NDArray[np.int64]:
        if "wrong" in setting:
            return np.array(setting["wrong"])
        return np.argsort(-(self.vectors @ vector))[:k].astype(np.int64)

    def sizes(self) -> Sizes:
        return Sizes(0, 0, "nothing")

    def restart(self) -> None:
        self.restarts += 1

    def close(self) -> None: ...

    def versions(self) -> Mapping[str, str]:
        return {}


QUICK = Timing(warm_up=0, rounds=1, seconds=0.05, clients=(1, 3))


def test_a_method_is_measured(data: DataSet) -> None:
    method = Scan()
    method.build(data.base)
    found = measure(method, data, {}, QUICK)
    assert found["recall"]["mean"] == found["recall"]["complete"] == 1
    assert found["latency_ms"]["queries"] == QUERIES
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p95"] <= found["latency_ms"]["p99"]
    assert found["throughput"].keys() == {"1", "3"}
    assert all(rate["qps"] > 0 for rate in found["throughput"].values())
    assert cold(method, data, {}, 10)["first"] > 0
    assert method.restarts == 1


def test_a_method_with_wrong_answers_has_a_low_recall_or_is_refused(data: DataSet) -> None:
    method = Scan()
    method.build(data.base)
    farthest = np.argsort((np.asarray(data.base) @ data.queries.T).max(axis=1))[:10]
    assert measure(method, data, {"wrong": farthest.tolist()}, QUICK)["recall"]["mean"] == 0
    with pytest.raises(SearchError, match="must be distinct"):
        measure(method, data, {"wrong": [0] * 10}, QUICK)


def test_an_error_in_a_client_process_reaches_the_parent(data: DataSet) -> None:
    method = Scan()
    method.build(data.base)
    method.connect = lambda: 1 / 0  # type: ignore[assignment]  # a client that fails
    with pytest.raises(SearchError, match="division by zero"):
        measure(method, data, {}, QUICK)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_in_the_table_is_made_by_its_module(name: str, tmp_path: Path) -> None:
    assert name in import_module(f"benchmarks.ann.{METHODS[name]}").MAKERS
    method = make_method(name, Place(tmp_path, tmp_path))
    assert method.name == name
    settings = [json.dumps(setting, sort_keys=True) for setting in method.settings()]
    assert len(settings) == len(set(settings)) > 0
    paths = {result_path(tmp_path, "set", name, setting) for setting in method.settings()}
    assert len(paths) == len(settings)


def test_an_unknown_method_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown method 'nearest', known: hashsearch-scan, "):
        make_method("nearest", Place(tmp_path, tmp_path))


def task(data: DataSet, folder: Path, **changes: Any) -> run.Task:
    place = Place(folder / "work", folder)
    return run.Task(data.folder, "es-bbq-flat", folder / "results", place, QUICK, **changes)


def test_finished_settings_are_skipped(data: DataSet, tmp_path: Path) -> None:
    planned = task(data, tmp_path)
    first, second, *others = planned.settings()
    write_json(planned.path(first), {"cold_ms": {"first": 1.0}})
    write_json(planned.path(second), {"cold_ms": None})
    assert planned.unmeasured() == others
    assert planned.uncooled() == [second, *others]
    assert replace(planned, with_cold=False).uncooled() == []
    assert replace(planned, again=True).unmeasured() == [first, second, *others]


def test_a_run_with_all_results_starts_no_server(data: DataSet, tmp_path: Path) -> None:
    arguments = [str(data.folder), "--out", str(tmp_path / "results"), "--work", str(tmp_path / "work")]
    arguments += ["--method", "es-float-scan"]
    path = result_path(tmp_path / "results", data.folder.name, "es-float-scan", {})
    write_json(path, {"cold_ms": {"first": 1.0}})
    assert CliRunner().invoke(run.main, arguments).exit_code == 0
    assert read_json(path) == {"cold_ms": {"first": 1.0}}
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "nearest"], "unknown method 'nearest'"),
        (["--setting", "{}"], "exactly one --method, got 0"),
        (["--method", "es-float-scan", "--setting", "[1]"], r"got \[1\]"),
        (["--method", "es-float-scan", "--setting", "k=1"], "got k=1"),
    ],
)
def test_a_wrong_command_is_an_error_that_names_it(
    data: DataSet, tmp_path: Path, arguments: list[str], message: str
) -> None:
    shared = [str(data.folder), "--out", str(tmp_path), "--work", str(tmp_path)]
    with pytest.raises(ConfigError, match=message):
        CliRunner().invoke(run.main, [*shared, *arguments], catch_exceptions=False)


METHODS_RUN: dict[str, Setting] = {"es-float-scan": {}, "es-bbq-hnsw-late": {"num_candidates": 100, "oversample": 5}}


@pytest.mark.slow
@pytest.mark.timeout(1200)  # each waits up to half a minute for Elasticsearch's retention lease
def test_two_methods_are_built_and_measured_on_a_real_node(
    data: DataSet, node_home: Path, server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of Elasticsearch's own methods, built, measured warm and cold, each on a node of its own."""
    monkeypatch.setenv("HASHSEARCH_HOME", str(server_folder.parent))
    results = node_home / "results"
    arguments = [str(data.folder), "--out", str(results), "--work", str(node_home / "work"), "--heap", "512m"]
    arguments += ["--warm-up", "0", "--rounds", "1", "--seconds", "0.2", "--clients", "1,2"]
    for method, setting in METHODS_RUN.items():
        chosen = ["--method", method, "--setting", json.dumps(setting)]
        chosen += [] if "late" in method else ["--no-cold"]  # one restart will do
        assert CliRunner().invoke(run.main, [*arguments, *chosen], catch_exceptions=False).exit_code == 0
    found = {
        method: read_json(result_path(results, data.folder.name, method, METHODS_RUN[method])) for method in METHODS_RUN
    }
    scan, bbq = (found[method] or {} for method in METHODS_RUN)
    assert scan["recall"]["mean"] == 1
    assert bbq["recall"]["mean"] > 0.9
    for result in (scan, bbq):
        assert result["data"]["fingerprint"] == data.description["fingerprint"]
        assert result["build"]["parts"].keys() == {"bulk", "idle", "merge"}
        assert result["sizes"]["disk_bytes"] < 1.5 * data.base.nbytes  # nothing of the documents but the vectors
        assert {"elasticsearch", "jvm", "hashsearch"} <= result["versions"].keys()
    assert bbq["cold_ms"]["first"] > 0
    assert data.base.nbytes <= scan["sizes"]["memory_bytes"] < data.base.nbytes + 1000  # a few bytes of metadata
    assert bbq["sizes"]["memory_bytes"] < data.base.nbytes / 2
    assert not (node_home / "work" / data.folder.name / "es-float-scan").exists()


def result_of(method: str, candidates: int, found: float, p50: float, n: int = 1000) -> Result:
    """A result file's content, as far as the report reads it."""
    cosines = {"quantiles": [0.5], "predicted": {"rank 1": [0.9]}, "here": {"rank 1": [0.88]}}
    described = {"dims": 8, "seed": 0, "fingerprint": f"f{n}", "vectors": "toys", "real": 900, "queries": 1000}
    return {
        "data": {"name": f"8-{n}", "n": n, **described, "cosines": cosines},
        "method": method,
        "setting": {"candidates": candidates},
        "timing": {"k": 10},
        "build": {"seconds": 12.0},
        "sizes": {"disk_bytes": 40 * n, "memory_bytes": 2 * n},
        "recall": {"mean": found},
        "latency_ms": {"p50": p50, "p95": 2 * p50, "queries": 1000},
        "throughput": {"16": {"qps": 1000 / p50}},
        "cold_ms": None,
        "versions": {"jvm": "25"},
        "machine": {"cpu": "a cpu", "cores": 2, "memory_gib": 4.0, "load": 0.1},
        "date": "2026-11-21T10:00:00+00:00",
    }


RESULTS = [
    result_of("hashsearch-graph", 100, 0.9, 1.0),
    result_of("hashsearch-graph", 200, 0.89, 3.0),  # beaten in both
    result_of("hashsearch-graph", 500, 0.999, 4.0),
    result_of("es-bbq-hnsw", 100, 0.995, 8.0),
    result_of("es-float-scan", 0, 1.0, 50.0),
    result_of("es-float-scan", 0, 1.0, 500.0, n=10_000),
]


def test_costs_at_a_recall_lie_on_the_curve() -> None:
    graph = Curve("hashsearch-graph", RESULTS[:3])
    assert [result["setting"]["candidates"] for result in graph.pareto()] == [100, 500]
    half = graph.at(0.99)  # half way from one nine to three, so at the geometric mean of 1 and 4 ms
    assert half is not None
    assert half.cost == pytest.approx(2.0)
    assert half.bound is False
    bound = graph.at(0.8)
    assert bound is not None
    assert (bound.cost, bound.bound) == (1.0, True)
    assert graph.at(0.9995) is None
    exact = Curve("es-float-scan", RESULTS[4:5]).at(1)
    assert exact is not None
    assert (exact.cost, exact.bound) == (50.0, False)


def test_a_report_from_result_files(tmp_path: Path) -> None:
    for result in RESULTS:
        path = result_path(tmp_path / "results", result["data"]["name"], result["method"], result["setting"])
        write_json(path, result)
    for _ in range(2):
        done = CliRunner().invoke(report.main, [str(tmp_path / "results"), "--out", str(tmp_path / "out")])
        assert done.exit_code == 0
    text = (tmp_path / "out" / "tables.md").read_text()
    assert "| hashsearch-graph | hashsearch | 2.00 | 3.25 | 4.00 | 4.00 | 500 | 0.9990 | 12 | 40 | 2 |" in text
    assert "| es-bbq-hnsw | Elasticsearch's own | &le; 8.00 | - | - | &le; 16.00 | &ge; 125 | 0.9950 |" in text
    assert "| hashsearch-graph | candidates: 500 | **0.9990** | 4.00 | 8.00 | - | - | 250 | - | - |" in text
    assert "| hashsearch-graph | candidates: 200 | 0.8900 |" in text
    pictures = sorted(path.name for path in (tmp_path / "out").glob("*.svg"))
    kinds = [f"8-{n}-{kind}.svg" for n in (1000, 10_000) for kind in ("build", "bytes", "p50", "p95")]
    assert pictures == [*kinds, "8-growth.svg"]
    for name in pictures:
        assert f"({name})" in text
        drawn = "".join(ElementTree.parse(tmp_path / "out" / name).getroot().itertext())
        assert "es-float-scan" in drawn


def test_results_of_different_vectors_do_not_mix() -> None:
    other = result_of("es-bbq-hnsw", 100, 0.9, 1.0)
    other["data"]["fingerprint"] = "another"
    with pytest.raises(ConfigError, match="8-1000"):
        boards([RESULTS[0], other])


def test_a_report_needs_results(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no results in "):
        CliRunner().invoke(report.main, [str(tmp_path), "--out", str(tmp_path)], catch_exceptions=False)
