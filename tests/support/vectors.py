"""Vectors with known neighbours, codes, and encoders without a network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashsearch.encoder import EmbedderSpec, Encoder
from hashsearch.hashing.binarizers import make_binarizer
from hashsearch.hashing.bits import Codes
from hashsearch.hashing.rerank_vectors import RerankVectors
from hashsearch.hashing.sub_codes import make_sub_codes
from hashsearch.hashing.vectors import Vectors


def clustered(count: int, dims: int, seed: int = 0, clusters: int = 20, spread: float = 0.5) -> Vectors:
    """Vectors `(count, dims)` in clusters, never negative, as pooled features after a ReLU are."""
    return labelled(count, dims, seed, clusters, spread)[0]


def labelled(
    count: int, dims: int, seed: int = 0, clusters: int = 20, spread: float = 0.5
) -> tuple[Vectors, NDArray[np.int64]]:
    """The same vectors, and the cluster number of each `(count,)`."""
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((clusters, dims))
    labels = generator.integers(clusters, size=count)
    vectors = centres[labels] + spread * generator.standard_normal((count, dims))
    return np.maximum(vectors + 1, 0).astype(np.float32), labels


def random_codes(count: int, bits: int, seed: int = 0) -> Codes:
    """Codes `(count, bits // 8)` of random bits."""
    return np.random.default_rng(seed).integers(256, size=(count, bits // 8), dtype=np.uint8)


def flipped(code: Codes, positions: NDArray[np.integer]) -> Codes:
    """The code with the bits at these positions flipped."""
    bits = np.unpackbits(code)
    bits[positions] ^= 1
    return np.packbits(bits)


def toy_spec(dims: int) -> EmbedderSpec:
    """The spec of a network that does not exist, which is enough to encode and search vectors."""
    return EmbedderSpec("toy", dims, 8, "0" * 64, {"resize": "bilinear", "range": [-1.0, 1.0]})


def toy_encoder(
    vectors: Vectors,
    bits: int = 64,
    sub_codes: str = "blocks",
    rerank_vectors: RerankVectors | None = None,
    **parameters: int,
) -> Encoder:
    """An encoder fitted on the vectors, whose cosines are those of the vectors; `parameters` are the sub-codes'."""
    binarizer, terms = make_binarizer("rotation", bits=bits), make_sub_codes(sub_codes, **parameters)
    return Encoder.fit(toy_spec(vectors.shape[1]), vectors, binarizer, terms, rerank_vectors, centred=False)


def cosines(vectors: Vectors, query: Vectors) -> NDArray[np.float64]:
    """Cosine of every vector to the query, in double precision."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1) * np.linalg.norm(query.astype(np.float64))
    similarities: NDArray[np.float64] = vectors.astype(np.float64) @ query.astype(np.float64) / lengths
    return similarities
