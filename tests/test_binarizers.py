"""A contract for every binarizer, and further properties of each."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.vectors import clustered, labelled

from hashsearch.errors import HashingError
from hashsearch.hashing.binarizers import (
    BINARIZERS,
    ITQ,
    Binarizer,
    HashHead,
    MeanThreshold,
    MedianThreshold,
    RandomHyperplanes,
    RandomRotation,
    make_binarizer,
)
from hashsearch.hashing.bits import hamming
from hashsearch.hashing.vectors import Vectors
from hashsearch.training import hash_head
from hashsearch.training.hash_head import TrainableHashHead

DIMS, BITS = 48, 32
LABELS = labelled(600, DIMS)[1]


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return clustered(600, DIMS)


class BinarizerContract:
    """What holds for every binarizer; a subclass names its class."""

    kind: type[Binarizer]

    def make(self, **changed: Any) -> Binarizer:
        return self.kind(**{"bits": BITS, **changed})

    def fitted(self, vectors: Vectors, **changed: Any) -> Binarizer:
        return self.make(**changed).fit(vectors, LABELS[: len(vectors)])

    def test_fit_returns_self_and_leaves_the_vectors_alone(self, vectors: Vectors) -> None:
        binarizer, before = self.make(), vectors.copy()
        assert binarizer.fit(vectors, LABELS) is binarizer
        assert (vectors == before).all()

    def test_codes_are_packed_bytes(self, vectors: Vectors) -> None:
        codes = self.fitted(vectors).transform(vectors[:7])
        assert codes.shape == (7, BITS // 8)
        assert codes.dtype == np.uint8

    def test_a_bit_is_the_sign_of_its_margin_most_significant_first(self, vectors: Vectors) -> None:
        binarizer = self.fitted(vectors)
        margins, codes = binarizer.margins(vectors[:5]), binarizer.transform(vectors[:5])
        assert margins.shape == (5, BITS)
        assert margins.dtype == np.float32
        for row, code in zip(margins, codes, strict=True):
            text = "".join("1" if margin > 0 else "0" for margin in row)
            assert int.from_bytes(code.tobytes(), "big") == int(text, 2)

    def test_a_step_of_its_margin_along_its_direction_flips_a_bit(self, vectors: Vectors) -> None:
        binarizer = self.fitted(vectors)
        vector, margins = vectors[0], binarizer.margins(vectors[:1])[0]
        for bit in (0, BITS - 1):
            direction = binarizer.directions_[:, bit] / np.linalg.norm(binarizer.directions_[:, bit]) ** 2
            beyond = (vector - 1.01 * margins[bit] * direction).astype(np.float32)
            assert np.sign(binarizer.margins(beyond[np.newaxis])[0, bit]) == -np.sign(margins[bit])

    def test_the_seed_decides(self, vectors: Vectors) -> None:
        first, again = (self.fitted(vectors, seed=5).transform(vectors) for _ in range(2))
        assert (first == again).all()

    def test_saved_and_restored_it_gives_the_same_codes(self, vectors: Vectors) -> None:
        binarizer, file = self.fitted(vectors), io.BytesIO()
        np.savez(file, allow_pickle=False, **binarizer.arrays())
        file.seek(0)
        restored = make_binarizer(binarizer.name, **binarizer.parameters())
        with np.load(file, allow_pickle=False) as arrays:
            assert restored.restore(arrays) is restored
        assert (restored.transform(vectors) == binarizer.transform(vectors)).all()
        assert restored.parameters() == binarizer.parameters()

    def test_learned_arrays_are_float32_of_the_documented_shapes(self, vectors: Vectors) -> None:
        arrays = self.fitted(vectors).arrays()
        assert {name: (array.shape, array.dtype.name) for name, array in arrays.items()} == {
            "center_": ((DIMS,), "float32"),
            "directions_": ((DIMS, BITS), "float32"),
        }

    def test_true_neighbours_are_among_the_nearest_codes(self, vectors: Vectors) -> None:
        binarizer = self.fitted(vectors)
        unit = (vectors - vectors.mean(axis=0)) / np.linalg.norm(vectors - vectors.mean(axis=0), axis=1, keepdims=True)
        nearest = np.argsort(-(unit[:50] @ unit.T), axis=1)[:, 1:11]
        codes = binarizer.transform(vectors)
        candidates = np.argsort(hamming(codes[:50], codes), axis=1, kind="stable")[:, :60]
        recall = np.mean([np.isin(near, some).mean() for near, some in zip(nearest, candidates, strict=True)])
        assert recall > 0.7, "60 of 600 are 0.1 by chance"

    def test_features_that_are_never_negative_do_not_set_every_bit(self, vectors: Vectors) -> None:
        assert (vectors >= 0).all()
        shares = np.unpackbits(self.fitted(vectors).transform(vectors), axis=1).mean(axis=0)
        assert (np.abs(shares - 0.5) < 0.25).all()

    def test_it_must_be_fitted_first(self, vectors: Vectors) -> None:
        with pytest.raises(HashingError, match=f"'{self.kind.name}' must be fitted before"):
            self.make().transform(vectors)

    @pytest.mark.parametrize("count", [0, 1])
    def test_it_needs_two_vectors_to_learn_from(self, vectors: Vectors, count: int) -> None:
        with pytest.raises(HashingError, match=f"at least 2 vectors, got {count}"):
            self.fitted(vectors[:count])

    def test_other_dims_are_refused(self, vectors: Vectors) -> None:
        with pytest.raises(HashingError, match=rf"shape \(n, {DIMS}\), got \(600, {DIMS - 1}\)"):
            self.fitted(vectors).transform(vectors[:, 1:])

    def test_nan_is_refused(self, vectors: Vectors) -> None:
        spoilt = vectors.copy()
        spoilt[3, 3] = np.nan
        with pytest.raises(HashingError, match="finite"):
            self.fitted(spoilt)
        with pytest.raises(HashingError, match="finite"):
            self.fitted(vectors).transform(spoilt)

    def test_half_a_byte_is_refused(self) -> None:
        with pytest.raises(HashingError, match="bits must be a positive multiple of 8, got 12"):
            self.make(bits=12)


class TestRandomRotation(BinarizerContract):
    kind = RandomRotation

    def test_directions_are_orthonormal(self, vectors: Vectors) -> None:
        directions = self.make().fit(vectors).directions_
        assert np.allclose(directions.T @ directions, np.eye(BITS), atol=1e-5)

    def test_more_bits_than_dims_are_several_rotations(self, vectors: Vectors) -> None:
        directions = self.make(bits=128).fit(vectors).directions_
        assert directions.shape == (DIMS, 128)
        for start in (0, 48, 96):
            block = directions[:, start : start + DIMS]
            assert np.allclose(block.T @ block, np.eye(block.shape[1]), atol=1e-5)
        assert np.abs(directions[:, :48].T @ directions[:, 48:96]).max() < 0.9, "the second is another rotation"

    def test_fewer_vectors_than_dims_are_enough(self, vectors: Vectors) -> None:
        assert self.make().fit(vectors[:5]).transform(vectors[:5]).shape == (5, BITS // 8)

    def test_it_keeps_the_axes_of_largest_variance(self) -> None:
        vectors = np.random.default_rng(0).standard_normal((500, 16)).astype(np.float32)
        vectors[:, 8:] *= 0.01
        directions = self.make(bits=8).fit(vectors).directions_
        assert (directions[:8] ** 2).sum() / (directions**2).sum() > 0.99


class TestITQ(BinarizerContract):
    kind = ITQ

    def test_directions_are_orthonormal(self, vectors: Vectors) -> None:
        directions = self.make().fit(vectors).directions_
        assert np.allclose(directions.T @ directions, np.eye(BITS), atol=1e-4)

    def test_its_quantisation_error_falls_with_the_iterations(self, vectors: Vectors) -> None:
        errors = []
        for iterations in (0, 1, 5, 50):
            margins = self.make(iterations=iterations).fit(vectors).margins(vectors)
            errors.append(np.mean((np.sign(margins) - margins) ** 2))
        assert errors == sorted(errors, reverse=True)
        assert errors[-1] < errors[0]

    def test_its_quantisation_error_is_below_that_of_the_unrotated_axes(self, vectors: Vectors) -> None:
        centred = vectors - vectors.mean(axis=0)
        axes = np.linalg.svd(centred, full_matrices=False)[2][:BITS].T
        unrotated, turned = centred @ axes, self.make().fit(vectors).margins(vectors)
        assert np.mean((np.sign(turned) - turned) ** 2) < np.mean((np.sign(unrotated) - unrotated) ** 2)

    @pytest.mark.parametrize(("bits", "count"), [(56, 600), (32, 20)])
    def test_it_has_at_most_one_bit_per_dimension(self, vectors: Vectors, bits: int, count: int) -> None:
        with pytest.raises(HashingError, match=rf"at most min\(n, dims\) = {min(count, DIMS)} bits, got {bits}"):
            self.make(bits=bits).fit(vectors[:count])


class TestRandomHyperplanes(BinarizerContract):
    kind = RandomHyperplanes

    def test_the_share_of_differing_bits_is_proportional_to_the_angle(self, vectors: Vectors) -> None:
        binarizer = self.make(bits=8192).fit(vectors)
        pair = binarizer.center_ + np.random.default_rng(1).standard_normal((2, DIMS)).astype(np.float32)
        one, other = pair - binarizer.center_
        angle = np.arccos(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
        distance = hamming(*np.split(binarizer.transform(pair), 2))[0, 0]
        assert distance / 8192 == pytest.approx(angle / np.pi, abs=0.02)


class ThresholdContract(BinarizerContract):
    """One bit per dimension."""

    def test_it_has_at_most_one_bit_per_dimension(self, vectors: Vectors) -> None:
        with pytest.raises(HashingError, match=f"at most one bit per dimension, {DIMS}, got 56"):
            self.make(bits=56).fit(vectors)

    def test_it_keeps_the_dimensions_of_largest_variance_in_their_order(self) -> None:
        vectors = np.random.default_rng(0).standard_normal((300, 16)).astype(np.float32)
        vectors[:, ::2] *= 10
        binarizer = self.make(bits=8).fit(vectors)
        values = vectors[:, ::2] - binarizer.center_[::2]
        assert (binarizer.transform(vectors) == np.packbits(values > 0, axis=1)).all()


class TestMedianThreshold(ThresholdContract):
    kind = MedianThreshold

    def test_every_bit_splits_the_sample_in_half(self) -> None:
        vectors = np.random.default_rng(0).exponential(size=(501, DIMS)).astype(np.float32)
        bits = np.unpackbits(self.make(bits=DIMS).fit(vectors).transform(vectors), axis=1)
        assert (bits.sum(axis=0) == 250).all()


class TestMeanThreshold(ThresholdContract):
    kind = MeanThreshold


@pytest.mark.slow
class TestHashHead(BinarizerContract):
    kind = HashHead

    def make(self, **changed: Any) -> Binarizer:
        return TrainableHashHead(**{"bits": BITS, "rounds": 4, **changed})

    def test_it_tells_classes_apart_by_what_varies_little(self) -> None:
        vectors, labels = nuisance(900)
        head = TrainableHashHead(bits=16).fit(vectors[:600], labels[:600])
        itq = ITQ(bits=16).fit(vectors[:600])
        assert precision_at_10(itq, vectors, labels) < 0.4, "all its bits went to what varies most"
        assert precision_at_10(head, vectors, labels) > 0.8

    def test_without_a_round_it_equals_its_start(self, vectors: Vectors) -> None:
        codes = self.fitted(vectors, rounds=0).transform(vectors)
        assert (codes == ITQ(bits=BITS).fit(vectors).transform(vectors)).all()

    def test_uninformative_labels_do_not_make_it_worse_than_its_start(self) -> None:
        vectors, labels = labelled(900, DIMS)
        nonsense = np.random.default_rng(0).integers(10, size=600)
        head, itq = self.make().fit(vectors[:600], nonsense), ITQ(bits=BITS).fit(vectors[:600])
        assert precision_at_10(head, vectors, labels) > precision_at_10(itq, vectors, labels) - 0.1

    def test_more_bits_than_dims(self, vectors: Vectors) -> None:
        assert self.fitted(vectors, bits=128).directions_.shape == (DIMS, 128)

    def test_directions_have_length_1(self, vectors: Vectors) -> None:
        assert np.allclose(np.linalg.norm(self.fitted(vectors).directions_, axis=0), 1, atol=1e-5)

    def test_it_learns_from_classes_of_two_images_or_more(self) -> None:
        labels = ["mug", None, "cup", "mug", "", "lamp", "cup"]
        assert self.make().learns_from(labels).tolist() == [True, False, True, True, False, False, True]

    def test_images_without_a_class_are_ignored(self) -> None:
        vectors, labels = nuisance(900)
        names = [None if row % 3 == 0 else f"class {label}" for row, label in enumerate(labels[:600])]
        head = TrainableHashHead(bits=16).fit(vectors[:600], names)
        assert precision_at_10(head, vectors, labels) > 0.7

    def test_restored_it_is_the_same_head_but_cannot_be_fitted(self, vectors: Vectors) -> None:
        fitted = self.fitted(vectors)
        restored = make_binarizer("head", **fitted.parameters()).restore(fitted.arrays())
        assert type(restored) is HashHead and type(hash_head.make_binarizer("head")) is TrainableHashHead
        assert (restored.transform(vectors) == fitted.transform(vectors)).all()
        with pytest.raises(HashingError, match=r"'head' is fitted with TensorFlow: make it with hashsearch\.training"):
            restored.fit(vectors, LABELS)

    def test_it_needs_labels(self, vectors: Vectors) -> None:
        with pytest.raises(HashingError, match="'head' learns from labels, got none"):
            self.make().fit(vectors)

    def test_it_needs_one_label_per_vector(self, vectors: Vectors) -> None:
        with pytest.raises(HashingError, match="one label per vector, got 599 labels for 600 vectors"):
            self.make().fit(vectors, LABELS[1:])

    @pytest.mark.parametrize(
        ("labels", "classes"), [(["a"] * 6, 1), (["a", "a", "b", "c", None, None], 1), ([""] * 6, 0)]
    )
    def test_it_needs_two_classes_of_two(self, vectors: Vectors, labels: list[str | None], classes: int) -> None:
        with pytest.raises(HashingError, match=f"two classes or more of two images or more, got {classes} such"):
            self.make(bits=8).fit(vectors[:6], labels)

    def test_vectors_that_are_all_the_same_have_one_code(self) -> None:
        vectors = np.ones((40, DIMS), dtype=np.float32)
        codes = self.make().fit(vectors, np.arange(40) % 2).transform(vectors)
        assert (codes == codes[0]).all()

    def test_two_classes_of_two_images_are_enough(self, vectors: Vectors) -> None:
        assert self.make(bits=8).fit(vectors[:4], ["a", "b", "a", "b"]).transform(vectors).shape == (600, 1)


def nuisance(count: int) -> tuple[Vectors, NDArray[np.int64]]:
    """Vectors `(count, 40)` whose class shows in 8 dims of small variance; the other 32 are noise of large variance."""
    vectors, labels = labelled(count, 40, clusters=10)
    generator = np.random.default_rng(1)
    vectors[:, 8:] = 4 * generator.standard_normal((count, 32))
    return vectors, labels


def precision_at_10(binarizer: Binarizer, vectors: Vectors, labels: NDArray[np.int64]) -> float:
    """Share of the ten nearest codes, among those of the first 600 vectors, of the same class as the query."""
    codes = binarizer.transform(vectors)
    nearest = np.argsort(hamming(codes[600:], codes[:600]), axis=1, kind="stable")[:, :10]
    return float((labels[nearest] == labels[600:, np.newaxis]).mean())


@pytest.mark.parametrize("name", sorted(BINARIZERS.keys() - {"head"}))
def test_other_binarizers_ignore_labels(vectors: Vectors, name: str) -> None:
    one, other = (make_binarizer(name, bits=BITS).fit(vectors, labels) for labels in (None, LABELS))
    assert (one.directions_ == other.directions_).all()
    assert one.learns_from(["a", None]).all()


def test_every_binarizer_has_its_contract_test() -> None:
    tested = {
        test.kind
        for test in (*BinarizerContract.__subclasses__(), *ThresholdContract.__subclasses__())
        if hasattr(test, "kind")
    }
    assert tested == set(BINARIZERS.values())


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        HashingError, match="unknown binarizer 'x', known: head, hyperplanes, itq, mean, median, rotation"
    ):
        make_binarizer("x")
