"""Encoders: one fingerprint of all that affects a code, saved completely, refused after a change."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.vectors import clustered, toy_encoder, toy_spec

from hashsearch.encoder import EmbedderSpec, Encoder
from hashsearch.errors import EncoderError, HashingError, HashsearchError
from hashsearch.hashing.binarizers import BINARIZERS
from hashsearch.hashing.rerank_vectors import RerankVectors
from hashsearch.hashing.sub_codes import make_sub_codes
from hashsearch.hashing.vectors import Vectors, normalised
from hashsearch.training.hash_head import make_binarizer

DIMS = 24


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return clustered(300, DIMS)


@pytest.fixture
def encoder(vectors: Vectors) -> Encoder:
    return toy_encoder(vectors)


@pytest.fixture
def saved(encoder: Encoder, tmp_path: Path) -> Path:
    return encoder.save(tmp_path / "encoder")


class TestEncode:
    def test_shapes_and_kinds(self, encoder: Encoder, vectors: Vectors) -> None:
        encoded = encoder.encode(vectors[:5])
        assert (encoded.rerank_vectors.shape, encoded.codes.shape) == ((5, DIMS), (5, 8))
        assert encoded.rerank_vectors.dtype == np.float32
        assert encoded.codes.dtype == np.uint8
        assert encoded.sub_codes.shape == (5, 4)
        assert (encoder.bits, encoder.dims) == (64, DIMS)

    def test_a_query_is_encoded_as_an_image_is(self, encoder: Encoder, vectors: Vectors) -> None:
        encoded = encoder.encode(vectors[:20])
        for row in range(20):
            query = encoder.encode_query(vectors[row])
            assert (query.code == encoded.codes[row]).all()
            assert np.allclose(query.embedding, encoded.rerank_vectors[row], atol=1e-7)
            assert (np.packbits(query.margins > 0) == query.code).all()

    @pytest.mark.parametrize("scale", [1e-37, 1e-20, 0.1, 7, 1e20, 1e36])
    def test_the_length_of_a_vector_does_not_matter(self, encoder: Encoder, vectors: Vectors, scale: float) -> None:
        """Also where the square of a number leaves float32."""
        scaled = (vectors[:20].astype(np.float64) * scale).astype(np.float32)
        encoded = encoder.encode(scaled)
        assert np.allclose(np.linalg.norm(encoded.rerank_vectors, axis=1), 1, atol=1e-6)
        assert np.allclose(encoded.rerank_vectors, encoder.encode(vectors[:20]).rerank_vectors, atol=1e-4)

    def test_no_vectors_give_no_codes(self, encoder: Encoder) -> None:
        encoded = encoder.encode(np.empty((0, DIMS), np.float32))
        assert (len(encoded.rerank_vectors), len(encoded.codes), len(encoded.sub_codes)) == (0, 0, 0)

    def test_a_zero_vector_has_no_direction(self, encoder: Encoder) -> None:
        with pytest.raises(EncoderError, match="a vector must not be zero"):
            encoder.encode_query(np.zeros(DIMS, np.float32))

    @pytest.mark.parametrize("vector", [np.ones(DIMS + 1), np.full(DIMS, np.nan), np.ones((2, 2, DIMS))])
    def test_other_vectors_are_refused(self, encoder: Encoder, vector: Vectors) -> None:
        with pytest.raises(HashingError, match="vectors must"):
            encoder.encode_query(vector)

    def test_normalised_vectors_stay_as_they_are(self, vectors: Vectors) -> None:
        once = normalised(vectors, DIMS)
        assert np.abs(normalised(once, DIMS) - once).max() < 1e-7


class TestCentred:
    """The mean of the sample is subtracted before vectors are compared: the default."""

    @pytest.fixture
    def shifted(self, vectors: Vectors) -> Vectors:
        """Vectors with much in common, as those of networks are."""
        return np.abs(normalised(vectors, DIMS)) + np.float32(0.5)

    @pytest.fixture
    def centred(self, shifted: Vectors) -> Encoder:
        binarizer, terms = make_binarizer("rotation", bits=64), make_sub_codes("cells", cells=8)
        return Encoder.fit(toy_spec(DIMS), shifted, binarizer, terms)

    def test_cosines_are_those_of_vectors_less_their_mean(self, centred: Encoder, shifted: Vectors) -> None:
        unit = normalised(shifted, DIMS).astype(np.float64)
        expected = unit - unit.mean(axis=0)
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        encoded = centred.encode(shifted)
        assert np.abs(encoded.rerank_vectors - expected).max() < 1e-4
        assert (unit @ unit.T).mean() > 0.9
        assert abs((encoded.rerank_vectors @ encoded.rerank_vectors.T).mean()) < 0.01
        query = centred.encode_query(shifted[3] * 7)
        assert np.abs(query.rerank_vector - encoded.rerank_vectors[3]).max() < 1e-5
        assert (query.code == encoded.codes[3]).all()

    def test_the_mean_is_saved_and_part_of_the_fingerprint(
        self, centred: Encoder, shifted: Vectors, tmp_path: Path
    ) -> None:
        loaded = Encoder.load(centred.save(tmp_path / "encoder"))
        assert loaded.mean is not None
        assert (loaded.encode(shifted).rerank_vectors == centred.encode(shifted).rerank_vectors).all()
        assert json.loads((tmp_path / "encoder" / "manifest.json").read_text())["format"] == 3
        moved = Encoder(centred.spec, centred.binarizer, centred.sub_codes, mean=loaded.mean + np.float32(1e-6))
        assert len({centred.fingerprint, loaded.fingerprint, moved.fingerprint}) == 2

    def test_a_vector_that_is_the_mean_has_no_direction(self, centred: Encoder, shifted: Vectors) -> None:
        assert centred.mean is not None
        centred.mean = normalised(shifted[:1], DIMS)[0]
        assert centred.encodable(shifted[:3]).tolist() == [False, True, True]
        with pytest.raises(EncoderError, match="must not be zero"):
            centred.encode(shifted[:1])

    def test_an_encoder_of_a_newer_format_is_refused(self, centred: Encoder, tmp_path: Path) -> None:
        manifest = centred.save(tmp_path / "encoder") / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"format": 3', '"format": 4'))
        with pytest.raises(EncoderError, match=r"one of \(1, 2, 3\), which this version reads, got 4"):
            Encoder.load(tmp_path / "encoder")


SMALLER = [RerankVectors(10), RerankVectors(dtype="int8"), RerankVectors(10, "int8", seed=3)]


def kind_of(smaller: RerankVectors) -> str:
    """Its name among the test's parameters."""
    return f"{smaller.dims or 'all'}-{smaller.dtype}"


