"""What every method keeps to, and what each kind is to find."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pytest
from elasticsearch import Elasticsearch
from numpy.typing import NDArray
from support.drawn import PICTURES, picture, turned
from support.vectors import clustered, cosines, flipped, labelled, random_codes

from hashsearch.elastic.scratch import Scratch
from hashsearch.errors import ConfigError, EvaluationError, HashingError, SearchError
from hashsearch.evaluation.methods import KINDS, Method, kind_of
from hashsearch.evaluation.methods.classes import Classes
from hashsearch.evaluation.methods.codes import Codes
from hashsearch.evaluation.methods.features import Feature, Keypoints
from hashsearch.evaluation.methods.fusion import fused
from hashsearch.evaluation.methods.hashes import Hashes
from hashsearch.evaluation.methods.local import Local
from hashsearch.evaluation.methods.method import RunContext, best
from hashsearch.hashing.bits import hamming
from hashsearch.hashing.sub_codes import Cells, cells_for
from hashsearch.hashing.vectors import normalised
from hashsearch.training.hash_head import make_binarizer

Labels = NDArray[np.str_]
COPIED = 3  # the row that the query is a changed copy of

VECTORS = clustered(200, 64)
CODES = random_codes(60, 64)


@pytest.fixture
def prefix() -> str:
    """Of the names of this test's indices: others may use the same server."""
    return f"compare-test-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def scratch(client: Elasticsearch, prefix: str) -> Iterator[Scratch]:
    with Scratch.clearing(client, prefix) as opened:
        yield opened


@pytest.fixture
def context(scratch: Scratch) -> RunContext:
    return RunContext(lambda: scratch)


def indices(client: Elasticsearch, prefix: str) -> set[str]:
    return set(client.indices.get(index=f"*{prefix}*", expand_wildcards="all"))


class MethodContract:
    """A subclass names the kind, its options and pictures of which one has a changed copy."""

    kind: str
    options: ClassVar[dict[str, Any]] = {}
    every = True  # whether each picture is a hit, were k large enough

    def base(self) -> list[Feature]:
        return list(VECTORS)

    def query(self) -> Feature:
        noise = np.random.default_rng(1).standard_normal(64).astype(np.float32)
        copy: Feature = VECTORS[COPIED] + np.float32(0.01) * noise
        return copy

    @pytest.fixture
    def method(self, context: RunContext) -> Iterator[Method]:
        made = KINDS[self.kind].make(context, self.options)
        labels = np.array([str(row % 3) for row in range(len(self.base()))])
        made.learn(self.base(), labels)
        made.index(self.base())
        yield made
        made.close()

    def test_the_copy_is_found_first(self, method: Method) -> None:
        rows, _ = method.search(self.query(), 5)
        assert rows[0] == COPIED

    def test_a_ranking_is_in_order_and_contains_each_row_once(self, method: Method) -> None:
        rows, scores = method.search(self.query(), 10)
        assert rows.shape == scores.shape
        assert len(set(rows.tolist())) == len(rows) <= 10
        assert set(rows.tolist()) <= set(range(len(self.base())))
        assert np.isfinite(scores).all()
        assert (np.diff(scores) <= 0).all()
        assert len(rows) == min(10, len(self.base())) or not self.every

    def test_k_may_exceed_the_number_of_pictures(self, method: Method) -> None:
        rows, _ = method.search(self.query(), len(self.base()) + 50)
        assert len(rows) == len(self.base()) or not self.every

    def test_the_same_query_has_the_same_ranking(self, method: Method) -> None:
        first, second = (method.search(self.query(), 20) for _ in range(2))
        assert first[0].tolist() == second[0].tolist()

    def test_a_method_reports_its_size_and_leaves_no_index_behind(
        self, method: Method, client: Elasticsearch, prefix: str
    ) -> None:
        assert method.bytes_per_image() > 0
        method.close()
        method.close()
        assert indices(client, prefix) == set()


class TestExact(MethodContract):
    kind = "exact"

    def test_exact_search_ranks_as_scikit_learn_does(self, method: Method) -> None:
        from sklearn.neighbors import NearestNeighbors

        reference = NearestNeighbors(metric="cosine", algorithm="brute").fit(VECTORS)
        for query in clustered(20, 64, seed=5):
            distances, expected = reference.kneighbors(query[np.newaxis], 10)
            rows, scores = method.search(query, 10)
            assert rows.tolist() == expected[0].tolist()
            assert scores == pytest.approx(1 - distances[0], abs=1e-6)


class TestHistogram(MethodContract):
    kind = "histogram"


