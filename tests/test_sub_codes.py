"""Sub-codes against slow references: the guarantee of blocks, the cheapest probes, the nearest cells."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from vectors import clustered, flipped, random_codes

from hashsearch.errors import HashingError, SearchError
from hashsearch.hashing.binarizers import RandomHyperplanes
from hashsearch.hashing.bits import Codes, Vectors
from hashsearch.hashing.sub_codes import (
    BLOCK_BITS,
    SUB_CODES,
    Blocks,
    Cells,
    SubCodes,
    decorrelating_permutation,
    make_sub_codes,
)

NO_VECTORS = np.empty((0, 0), np.float32)


def blocks_of(bits: int, seed: int = 0) -> Blocks:
    return Blocks().fit(NO_VECTORS, random_codes(200, bits, seed))


def slow_terms(code: Codes, permutation: list[int]) -> list[str]:
    """The terms of one code, by string."""
    text = "".join(f"{byte:08b}" for byte in code)
    permuted = "".join(text[bit] for bit in permutation)
    blocks = [permuted[start : start + BLOCK_BITS] for start in range(0, len(permuted), BLOCK_BITS)]
    return [f"b{number:02x}:{int(block, 2):04x}" for number, block in enumerate(blocks)]


class TestBlocks:
    @pytest.mark.parametrize("bits", [16, 64, 512, 4096])
    def test_terms_are_the_permuted_blocks_in_hex(self, bits: int) -> None:
        codes, blocks = random_codes(5, bits, seed=3), blocks_of(bits)
        expected = [slow_terms(code, blocks.permutation_.tolist()) for code in codes]
        assert blocks.terms(NO_VECTORS, codes).tolist() == expected

    def test_a_hundred_thousand_codes_of_512_bits(self) -> None:
        codes, blocks = random_codes(100_000, 512, seed=4), blocks_of(512)
        terms = blocks.terms(NO_VECTORS, codes)
        assert terms.shape == (100_000, 32)
        for row in range(0, 100_000, 9_999):
            assert terms[row].tolist() == slow_terms(codes[row], blocks.permutation_.tolist())

    def test_no_codes_have_no_terms(self) -> None:
        assert blocks_of(64).terms(NO_VECTORS, random_codes(0, 64)).shape == (0, 4)

    @pytest.mark.parametrize("radius", [0, 1, 3, 4, 5, 7, 8, 9, 11, 12, 15])
    def test_two_codes_within_the_radius_share_a_term_guaranteed(self, radius: int) -> None:
        """Random flips, and the worst: flips spread evenly over the blocks."""
        blocks, generator = blocks_of(64, seed=radius), np.random.default_rng(radius)
        spread = blocks.permutation_.reshape(blocks.count, BLOCK_BITS)
        for code in random_codes(40, 64, seed=radius + 1):
            asked = set(blocks.neighbours(code, radius))
            even = [int(spread[flip % blocks.count, flip // blocks.count]) for flip in range(radius)]
            for positions in (generator.permutation(64)[:radius], np.array(even, np.intp)):
                other = flipped(code, positions)
                assert asked & set(blocks.terms(NO_VECTORS, other[np.newaxis])[0].tolist())

    @pytest.mark.parametrize("radius", [0, 3, 7, 11])
    def test_the_guarantee_ends_at_the_next_flip_of_every_block(self, radius: int) -> None:
        """So `neighbours` asks for no more than it has to."""
        blocks, code = blocks_of(64), random_codes(1, 64)[0]
        flips = radius // blocks.count + 1
        other = flipped(code, blocks.permutation_.reshape(blocks.count, BLOCK_BITS)[:, :flips].ravel())
        assert not set(blocks.neighbours(code, radius)) & set(blocks.terms(NO_VECTORS, other[np.newaxis])[0].tolist())

    @pytest.mark.parametrize("radius", [0, 4, 8, 13])
    def test_neighbours_are_counted_beforehand(self, radius: int) -> None:
        blocks = blocks_of(64)
        neighbours = blocks.neighbours(random_codes(1, 64)[0], radius)
        assert len(set(neighbours)) == len(neighbours) == blocks.neighbour_count(radius)

    @pytest.mark.parametrize("probes", [1, 2, 16, 17, 200, 697])
    def test_probes_are_the_cheapest_flips_of_each_block(self, probes: int) -> None:
        blocks, code = blocks_of(32), random_codes(1, 32)[0]
        margins = np.random.default_rng(1).standard_normal(32).astype(np.float32)
        asked = blocks.query_terms(NO_VECTORS, code, margins, probes)
        assert len(set(asked)) == 2 * probes
        for block in range(2):
            places = blocks.permutation_[16 * block : 16 * block + 16]
            ways = [way for count in range(4) for way in combinations(places.tolist(), count)]
            cheapest = sorted(ways, key=lambda way: sum(float(margins[bit]) ** 2 for bit in way))[:probes]
            expected = {
                slow_terms(flipped(code, np.array(way, np.intp)), blocks.permutation_.tolist())[block]
                for way in cheapest
            }
            assert {term for term in asked if term.startswith(f"b{block:02x}")} == expected

    def test_the_first_probe_is_the_code_itself(self) -> None:
        blocks, code = blocks_of(128), random_codes(1, 128)[0]
        asked = blocks.query_terms(NO_VECTORS, code, np.full(128, 0.5, np.float32), 1)
        assert asked == blocks.terms(NO_VECTORS, code[np.newaxis])[0].tolist()

    @pytest.mark.parametrize("probes", [0, 698])
    def test_probes_outside_the_range_are_refused(self, probes: int) -> None:
        with pytest.raises(SearchError, match=f"probes must be 1 to 697 for blocks, got {probes}"):
            blocks_of(32).query_terms(NO_VECTORS, random_codes(1, 32)[0], np.ones(32, np.float32), probes)

    @pytest.mark.parametrize("bits", [8, 24, 4104, 8192])
    def test_lengths_that_no_whole_number_of_blocks_fills_are_refused(self, bits: int) -> None:
        with pytest.raises(HashingError, match=f"got {bits} bits"):
            Blocks().fit(NO_VECTORS, random_codes(3, bits))


class TestPermutation:
    def test_it_is_a_permutation(self) -> None:
        assert sorted(decorrelating_permutation(random_codes(50, 128))) == list(range(128))

    def test_it_is_a_permutation_also_of_bits_that_never_change(self) -> None:
        assert sorted(decorrelating_permutation(np.zeros((50, 8), np.uint8))) == list(range(64))

    def test_it_spreads_bits_that_are_copies_of_each_other(self) -> None:
        """64 bits are 4 copies each of 16 coins: no block needs to hold a coin twice."""
        coins = np.random.default_rng(0).integers(2, size=(500, 16))
        blocks = decorrelating_permutation(np.packbits(np.tile(coins, 4), axis=1)).reshape(4, 16)
        for block in blocks:
            assert len(set((block % 16).tolist())) == 16

    def test_it_lowers_the_correlation_within_blocks(self) -> None:
        vectors = clustered(2000, 32)
        codes = RandomHyperplanes(bits=256).fit(vectors).transform(vectors)
        correlation = np.abs(np.corrcoef(np.unpackbits(codes, axis=1).T))

        def within(order: np.ndarray) -> float:
            blocks = order.reshape(-1, BLOCK_BITS)
            return float(np.mean([correlation[np.ix_(block, block)].sum() - BLOCK_BITS for block in blocks]))

        assert within(decorrelating_permutation(codes)) < 0.8 * within(np.arange(256))


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    return clustered(3000, 16, clusters=40, spread=0.2)


@pytest.fixture(scope="module")
def cells(vectors: Vectors) -> Cells:
    return Cells(cells=40, nearest=3).fit(vectors, random_codes(0, 8))


class TestCells:
    def nearest(self, cells: Cells, vector: Vectors, count: int) -> list[str]:
        distances = ((cells.centres_.astype(np.float64) - vector) ** 2).sum(axis=1)
        return [f"c00:{cell:04x}" for cell in np.argsort(distances)[:count]]

    def test_terms_are_the_nearest_cells_nearest_first(self, cells: Cells, vectors: Vectors) -> None:
        terms = cells.terms(vectors[:100], random_codes(100, 8))
        assert terms.tolist() == [self.nearest(cells, vector, 3) for vector in vectors[:100]]

    def test_more_vectors_than_are_compared_at_once(self, cells: Cells, vectors: Vectors) -> None:
        many = np.tile(vectors, (6, 1))
        terms = cells.terms(many, random_codes(0, 8))
        assert (terms.reshape(6, len(vectors), 3) == terms[: len(vectors)]).all()

    @pytest.mark.parametrize("most", [1, 30, 31, 75, 10_000, 10**30])
    def test_a_query_asks_for_its_nearest_cells_up_to_a_number_of_images(
        self, cells: Cells, vectors: Vectors, most: int
    ) -> None:
        sizes = np.random.default_rng(2).integers(0, 25, size=40)
        for vector in vectors[:50]:
            order, count, held = self.nearest(cells, vector, 40), 0, 0
            while count < 40 and held + sizes[int(order[count][4:], 16)] <= most:
                held += sizes[int(order[count][4:], 16)]
                count += 1
            assert cells.query_terms(vector, sizes, most) == order[: max(1, count)]

    def test_a_query_asks_for_one_cell_at_least(self, cells: Cells, vectors: Vectors) -> None:
        assert cells.query_terms(vectors[5], np.full(40, 1000), 999) == self.nearest(cells, vectors[5], 1)
        assert cells.query_terms(vectors[5], np.full(40, 1000), 1000) == self.nearest(cells, vectors[5], 1)
        assert cells.query_terms(vectors[5], np.full(40, 1000), 2000) == self.nearest(cells, vectors[5], 2)

    def test_cells_that_hold_nothing_cost_nothing(self, cells: Cells, vectors: Vectors) -> None:
        assert cells.query_terms(vectors[5], np.zeros(40, np.int64), 1) == self.nearest(cells, vectors[5], 40)

    def test_every_cell_has_a_name(self, cells: Cells, vectors: Vectors) -> None:
        assert cells.names() == [f"c00:{cell:04x}" for cell in range(40)]
        assert set(cells.terms(vectors, random_codes(0, 8)).ravel()) <= set(cells.names())

    def test_an_image_is_in_its_nearest_cell_unless_told_otherwise(self, vectors: Vectors) -> None:
        assert Cells(cells=8).fit(vectors, random_codes(0, 8)).terms(vectors, random_codes(0, 8)).shape == (3000, 1)

    def test_no_cell_is_empty(self, cells: Cells, vectors: Vectors) -> None:
        assert set(cells.terms(vectors, random_codes(0, 8))[:, 0]) == {f"c00:{cell:04x}" for cell in range(40)}

    def test_cells_are_where_the_clusters_are(self, cells: Cells, vectors: Vectors) -> None:
        """The vectors lie nearer to their cell's centre than to that of as many vectors picked at random."""

        def error(centres: Vectors) -> float:
            return float(((vectors[:, np.newaxis] - centres) ** 2).sum(axis=2).min(axis=1).mean())

        picked = vectors[np.random.default_rng(0).choice(len(vectors), 40, replace=False)]
        assert error(cells.centres_) < 0.7 * error(picked)

    def test_the_seed_decides(self, vectors: Vectors) -> None:
        first, again, other = (Cells(8, seed=seed).fit(vectors, random_codes(0, 8)).centres_ for seed in (1, 1, 2))
        assert (first == again).all()
        assert (first != other).any()

    def test_as_many_cells_as_vectors(self) -> None:
        vectors = np.eye(4, dtype=np.float32)
        cells = Cells(cells=4, nearest=1).fit(vectors, random_codes(0, 8))
        assert len(set(cells.terms(vectors, random_codes(0, 8)).ravel())) == 4

    def test_fewer_vectors_than_cells_are_refused(self) -> None:
        with pytest.raises(HashingError, match="5 cells need at least as many vectors to learn from, got 4"):
            Cells(cells=5).fit(np.eye(4, dtype=np.float32), random_codes(0, 8))

    @pytest.mark.parametrize("nearest", [0, 4])
    def test_an_image_is_in_one_to_three_cells(self, nearest: int) -> None:
        with pytest.raises(HashingError, match=f"1 to 3 nearest cells, got {nearest}"):
            Cells(nearest=nearest)

    @pytest.mark.parametrize("cells", [1, 65537])
    def test_the_number_of_cells_has_a_range(self, cells: int) -> None:
        with pytest.raises(HashingError, match=f"cells must be 2 to 65536, got {cells}"):
            Cells(cells=cells, nearest=2)


@pytest.mark.parametrize("made", [Blocks(), Cells(cells=8, nearest=1, seed=3)])
def test_saved_and_restored_they_give_the_same_terms(made: Blocks | Cells) -> None:
    vectors, codes = clustered(50, 6), random_codes(50, 64)
    fitted: SubCodes = made.fit(vectors, codes)
    restored = make_sub_codes(made.name, **made.parameters()).restore(made.arrays())
    assert fitted is made
    assert (restored.terms(vectors, codes) == made.terms(vectors, codes)).all()
    assert restored.parameters() == made.parameters()


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(HashingError, match="unknown sub-codes 'x', known: blocks, cells"):
        make_sub_codes("x")
    assert set(SUB_CODES) == {"blocks", "cells"}
