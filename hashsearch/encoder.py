"""The encoder: embedder, binarizer, sub-codes and re-rank vectors as one unit with one fingerprint.

Only the encoder that wrote an index can read it. It is saved as one folder with `manifest.json`, `learned.npz` and the
embedder's weights, unless these ship with the package. The fingerprint is a hash of everything that affects a stored
code or vector; an index is pinned to it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.embedders import BUNDLED, Embedder, Preprocessing, ships
from hashsearch.embedders import load as load_embedder
from hashsearch.errors import EncoderError, HashingError
from hashsearch.files import atomic_folder, read_arrays
from hashsearch.hashing.binarizers import Binarizer, make_binarizer
from hashsearch.hashing.bits import Codes
from hashsearch.hashing.rerank_vectors import RerankVectors
from hashsearch.hashing.sub_codes import Blocks, Cells, Terms, make_sub_codes
from hashsearch.hashing.vectors import Labels, Vectors, check_labels, is_normalizable, normalised
from hashsearch.threads import all_cores

# Format of the folder; changing what the numbers mean needs a new one. Encoders that do not centre still have the first
# or, with re-rank vectors that are not whole embeddings, the second format, so that they keep their fingerprint.
FORMATS = FORMAT, FORMAT_WITH_RERANK_VECTORS, FORMAT_WITH_MEAN = 1, 2, 3
_MANIFEST, _LEARNED, _WEIGHTS = "manifest.json", "learned.npz", "weights"
# Raised by reading a damaged manifest or `.npz`; NotImplementedError, for unknown zip versions, is a RuntimeError.
_DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, HashingError)


@dataclass(frozen=True)
class Encoded:
    """What the index stores of n images: their vectors.

    Re-rank vectors `(n, rerank_dims) float32 | int8`, codes `(n, bits // 8) uint8`, sub-codes `(n, terms)`.
    """

    rerank_vectors: NDArray[Any]
    codes: Codes
    sub_codes: Terms


@dataclass(frozen=True)
class EncodedQuery:
    """One query: its embedding `(dims,) float32` of length 1 and its re-rank vector `(rerank_dims,) float32 | int8`.

    `stored_code` is the code if the query is an indexed image. Code and margins are computed on first use: a search by
    the graph needs neither, and they would take a tenth of its time.
    """

    embedding: Vectors
    rerank_vector: NDArray[Any]
    binarizer: Binarizer
    stored_code: Codes | None = None

    @cached_property
    def code(self) -> Codes:
        """The code `(bits // 8,) uint8`."""
        return np.packbits(self.margins > 0) if self.stored_code is None else self.stored_code

    @cached_property
    def margins(self) -> NDArray[np.float32]:
        """The margin of each bit `(bits,)`; a bit is 1 if its margin is positive."""
        margins: NDArray[np.float32] = self.binarizer.margins(self.embedding[np.newaxis])[0]
        if self.stored_code is None:
            return margins
        signs = np.unpackbits(self.stored_code).astype(np.float32) * 2 - 1
        # The margin of a bit that differs is near zero; it gets the sign of the stored bit.
        signed: NDArray[np.float32] = np.abs(margins) * signs
        return signed


@dataclass(frozen=True)
class EmbedderSpec:
    """The embedder as the manifest describes it; `weights` is a path, None for bundled weights.

    `classes` are the names of the components if the vectors are class probabilities.
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
        weights = None if ships(embedder.name, embedder.weights) else embedder.weights
        name, dims, size, digest = embedder.name, embedder.dims, embedder.input_size, embedder.digest
        return cls(name, dims, size, digest, embedder.preprocessing, weights, embedder.classes)

    def identity(self) -> dict[str, Any]:
        """All fields that affect a vector: neither the path of the weights, which differs by machine, nor classes."""
        identity = {**asdict(self), "preprocessing": dict(self.preprocessing)}
        del identity["weights"], identity["classes"]
        plain: dict[str, Any] = json.loads(json.dumps(identity))  # as read from the manifest: tuples become lists
        return plain