def smaller_encoder(encoder: Encoder, vectors: Vectors, smaller: RerankVectors) -> Encoder:
    """The encoder with re-rank vectors of this kind, learned on the vectors."""
    learned = RerankVectors(**smaller.parameters()).fit(normalised(vectors, DIMS))
    return Encoder(encoder.spec, encoder.binarizer, encoder.sub_codes, learned)


class TestSmallerVectors:
    """Re-rank vectors that are projected, of bytes, or both; codes and sub-codes stay those of the embedding."""

    @pytest.mark.parametrize("smaller", SMALLER, ids=kind_of)
    def test_only_the_re_rank_vectors_differ(self, encoder: Encoder, vectors: Vectors, smaller: RerankVectors) -> None:
        made = smaller_encoder(encoder, vectors, smaller)
        encoded, before = made.encode(vectors), encoder.encode(vectors)
        assert encoded.rerank_vectors.shape == (300, made.rerank_dims) == (300, smaller.dims or DIMS)
        assert encoded.rerank_vectors.dtype == smaller.dtype
        assert (encoded.codes == before.codes).all()
        assert (encoded.sub_codes == before.sub_codes).all()
        query = made.encode_query(vectors[7])
        assert query.rerank_vector.dtype == smaller.dtype
        assert np.allclose(query.rerank_vector, encoded.rerank_vectors[7], atol=1 if smaller.dtype == "int8" else 1e-6)
        assert np.allclose(query.embedding, before.rerank_vectors[7], atol=1e-6)

    @pytest.mark.parametrize("smaller", SMALLER, ids=kind_of)
    def test_fitted_with_the_rest(self, encoder: Encoder, vectors: Vectors, smaller: RerankVectors) -> None:
        fitted = toy_encoder(vectors, rerank_vectors=RerankVectors(**smaller.parameters()))
        assert fitted.fingerprint == smaller_encoder(encoder, vectors, smaller).fingerprint

    @pytest.mark.parametrize("smaller", SMALLER, ids=kind_of)
    def test_saved_and_loaded(self, encoder: Encoder, vectors: Vectors, smaller: RerankVectors, tmp_path: Path) -> None:
        made = smaller_encoder(encoder, vectors, smaller)
        loaded = Encoder.load(made.save(tmp_path / "encoder"))
        assert loaded.fingerprint == made.fingerprint
        assert (loaded.encode(vectors).rerank_vectors == made.encode(vectors).rerank_vectors).all()
        manifest = json.loads((tmp_path / "encoder" / "manifest.json").read_text())
        assert (manifest["format"], manifest["rerank_vectors"]) == (2, smaller.parameters())

    def test_every_kind_has_its_own_fingerprint(self, encoder: Encoder, vectors: Vectors) -> None:
        kinds = [*SMALLER, RerankVectors(), RerankVectors(11), RerankVectors(10, seed=1), RerankVectors(10, "int8")]
        assert len({smaller_encoder(encoder, vectors, kind).fingerprint for kind in kinds}) == len(kinds)

    def test_a_tampered_projection(self, encoder: Encoder, vectors: Vectors, tmp_path: Path) -> None:
        folder = smaller_encoder(encoder, vectors, SMALLER[0]).save(tmp_path / "encoder")
        with np.load(folder / "learned.npz") as file:
            arrays = dict(file)
        arrays["rerank_vectors.directions_"][3, 3] += np.float32(1e-6)
        np.savez(folder / "learned.npz", allow_pickle=False, **arrays)
        with pytest.raises(EncoderError, match="was changed since it was saved"):
            Encoder.load(folder)

    @pytest.mark.parametrize("change", [{"format": 1}, {"rerank_vectors": {"dims": 9}}, {"rerank_vectors": {}}])
    def test_a_tampered_manifest(
        self, encoder: Encoder, vectors: Vectors, tmp_path: Path, change: dict[str, Any]
    ) -> None:
        folder = smaller_encoder(encoder, vectors, SMALLER[0]).save(tmp_path / "encoder")
        change_manifest(folder, lambda manifest: manifest.update(change))
        with pytest.raises(EncoderError, match="was changed since it was saved"):
            Encoder.load(folder)

    def test_encodable_vectors_are_known_beforehand(self, encoder: Encoder, vectors: Vectors) -> None:
        flat = vectors.copy()
        flat[:, 20:] = 0
        made = smaller_encoder(encoder, flat, RerankVectors(20))
        beyond = np.eye(DIMS, dtype=np.float32)[22]
        odd = np.stack([vectors[0], np.zeros(DIMS), np.full(DIMS, np.nan), beyond]).astype(np.float32)
        assert made.encodable(odd).tolist() == [True, False, False, False]
        assert encoder.encodable(odd).tolist() == [True, False, False, True]
        with pytest.raises(HashingError, match="of its length in the PCA subspace of 20 dims"):
            made.encode(beyond[np.newaxis])


