"""A comparison makes missing results, reports failures, and resumes after a kill; figures follow from the rankings."""

from __future__ import annotations

import hashlib
import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from elasticsearch import Elasticsearch
from support.shelves import INDEXED, METHODS, QUERIES, TASKS, make_shelves, write_config

from hashsearch.cli.jobs.compare_baselines import main
from hashsearch.elastic.scratch import Scratch
from hashsearch.evaluation.compare.plan import make_tasks, read_plan
from hashsearch.evaluation.compare.runner import ComparisonSummary, Runner
from hashsearch.evaluation.data.pictures import Picture
from hashsearch.evaluation.data.tasks import Task
from hashsearch.evaluation.report.writing import write_report

pytestmark = pytest.mark.slow

Scratches = Callable[[str], AbstractContextManager[Scratch]]
NAMES = ["colours", "pixels", "pHash", "both"]


@pytest.fixture
def scratches(client: Elasticsearch) -> Scratches:
    return partial(Scratch.clearing, client)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_shelves(tmp_path)


def compare(config: Path, scratches: Scratches, tasks: list[Task] | None = None) -> tuple[ComparisonSummary, list[str]]:
    """Run the plan in CONFIG; results go beside it. The summary, and the sentences for the user."""
    notices: list[str] = []
    plan = read_plan(config)
    runner = Runner(plan, config.parent / "results", scratches)
    return runner.run(tasks or make_tasks(plan, config.parent), notices.append), notices


def read(config: Path, method: str, task: str = "same_class") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((config.parent / "results" / "shelves" / task / f"{method}.json").read_text())
    return found


def made_at(config: Path) -> dict[Path, int]:
    paths = (config.parent / "results" / "shelves").glob("*/*.json")
    return {path: path.stat().st_mtime_ns for path in paths if path.stem != "task"}


def prefix_of(folder: Path) -> str:
    """The names of a run's indices begin with it; others may use the same server."""
    return f"compare-{hashlib.sha256(str((folder / 'results').resolve()).encode()).hexdigest()[:8]}"


def own_indices(client: Elasticsearch, folder: Path) -> list[str]:
    return list(client.indices.get(index=f"*{prefix_of(folder)}*", expand_wildcards="all"))


def test_the_indices_of_a_run_have_its_prefix(folder: Path, scratches: Scratches) -> None:
    prefixes = []

    def open_scratch(prefix: str) -> AbstractContextManager[Scratch]:
        prefixes.append(prefix)
        return scratches(prefix)

    assert compare(write_config(folder), open_scratch)[0].failed == {}
    assert prefixes == [prefix_of(folder)]


def test_every_method_has_a_result_of_every_task(folder: Path, scratches: Scratches, client: Elasticsearch) -> None:
    config = write_config(folder)
    summary, notices = compare(config, scratches)
    assert (summary.made, summary.kept, summary.failed, notices) == (8, 0, {}, [])
    assert own_indices(client, folder) == []
    task = read(config, "task")
    assert task["sizes"] == {"learn": 3 * INDEXED, "base": 3 * INDEXED, "queries": 3 * QUERIES}
    assert [task["base"][row]["label"] for row in task["queries"][0]["relevant"]] == [task["queries"][0]["label"]] * 6
    for name in NAMES:
        result = read(config, name)
        assert result["error"] is None
        assert result["fingerprint"] == task["fingerprint"]
        assert len(result["rows"]) == len(result["scores"]) == len(result["query_ms"]) == 3 * QUERIES
        assert result["latency_ms"]["p50"] > 0
        assert result["bytes_per_image"] > 0
        assert result["extract_images_per_second"] > 0
        assert result["versions"]["numpy"]
        assert (result["map"] is None) == (name in ("pHash", "both"))


def test_figures_follow_from_the_rankings(folder: Path, scratches: Scratches) -> None:
    config = write_config(folder)
    compare(config, scratches)
    colours = read(config, "colours")
    assert colours["figures"]["precision@5"] == {"value": 1, "low": 1, "high": 1}
    assert colours["figures"]["recall@10"]["value"] == 1
    assert colours["per_query"]["accuracy@1"] == [1] * 6
    assert colours["by_group"]["red"]["queries"] == QUERIES
    assert colours["confusion"] == {"labels": ["blue", "green", "red"], "counts": [[2, 0, 0], [0, 2, 0], [0, 0, 2]]}
    assert len(colours["map"]["rows"]) == len(colours["map"]["tsne"]) == len(colours["map"]["pca"]) == 18
    copies = read(config, "pHash", "near_duplicate")
    assert copies["confusion"] is None
    assert copies["by_group"]["jpeg 50"]["accuracy@1"] == 1
    assert copies["threshold"]["precision"] == 0.95
    assert copies["roc"]["auc"] > 0.5
    assert sum(copies["histogram"]["relevant"]) + sum(copies["histogram"]["irrelevant"]) == 40


