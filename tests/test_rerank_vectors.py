"""A contract for all kinds of re-rank vectors, and further properties of each."""

from __future__ import annotations

import io
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from support.vectors import clustered, cosines

from hashsearch.errors import HashingError
from hashsearch.hashing.rerank_vectors import RerankVectors, as_json
from hashsearch.hashing.vectors import Vectors, normalised

DIMS = 48


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return normalised(clustered(600, DIMS), DIMS)


def all_cosines(stored: NDArray[Any]) -> NDArray[np.float64]:
    return np.stack([cosines(stored, row) for row in stored])


def first_axes(count: int) -> Vectors:
    """Vectors of length 1 in the first `count` dimensions, with decreasing size."""
    drawn = np.random.default_rng(3).standard_normal((200, count)) / np.arange(1, count + 1)
    return normalised(np.hstack([drawn, np.zeros((200, DIMS - count))]), DIMS)


class RerankContract:
    """What holds for every kind; a subclass names its parameters and its largest error of a cosine."""

    parameters: ClassVar[dict[str, Any]]
    dims: int
    dtype: type[np.generic]
    off: float

    def make(self, **changed: Any) -> RerankVectors:
        return RerankVectors(**{**self.parameters, **changed})

    def test_fit_returns_self_and_leaves_the_vectors_alone(self, vectors: Vectors) -> None:
        made, before = self.make(), vectors.copy()
        assert made.fit(vectors) is made
        assert (vectors == before).all()

    def test_re_rank_vectors_have_the_documented_shape_and_dtype(self, vectors: Vectors) -> None:
        stored = self.make().fit(vectors).transform(vectors[:7])
        assert (stored.shape, stored.dtype) == ((7, self.dims), np.dtype(self.dtype))
        assert self.make().fit(vectors).transform(vectors[:0]).shape == (0, self.dims)

    def test_the_cosine_is_nearly_that_of_the_embeddings(self, vectors: Vectors) -> None:
        made = self.make().fit(vectors[:400])
        error = all_cosines(made.transform(vectors[400:])) - all_cosines(vectors[400:])
        assert np.sqrt((error**2).mean()) <= self.off

    def test_an_image_has_cosine_one_to_itself(self, vectors: Vectors) -> None:
        stored = self.make().fit(vectors).transform(vectors)
        assert np.allclose(np.diag(all_cosines(stored)), 1, atol=1e-6)

    def test_stored_and_reconstructed_it_is_nearly_the_embedding(self, vectors: Vectors) -> None:
        made = self.make().fit(vectors)
        again = made.reconstruct(made.transform(vectors))
        assert (again.shape, again.dtype) == (vectors.shape, np.dtype(np.float32))
        assert np.allclose(np.linalg.norm(again, axis=1), 1, atol=1e-6)
        assert (again * vectors).sum(axis=1).mean() >= 1 - self.off

    def test_the_seed_decides(self, vectors: Vectors) -> None:
        first, again = (self.make(seed=5).fit(vectors).transform(vectors) for _ in range(2))
        assert (first == again).all()

    def test_saved_and_restored_it_stores_the_same(self, vectors: Vectors) -> None:
        made, file = self.make(seed=2).fit(vectors), io.BytesIO()
        np.savez(file, allow_pickle=False, **made.arrays())
        file.seek(0)
        restored = RerankVectors(**made.parameters())
        with np.load(file, allow_pickle=False) as arrays:
            assert restored.restore(arrays) is restored
        assert (restored.transform(vectors) == made.transform(vectors)).all()
        assert restored.parameters() == made.parameters()

    def test_vectors_of_the_learned_space_are_representable(self, vectors: Vectors) -> None:
        assert self.make().fit(vectors).representable(vectors).all()

    @pytest.mark.parametrize("wrong", [np.ones((2, 2, DIMS)), np.full((1, DIMS), np.nan)])
    def test_other_shapes_and_nan_are_refused(self, vectors: Vectors, wrong: Vectors) -> None:
        with pytest.raises(HashingError, match="vectors must"):
            self.make().fit(vectors).transform(wrong)


class TestWhole(RerankContract):
    parameters: ClassVar[dict[str, Any]] = {}
    dims, dtype, off = DIMS, np.float32, 1e-6

    def test_it_is_the_default_and_changes_nothing(self, vectors: Vectors) -> None:
        made = self.make().fit(vectors)
        assert made.whole
        assert made.arrays() == {}
        assert (made.transform(vectors) == vectors).all()
        assert (made.reconstruct(vectors) == vectors).all()


class TestBytes(RerankContract):
    parameters: ClassVar[dict[str, Any]] = {"dtype": "int8"}
    dims, dtype, off = DIMS, np.int8, 0.003

    def test_the_largest_component_is_127(self, vectors: Vectors) -> None:
        stored = self.make().fit(vectors).transform(vectors).astype(int)
        assert (np.abs(stored).max(axis=1) == 127).all()

    def test_the_rotation_serves_vectors_with_one_large_component(self) -> None:
        """Without it the other components would be one or two steps long."""
        drawn = np.random.default_rng(0).standard_normal((300, 1024)).astype(np.float32)
        drawn[:, 0] = 200
        vectors = normalised(drawn, 1024)
        exact = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
        plain = np.rint(vectors * (127 / np.abs(vectors).max(axis=1, keepdims=True)))
        rotated = self.make().fit(vectors).transform(vectors)
        errors = [np.abs(all_cosines(stored) - exact).mean() for stored in (plain, rotated)]
        assert errors[1] < errors[0] / 2

    def test_another_seed_rotates_otherwise(self, vectors: Vectors) -> None:
        one, other = (self.make(seed=seed).fit(vectors).transform(vectors) for seed in (0, 1))
        assert (one != other).any()