class TestCodes(MethodContract):
    kind = "codes"
    options: ClassVar[dict[str, Any]] = {"bits": 128, "candidates": 200}

    def test_codes_are_exact_when_all_pictures_are_candidates(self, method: Method) -> None:
        assert isinstance(method, Codes)
        rows, scores = method.search(self.query(), 10)
        mean = method._encoder.mean
        assert mean is not None
        exact = cosines(normalised(VECTORS) - mean, normalised(self.query()[np.newaxis])[0] - mean)
        assert rows.tolist() == np.argsort(-exact)[:10].tolist()
        assert scores == pytest.approx(exact[rows], abs=1e-5)

    def test_codes_have_as_many_cells_as_a_fitted_encoder(self, method: Method) -> None:
        assert isinstance(method, Codes)
        sub_codes = method._encoder.sub_codes
        assert isinstance(sub_codes, Cells)
        assert sub_codes.cells == cells_for(len(VECTORS)) == 16

    def test_the_size_of_codes_is_that_of_vectors_and_codes(self, method: Method) -> None:
        stored = 4 * 64 + 128 // 8
        assert stored < method.bytes_per_image() < stored + 200


class TestCodesOfBlocks(MethodContract):
    kind = "codes"
    options: ClassVar[dict[str, Any]] = {"bits": 128, "sub_codes": "blocks", "strategy": "scan", "candidates": 50}


class TestHashes(MethodContract):
    kind = "hash"

    def base(self) -> list[Feature]:
        return list(CODES)

    def query(self) -> Feature:
        return flipped(CODES[COPIED], np.array([5, 17, 40]))

    def test_similarity_is_the_share_of_equal_bits(self, method: Method) -> None:
        rows, scores = method.search(self.query(), 60)
        distances = hamming(self.query()[np.newaxis], CODES)[0]
        assert scores == pytest.approx(1 - distances[rows] / 64)
        assert sorted(rows.tolist()) == list(range(60))

    def test_the_nearest_of_a_querys_variants_counts(self, method: Method) -> None:
        variants = np.stack([random_codes(1, 64, seed=9)[0], self.query(), flipped(CODES[7], np.array([1]))])
        rows, scores = method.search(variants, 60)
        distances = hamming(variants, CODES).min(axis=0)
        assert rows[:2].tolist() == [7, COPIED]
        assert scores == pytest.approx(1 - distances[rows] / 64)
        assert len(rows) == 60


class TestHashesWithinARadius(TestHashes):
    options: ClassVar[dict[str, Any]] = {"radius": 26}
    every = False

    def test_similarity_is_the_share_of_equal_bits(self, method: Method) -> None:
        rows, _ = method.search(self.query(), 60)
        distances = hamming(self.query()[np.newaxis], CODES)[0]
        assert sorted(rows.tolist()) == np.flatnonzero(distances <= 26).tolist()

    def test_the_nearest_of_a_querys_variants_counts(self, method: Method) -> None:
        variants = np.stack([self.query(), flipped(CODES[7], np.array([1]))])
        rows, _ = method.search(variants, 60)
        assert sorted(rows.tolist()) == np.flatnonzero(hamming(variants, CODES).min(axis=0) <= 26).tolist()


class TestLongHashes(MethodContract):
    kind = "hash"

    def base(self) -> list[Feature]:
        return list(random_codes(40, 256))

    def query(self) -> Feature:
        return flipped(self.base()[COPIED], np.arange(20))


@cache
def keypoints(kind: str, row: int, degrees: float = 0) -> Feature:
    image = turned(picture(row), degrees, 0.9)[0] if degrees else picture(row)
    return Keypoints(kind, keypoints=200).prepare(image)


class TestWords(MethodContract):
    kind = "local"
    options: ClassVar[dict[str, Any]] = {"words": 64}
    every = False
    features = "sift"

    def base(self) -> list[Feature]:
        return [keypoints(self.features, row) for row in range(PICTURES)]

    def query(self) -> Feature:
        return keypoints(self.features, COPIED, 20)

    def test_verified_matches_rank_above_all_others(self, method: Method) -> None:
        _, scores = method.search(self.query(), PICTURES)
        assert scores[0] >= 2  # one, and a score that is no chance from one on
        assert (scores[1:] < 1).all()

    def test_a_query_without_keypoints_is_refused(self, method: Method) -> None:
        blank = Keypoints(self.features).prepare(np.full((200, 200, 3), 128, np.uint8))
        with pytest.raises(EvaluationError, match="must have keypoints"):
            method.search(blank, 5)


class TestWordsAlone(TestWords):
    options: ClassVar[dict[str, Any]] = {"words": 64, "verified": 0}

    def test_verified_matches_rank_above_all_others(self, method: Method) -> None:
        assert (method.search(self.query(), PICTURES)[1] < 1).all()


class TestBruteForce(TestWords):
    options: ClassVar[dict[str, Any]] = {"recall": "brute"}


class TestOrb(TestWords):
    features = "orb"


class TestSoftmax(MethodContract):
    """Only classes are distinguished, so the copy is as near as its whole class."""

    kind = "classes"
    options: ClassVar[dict[str, Any]] = {}

    def base(self) -> list[Feature]:
        middles = np.eye(3, 8, dtype=np.float32) + 0.1
        spread = np.random.default_rng(0).normal(0, 0.05, (60, 8))
        return list((middles[np.arange(60) % 3] + spread).astype(np.float32))

    def query(self) -> Feature:
        return np.asarray(np.eye(3, 8, dtype=np.float32)[COPIED % 3] + 0.1)

    def test_the_copy_is_found_first(self, method: Method) -> None:
        rows, scores = method.search(self.query(), 20)
        assert (rows % 3 == COPIED % 3).all()
        assert (scores <= 1 + 1e-6).all()

    def test_a_classifier_predicts_classes(self, method: Method) -> None:
        assert isinstance(method, Classes)
        assert method.classify(self.base()).tolist() == [str(row % 3) for row in range(60)]