class TestStoredQuery:
    """A query by what is stored of an image."""

    def test_with_whole_embeddings_it_equals_the_query_by_embedding(self, encoder: Encoder, vectors: Vectors) -> None:
        encoded = encoder.encode(vectors)
        for row in range(20):
            stored = encoder.stored_query(encoded.rerank_vectors[row], encoded.codes[row])
            query = encoder.encode_query(vectors[row])
            assert (stored.code == query.code).all()
            assert (stored.rerank_vector == encoded.rerank_vectors[row]).all()
            assert np.allclose(stored.embedding, query.embedding, atol=1e-6)
            assert np.allclose(stored.margins, query.margins, atol=1e-6)

    @pytest.mark.parametrize("smaller", SMALLER, ids=kind_of)
    def test_with_smaller_vectors_code_and_vector_are_exact(
        self, encoder: Encoder, vectors: Vectors, smaller: RerankVectors
    ) -> None:
        made = smaller_encoder(encoder, vectors, smaller)
        encoded = made.encode(vectors)
        for row in range(20):
            stored = made.stored_query(encoded.rerank_vectors[row], encoded.codes[row])
            query = made.encode_query(vectors[row])
            assert (stored.code == encoded.codes[row]).all()
            assert (np.packbits(stored.margins > 0) == stored.code).all(), "a bit is the sign of its margin"
            assert (stored.rerank_vector == encoded.rerank_vectors[row]).all()
            assert stored.embedding @ query.embedding > 0.85
            assert np.corrcoef(stored.margins, query.margins)[0, 1] > 0.7