class TestProjected(RerankContract):
    parameters: ClassVar[dict[str, Any]] = {"dims": 32}
    dims, dtype, off = 32, np.float32, 0.03

    def test_vectors_within_the_subspace_lose_nothing(self) -> None:
        vectors = first_axes(16)
        stored = self.make(dims=16).fit(vectors).transform(vectors)
        assert np.allclose(all_cosines(stored), all_cosines(vectors), atol=1e-5)

    def test_the_directions_of_most_length_are_kept(self) -> None:
        made = self.make(dims=4).fit(first_axes(16))
        assert np.abs(made.directions_[4:]).max() < 0.3

    def test_the_directions_are_orthonormal(self, vectors: Vectors) -> None:
        directions = self.make().fit(vectors).directions_
        assert np.allclose(directions.T @ directions, np.eye(32), atol=1e-5)

    def test_more_dims_than_the_embedding_has_are_refused(self, vectors: Vectors) -> None:
        with pytest.raises(HashingError, match="at most the embedding's 48 dims, got 49"):
            self.make(dims=49).fit(vectors)
        assert self.make(dims=48).fit(vectors).transform(vectors).shape == (600, 48)

    def test_a_vector_orthogonal_to_the_subspace_is_not_representable(self) -> None:
        learned = first_axes(16)
        made = self.make(dims=16).fit(learned)
        beyond = np.eye(DIMS, dtype=np.float32)[[30]]
        assert made.representable(np.vstack([learned[:3], beyond])).tolist() == [True, True, True, False]
        with pytest.raises(HashingError, match="at least 1e-05 of its length in the PCA subspace of 16 dims, got"):
            made.transform(beyond)


class TestProjectedBytes(RerankContract):
    parameters: ClassVar[dict[str, Any]] = {"dims": 32, "dtype": "int8"}
    dims, dtype, off = 32, np.int8, 0.03

    def test_bytes_add_little_to_the_error_of_the_projection(self, vectors: Vectors) -> None:
        floats = all_cosines(self.make(dtype="float32").fit(vectors).transform(vectors))
        assert np.abs(all_cosines(self.make().fit(vectors).transform(vectors)) - floats).max() < 0.015


class TestRefused:
    @pytest.mark.parametrize(
        ("parameters", "reason"),
        [
            ({"dtype": "float16"}, "the dtype of re-rank vectors must be float32 or int8, got 'float16'"),
            ({"dims": 0}, "at least 1 dimension, got 0"),
            ({"dims": -3, "dtype": "int8"}, "at least 1 dimension, got -3"),
        ],
    )
    def test_parameters_out_of_range_are_refused(self, parameters: dict[str, Any], reason: str) -> None:
        with pytest.raises(HashingError, match=reason):
            RerankVectors(**parameters)

    def test_use_before_fit_is_refused(self, vectors: Vectors) -> None:
        with pytest.raises(HashingError, match="must be fitted"):
            RerankVectors(dims=8).transform(vectors)

    def test_embeddings_of_other_dims_are_refused(self, vectors: Vectors) -> None:
        with pytest.raises(HashingError, match=r"shape \(n, 48\)"):
            RerankVectors(dims=8).fit(vectors).transform(vectors[:, :40])

    def test_stored_vectors_of_other_dims_are_refused(self, vectors: Vectors) -> None:
        with pytest.raises(HashingError, match=r"shape \(n, 8\)"):
            RerankVectors(dims=8).fit(vectors).reconstruct(vectors)


class TestTooLong:
    """Elasticsearch holds vectors of at most 4,096 dims; networks may have more."""

    @pytest.mark.parametrize(
        ("parameters", "available"), [({}, 6144), ({"dtype": "int8"}, 4097), ({"dims": 5000}, 8192)]
    )
    def test_vectors_that_cannot_be_stored_are_refused_before_anything_is_fitted(
        self, parameters: dict[str, Any], available: int
    ) -> None:
        length = parameters.get("dims", available)
        message = (
            rf"^re-rank vectors may have at most 4096 dims, .*, got {length}: fit the encoder with --rerank-dims 2048$"
        )
        with pytest.raises(HashingError, match=message):
            RerankVectors(**parameters).check_dims(available)
        with pytest.raises(HashingError, match=message):
            RerankVectors(**parameters).fit(np.eye(2, available, dtype=np.float32))

    def test_fewer_dims_of_a_wide_network_and_the_limit_itself_are_allowed(self) -> None:
        RerankVectors(2048).check_dims(8192)
        RerankVectors().check_dims(4096)


class TestAsJson:
    def test_bytes_are_hex_and_floats_an_array(self) -> None:
        assert as_json(np.array([1, -1, 127, -127], dtype=np.int8)) == "01ff7f81"
        floats = np.array([0.5, -0.25], dtype=np.float32)
        assert as_json(floats) is floats
