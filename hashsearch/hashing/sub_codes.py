"""Codes and embeddings to sub-codes: the terms of the inverted index, and the terms that a query searches.

`Blocks` split the code into pieces of 16 bits, and give a guarantee. Let block i of m be near if it differs in fewer
than u_i bits, its reach. A code within r flips has at least c near blocks if the u_i, without the c - 1 largest, sum to
more than r: otherwise the blocks that are not near would differ in more than r bits. With c = 1 this is the general
pigeonhole principle (GPH: Qin et al., ICDE 2018), with u_i = 1 + r // m also that of multi-index hashing (Norouzi et
al., CVPR 2012).

`Cells` are learned regions of the embedding space. They find far more similar images per image compared, without a
guarantee. The nearest centre is the one with the largest `vector . centre - |centre|^2 / 2`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import chain
from math import comb
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import HashingError, SearchError
from hashsearch.hashing.bits import Codes, flip_masks
from hashsearch.hashing.kmeans import kmeans
from hashsearch.hashing.nearest import top_k
from hashsearch.hashing.vectors import Vectors

Terms = NDArray[np.str_]

BLOCK_BITS = 16
_MAX_BLOCKS = 256  # a term has two hex digits for the block number
_PROBE_FLIPS = 3  # bits of a block that a probe flips at most
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


class SubCodes(Protocol):
    """What the encoder needs from a kind of sub-codes."""

    name: str

    def fit(self, embeddings: Vectors, codes: Codes) -> SubCodes:
        """Learn from a sample of embeddings `(n, dims)` and their codes `(n, bits // 8)`, return self."""

    def terms(self, embeddings: Vectors, codes: Codes) -> Terms:
        """Terms to index: `(n, terms per image) str`."""

    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The learned arrays by name, for `np.savez`."""

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> SubCodes:
        """Set the learned arrays from `arrays` and return self."""