def test_unchanged_results_are_kept_and_changed_ones_are_made_again(folder: Path, scratches: Scratches) -> None:
    config = write_config(folder)
    compare(config, scratches)
    before = made_at(config)
    again, _ = compare(config, scratches)
    assert (again.made, again.kept) == (0, 8)
    write_config(folder, METHODS.replace('"histogram"\n', '"histogram"\nfeatures = "colour"\n'))
    assert compare(config, scratches)[0].made == 0  # says the same
    write_config(folder, METHODS.replace("side = 8", "side = 9"))
    assert compare(config, scratches)[0].made == 2
    after = made_at(config)
    assert {path.stem for path in before if before[path] != after[path]} == {"pixels"}
    write_config(folder, METHODS.replace('"phash-64"', '"dhash-64"'))
    assert compare(config, scratches)[0].made == 6  # pixels as at first, the hash, and the fusion with it


def test_a_changed_task_makes_new_results(folder: Path, scratches: Scratches) -> None:
    config = write_config(folder)
    compare(config, scratches)
    (folder / "shelves" / "train" / "red" / "0.png").unlink()
    assert compare(config, scratches)[0].made == 8


FAILING = """
[[method]]
name = "codes"
kind = "codes"
features = "pixels"
bits = 7
[[method]]
name = "with codes"
kind = "fusion"
of = ["colours", "codes"]
"""


def test_a_method_that_fails_is_reported_and_tried_again(
    folder: Path, scratches: Scratches, client: Elasticsearch
) -> None:
    config = write_config(folder, METHODS + FAILING)
    summary, notices = compare(config, scratches)
    assert (summary.made, len(summary.failed)) == (8, 4)
    assert "bits must be a positive multiple of 8, got 7" in read(config, "codes")["error"]
    assert "needs the results of all its members; these failed: codes" in read(config, "with codes")["error"]
    assert "figures" not in read(config, "codes")
    assert len(notices) == 4
    assert own_indices(client, folder) == []
    assert compare(config, scratches)[0].kept == 8
    write_config(folder, METHODS + FAILING.replace("bits = 7", "bits = 64"))
    assert compare(config, scratches)[0] == ComparisonSummary(4, 8, {})
    assert read(config, "with codes")["made_of"].keys() == {"colours", "codes"}


def test_a_failed_method_keeps_its_traceback(
    folder: Path, scratches: Scratches, caplog: pytest.LogCaptureFixture
) -> None:
    config = write_config(folder, METHODS + FAILING)
    with caplog.at_level(logging.INFO, "hashsearch"):
        compare(config, scratches)
    failed = read(config, "codes")
    assert failed["traceback"].startswith("Traceback (most recent call last):")
    assert "in learn" in failed["traceback"]
    assert failed["traceback"].rstrip().endswith(failed["error"])
    assert "traceback" not in read(config, "pixels")
    messages = {record.getMessage() for record in caplog.records if record.exc_info}
    assert "shelves/same_class/codes failed" in messages
    assert "shelves/same_class/pixels failed" not in messages
    for file in write_report(config.parent / "results", folder / "report", pictures=False):
        assert "Traceback" not in file.read_text()


def test_a_fusion_fails_when_a_member_fails_that_worked_before(folder: Path, scratches: Scratches) -> None:
    config = write_config(folder, METHODS + FAILING.replace("bits = 7", "bits = 64"))
    assert compare(config, scratches)[0].failed == {}
    write_config(folder, METHODS + FAILING)
    summary, _ = compare(config, scratches)
    assert (summary.kept, len(summary.failed)) == (8, 4)
    assert "these failed: codes" in summary.failed["shelves/same_class/with codes"]


def test_progress_is_reported_by_stages(folder: Path, scratches: Scratches) -> None:
    config, reports = write_config(folder), dict[str, list[tuple[int, int]]]()
    plan = read_plan(config)
    runner = Runner(plan, folder / "results", scratches)
    runner.run(
        make_tasks(plan, folder),
        lambda sentence: None,
        lambda stage, done, total: reports.setdefault(stage, []).append((done, total)),
    )
    assert reports["methods"] == [(done, 8) for done in range(9)]
    assert reports["pixels queries"][:7] == [(done, 6) for done in range(7)]
    assert reports["pixels-8 features"][-1] == (18 + 18 + 4, 18 + 18 + 4)
    assert reports.keys() >= {"colours queries", "pHash queries", "phash-64 features"}


def test_without_elasticsearch_only_methods_that_need_it_fail(folder: Path) -> None:
    from hashsearch.elastic.client import connect

    with connect("http://127.0.0.1:9") as nobody:
        summary, _ = compare(write_config(folder), partial(Scratch.clearing, nobody))
    assert summary.made == 4
    assert all("does not answer" in reason or "these failed: pHash" in reason for reason in summary.failed.values())