class TestFingerprint:
    def test_the_bundled_encoder_is_the_one_that_indices_were_written_with(self) -> None:
        assert Encoder.bundled_before().fingerprint == "1e35290c6dae6db1"
        assert Encoder.bundled().fingerprint == "f189a7525450f5dc"

    def test_whole_re_rank_vectors_leave_it_and_the_format_as_they_were(
        self, encoder: Encoder, saved: Path, vectors: Vectors
    ) -> None:
        assert toy_encoder(vectors, rerank_vectors=RerankVectors(seed=4)).fingerprint == encoder.fingerprint
        manifest = json.loads((saved / "manifest.json").read_text())
        assert manifest.keys() == {"format", "embedder", "binarizer", "sub_codes", "fingerprint"}
        assert manifest["format"] == 1

    def test_the_same_fit_gives_the_same(self, encoder: Encoder, vectors: Vectors) -> None:
        assert encoder.fingerprint == toy_encoder(vectors).fingerprint
        assert len(encoder.fingerprint) == 16

    @pytest.mark.parametrize(
        "changed",
        [
            {"name": "other"},
            {"input_size": 9},
            {"digest": "1" + "0" * 63},
            {"preprocessing": {"resize": "bicubic", "range": [-1.0, 1.0]}},
            {"preprocessing": {"resize": "bilinear", "range": [-1.0, 1.0000001]}},
            {"preprocessing": {"resize": "bilinear", "range": [-1.0, 1.0], "crop": None}},
        ],
    )
    def test_another_network_or_preprocessing_changes_it(self, encoder: Encoder, changed: dict[str, Any]) -> None:
        other = Encoder(replace(encoder.spec, **changed), encoder.binarizer, encoder.sub_codes)
        assert other.fingerprint != encoder.fingerprint

    def test_the_path_of_the_weights_does_not_change_it(self, encoder: Encoder) -> None:
        moved = replace(encoder.spec, weights=Path("elsewhere.npz"))
        assert Encoder(moved, encoder.binarizer, encoder.sub_codes).fingerprint == encoder.fingerprint

    def test_the_order_of_the_preprocessing_does_not_change_it(self, encoder: Encoder) -> None:
        turned = replace(encoder.spec, preprocessing=dict(sorted(encoder.spec.preprocessing.items())))
        assert Encoder(turned, encoder.binarizer, encoder.sub_codes).fingerprint == encoder.fingerprint

    @pytest.mark.parametrize("sub_codes", ["blocks", "cells"])
    def test_one_number_of_any_learned_array_changes_it(self, vectors: Vectors, sub_codes: str) -> None:
        parameters: dict[str, Any] = {"cells": 8} if sub_codes == "cells" else {}
        known = {toy_encoder(vectors, 64, sub_codes, **parameters).fingerprint}
        for part, name in (("binarizer", "center_"), ("binarizer", "directions_"), ("sub_codes", None)):
            encoder = toy_encoder(vectors, 64, sub_codes, **parameters)
            arrays = getattr(encoder, part).arrays()
            array = arrays[name or next(iter(arrays))]
            array.ravel()[-1] = np.nextafter(array.ravel()[-1], 100) if array.dtype.kind == "f" else 0
            known.add(encoder.fingerprint)
        assert len(known) == 4

    @pytest.mark.parametrize("changed", [{"seed": 1}, {"bits": 128}])
    def test_another_fit_changes_it(self, encoder: Encoder, vectors: Vectors, changed: dict[str, int]) -> None:
        binarizer = make_binarizer("rotation", **{"bits": 64, **changed})
        assert (
            Encoder.fit(toy_spec(DIMS), vectors, binarizer, make_sub_codes("blocks")).fingerprint != encoder.fingerprint
        )

    def test_another_seed_changes_it_also_where_it_changes_no_number(self, vectors: Vectors) -> None:
        made = [
            Encoder.fit(toy_spec(DIMS), vectors, make_binarizer("median", bits=16, seed=seed), make_sub_codes("blocks"))
            for seed in (0, 1)
        ]
        assert made[0].fingerprint != made[1].fingerprint