class Blocks:
    """Blocks of 16 bits of the code, permuted so that the bits of a block are least correlated.

    Learned: `permutation_ (bits,) int32`; block j has the bits `permutation_[16 * j : 16 * (j + 1)]`.
    """

    name = "blocks"

    def fit(self, embeddings: Vectors, codes: Codes) -> Blocks:
        """Learn the permutation from codes `(n, bits // 8)`; HashingError unless they have 1 to 256 whole blocks."""
        bits = codes.shape[1] * 8
        if bits % BLOCK_BITS or bits > _MAX_BLOCKS * BLOCK_BITS:
            raise HashingError(
                f"with blocks the bits of a code must be a multiple of {BLOCK_BITS}, at most "
                f"{_MAX_BLOCKS * BLOCK_BITS}, got {bits} bits"
            )
        self.permutation_ = decorrelating_permutation(codes)
        return self

    @property
    def count(self) -> int:
        """Number of blocks in a code."""
        return len(self.permutation_) // BLOCK_BITS

    def values(self, codes: Codes) -> NDArray[np.uint16]:
        """Block values: `(n, bits // 8) uint8 -> (n, blocks) uint16`."""
        permuted = np.packbits(np.unpackbits(codes, axis=1).take(self.permutation_, axis=1), axis=1)
        return permuted.view(">u2").astype(np.uint16)

    def terms(self, embeddings: Vectors, codes: Codes) -> Terms:
        """One term per block: `(n, blocks) str`."""
        return _terms("b", np.arange(self.count, dtype=np.uint16), self.values(codes))

    def query_terms(self, code: Codes, margins: NDArray[np.float32], probes: int) -> list[str]:
        """Terms for the `probes` likeliest values of each block of a code `(bits // 8,)`, given its margins `(bits,)`.

        Query-directed multi-probe (Lv et al., VLDB 2007): a set of flips costs the sum of the squared margins.
        """
        masks = _masks(_PROBE_FLIPS)
        if not 1 <= probes <= len(masks):
            raise SearchError(f"probes must be 1 to {len(masks)} for blocks, got {probes}")
        squared = (margins[self.permutation_] ** 2).reshape(self.count, BLOCK_BITS)
        costs = squared @ masks.T.astype(np.float32)
        chosen = top_k(-costs, probes)
        return list(chain.from_iterable(self._probe(code, np.arange(self.count), chosen, masks)))

    def distances(self, code: Codes, values: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """Differing bits per block between a code `(bits // 8,)` and others: `values (n, blocks) -> (blocks, n)`."""
        distances: NDArray[np.uint8] = np.bitwise_count(values.T ^ self.values(code[np.newaxis]).T)
        return distances

    def reaches(self, radius: int, required: int = 1, sampled: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """The reaches u_i `(blocks,)` for which every code within the radius has at least `required` near blocks.

        0 for a block that need not be searched. Reaches are as even as possible, as a block's terms grow tenfold with
        each flip; `sampled (blocks, n)`, the block distances of some codes, decide which blocks get the larger reach:
        those where the fewest codes are near.
        """
        reach, larger = divmod(radius + 1, self.count - required + 1)
        reaches = np.full(self.count, reach, dtype=np.uint8)
        if larger:
            near = np.zeros(self.count) if sampled is None else (sampled <= reach).sum(axis=1, dtype=np.uint32)
            reaches[np.argsort(near, kind="stable")[: larger + required - 1]] += 1
        return reaches

    def neighbours(self, code: Codes, reaches: NDArray[np.uint8]) -> list[list[str]]:
        """Terms of all values near those of a code `(bits // 8,)`, grouped by block; blocks of reach 0 are left out."""
        terms: list[list[str]] = []
        for reach in np.unique(reaches[reaches > 0]):
            blocks, masks = np.flatnonzero(reaches == reach), _masks(int(reach) - 1)
            terms += self._probe(code, blocks, np.tile(np.arange(len(masks)), (len(blocks), 1)), masks)
        return terms

    def neighbour_count(self, reaches: NDArray[np.uint8]) -> int:
        """Number of terms that `neighbours` returns for all blocks together."""
        return sum(comb(BLOCK_BITS, flips) for reach in reaches.tolist() for flips in range(reach))

    def _probe(
        self, code: Codes, blocks: NDArray[np.intp], chosen: NDArray[np.intp], masks: NDArray[np.bool_]
    ) -> list[list[str]]:
        """The terms of these blocks with the bits of the chosen masks `(blocks, probes)` flipped, by block."""
        flipped = np.packbits(masks, axis=1).view(">u2").astype(np.uint16).ravel()[chosen]
        values = self.values(code[np.newaxis])[0][blocks, np.newaxis] ^ flipped
        terms: list[list[str]] = _terms("b", blocks[:, np.newaxis].astype(np.uint16), values).tolist()
        return terms

    def parameters(self) -> dict[str, Any]:
        return {}

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"permutation_": self.permutation_}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> Blocks:
        self.permutation_ = arrays["permutation_"]
        return self


class Cells:
    """The `nearest` of `cells` k-means cells to an embedding.

    Learned: `centres_ (cells, dims) float32`.
    """

    name = "cells"

    def __init__(self, cells: int = 256, nearest: int = 1, seed: int = 0) -> None:
        if not 1 <= nearest <= 3:
            raise HashingError(f"nearest must be 1 to 3 cells, got {nearest}")
        if not nearest <= cells <= 65536:
            raise HashingError(f"cells must be {nearest} to 65536, got {cells}")
        self.cells = cells
        self.nearest = nearest
        self.seed = seed

    def fit(self, embeddings: Vectors, codes: Codes) -> Cells:
        """Learn the centres by k-means on embeddings `(n, dims)`; HashingError if n is below the number of cells."""
        if len(embeddings) < self.cells:
            raise HashingError(f"{self.cells} cells need at least as many vectors to learn from, got {len(embeddings)}")
        return self._set_centres(kmeans(embeddings, self.cells, np.random.default_rng(self.seed)))

    def terms(self, embeddings: Vectors, codes: Codes) -> Terms:
        """Terms of the nearest cells, nearest first: `(n, nearest) str`."""
        return self._nearest(embeddings, self.nearest)

    def query_terms(self, embedding: Vectors, sizes: NDArray[np.int64], max_images: int) -> list[str]:
        """Terms of the cells nearest to a query `(dims,)` that have at most `max_images` together; at least one cell.

        `sizes (cells,)` is the number of images per cell. With a fixed number of cells a query near large cells would
        take many times as long as others.
        """
        nearest = np.argsort(self._half_norms - self.centres_ @ embedding)
        count = int(np.searchsorted(sizes[nearest].cumsum(), max_images, side="right"))
        return list(map(str, _terms("c", np.uint16(0), nearest[: max(1, count)].astype(np.uint16))))

    def names(self) -> list[str]:
        """The terms of all cells, in order."""
        return list(map(str, _terms("c", np.uint16(0), np.arange(self.cells, dtype=np.uint16))))

    def _nearest(self, embeddings: Vectors, count: int) -> Terms:
        cells = np.empty((len(embeddings), count), dtype=np.uint16)
        for start in range(0, len(embeddings), 8192):
            nearness = embeddings[start : start + 8192] @ self.centres_.T - self._half_norms
            cells[start : start + 8192] = top_k(nearness, count)
        return _terms("c", np.uint16(0), cells)

    def parameters(self) -> dict[str, Any]:
        return {"cells": self.cells, "nearest": self.nearest, "seed": self.seed}

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"centres_": self.centres_}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> Cells:
        return self._set_centres(arrays["centres_"])

    def _set_centres(self, centres: Vectors) -> Cells:
        self.centres_ = centres
        self._half_norms = (centres**2).sum(axis=1) / 2
        return self