def test_unreadable_pictures_are_listed_as_failures(folder: Path, scratches: Scratches) -> None:
    broken = ("train/red/0.png", "val/red/0.png")
    for name in broken:
        (folder / "shelves" / name).write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    config = write_config(folder)
    assert compare(config, scratches)[0].failed == {}
    for name in NAMES:
        result = read(config, name)
        assert {failure["picture"] for failure in result["failures"]} == {*broken}
        query = [query["id"] for query in read(config, "task")["queries"]].index("val/red/0.png")
        assert (result["rows"][query], result["per_query"]["accuracy@1"][query]) == ([], 0)
        lost = [picture["id"] for picture in read(config, "task")["base"]].index("train/red/0.png")
        assert not any(lost in rows for rows in result["rows"])


def test_a_method_fails_when_no_query_can_be_read(folder: Path, scratches: Scratches) -> None:
    for path in (folder / "shelves" / "val").glob("*/*.png"):
        path.write_bytes(b"nothing")
    config = write_config(folder, tasks=TASKS.split('[[task]]\nname = "near')[0])
    summary, _ = compare(config, scratches)
    assert summary.made == 0
    assert "every query failed; first error: " in read(config, "pixels")["error"]
    assert "must be one of JPEG" in read(config, "pixels")["error"]


def test_a_query_does_not_find_its_own_file(folder: Path, scratches: Scratches) -> None:
    paths = sorted((folder / "shelves" / "train").glob("*/*.png"))
    base = tuple(Picture(str(path), path, path.parent.name) for path in paths)
    others = tuple(
        np.array([row for row, one in enumerate(base) if one.label == query.label and one != query]) for query in base
    )
    task = Task("shelves", "same_class", base, base, base, others, tuple(one.label for one in base))
    config = write_config(folder)
    assert compare(config, scratches, [task])[0].failed == {}
    for name in NAMES:
        found = read(config, name)["rows"]
        assert all(len(rows) == 10 and row not in rows for row, rows in enumerate(found))
    assert read(config, "colours")["figures"]["precision@5"]["value"] == 1


def test_a_classifier_reports_its_accuracy(folder: Path, scratches: Scratches) -> None:
    method = '[[method]]\nname = "softmax"\nkind = "classes"\nfeatures = "pixels"\n'
    config = write_config(folder, method)
    compare(config, scratches)
    assert read(config, "softmax")["extra"] == {"classifier_accuracy": 1}


@pytest.fixture
def job(node: SimpleNamespace, folder: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    config, begun = write_config(folder), []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "jobs.compare_baselines", "run", str(config), "--es-url", node.url]
        begun.append(subprocess.Popen([*command, "--out", str(folder / "results")], stderr=subprocess.DEVNULL))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.wait()


def test_a_killed_run_is_resumed(
    folder: Path, job: Callable[[], subprocess.Popen[bytes]], client: Elasticsearch
) -> None:
    results = folder / "results" / "shelves"
    running = job()
    while not (results / "same_class" / "pixels.json").exists() and running.poll() is None:
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    before = {path: json.loads(path.read_text())["at"] for path in results.glob("*/*.json") if path.stem != "task"}
    assert 0 < len(before) < 8
    assert job().wait() == 0
    after = {path: json.loads(path.read_text()) for path in results.glob("*/*.json") if path.stem != "task"}
    assert len(after) == 8
    assert all(result["error"] is None for result in after.values())
    assert {path: after[path]["at"] for path in before} == before
    assert own_indices(client, folder) == []
    assert not list(folder.rglob("*.new"))


def run(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["run", *map(str, arguments)])


def test_the_command_compares(folder: Path, node: SimpleNamespace) -> None:
    config = write_config(folder)
    answer = run(config, "--out", folder / "results", "--es-url", node.url)
    assert answer.exit_code == 0, answer.output
    assert "8 new results, 0 unchanged, 0 failed" in answer.output
    moved = write_config(folder / "results", METHODS + FAILING)
    answer = run(moved, "--out", folder / "results", "--data-folder", folder, "--es-url", node.url)
    assert answer.exit_code == 3
    assert "4 new results" not in answer.output
    assert "8 unchanged, 4 failed" in answer.output


def test_weights_are_named_by_network(folder: Path) -> None:
    method = '[[method]]\nname = "net"\nkind = "exact"\nfeatures = "mobilenet-v2"\n'
    config = write_config(folder, method)
    for weights, message in (
        ((), "weights must be given"),
        (
            ("--weights", "mobilenet-v2=/nowhere"),
            "the weights of mobilenet-v2 must be a file, a folder or an address, found no /nowhere",
        ),
    ):
        answer = run(config, "--out", folder / "results", *weights)
        assert message in str(answer.exception)
    answer = run(config, "--out", folder / "results", "--weights", "mobilenet-v2")
    assert answer.exit_code == 2
    assert "NETWORK=FILE" in answer.output