@pytest.mark.slow
class TestLabels:
    def test_labels_of_zero_vectors_are_left_out_with_them(self, vectors: Vectors) -> None:
        labels = np.arange(len(vectors)) % 5
        spoilt = np.insert(vectors, [3, 70], [[0.0], [np.nan]], axis=0)
        known = np.insert(labels, [3, 70], 9)
        whole, rest = (
            Encoder.fit(
                toy_spec(DIMS), sample, make_binarizer("head", bits=16), make_sub_codes("blocks"), labels=classes
            )
            for sample, classes in ((vectors, labels), (spoilt, known))
        )
        assert whole.fingerprint == rest.fingerprint

    def test_labels_must_be_as_many_as_vectors(self, vectors: Vectors) -> None:
        with pytest.raises(HashingError, match="one label per vector, got 2 labels for 300 vectors"):
            toy = make_binarizer("rotation", bits=16), make_sub_codes("blocks")
            Encoder.fit(toy_spec(DIMS), vectors, *toy, labels=["a", "b"])


ELSEWHERE = """
import sys; from pathlib import Path; import numpy as np
from hashsearch.encoder import Encoder
encoder = Encoder.load(Path(sys.argv[1]))
encoded = encoder.encode(np.load(sys.argv[2]))
print(encoder.fingerprint, encoded.codes.tobytes().hex(), *encoded.sub_codes.ravel())
"""


class TestSaved:
    @pytest.mark.parametrize("binarizer", BINARIZERS)
    @pytest.mark.parametrize("sub_codes", [("blocks", {}), ("cells", {"cells": 16, "nearest": 3, "seed": 4})])
    def test_loaded_it_gives_the_same_codes(
        self, vectors: Vectors, tmp_path: Path, binarizer: str, sub_codes: tuple[str, dict[str, int]]
    ) -> None:
        made = make_sub_codes(sub_codes[0], **sub_codes[1])
        hashes, labels = make_binarizer(binarizer, bits=16, seed=2), np.arange(len(vectors)) % 5
        encoder = Encoder.fit(toy_spec(DIMS), vectors, hashes, made, labels=labels)
        loaded = Encoder.load(encoder.save(tmp_path / "encoder"))
        assert loaded.fingerprint == encoder.fingerprint
        assert (loaded.encode(vectors).codes == encoder.encode(vectors).codes).all()
        assert (loaded.encode(vectors).sub_codes == encoder.encode(vectors).sub_codes).all()
        one, other = loaded.encode_query(vectors[0]), encoder.encode_query(vectors[0])
        assert (one.margins == other.margins).all()

    def test_another_process_gives_the_same_codes(self, encoder: Encoder, vectors: Vectors, saved: Path) -> None:
        np.save(saved.parent / "vectors.npy", vectors[:30])
        arguments = [sys.executable, "-c", ELSEWHERE, str(saved), str(saved.parent / "vectors.npy")]
        answer = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split()
        encoded = encoder.encode(vectors[:30])
        assert answer == [encoder.fingerprint, encoded.codes.tobytes().hex(), *encoded.sub_codes.ravel()]

    def test_the_manifest_can_be_read_by_people(self, encoder: Encoder, saved: Path) -> None:
        manifest = json.loads((saved / "manifest.json").read_text())
        assert manifest["fingerprint"] == encoder.fingerprint
        assert manifest["embedder"]["name"] == "toy"
        assert manifest["binarizer"] == {"name": "rotation", "parameters": {"bits": 64, "seed": 0}}
        assert {file.name for file in saved.iterdir()} == {"manifest.json", "learned.npz"}

    def test_it_is_never_overwritten(self, encoder: Encoder, saved: Path) -> None:
        before = (saved / "learned.npz").read_bytes()
        with pytest.raises(EncoderError, match="never overwritten"):
            encoder.save(saved)
        assert (saved / "learned.npz").read_bytes() == before

    def test_no_draft_is_left_beside_it(self, saved: Path) -> None:
        assert list(saved.parent.iterdir()) == [saved]

    def test_no_draft_is_left_when_saving_fails(self, encoder: Encoder, tmp_path: Path) -> None:
        spec = replace(encoder.spec, weights=tmp_path / "gone.npz")
        for _ in range(2):
            with pytest.raises(EncoderError, match=r"gone\.npz"):
                Encoder(spec, encoder.binarizer, encoder.sub_codes).save(tmp_path / "encoder")
        assert list(tmp_path.iterdir()) == []

    def test_a_saved_encoder_can_be_moved(self, encoder: Encoder, saved: Path) -> None:
        assert Encoder.load(saved.rename(saved.parent / "moved")).fingerprint == encoder.fingerprint


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