class Encoder:
    """Images to codes, sub-codes and re-rank vectors. Made by `fit`, `load` or `bundled`.

    Parameters
    ----------
    spec : EmbedderSpec
        The embedder.
    binarizer : Binarizer
        The fitted binarizer.
    sub_codes : Blocks or Cells
        The fitted sub-codes.
    rerank_vectors : RerankVectors, optional
        How embeddings are stored for re-ranking; default: as they are.
    mean : ndarray of shape (dims,), float32, optional
        What is subtracted from embeddings of length 1, which are then scaled to length 1 again; default: nothing.
    """

    def __init__(
        self,
        spec: EmbedderSpec,
        binarizer: Binarizer,
        sub_codes: Blocks | Cells,
        rerank_vectors: RerankVectors | None = None,
        mean: Vectors | None = None,
    ) -> None:
        self.spec = spec
        self.binarizer = binarizer
        self.sub_codes = sub_codes
        self.rerank_vectors = rerank_vectors or RerankVectors()
        self.mean = mean

    @classmethod
    def fit(
        cls,
        spec: EmbedderSpec,
        embeddings: Vectors,
        binarizer: Binarizer,
        sub_codes: Blocks | Cells,
        rerank_vectors: RerankVectors | None = None,
        labels: Labels | None = None,
        *,
        centred: bool = True,
    ) -> Encoder:
        """Fit an encoder to a sample of embeddings.

        Parameters
        ----------
        spec : EmbedderSpec
            The embedder that made the embeddings.
        embeddings : ndarray of shape (n, dims), float32
            The sample. Zero vectors and vectors with NaN or infinity are left out.
        binarizer : Binarizer
            The binarizer to fit.
        sub_codes : Blocks or Cells
            The sub-codes to fit.
        rerank_vectors : RerankVectors, optional
            How embeddings are stored for re-ranking; default: as they are.
        labels : sequence of n, optional
            Classes of the embeddings, for a binarizer that learns from them.
        centred : bool
            Whether the mean of the sample is subtracted before vectors are compared. What all pictures have in common
            tells none apart, and without it the cosine of unrelated ones is near 0 instead of .5 to .8.

        Returns
        -------
        Encoder
            The fitted encoder.

        Raises
        ------
        HashingError
            The embeddings have another shape, are too few, or do not fit to the labels or the parameters.
        """
        usable = is_normalizable(embeddings)
        if labels is not None:
            labels = list(compress(check_labels(labels, len(embeddings)), usable))
        embeddings = normalised(embeddings[usable], spec.dims)
        mean = embeddings.mean(axis=0, dtype=np.float64).astype(np.float32) if centred else None
        encoder = cls(spec, binarizer, sub_codes, rerank_vectors, mean)
        embeddings = encoder._compared(embeddings)
        with all_cores():
            encoder.rerank_vectors.fit(embeddings)
            binarizer.fit(embeddings, labels)
            sub_codes.fit(embeddings, binarizer.transform(embeddings))
        return encoder

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder, loaded on first use; EncoderError if its weights are not those of the manifest."""
        preprocessing = Preprocessing.of(self.spec.preprocessing)
        embedder = load_embedder(self.spec.name, self.spec.weights, preprocessing)
        if EmbedderSpec.of(embedder).identity() != self.spec.identity():
            raise EncoderError(
                f"the encoder was fitted to '{self.spec.name}' with weights {self.spec.digest[:16]} and preprocessing "
                f"{dict(self.spec.preprocessing)}, got weights {embedder.digest[:16]} and preprocessing "
                f"{dict(embedder.preprocessing)}"
            )
        return embedder

    @property
    def bits(self) -> int:
        """Length of a code in bits."""
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
        """Sixteen hex digits: a hash of everything that affects a stored code or vector."""
        digest = hashlib.sha256(json.dumps(self._manifest(), sort_keys=True).encode())
        for name, array in sorted(self._arrays().items()):
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def encode(self, embeddings: Vectors) -> Encoded:
        """Encode embeddings for the index.

        Parameters
        ----------
        embeddings : ndarray of shape (n, dims), float32
            Embeddings of any length except zero.

        Returns
        -------
        Encoded
            Their re-rank vectors, codes and sub-codes.

        Raises
        ------
        EncoderError
            A vector is zero.
        HashingError
            The vectors have another shape, contain NaN or infinity, or lie outside the subspace that the re-rank
            vectors keep; see `encodable`.
        """
        embeddings = self._compared(embeddings)
        codes = self.binarizer.transform(embeddings)
        terms = self.sub_codes.terms(embeddings, codes)
        return Encoded(self.rerank_vectors.transform(embeddings), codes, terms)

    def encodable(self, embeddings: Vectors) -> NDArray[np.bool_]:
        """Which of the vectors `(n, dims)` can be encoded: `(n,) bool`."""
        usable = is_normalizable(embeddings)
        usable[usable] = is_normalizable(self._centred(embeddings[usable]))
        usable[usable] = self.rerank_vectors.representable(self._compared(embeddings[usable]))
        return usable

    def _centred(self, embeddings: Vectors) -> Vectors:
        unit = normalised(embeddings, self.dims)
        return unit if self.mean is None else unit - self.mean

    def _compared(self, embeddings: Vectors) -> Vectors:
        """The vectors that are compared by cosine: `(n, dims)` of length 1, centred."""
        return normalised(embeddings, self.dims) if self.mean is None else normalised(self._centred(embeddings))

    def encode_query(self, embedding: Vectors) -> EncodedQuery:
        """The query for an embedding `(dims,)` of any length except zero; errors as for `encode`."""
        embedding = self._compared(np.asarray(embedding)[np.newaxis])
        return EncodedQuery(embedding[0], self.rerank_vectors.transform(embedding)[0], self.binarizer)

    def stored_query(self, rerank_vector: NDArray[Any], code: Codes) -> EncodedQuery:
        """The query for an indexed image, from its stored re-rank vector `(rerank_dims,)` and code `(bits // 8,)`.

        These two are exact. Embedding and margins, which only select sub-codes, are reconstructed.
        """
        embedding = self.rerank_vectors.reconstruct(rerank_vector[np.newaxis])
        return EncodedQuery(embedding[0], rerank_vector, self.binarizer, code)

    def embed(self, images: Sequence[NDArray[np.uint8]]) -> Vectors:
        """Embed RGB images `(height, width, 3) uint8` of any size: `(n, dims) float32`, each of length 1."""
        return self.embedder.embed(images)

    def confidences(self, embedding: Vectors) -> dict[str, float]:
        """The probability of each class, largest first; empty unless embeddings `(dims,)` are class probabilities."""
        if not self.spec.classes:
            return {}
        shares = embedding / embedding.sum()
        return {self.spec.classes[index]: float(shares[index]) for index in np.argsort(-shares, kind="stable")}

    def warm(self) -> None:
        """Load the embedder and run it once, so that the first query is as fast as all others."""
        size = self.spec.input_size
        self.embed([np.zeros((size, size, 3), dtype=np.uint8)])

    def save(self, folder: Path) -> Path:
        """Save the encoder as a new folder, completely or not at all.

        Parameters
        ----------
        folder : Path
            The folder; it must not exist.

        Returns
        -------
        Path
            The same folder.

        Raises
        ------
        EncoderError
            The folder exists or cannot be written.
        """
        check_new(folder)
        try:
            with atomic_folder(folder) as draft:
                self._write(draft)
        except OSError as error:
            raise EncoderError(f"cannot save the encoder in {folder}: {error}") from error
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
        """Load a saved encoder.

        Parameters
        ----------
        folder : Path
            A folder that `save` wrote.

        Returns
        -------
        Encoder
            The encoder; its embedder is loaded on first use.

        Raises
        ------
        EncoderError
            The folder is incomplete, was changed, or has an unknown format.
        """
        try:
            manifest = json.loads((folder / _MANIFEST).read_text())
            encoder = cls._restore(folder, manifest, read_arrays(folder / _LEARNED))
            fingerprint = encoder.fingerprint
        except _DAMAGE as error:
            raise EncoderError(f"{folder} is not a complete encoder folder: {type(error).__name__}: {error}") from error
        if fingerprint != manifest.get("fingerprint"):
            raise EncoderError(
                f"the encoder in {folder} was changed since it was saved: its fingerprint is {fingerprint}, "
                f"the manifest has {manifest.get('fingerprint')}"
            )
        return encoder

    @classmethod
    def bundled(cls) -> Encoder:
        """The encoder that ships with the package, fitted to the default embedder."""
        return cls.load(BUNDLED / "encoder")

    @classmethod
    def bundled_before(cls) -> Encoder:
        """The bundled encoder of versions before 0.3, which wrote indices that are still read and written with it."""
        return cls.load(BUNDLED / "bit-tiny-encoder")

    @classmethod
    def _restore(cls, folder: Path, manifest: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Encoder:
        if manifest["format"] not in FORMATS:
            raise ValueError(f"the format must be one of {FORMATS}, which this version reads, got {manifest['format']}")
        weights = folder / manifest["weights"] if "weights" in manifest else None
        spec = EmbedderSpec(**manifest["embedder"], weights=weights, classes=tuple(manifest.get("classes", ())))
        binarizer = make_binarizer(manifest["binarizer"]["name"], **manifest["binarizer"]["parameters"])
        sub_codes = make_sub_codes(manifest["sub_codes"]["name"], **manifest["sub_codes"]["parameters"])
        binarizer.restore(_part(arrays, "binarizer"))
        sub_codes.restore(_part(arrays, "sub_codes"))
        stored = manifest["rerank_vectors"] if manifest["format"] != FORMAT else {}
        rerank_vectors = RerankVectors(**stored).restore(_part(arrays, "rerank_vectors"))
        mean = arrays["mean"] if manifest["format"] == FORMAT_WITH_MEAN else None
        return cls(spec, binarizer, sub_codes, rerank_vectors, mean)

    def _manifest(self) -> dict[str, Any]:
        simple = self.mean is None and self.rerank_vectors.whole
        version = FORMAT_WITH_RERANK_VECTORS if self.mean is None else FORMAT_WITH_MEAN
        return {
            "format": FORMAT if simple else version,
            "embedder": self.spec.identity(),
            "binarizer": {"name": self.binarizer.name, "parameters": self.binarizer.parameters()},
            "sub_codes": {"name": self.sub_codes.name, "parameters": self.sub_codes.parameters()},
            **({} if simple else {"rerank_vectors": self.rerank_vectors.parameters()}),
        }

    def _arrays(self) -> dict[str, NDArray[Any]]:
        parts = {
            "binarizer": self.binarizer.arrays(),
            "sub_codes": self.sub_codes.arrays(),
            "rerank_vectors": self.rerank_vectors.arrays(),
        }
        learned = {f"{part}.{name}": array for part, arrays in parts.items() for name, array in arrays.items()}
        return learned if self.mean is None else {**learned, "mean": self.mean}


def check_new(folder: Path) -> None:
    """EncoderError if the folder exists: an encoder is never overwritten."""
    if folder.exists():
        raise EncoderError(f"an encoder is never overwritten, and {folder} exists")


def _part(arrays: Mapping[str, NDArray[Any]], part: str) -> dict[str, NDArray[Any]]:
    return {name.split(".", 1)[1]: array for name, array in arrays.items() if name.startswith(f"{part}.")}