class TestSvm(TestSoftmax):
    options: ClassVar[dict[str, Any]] = {"classifier": "svm"}


def test_a_classifier_needs_two_classes(context: RunContext) -> None:
    vectors = list(np.array([[1, 0.1], [1, 0], [0, 1], [0.1, 1]], np.float32))
    for name in ("softmax", "svm"):
        method = Classes(context, name)
        method.learn(vectors, np.array(["a", "a", "b", "b"]))
        method.index(vectors)
        assert set(method.search(np.array([0.9, 0], np.float32), 2)[0].tolist()) == {0, 1}
        with pytest.raises(EvaluationError, match="two classes or more"):
            method.learn(vectors, np.array(["a", "a", "", ""]))


def test_codes_and_words_need_something_to_learn_from(context: RunContext) -> None:
    for method in (Codes(context), Local(context)):
        with pytest.raises(EvaluationError, match="got none to learn from"):
            method.learn([], np.array([], np.str_))


def test_options_outside_their_range_are_refused_before_the_work(context: RunContext) -> None:
    with pytest.raises(SearchError, match="strategy must be one of"):
        Codes(context, strategy="guess")
    with pytest.raises(ConfigError, match="radius"):
        Hashes(context, radius=-1)
    with pytest.raises(ConfigError, match="one of words, brute"):
        Local(context, recall="guess")
    with pytest.raises(ConfigError, match="'verified' must be 0 to 1000 pictures, got -1"):
        Local(context, verified=-1)
    with pytest.raises(ConfigError, match="one of softmax, svm"):
        Classes(context, "guess")


def test_an_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"one of codes, exact, .*, fusion, got 'sift'"):
        kind_of("sift")


def test_equal_similarities_are_ordered_by_row() -> None:
    similarities = np.array([0.5, 0.9, 0.5, 0.9, 0.5], np.float32)
    assert best(similarities, 3)[0].tolist() == [1, 3, 0]
    assert best(similarities, 9)[0].tolist() == [1, 3, 0, 2, 4]
    assert best(similarities, 9)[1].tolist() == pytest.approx([0.9, 0.9, 0.5, 0.5, 0.5])


def test_fusion_adds_reciprocal_ranks() -> None:
    rows, scores = fused([[4, 7, 9], [7, 1]], 10)
    assert rows.tolist() == [7, 4, 1, 9]
    assert scores == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62, 1 / 63])
    assert fused([[4, 7, 9], [7, 1]], 2)[0].tolist() == [7, 4]
    assert fused([[3], [2], []], 5, constant=0)[0].tolist() == [2, 3]  # of one score: by row
    assert fused([[], []], 5)[0].tolist() == []


def test_a_scratch_removes_the_old_indices_of_a_killed_run(client: Elasticsearch, prefix: str) -> None:
    left = Scratch(client, prefix)
    left.create(left.name(), {"a": {"type": "keyword"}})
    other = Scratch(client, f"{prefix}x")
    kept = other.name()
    other.create(kept, {"a": {"type": "keyword"}})
    time.sleep(0.1)
    with Scratch.clearing(client, prefix, abandoned_after=0.05) as scratch:
        assert not any(name.startswith(f"{prefix}-") for name in indices(client, prefix))
        scratch.create(scratch.name(), {"a": {"type": "keyword"}})
    assert indices(client, prefix) == {f"{kept}-only"}
    other.remove(prefix)
    assert indices(client, prefix) == set()


def test_runs_with_one_prefix_leave_each_others_indices_alone(client: Elasticsearch, prefix: str) -> None:
    """Two machines with the same results folder have the same prefix."""
    with Scratch.clearing(client, prefix) as first:
        name = first.name()
        first.create(name, {"a": {"type": "keyword"}})
        with Scratch.clearing(client, prefix) as second:
            second.create(second.name(), {"a": {"type": "keyword"}})
            assert indices(client, prefix) > {f"{name}-only"}
        assert indices(client, prefix) == {f"{name}-only"}
    assert indices(client, prefix) == set()


def test_codes_of_a_hash_head_are_learned_if_the_run_can_fit_one() -> None:
    vectors, classes = labelled(200, 32)
    labels = np.array([f"class {number}" for number in classes])
    Codes(RunContext(no_cluster, make_binarizer=make_binarizer), 64, "head").learn(list(vectors), labels)
    with pytest.raises(HashingError, match="'head' is fitted with TensorFlow"):
        Codes(RunContext(no_cluster), 64, "head").learn(list(vectors), labels)


def no_cluster() -> Scratch:
    raise AssertionError("nothing is indexed here")