class TestDamaged:
    def refused(self, folder: Path, reason: str) -> None:
        with pytest.raises(EncoderError, match=reason):
            Encoder.load(folder)

    @pytest.mark.parametrize("name", ["manifest.json", "learned.npz"])
    def test_a_missing_file(self, saved: Path, name: str) -> None:
        (saved / name).unlink()
        self.refused(saved, f"is not a complete encoder folder.*{name}")

    def test_a_missing_folder(self, tmp_path: Path) -> None:
        self.refused(tmp_path / "nowhere", "is not a complete encoder folder")

    def test_learned_arrays_cut_off_anywhere(self, saved: Path) -> None:
        whole = (saved / "learned.npz").read_bytes()
        for size in range(0, len(whole), 97):
            (saved / "learned.npz").write_bytes(whole[:size])
            self.refused(saved, "is not a complete encoder folder")

    def test_learned_arrays_with_a_changed_byte_anywhere(self, encoder: Encoder, saved: Path) -> None:
        """Detected by the zip's check sums or the fingerprint, or harmless: never another error, never other codes."""
        whole = (saved / "learned.npz").read_bytes()
        for place in range(0, len(whole), 41):
            (saved / "learned.npz").write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
            with suppress(EncoderError):
                assert Encoder.load(saved).fingerprint == encoder.fingerprint

    def test_a_header_that_is_no_python_expression(self, saved: Path) -> None:
        """Which numpy's parser of headers reports as a TokenError."""
        with zipfile.ZipFile(saved / "learned.npz", "w") as archive:
            archive.writestr("binarizer.center_.npy", b"\x93NUMPY\x01\x00\x40\x00{'descr': '<f4', (" + b" " * 49)
        self.refused(saved, "is not a complete encoder folder: ValueError: it is not a complete .npz file: TokenError")

    def test_a_tampered_array(self, saved: Path) -> None:
        with np.load(saved / "learned.npz") as file:
            arrays = dict(file)
        arrays["binarizer.directions_"][3, 3] += np.float32(1e-6)
        np.savez(saved / "learned.npz", allow_pickle=False, **arrays)
        self.refused(saved, "was changed since it was saved: its fingerprint is")

    def test_a_pickled_array_is_not_opened(self, saved: Path) -> None:
        np.savez(saved / "learned.npz", allow_pickle=True, **{"binarizer.center_": np.array([object()])})
        self.refused(saved, "is not a complete encoder folder")

    @pytest.mark.parametrize(
        "change",
        [
            lambda manifest: manifest["embedder"].update(digest="f" * 64),
            lambda manifest: manifest["binarizer"]["parameters"].update(seed=9),
            lambda manifest: manifest.update(fingerprint="0" * 16),
            lambda manifest: manifest.pop("fingerprint"),
        ],
    )
    def test_a_tampered_manifest(self, saved: Path, change: Callable[[dict[str, Any]], Any]) -> None:
        change_manifest(saved, change)
        self.refused(saved, "was changed since it was saved")

    @pytest.mark.parametrize(
        "change",
        [
            lambda manifest: manifest.update(format=2),
            lambda manifest: manifest.update(format=3),
            lambda manifest: manifest.pop("embedder"),
            lambda manifest: manifest.pop("sub_codes"),
            lambda manifest: manifest["binarizer"].update(name="unheard-of"),
            lambda manifest: manifest["binarizer"]["parameters"].update(bits=7),
            lambda manifest: manifest["binarizer"]["parameters"].update(more=7),
            lambda manifest: manifest["sub_codes"].update(name="unheard-of"),
            lambda manifest: manifest["embedder"].update(preprocessing=None),
            lambda manifest: manifest["embedder"].update(colour="red"),
        ],
    )
    def test_a_manifest_of_another_format(self, saved: Path, change: Callable[[dict[str, Any]], Any]) -> None:
        change_manifest(saved, change)
        self.refused(saved, "is not a complete encoder folder")

    @pytest.mark.parametrize("content", ["", "{", "[]", "null", "\udcff"])
    def test_an_unreadable_manifest_is_refused(self, saved: Path, content: str) -> None:
        (saved / "manifest.json").write_bytes(content.encode("utf-8", "surrogateescape"))
        self.refused(saved, "is not a complete encoder folder")


