"""Nights of a real index: figures that numpy agrees with, planted deterioration, and what is no index or history."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from elasticsearch import Elasticsearch
from support.indices import documents_of, filled
from support.nights import FIRST
from support.vectors import clustered, cosines, toy_encoder

from hashsearch.cli.jobs.compare_baselines import main
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.writing import BulkWriter
from hashsearch.encoder import Encoder
from hashsearch.errors import EvaluationError, HashsearchError
from hashsearch.evaluation.live.history import History, Night
from hashsearch.evaluation.live.nightly import measure
from hashsearch.hashing.vectors import Vectors
from hashsearch.indexing.checkpoint import Checkpoint, IndexingSummary
from hashsearch.search.searcher import Searcher

DIMS = 24
VECTORS = clustered(300, DIMS)
TEXTS = [{"category": ("mugs", "pens")[row % 2]} for row in range(299)] + [{"category": "alone"}]
ENCODER = toy_encoder(VECTORS)
REJECTING = IndexingSummary(indexed=270, rejected=30)
WEEK = timedelta(days=7)


@dataclass
class Live:
    """An index that nights are measured of."""

    index: ImageIndex
    folder: Path
    encoder: Encoder = ENCODER

    def measure(self, now: datetime = FIRST, **options: Any) -> Night:
        options = {"queries": 60, **options}
        return measure(Searcher(self.encoder, self.index), self.history, now=now, **options)

    @property
    def history(self) -> History:
        return History(self.folder, "shop")

    def add(self, vectors: Vectors, prefix: str) -> None:
        documents = ((f"{prefix}{image_id}", one) for image_id, one in documents_of(self.encoder, vectors))
        assert BulkWriter(self.index.client, self.index.alias).write(documents) == []
        self.index.refresh()


@pytest.fixture
def live(client: Elasticsearch, fresh_name: str, tmp_path: Path) -> Live:
    return Live(filled(client, fresh_name, ENCODER, VECTORS), tmp_path / "history")


def tight(count: int) -> Vectors:
    """Vectors `(count, DIMS)` so near to each other that a few codes stand for all of them."""
    generator = np.random.default_rng(9)
    return (10 * generator.random(DIMS) + 0.2 * generator.standard_normal((count, DIMS))).astype(np.float32)


def test_a_first_night_has_its_figures(live: Live) -> None:
    night = live.measure(last_run=IndexingSummary(290, 5, 2, 3))
    figures = night["figures"]
    assert figures["recall@10"] == {"value": 1, "low": 1, "high": 1}  # fewer images than candidates
    assert figures["images"]["value"] == 300
    assert figures["rejected share"]["value"] == pytest.approx(3 / 300)
    assert 0 < figures["p50 ms"]["value"] <= figures["p95 ms"]["value"]
    assert night["summary"] == "shop: first night, nothing to compare with"
    assert night["settings"] == {"k": 10, "queries": 60, "strategy": "scan", "candidates": 500}
    assert live.history.nights == [night]


def test_precision_covers_categories_with_more_than_one_image(
    client: Elasticsearch, fresh_name: str, tmp_path: Path
) -> None:
    night = Live(filled(client, fresh_name, ENCODER, VECTORS, TEXTS), tmp_path).measure(queries=300)
    lengths = np.linalg.norm(VECTORS, axis=1)
    near = VECTORS @ VECTORS.T / np.outer(lengths, lengths) - 2 * np.eye(300)
    own = np.array([text["category"] for text in TEXTS])
    right = own[np.argsort(-near, axis=1)[:, :10]] == own[:, None]
    assert sorted(night["by_category"]) == ["mugs", "pens"]
    assert night["by_category"]["mugs"] == {
        "queries": 150,
        "precision@1": pytest.approx(right[own == "mugs", 0].mean()),
        "precision@10": pytest.approx(right[own == "mugs"].mean()),
    }
    assert night["figures"]["precision@10"]["value"] == pytest.approx(right[:299].mean())


@pytest.mark.parametrize("count", [2, 3, 9, 10, 11, 12])
def test_two_nights_of_a_tiny_index_are_measured(
    client: Elasticsearch, fresh_name: str, tmp_path: Path, count: int
) -> None:
    live = Live(filled(client, fresh_name, ENCODER, VECTORS[:count], TEXTS[:count]), tmp_path)
    labels = {"0000": {"0001"}}
    nights = [live.measure(now=FIRST, labels=labels), live.measure(now=FIRST + WEEK, labels=labels)]
    for night in nights:
        assert night["figures"]["recall@10"] == {"value": 1, "low": 1, "high": 1}
        assert night["figures"]["labelled recall@10"]["value"] == (1 if count <= 11 else pytest.approx(0.5, abs=0.5))
        assert [change for change in night["worse"] if " ms " not in change] == []  # times are the machine's
        json.dumps(night, allow_nan=False)
    pens = count // 2
    assert nights[0]["by_category"].get("pens", {}).get("queries") == (pens if pens > 1 else None)
    assert nights[1]["probes"] == {"gone": 0, "changed": 0, "same_hits": 1}
    live.index.client.delete(index=live.index.alias, id="0000", refresh=True)
    if count > 2:
        assert live.measure(now=FIRST + 2 * WEEK, labels=labels)["figures"]["images"]["value"] == count - 1


def test_images_without_categories_have_no_precision(live: Live) -> None:
    night = live.measure()
    assert night["by_category"] == {}
    assert "precision@1" not in night["figures"]


def test_labelled_queries_are_measured(live: Live) -> None:
    expected = cosines(VECTORS, VECTORS[5])
    nearest, far = np.argsort(-expected)[1], np.argmin(expected)
    labels = {"0005": {f"{nearest:04}", f"{far:04}", "gone"}, "gone": {"0001"}, "0006": {"gone"}, "0007": {"0007"}}
    night = live.measure(labels=labels)
    assert night["figures"]["labelled recall@10"]["value"] == 0.5
    assert night["figures"]["labelled mrr"]["value"] == 1
    assert "3 of 4 labelled queries left out: they or their answers are not indexed" in night["notes"]


def test_labels_without_indexed_images_are_noted_and_not_counted_as_zero(live: Live) -> None:
    night = live.measure(labels={"gone": {"0001"}})
    assert "labelled mrr" not in night["figures"]
    assert night["notes"][0].startswith("1 of 1 labelled queries left out")


def test_an_unchanged_index_does_not_get_worse(live: Live) -> None:
    live.measure(last_run=IndexingSummary(300))
    night = live.measure(FIRST + WEEK, last_run=IndexingSummary(300))
    night["worse"] = [change for change in night["worse"] if " ms " not in change]  # this machine's time is not planted
    assert night["worse"] == night["notes"] == []
    assert night["compared_with"] == FIRST.isoformat()
    assert night["drift"]["distance"] == pytest.approx(0, abs=1e-9)
    assert night["drift"]["mean_cosine"] == pytest.approx(1)
    assert night["probes"] == {"gone": 0, "changed": 0, "same_hits": 1}


def test_images_of_another_kind_lower_recall_and_count_as_drift(live: Live) -> None:
    live.measure()
    live.add(tight(1500), "new-")
    night = live.measure(FIRST + WEEK)
    assert "recall@10 fell from 1 to 0" in night["summary"]
    assert "embeddings drifted" in night["summary"]
    assert night["drift"]["mean_cosine"] < 0.99
    assert night["figures"]["images"]["value"] == 1800


def test_lost_and_replaced_images_are_reported(live: Live) -> None:
    live.measure()
    kept = live.history.arrays(live.history.nights[0])
    assert kept is not None
    probes = kept["probe_ids"].tolist()
    for image_id in probes[:10]:
        live.index.client.delete(index=live.index.alias, id=image_id)
    replaced = {image_id: one for image_id, (_, one) in zip(probes[10:25], documents_of(ENCODER, tight(15)))}
    assert BulkWriter(live.index.client, live.index.alias).write(iter(replaced.items())) == []
    others = [f"{row:04}" for row in range(300) if f"{row:04}" not in probes][:20]
    for image_id in others:
        live.index.client.delete(index=live.index.alias, id=image_id)
    live.index.refresh()
    night = live.measure(FIRST + WEEK)
    assert "images fell from 300 to 270" in night["worse"]
    assert night["probes"]["gone"] == pytest.approx(0.2)
    assert night["probes"]["changed"] == pytest.approx(15 / 40)
    assert night["probes"]["same_hits"] < 1


def test_a_night_is_compared_with_a_better_past(live: Live) -> None:
    live.measure(last_run=REJECTING)
    path = live.folder / "history.jsonl"
    past = json.loads(path.read_text())
    for name in ("p50 ms", "p95 ms", "rejected share"):
        past["figures"][name] = {"value": 1e-4, "low": 1e-4, "high": 1e-4}
    path.write_text(json.dumps(past) + "\n")
    summary = live.measure(FIRST + WEEK, last_run=REJECTING)["summary"]
    assert summary.startswith("shop: p50 ms rose from 0.0001 to ")
    assert summary.endswith("rejected share rose from 0.0001 to 0.1 (since 2026-03-01)")


def test_another_encoder_is_not_compared_with(live: Live, client: Elasticsearch, fresh_name: str) -> None:
    live.measure()
    other = toy_encoder(VECTORS[:, :16])
    index = filled(client, f"{fresh_name}-other", other, VECTORS[:, :16])
    night = Live(index, live.folder, other).measure(FIRST + WEEK)
    assert night["drift"] is night["probes"] is None
    assert "embeddings not compared: the encoder differs from that of 2026-03-01" in night["notes"]


def test_missing_arrays_are_noted(live: Live) -> None:
    live.measure()
    for kept in live.folder.glob("*.npz"):
        kept.unlink()
    night = live.measure(FIRST + WEEK)
    assert "embeddings not compared: the arrays of 2026-03-01 are missing or damaged" in night["notes"]


@pytest.mark.parametrize("count", [0, 1])
def test_an_index_of_fewer_than_two_images_is_refused(
    client: Elasticsearch, fresh_name: str, tmp_path: Path, count: int
) -> None:
    index = (
        filled(client, fresh_name, ENCODER, VECTORS[:count])
        if count
        else ImageIndex.create(client, fresh_name, ENCODER)
    )
    with pytest.raises(EvaluationError, match=f"at least 2 images to be measured, and .* holds {count}"):
        Live(index, tmp_path).measure()
    assert not (tmp_path / "history.jsonl").exists()


def test_an_index_of_two_images_is_measured(client: Elasticsearch, fresh_name: str, tmp_path: Path) -> None:
    live = Live(filled(client, fresh_name, ENCODER, VECTORS[:2]), tmp_path)
    assert live.measure()["figures"]["recall@10"]["value"] == 1
    assert live.measure(FIRST + WEEK)["drift"]["distance"] == pytest.approx(0, abs=1e-9)


class TestCommand:
    """`python -m jobs.compare_baselines nightly`."""

    @pytest.fixture
    def words(self, node: SimpleNamespace, fresh_name: str, tmp_path: Path) -> list[str]:
        folder = ENCODER.save(tmp_path / "encoder")
        place = ["--es-url", node.url, "--home", str(tmp_path / "home"), "--encoder", str(folder)]
        return ["nightly", "--index", fresh_name, "--history", str(tmp_path / "history"), *place, "--queries", "20"]

    def run(self, words: list[str]) -> Result:
        return CliRunner().invoke(main, words)

    def test_the_command_measures_draws_and_reports_what_got_worse(
        self, client: Elasticsearch, fresh_name: str, words: list[str], tmp_path: Path
    ) -> None:
        live = Live(filled(client, fresh_name, ENCODER, VECTORS), tmp_path)
        with Checkpoint.hold(tmp_path / "home" / "jobs" / live.index.alias, {}) as checkpoint:
            checkpoint.advance(IndexingSummary(indexed=298, rejected=2), [])
            checkpoint.finish()
        labels = tmp_path / "labels.csv"
        labels.write_text("query,relevant\n0001,0002\n")
        first = self.run([*words, "--labels", str(labels), "--fail-when-worse"])
        assert first.exit_code == 0, first.output
        assert f"{fresh_name}: first night" in first.stdout
        assert "labelled mrr" in first.stdout
        (kept,) = (tmp_path / "history").glob("*.npz")
        assert "<svg" in (tmp_path / "history" / "history.html").read_text()
        live.add(tight(1500), "new-")
        history = tmp_path / "history" / "history.jsonl"
        before = json.loads(history.read_text())
        assert before["figures"]["rejected share"]["value"] == pytest.approx(2 / 300)
        history.write_text(json.dumps({**before, "at": FIRST.isoformat()}) + "\n")
        kept.rename(kept.with_name(f"{FIRST:%Y%m%dT%H%M%SZ}.npz"))
        second = self.run(words)
        assert second.exit_code == 0
        assert "recall@10 fell from 1" in second.stdout.splitlines()[-1]
        assert self.run([*words, "--fail-when-worse"]).exit_code == 4

    def test_a_missing_index_is_an_error(self, words: list[str], fresh_name: str, tmp_path: Path) -> None:
        result = self.run(words)
        assert isinstance(result.exception, HashsearchError)
        assert f"there is no index 'hashsearch-{fresh_name}'" in str(result.exception)
        assert not (tmp_path / "history" / "history.jsonl").exists()

    def test_a_damaged_history_is_refused_before_the_measurement(self, words: list[str], tmp_path: Path) -> None:
        (tmp_path / "history").mkdir()
        (tmp_path / "history" / "history.jsonl").write_text("a diary\n")
        result = self.run(words)
        assert isinstance(result.exception, EvaluationError)
        assert "line 1 of" in str(result.exception)
