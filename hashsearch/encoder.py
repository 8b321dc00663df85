"""The encoder: embedder, binarizer, sub-codes and re-rank vectors as one thing with one fingerprint.

An index is readable only with the encoder that wrote it, so the encoder is saved as one folder that holds all of it:
`manifest.json`, `learned.npz`, and the embedder's weights unless they ship with the package. The fingerprint is a hash
over everything that changes a stored code or vector; the index pins it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.embedders import BUNDLED, Embedder
from hashsearch.embedders import load as load_embedder
from hashsearch.errors import EncoderError, HashingError
from hashsearch.hashing.binarizers import Binarizer, make_binarizer
from hashsearch.hashing.bits import Codes
from hashsearch.hashing.rerank_vectors import RerankVectors, as_json
from hashsearch.hashing.sub_codes import Blocks, Cells, Terms, make_sub_codes
from hashsearch.hashing.vectors import Labels, Vectors, check_labels, is_normalizable, normalised

# Of the folder; a change of what the numbers mean needs a new one. Encoders that store whole embeddings are written as
# before there was a choice, so that they keep their fingerprint.
FORMAT, FORMAT_WITH_RERANK_VECTORS = 1, 2
_MANIFEST, _LEARNED, _WEIGHTS = "manifest.json", "learned.npz", "weights"
# What reading a damaged manifest or `.npz` raises; zipfile has a NotImplementedError for a version it does not know.
_DAMAGE = (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, HashingError)


@dataclass(frozen=True)
class Encoded:
    """What the index stores of n images.

    Re-rank vectors `(n, rerank_dims) float32 | int8`, codes `(n, bits // 8)`, sub-codes `(n, terms)`.
    """

    rerank_vectors: NDArray[Any]
    codes: Codes
    sub_codes: Terms

    def fields(self, row: int) -> dict[str, Any]:
        """The document's fields for one image."""
        return stored_fields(self.rerank_vectors[row], self.codes[row], self.sub_codes[row].tolist())


@dataclass(frozen=True)
class EncodedQuery:
    """One query: embedding `(dims,)` of length 1, and what is compared with the stored re-rank vectors.

    That is `rerank_vector` `(rerank_dims,) float32 | int8`. `stored_code` is that of an indexed image. Code and margins
    are made when they are asked for: a search by the graph needs neither, and they take a tenth of its time.
    """

    embedding: Vectors
    rerank_vector: NDArray[Any]
    binarizer: Binarizer
    stored_code: Codes | None = None

    @cached_property
    def code(self) -> Codes:
        """The code `(bits // 8,)`."""
        return np.packbits(self.margins > 0) if self.stored_code is None else self.stored_code

    @cached_property
    def margins(self) -> NDArray[np.float32]:
        """The margin of each bit `(bits,)`; its sign is the bit."""
        margins = self.binarizer.margins(self.embedding[np.newaxis])[0]
        if self.stored_code is None:
            return margins
        signs = np.unpackbits(self.stored_code).astype(np.float32) * 2 - 1
        # A bit that came out the other way lies near zero; its margin's sign is that of the stored code.
        return np.abs(margins) * signs


@dataclass(frozen=True)
class EmbedderSpec:
    """Which network makes the vectors, as the manifest holds it; `weights` is a path, None for bundled ones.

    `classes` are those whose probabilities the vectors are, if they are.
    """

    name: str
    dims: int
    input_size: int
    digest: str
    preprocessing: Mapping[str, Any]
    weights: Path | None = None
    classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, embedder: Embedder) -> EmbedderSpec:
        """The spec of a loaded embedder."""
        weights = None if embedder.weights.parent == BUNDLED else embedder.weights
        name, dims, size, digest = embedder.name, embedder.dims, embedder.input_size, embedder.digest
        return cls(name, dims, size, digest, embedder.preprocessing, weights, embedder.classes)

    def identity(self) -> dict[str, Any]:
        """All that changes a vector: neither the place of the weights, which differs by machine, nor names."""
        identity = {**asdict(self), "preprocessing": dict(self.preprocessing)}
        del identity["weights"], identity["classes"]
        plain: dict[str, Any] = json.loads(json.dumps(identity))  # as the manifest gives it back: tuples are lists
        return plain