class TestWeights:
    """The embedder's weights are saved with the encoder."""

    def with_weights(self, encoder: Encoder, weights: Path) -> Encoder:
        return Encoder(replace(encoder.spec, weights=weights), encoder.binarizer, encoder.sub_codes)

    @pytest.mark.parametrize("name", ["net.npz", "net[1].npz", "net*.npz"])
    def test_a_file_is_copied_under_its_name(self, encoder: Encoder, tmp_path: Path, name: str) -> None:
        (tmp_path / "from").mkdir()
        (tmp_path / "from" / name).write_bytes(b"numbers")
        (tmp_path / "from" / "net1.npz").write_bytes(b"others")
        folder = self.with_weights(encoder, tmp_path / "from" / name).save(tmp_path / "encoder")
        assert [file.name for file in (folder / "weights").iterdir()] == [name]
        loaded = Encoder.load(folder)
        assert loaded.spec.weights == folder / "weights" / name
        assert loaded.spec.weights.read_bytes() == b"numbers"
        assert loaded.fingerprint == encoder.fingerprint

    def test_a_folder_is_copied_whole(self, encoder: Encoder, tmp_path: Path) -> None:
        (tmp_path / "net" / "variables").mkdir(parents=True)
        (tmp_path / "net" / "variables" / "data").write_bytes(b"numbers")
        loaded = Encoder.load(self.with_weights(encoder, tmp_path / "net").save(tmp_path / "encoder"))
        assert loaded.spec.weights == tmp_path / "encoder" / "weights" / "net"
        assert (loaded.spec.weights / "variables" / "data").read_bytes() == b"numbers"

    def test_a_saved_encoder_can_be_saved_again(self, encoder: Encoder, tmp_path: Path) -> None:
        (tmp_path / "net.npz").write_bytes(b"numbers")
        first = Encoder.load(self.with_weights(encoder, tmp_path / "net.npz").save(tmp_path / "first"))
        again = Encoder.load(first.save(tmp_path / "again"))
        assert again.fingerprint == encoder.fingerprint
        assert again.spec.weights == tmp_path / "again" / "weights" / "net.npz"


class TestFit:
    def test_the_embeddings_must_be_those_of_the_network(self, vectors: Vectors) -> None:
        with pytest.raises(HashsearchError, match=r"shape \(n, 25\)"):
            Encoder.fit(toy_spec(25), vectors, make_binarizer("rotation", bits=64), make_sub_codes("blocks"))

    def test_zero_vectors_are_left_out_of_the_sample(self, vectors: Vectors, encoder: Encoder) -> None:
        odd = np.vstack([np.zeros((1, DIMS)), vectors, np.full((1, DIMS), np.nan)]).astype(np.float32)
        assert toy_encoder(odd).fingerprint == encoder.fingerprint

    def test_lengths_in_the_sample_do_not_matter(self, vectors: Vectors, encoder: Encoder) -> None:
        longer = vectors * np.float32(4)
        assert (toy_encoder(longer).encode(vectors).codes == encoder.encode(vectors).codes).mean() > 0.999

    def test_a_spec_gives_its_identity_as_json_holds_it(self) -> None:
        spec = EmbedderSpec("toy", 3, 8, "0", {"range": (0.0, 1.0)}, Path("weights"))
        assert spec.identity() == {
            "name": "toy",
            "dims": 3,
            "input_size": 8,
            "digest": "0",
            "preprocessing": {"range": [0.0, 1.0]},
        }