def cells_for(images: int) -> int:
    """Number of cells to learn from a sample of images: one per 16 images, 16 to 4096."""
    return min(max(images // 16, 16), 4096)


def decorrelating_permutation(codes: Codes) -> NDArray[np.int32]:
    """Order of the bits in which the bits of a block are least correlated: `(n, bits // 8) -> (bits,) int32`.

    If the bits of a block are correlated, most images have one of few values, and a term matches too many. Greedy: each
    bit, most correlated first, goes into the unfilled block with whose bits it is least correlated.
    """
    signs = np.unpackbits(codes, axis=1).astype(np.float32)
    signs -= signs.mean(axis=0)
    spread = np.sqrt((signs**2).sum(axis=0))
    correlation = np.abs(signs.T @ signs) / np.maximum(np.outer(spread, spread), 1e-12)
    bits = codes.shape[1] * 8
    to_block = np.zeros((bits, bits // BLOCK_BITS), dtype=np.float32)  # sums over the bits of the block
    blocks: list[list[int]] = [[] for _ in range(bits // BLOCK_BITS)]
    for bit in np.argsort(-correlation.sum(axis=0), kind="stable"):
        unfilled = [number for number, members in enumerate(blocks) if len(members) < BLOCK_BITS]
        block = min(unfilled, key=lambda number: (to_block[bit, number], len(blocks[number])))
        blocks[block].append(int(bit))
        to_block[:, block] += correlation[bit]
    return np.array(blocks, dtype=np.int32).ravel()


@cache
def _masks(flips: int) -> NDArray[np.bool_]:
    return flip_masks(BLOCK_BITS, flips)


def _terms(kind: str, places: NDArray[np.uint16] | np.uint16, values: NDArray[np.uint16]) -> Terms:
    """Terms like `b02:1f3a`: the kind, the block in hex, the value in hex; vectorised by table look-up."""
    places = np.broadcast_to(places, values.shape)
    text = np.empty((*values.shape, 8), dtype=np.uint8)
    text[..., 0] = ord(kind)
    text[..., 3] = ord(":")
    for column, number, shift in (
        (1, places, 4),
        (2, places, 0),
        (4, values, 12),
        (5, values, 8),
        (6, values, 4),
        (7, values, 0),
    ):
        text[..., column] = _HEX[(number >> shift) & 15]
    return text.view("S8")[..., 0].astype("U8")


SUB_CODES: dict[str, type[Blocks] | type[Cells]] = {kind.name: kind for kind in (Cells, Blocks)}


def make_sub_codes(name: str, **parameters: Any) -> Blocks | Cells:
    """New sub-codes by name; HashingError lists the known names."""
    if name not in SUB_CODES:
        raise HashingError(f"unknown sub-codes '{name}', known: {', '.join(sorted(SUB_CODES))}")
    return SUB_CODES[name](**parameters)