class Encoder:
    """Images to what the index stores. Made by `Encoder.fit` or `Encoder.load`."""

    def __init__(
        self,
        spec: EmbedderSpec,
        binarizer: Binarizer,
        sub_codes: Blocks | Cells,
        rerank_vectors: RerankVectors | None = None,
    ) -> None:
        self.spec = spec
        self.binarizer = binarizer
        self.sub_codes = sub_codes
        self.rerank_vectors = rerank_vectors or RerankVectors()

    @classmethod
    def fit(
        cls,
        spec: EmbedderSpec,
        embeddings: Vectors,
        binarizer: Binarizer,
        sub_codes: Blocks | Cells,
        rerank_vectors: RerankVectors | None = None,
        labels: Labels | None = None,
    ) -> Encoder:
        """An encoder learned from a sample of embeddings `(n, dims)`, less those without a direction.

        `labels (n,)` are their classes, for a binarizer that learns from them.
        """
        usable = is_normalizable(embeddings)
        if labels is not None:
            labels = list(compress(check_labels(labels, len(embeddings)), usable))
        embeddings = normalised(embeddings[usable], spec.dims)
        encoder = cls(spec, binarizer, sub_codes, rerank_vectors)
        encoder.rerank_vectors.fit(embeddings)
        binarizer.fit(embeddings, labels)
        sub_codes.fit(embeddings, binarizer.transform(embeddings))
        return encoder

    @cached_property
    def embedder(self) -> Embedder:
        """The network, loaded when first used; EncoderError when its weights are not those of the manifest."""
        embedder = load_embedder(self.spec.name, self.spec.weights, self.spec.preprocessing)
        if EmbedderSpec.of(embedder).identity() != self.spec.identity():
            raise EncoderError(
                f"the encoder was fitted on '{self.spec.name}' with weights {self.spec.digest[:16]}, "
                f"but those found are {embedder.digest[:16]} or are prepared differently: "
                f"{embedder.preprocessing} instead of {dict(self.spec.preprocessing)}"
            )
        return embedder

    @property
    def bits(self) -> int:
        """Length of a code."""
        return self.binarizer.bits

    @property
    def dims(self) -> int:
        """Length of an embedding."""
        return self.spec.dims

    @property
    def rerank_dims(self) -> int:
        """Length of a stored re-rank vector."""
        return self.rerank_vectors.dims or self.dims

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits over everything that changes a stored code or vector."""
        digest = hashlib.sha256(json.dumps(self._manifest(), sort_keys=True).encode())
        for name, array in sorted(self._arrays().items()):
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def encode(self, embeddings: Vectors) -> Encoded:
        """What the index stores of vectors `(n, dims)` of any length but zero."""
        embeddings = normalised(embeddings, self.dims)
        codes = self.binarizer.transform(embeddings)
        terms = self.sub_codes.terms(embeddings, codes)
        return Encoded(self.rerank_vectors.transform(embeddings), codes, terms)

    def encodable(self, embeddings: Vectors) -> NDArray[np.bool_]:
        """Which of the vectors `(n, dims)` can be stored and compared by cosine: `(n,) bool`."""
        usable = is_normalizable(embeddings)
        usable[usable] = self.rerank_vectors.representable(normalised(embeddings[usable], self.dims))
        return usable

    def encode_query(self, embedding: Vectors) -> EncodedQuery:
        """One query from its vector `(dims,)` of any length but zero."""
        embedding = normalised(np.asarray(embedding)[np.newaxis], self.dims)
        return EncodedQuery(embedding[0], self.rerank_vectors.transform(embedding)[0], self.binarizer)

    def stored_query(self, rerank_vector: NDArray[Any], code: Codes) -> EncodedQuery:
        """A query by an indexed image, from what is stored of it: `(rerank_dims,)` and `(bits // 8,)`.

        Re-rank vector and code are exact. Embedding and margins, which only choose sub-codes, are reconstructed.
        """
        embedding = self.rerank_vectors.reconstruct(rerank_vector[np.newaxis])
        return EncodedQuery(embedding[0], rerank_vector, self.binarizer, code)

    def embed(self, images: Sequence[NDArray[np.uint8]]) -> Vectors:
        """Embeddings of RGB images of any size: `(n, dims) float32`, each of length 1."""
        return self.embedder.embed(images)

    def confidences(self, embedding: Vectors) -> dict[str, float]:
        """The probability of each class, largest first, of a network whose vectors `(dims,)` are such; else none."""
        if not self.spec.classes:
            return {}
        shares = embedding / embedding.sum()
        return {self.spec.classes[place]: float(shares[place]) for place in np.argsort(-shares, kind="stable")}

    def warm(self) -> None:
        """Load the network and run it once, so that no thread or first query has to."""
        size = self.spec.input_size
        self.embed([np.zeros((size, size, 3), dtype=np.uint8)])

    def save(self, folder: Path) -> Path:
        """Write the folder and return it; it appears whole or not at all. EncoderError when it exists or cannot be."""
        if folder.exists():
            raise EncoderError(f"an encoder is never overwritten, and {folder} exists")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as scratch:
                draft = Path(scratch) / folder.name
                draft.mkdir()
                self._write(draft)
                draft.rename(folder)
        except OSError as error:
            raise EncoderError(f"the encoder could not be saved in {folder}: {error}") from error
        return folder

    def _write(self, folder: Path) -> None:
        manifest = {**self._manifest(), "fingerprint": self.fingerprint}
        if weights := self.spec.weights:
            manifest["weights"] = f"{_WEIGHTS}/{weights.name}"
            (folder / _WEIGHTS).mkdir()
            copy = shutil.copytree if weights.is_dir() else shutil.copy2
            copy(weights, folder / manifest["weights"])
        if self.spec.classes:
            manifest["classes"] = self.spec.classes
        np.savez(folder / _LEARNED, allow_pickle=False, **self._arrays())
        (folder / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Encoder:
        """The encoder saved in a folder; EncoderError when it is incomplete, changed or of another format."""
        try:
            manifest = json.loads((folder / _MANIFEST).read_text())
            with np.load(folder / _LEARNED, allow_pickle=False) as saved:
                arrays = {name: saved[name] for name in saved.files}
            encoder = cls._restore(folder, manifest, arrays)
            fingerprint = encoder.fingerprint
        except _DAMAGE as error:
            raise EncoderError(f"{folder} is no complete encoder folder: {type(error).__name__}: {error}") from error
        if fingerprint != manifest.get("fingerprint"):
            raise EncoderError(
                f"encoder in {folder} was changed since it was saved: its fingerprint is {fingerprint}, "
                f"its manifest says {manifest.get('fingerprint')}"
            )
        return encoder

    @classmethod
    def bundled(cls) -> Encoder:
        """The fitted encoder that ships with the package, of the bundled network."""
        return cls.load(BUNDLED / "bit-tiny-encoder")

    @classmethod
    def _restore(cls, folder: Path, manifest: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Encoder:
        if manifest["format"] not in (FORMAT, FORMAT_WITH_RERANK_VECTORS):
            raise ValueError(
                f"its format is {manifest['format']}, this version reads {FORMAT} and {FORMAT_WITH_RERANK_VECTORS}"
            )
        weights = folder / manifest["weights"] if "weights" in manifest else None
        spec = EmbedderSpec(**manifest["embedder"], weights=weights, classes=tuple(manifest.get("classes", ())))
        binarizer = make_binarizer(manifest["binarizer"]["name"], **manifest["binarizer"]["parameters"])
        sub_codes = make_sub_codes(manifest["sub_codes"]["name"], **manifest["sub_codes"]["parameters"])
        binarizer.restore(_part(arrays, "binarizer"))
        sub_codes.restore(_part(arrays, "sub_codes"))
        stored = manifest["rerank_vectors"] if manifest["format"] == FORMAT_WITH_RERANK_VECTORS else {}
        rerank_vectors = RerankVectors(**stored).restore(_part(arrays, "rerank_vectors"))
        return cls(spec, binarizer, sub_codes, rerank_vectors)

    def _manifest(self) -> dict[str, Any]:
        whole = self.rerank_vectors.whole
        return {
            "format": FORMAT if whole else FORMAT_WITH_RERANK_VECTORS,
            "embedder": self.spec.identity(),
            "binarizer": {"name": self.binarizer.name, "parameters": self.binarizer.parameters()},
            "sub_codes": {"name": self.sub_codes.name, "parameters": self.sub_codes.parameters()},
            **({} if whole else {"rerank_vectors": self.rerank_vectors.parameters()}),
        }

    def _arrays(self) -> dict[str, NDArray[Any]]:
        parts = {
            "binarizer": self.binarizer.arrays(),
            "sub_codes": self.sub_codes.arrays(),
            "rerank_vectors": self.rerank_vectors.arrays(),
        }
        return {f"{part}.{name}": array for part, arrays in parts.items() for name, array in arrays.items()}


def stored_fields(rerank_vector: NDArray[Any], code: Codes, sub_codes: Sequence[str]) -> dict[str, Any]:
    """The document's fields for one image: re-rank vector `(rerank_dims,)`, code `(bits // 8,)` and sub-codes."""
    return {"embedding": as_json(rerank_vector), "code": code.tobytes().hex(), "sub_codes": list(sub_codes)}


def _part(arrays: Mapping[str, NDArray[Any]], part: str) -> dict[str, NDArray[Any]]:
    return {name.split(".", 1)[1]: array for name, array in arrays.items() if name.startswith(f"{part}.")}
