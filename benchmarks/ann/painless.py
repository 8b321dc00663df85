"""Peers that count bits in a script, on OpenSearch: ElasticHash, FENSHSES, and their scorers on our candidates.

ElasticHash (Korfhage et al., CAIP 2021, arXiv 2305.04710) runs with the mappings and the query of umr-ds/ElasticHash.
No code of FENSHSES (Mu et al., arXiv 1902.08498) was published; it is implemented here from the paper, with all bits
counted in one script, two to three times as fast as ElasticHash's sum of one script per `long`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ann.methods import Method, Place, Setting, Sizes
from benchmarks.ann.pieces import BITS, DECIMALS, Pieces, masks, neighbour_count, neighbour_lists
from benchmarks.ann.scripted import Body, Rows, Scripted, any_of, as_longs, one_script, summed_scripts, unscored
from benchmarks.ann.stored import Learned, cells_for, sample, timed
from hashsearch.hashing.binarizers import make_binarizer
from hashsearch.hashing.bits import Codes
from hashsearch.hashing.sub_codes import Blocks, Cells
from hashsearch.hashing.vectors import Vectors

CODE_BITS = 256  # of both peers
ITQ_SAMPLE = 20_000  # vectors to learn their codes from
SUB_CODES, FLIPS = 4, 2  # ElasticHash's
NEIGHBOURS = "nbs"


class Pieced(Scripted):
    """Base of both peers: the value of each sub-code in its own keyword field, `f0`, `f1`, ..., as a decimal."""

    def __init__(self, place: Place, pieces: int) -> None:
        super().__init__(place)
        self.binarizer = make_binarizer("itq", bits=CODE_BITS)
        self.sub_codes = Pieces(pieces)

    def _fit(self, vectors: Vectors) -> None:
        chosen = sample(vectors, ITQ_SAMPLE)
        self.sub_codes.fit(self.binarizer.fit(chosen).transform(chosen))

    def _learned(self) -> dict[str, Learned]:
        return {**super()._learned(), "sub_codes": self.sub_codes}

    def _mapping(self) -> Body:
        return {f"f{number}": {"type": "keyword"} for number in range(self.sub_codes.count)}

    def _columns(self, vectors: Vectors, codes: Codes) -> dict[str, list[Any]]:
        values = DECIMALS[self.sub_codes.values(codes)]
        return {f"f{number}": column for number, column in enumerate(values.T.tolist())}


class ElasticHash(Pieced):
    """4 sub-codes of 16 bits, each looked up within 2 flips, then Hamming distance over 256 bits of all candidates.

    Two parts are replaced: its network's coding layer by PCA-ITQ, the closest equivalent for any network, and its
    Kernighan-Lin partition of the bits by our greedy one, of whose 16 pieces it takes the 4 that correlate least.
    Its sub-codes have the 64 distinct bits of the paper; the repository's tool slices the permutation so that they
    overlap.
    """

    name = "elastichash"

    def __init__(self, place: Place) -> None:
        super().__init__(place, SUB_CODES)

    def settings(self) -> Sequence[Setting]:
        """Its own order; its candidates by exact cosine; the same with a single script."""
        cosine = [{"order": "cosine", "candidates": count, "scorer": "functions"} for count in (100, 500, 1000)]
        own = {"order": "hamming", "scorer": "functions"}
        return [own, *cosine, {"order": "cosine", "candidates": 500, "scorer": "script"}]

    def build(self, vectors: Vectors) -> Mapping[str, float]:
        """As the base, plus its index of the neighbours of all 65,536 sub-codes, whose size is constant."""
        seconds = dict(super().build(vectors))
        with timed(seconds, "neighbours"):
            source = "64-Long.bitCount(params.subcode^doc[params.field].value)"
            self.client.ask("PUT", "/_scripts/hd64", {"script": {"lang": "painless", "source": source}})
            self._create(NEIGHBOURS, {"nbs": {"type": "keyword"}}, {"enabled": True})
            self.client.bulk(NEIGHBOURS, neighbour_lists(FLIPS))
            self._merge(NEIGHBOURS)
        return seconds

    def query(self, vector: Vectors, k: int, setting: Setting) -> Rows:
        """The nearest codes among those that share a sub-code up to 2 flips, or the best of them by exact cosine."""
        codes = self.binarizer.transform(vector[np.newaxis])
        lookups = [
            {"terms": {f"f{number}": {"index": NEIGHBOURS, "id": str(value), "path": "nbs"}}}
            for number, value in enumerate(self.sub_codes.values(codes)[0])
        ]
        scored = summed_scripts if setting["scorer"] == "functions" else one_script
        query = scored(unscored(any_of(lookups)), as_longs(codes)[0])
        return self._ordered(vector, k, setting, lambda size: self._rows(query, size))

    def sizes(self) -> Sizes:
        """Includes the lists of neighbours, of which every query reads four."""
        sizes = super().sizes()
        stats = self.client.ask("GET", f"/{NEIGHBOURS}/_stats/store")
        lists = stats["_all"]["primaries"]["store"]["size_in_bytes"]
        return Sizes(sizes.disk_bytes, sizes.memory_bytes + lists, f"{sizes.counted}, and the index of neighbours")


class Fenshses(Pieced):
    """Exact search within a Hamming radius: sub-codes' neighbours as a filter, a bit-counting script, a minimum score.

    When a code lies within r, one of its 16 sub-codes lies within r // 16 flips (pigeonhole); the query lists these
    neighbours. Bits are permuted so that those of a sub-code correlate least. PCA-ITQ codes, as above. Where looking up
    the listed values costs more than scoring all codes, all are scored: a value costs as much as `codes_a_term` codes,
    16 by measurement.
    """

    name = "fenshses"
    most_flips = 3  # per sub-code; 4 would list 40,272 values and match most codes

    def __init__(self, place: Place, codes_a_term: int = 16) -> None:
        super().__init__(place, CODE_BITS // BITS)
        self.codes_a_term = codes_a_term

    def settings(self) -> Sequence[Setting]:
        """Within a radius, and the nearest by an increasing radius; both in Hamming order and by exact cosine."""
        within = [{"radius": radius, "order": "cosine", "candidates": 1000} for radius in (31, 47, 63)]
        nearest = [{"order": "cosine", "candidates": count} for count in (100, 500, 1000)]
        return [{"radius": 47, "order": "hamming"}, *within, {"order": "hamming"}, *nearest]

    def query(self, vector: Vectors, k: int, setting: Setting) -> Rows:
        """The nearest within the setting's radius, or of all codes without one."""
        code = self.binarizer.transform(vector[np.newaxis])[0]
        if "radius" in setting:
            return self._ordered(vector, k, setting, lambda size: self._within(code, setting["radius"], size))
        return self._ordered(vector, k, setting, lambda size: self._nearest(code, size))

    def _within(self, code: Codes, radius: int, size: int) -> Rows:
        """The `size` nearest of all codes within the radius."""
        codes = code[np.newaxis]
        clause = self._neighbours(codes, radius) if self._filter_pays(radius) else {"match_all": {}}
        return self._rows(one_script(unscored(clause), as_longs(codes)[0], radius), size)

    def _neighbours(self, codes: Codes, radius: int) -> Body:
        """A clause that matches at least all codes within the radius, by their nearest sub-code."""
        values = self.sub_codes.values(codes)[0][:, np.newaxis] ^ masks(radius // self.sub_codes.count)
        return any_of([{"terms": {f"f{number}": listed}} for number, listed in enumerate(DECIMALS[values].tolist())])

    def _filter_pays(self, radius: int) -> bool:
        """Whether filtering by sub-codes costs less than scoring all codes."""
        flips = radius // self.sub_codes.count
        listed = neighbour_count(flips) * self.sub_codes.count
        return flips <= self.most_flips and listed * self.codes_a_term <= len(self.floats.vectors)

    def _nearest(self, code: Codes, size: int) -> Rows:
        """The `size` nearest of all codes: with one more flip per sub-code at a time, then among all codes."""
        size = min(size, len(self.floats.vectors))
        for flips in range(self.most_flips + 1):
            radius = self.sub_codes.count * (flips + 1) - 1  # the largest with so many flips
            if not self._filter_pays(radius):
                break
            rows = self._within(code, radius, size)
            if len(rows) == size:
                return rows
        return self._within(code, self.binarizer.bits, size)


class OurCandidates(Scripted):
    """Our 1024-bit codes, filtered by our sub-codes and scored like the peers' codes.

    The bits are counted in one script: ElasticHash's sum would take sixteen.
    """

    sub_codes: Blocks | Cells

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.binarizer = make_binarizer("rotation", bits=1024)

    def _learned(self) -> dict[str, Learned]:
        return {**super()._learned(), "sub_codes": self.sub_codes}

    def _mapping(self) -> Body:
        return {"sub_codes": {"type": "keyword", "doc_values": False}}

    def _columns(self, vectors: Vectors, codes: Codes) -> dict[str, list[Any]]:
        return {"sub_codes": self.sub_codes.terms(vectors, codes).tolist()}

    def query(self, vector: Vectors, k: int, setting: Setting) -> Rows:
        """The nearest codes that share a probed sub-code, or the best of them by exact cosine."""
        margins = self.binarizer.margins(vector[np.newaxis])[0]
        code = np.packbits(margins > 0)
        terms = self._terms(vector, code, margins, setting)
        query = one_script(unscored({"terms": {"sub_codes": terms}}), as_longs(code[np.newaxis])[0])
        return self._ordered(vector, k, setting, lambda size: self._rows(query, size))

    def _terms(self, vector: Vectors, code: Codes, margins: NDArray[np.float32], setting: Setting) -> list[str]:
        """The sub-codes to probe."""
        raise NotImplementedError

    def _fit(self, vectors: Vectors) -> None:
        chosen = sample(vectors)
        self.sub_codes.fit(chosen, self.binarizer.fit(chosen).transform(chosen))


class OurBlocks(OurCandidates):
    """Blocks with their most likely flips: the counterpart of FENSHSES's filter."""

    name = "fenshses-our-candidates"
    sub_codes: Blocks

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.sub_codes = Blocks()

    def settings(self) -> Sequence[Setting]:
        """Increasing numbers of probes, then candidates."""
        probes = [{"order": "cosine", "candidates": 500, "probes": count} for count in (4, 16, 64)]
        return [*probes, {"order": "cosine", "candidates": 1000, "probes": 64}]

    def _terms(self, vector: Vectors, code: Codes, margins: NDArray[np.float32], setting: Setting) -> list[str]:
        return self.sub_codes.query_terms(code, margins, setting["probes"])


class OurCells(OurCandidates):
    """The nearest cells up to a number of codes: the counterpart of ElasticHash's filter.

    Learned: `cell_sizes_ (cells,) int64`, the number of codes in each cell.
    """

    name = "elastichash-our-candidates"
    sub_codes: Cells
    cell_sizes_: NDArray[np.int64]

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.sub_codes = Cells()

    def settings(self) -> Sequence[Setting]:
        """Increasing numbers of compared codes, then candidates."""
        compared = [
            {"order": "cosine", "candidates": 500, "compared": count} for count in (2_000, 5_000, 10_000, 20_000)
        ]
        return [*compared, {"order": "cosine", "candidates": 1000, "compared": 20_000}]

    def build(self, vectors: Vectors) -> Mapping[str, float]:
        """As the base, and saves the cell sizes."""
        self.sub_codes = Cells(cells=cells_for(len(vectors)))
        self.cell_sizes_ = np.zeros(self.sub_codes.cells, dtype=np.int64)
        seconds = super().build(vectors)
        np.save(self.place.folder / "cell_sizes.npy", self.cell_sizes_)
        return seconds

    def restore(self) -> None:
        """As the base, and loads the cell sizes."""
        self.cell_sizes_ = np.load(self.place.folder / "cell_sizes.npy")
        self.sub_codes = Cells(cells=len(self.cell_sizes_))
        super().restore()

    def _terms(self, vector: Vectors, code: Codes, margins: NDArray[np.float32], setting: Setting) -> list[str]:
        return self.sub_codes.query_terms(vector, self.cell_sizes_, setting["compared"])

    def _columns(self, vectors: Vectors, codes: Codes) -> dict[str, list[Any]]:
        terms = self.sub_codes.terms(vectors, codes)
        cells = np.searchsorted(self.sub_codes.names(), terms.ravel())
        self.cell_sizes_ += np.bincount(cells, minlength=self.sub_codes.cells)
        return {"sub_codes": terms.tolist()}


MAKERS: dict[str, Callable[[Place], Method]] = {
    kind.name: kind for kind in (ElasticHash, OurCells, Fenshses, OurBlocks)
}
