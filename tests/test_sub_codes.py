"""Sub-codes against slow references: the guarantee of blocks, the cheapest probes, the nearest cells."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.vectors import clustered, flipped, random_codes

from hashsearch.errors import HashingError, SearchError
from hashsearch.hashing.binarizers import RandomHyperplanes
from hashsearch.hashing.bits import Codes, hamming
from hashsearch.hashing.sub_codes import (
    BLOCK_BITS,
    SUB_CODES,
    Blocks,
    Cells,
    SubCodes,
    cells_for,
    decorrelating_permutation,
    make_sub_codes,
)
from hashsearch.hashing.vectors import Vectors

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

    @pytest.mark.parametrize("required", [1, 2, 3, 4])
    @pytest.mark.parametrize("radius", [*range(18), 31, 32, 48, 63, 64])
    def test_the_least_favourable_flips_leave_as_many_blocks_near_as_required(self, radius: int, required: int) -> None:
        """The fewest blocks stay near if those of small reach are flipped first: `radius` flips are not enough."""
        reaches = blocks_of(64).reaches(radius, required)
        spent = np.cumsum(np.sort(reaches))
        assert 4 - np.count_nonzero(spent <= radius) >= required
        assert reaches.max() - reaches.min() <= 1

    @pytest.mark.parametrize("required", [1, 2, 3, 4])
    @pytest.mark.parametrize("radius", [0, 3, 7, 8, 11, 13])
    def test_smaller_reaches_break_the_guarantee(self, radius: int, required: int) -> None:
        """Any smaller reach of a block breaks the guarantee, so no more terms are searched than necessary."""
        reaches = blocks_of(64).reaches(radius, required)
        for block in np.flatnonzero(reaches):
            less = reaches.copy()
            less[block] -= 1
            assert 4 - np.count_nonzero(np.cumsum(np.sort(less)) <= radius) < required

    @pytest.mark.parametrize("required", [1, 2, 3])
    @pytest.mark.parametrize("radius", range(20))
    def test_all_codes_within_the_radius_are_near_in_as_many_blocks_as_required(
        self, radius: int, required: int
    ) -> None:
        """Against numpy, on codes at every distance; and no code whose blocks are too far passes."""
        blocks, generator = blocks_of(48, seed=radius), np.random.default_rng(radius)
        code = random_codes(1, 48, seed=radius + 1)[0]
        others = np.stack([flipped(code, generator.permutation(48)[: row % 24]) for row in range(2400)])
        distances = blocks.distances(code, blocks.values(others))
        assert (distances.sum(axis=0) == hamming(code[np.newaxis], others)[0]).all()
        reaches = blocks.reaches(radius, required, distances)
        groups = blocks.neighbours(code, reaches)
        terms = blocks.terms(NO_VECTORS, others)
        near = np.array([np.isin(terms, group).any(axis=1) for group in groups]).sum(axis=0)
        assert (near == (distances < reaches[:, np.newaxis]).sum(axis=0)).all()
        assert (near[distances.sum(axis=0) <= radius] >= required).all()

    @settings(max_examples=200, deadline=None)
    @given(radius=st.integers(0, 4096), count=st.integers(1, 256), required=st.integers(1, 8), data=st.data())
    def test_the_guarantee_for_any_number_of_blocks(
        self, radius: int, count: int, required: int, data: st.DataObject
    ) -> None:
        """However at most `radius` flips are distributed, `required` blocks have fewer than their reach."""
        assume(required <= count and radius <= BLOCK_BITS * count)
        blocks = Blocks().restore({"permutation_": np.arange(BLOCK_BITS * count)})
        flips = data.draw(st.lists(st.integers(0, BLOCK_BITS), min_size=count, max_size=count))
        while sum(flips) > radius:
            flips[int(np.argmax(flips))] -= min(max(flips), sum(flips) - radius)
        assert np.count_nonzero(np.array(flips) < blocks.reaches(radius, required)) >= required

    def test_below_as_many_flips_as_blocks_one_more_block_than_flips_is_searched(self) -> None:
        blocks, code = blocks_of(1024), random_codes(1, 1024)[0]
        reaches = blocks.reaches(8)
        own = blocks.terms(NO_VECTORS, code[np.newaxis])[0]
        assert blocks.neighbours(code, reaches) == [[term] for term in own[np.flatnonzero(reaches)]]
        assert sorted(reaches.tolist()) == [0] * 55 + [1] * 9

    @pytest.mark.parametrize(
        ("radius", "required", "expected"),
        [
            (63, 1, {1: 64}),
            (64, 1, {1: 63, 2: 1}),
            (127, 1, {2: 64}),
            (128, 1, {2: 63, 3: 1}),
            (8, 2, {0: 54, 1: 10}),
            (63, 2, {1: 62, 2: 2}),
            (127, 2, {2: 61, 3: 3}),
        ],
    )
    def test_reaches_of_a_thousand_bits(self, radius: int, required: int, expected: dict[int, int]) -> None:
        reaches = blocks_of(1024).reaches(radius, required)
        assert dict(zip(*np.unique(reaches, return_counts=True))) == expected

    def test_the_larger_reaches_go_to_the_blocks_where_the_fewest_codes_are_near(self) -> None:
        sampled = np.full((4, 10), 9, np.uint8)
        sampled[0, :3] = sampled[1, :1] = sampled[2, :2] = 1
        assert blocks_of(64).reaches(5, 1, sampled).tolist() == [1, 2, 1, 2]
        sampled[1, 0] = 0
        assert blocks_of(64).reaches(2, 1, sampled).tolist() == [1, 0, 1, 1]

    @pytest.mark.parametrize("radius", [0, 4, 8, 13])
    @pytest.mark.parametrize("required", [1, 2])
    def test_neighbour_count_is_the_number_of_neighbours(self, radius: int, required: int) -> None:
        blocks = blocks_of(64)
        reaches = blocks.reaches(radius, required)
        neighbours = [term for group in blocks.neighbours(random_codes(1, 64)[0], reaches) for term in group]
        assert len(set(neighbours)) == len(neighbours) == blocks.neighbour_count(reaches)

    @pytest.mark.parametrize("probes", [1, 2, 16, 17, 200, 697])
    def test_probes_are_the_cheapest_flips_of_each_block(self, probes: int) -> None:
        blocks, code = blocks_of(32), random_codes(1, 32)[0]
        margins = np.random.default_rng(1).standard_normal(32).astype(np.float32)
        probed = blocks.query_terms(code, margins, probes)
        assert len(set(probed)) == 2 * probes
        for block in range(2):
            places = blocks.permutation_[16 * block : 16 * block + 16]
            ways = [way for count in range(4) for way in combinations(places.tolist(), count)]
            cheapest = sorted(ways, key=lambda way: sum(float(margins[bit]) ** 2 for bit in way))[:probes]
            expected = {
                slow_terms(flipped(code, np.array(way, np.intp)), blocks.permutation_.tolist())[block]
                for way in cheapest
            }
            assert {term for term in probed if term.startswith(f"b{block:02x}")} == expected

    def test_the_first_probe_is_the_code_itself(self) -> None:
        blocks, code = blocks_of(128), random_codes(1, 128)[0]
        probed = blocks.query_terms(code, np.full(128, 0.5, np.float32), 1)
        assert probed == blocks.terms(NO_VECTORS, code[np.newaxis])[0].tolist()

    @pytest.mark.parametrize("probes", [0, 698])
    def test_probes_outside_the_range_are_refused(self, probes: int) -> None:
        with pytest.raises(SearchError, match=f"probes must be 1 to 697 for blocks, got {probes}"):
            blocks_of(32).query_terms(random_codes(1, 32)[0], np.ones(32, np.float32), probes)

    @pytest.mark.parametrize("bits", [8, 24, 4104, 8192])
    def test_codes_without_a_whole_number_of_blocks_are_refused(self, bits: int) -> None:
        with pytest.raises(HashingError, match=f"got {bits} bits"):
            Blocks().fit(NO_VECTORS, random_codes(3, bits))


class TestPermutation:
    def test_it_is_a_permutation(self) -> None:
        assert sorted(decorrelating_permutation(random_codes(50, 128))) == list(range(128))

    def test_it_is_a_permutation_of_constant_bits_too(self) -> None:
        assert sorted(decorrelating_permutation(np.zeros((50, 8), np.uint8))) == list(range(64))

    def test_it_spreads_bits_that_are_copies_of_each_other(self) -> None:
        """64 bits are 4 copies each of 16 random bits: no block needs to have two copies of the same."""
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
    def test_a_query_searches_its_nearest_cells_up_to_a_number_of_images(
        self, cells: Cells, vectors: Vectors, most: int
    ) -> None:
        sizes = np.random.default_rng(2).integers(0, 25, size=40)
        for vector in vectors[:50]:
            order, count, images = self.nearest(cells, vector, 40), 0, 0
            while count < 40 and images + sizes[int(order[count][4:], 16)] <= most:
                images += sizes[int(order[count][4:], 16)]
                count += 1
            assert cells.query_terms(vector, sizes, most) == order[: max(1, count)]

    def test_a_query_searches_at_least_one_cell(self, cells: Cells, vectors: Vectors) -> None:
        assert cells.query_terms(vectors[5], np.full(40, 1000), 999) == self.nearest(cells, vectors[5], 1)
        assert cells.query_terms(vectors[5], np.full(40, 1000), 1000) == self.nearest(cells, vectors[5], 1)
        assert cells.query_terms(vectors[5], np.full(40, 1000), 2000) == self.nearest(cells, vectors[5], 2)

    def test_empty_cells_do_not_count_as_images(self, cells: Cells, vectors: Vectors) -> None:
        assert cells.query_terms(vectors[5], np.zeros(40, np.int64), 1) == self.nearest(cells, vectors[5], 40)

    def test_every_cell_has_a_name(self, cells: Cells, vectors: Vectors) -> None:
        assert cells.names() == [f"c00:{cell:04x}" for cell in range(40)]
        assert set(cells.terms(vectors, random_codes(0, 8)).ravel()) <= set(cells.names())

    def test_an_image_is_in_its_nearest_cell_by_default(self, vectors: Vectors) -> None:
        assert Cells(cells=8).fit(vectors, random_codes(0, 8)).terms(vectors, random_codes(0, 8)).shape == (3000, 1)

    def test_no_cell_is_empty(self, cells: Cells, vectors: Vectors) -> None:
        assert set(cells.terms(vectors, random_codes(0, 8))[:, 0]) == {f"c00:{cell:04x}" for cell in range(40)}

    def test_cells_are_where_the_clusters_are(self, cells: Cells, vectors: Vectors) -> None:
        """The vectors are nearer to the centres than to as many random vectors."""

        def error(centres: Vectors) -> float:
            return float(((vectors[:, np.newaxis] - centres) ** 2).sum(axis=2).min(axis=1).mean())

        picked = vectors[np.random.default_rng(0).choice(len(vectors), 40, replace=False)]
        assert error(cells.centres_) < 0.7 * error(picked)

    def test_the_seed_decides(self, vectors: Vectors) -> None:
        first, again, other = (Cells(8, seed=seed).fit(vectors, random_codes(0, 8)).centres_ for seed in (1, 1, 2))
        assert (first == again).all()
        assert (first != other).any()

    def test_there_may_be_as_many_cells_as_vectors(self) -> None:
        vectors = np.eye(4, dtype=np.float32)
        cells = Cells(cells=4, nearest=1).fit(vectors, random_codes(0, 8))
        assert len(set(cells.terms(vectors, random_codes(0, 8)).ravel())) == 4

    def test_fewer_vectors_than_cells_are_refused(self) -> None:
        with pytest.raises(HashingError, match="5 cells need at least as many vectors to learn from, got 4"):
            Cells(cells=5).fit(np.eye(4, dtype=np.float32), random_codes(0, 8))

    @pytest.mark.parametrize("nearest", [0, 4])
    def test_an_image_is_in_one_to_three_cells(self, nearest: int) -> None:
        with pytest.raises(HashingError, match=f"nearest must be 1 to 3 cells, got {nearest}"):
            Cells(nearest=nearest)

    @pytest.mark.parametrize("cells", [1, 65537])
    def test_the_number_of_cells_has_a_range(self, cells: int) -> None:
        with pytest.raises(HashingError, match=f"cells must be 2 to 65536, got {cells}"):
            Cells(cells=cells, nearest=2)


@pytest.mark.parametrize(
    ("images", "cells"), [(2, 16), (271, 16), (272, 17), (20_000, 1250), (65_536, 4096), (10**6, 4096)]
)
def test_there_is_a_cell_for_each_16_images_from_16_to_4096_cells(images: int, cells: int) -> None:
    assert cells_for(images) == cells


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
