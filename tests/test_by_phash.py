"""Search by perceptual hash on a real Elasticsearch: planted near-duplicates, turned ones, radii against numpy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from elasticsearch import Elasticsearch
from numpy.typing import NDArray
from PIL import Image
from support.indices import documents_of, filled, fresh_index_name, older
from support.vectors import clustered, flipped, random_codes, toy_encoder

from hashsearch.descriptors.phash import FLAT_HASHES, STORED, TURNS
from hashsearch.elastic import queries
from hashsearch.elastic.document import hash_fields
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.maintenance import add_fields
from hashsearch.elastic.queries import MAX_CANDIDATES
from hashsearch.elastic.writing import BulkWriter
from hashsearch.errors import FlatImage, ImageNotFound, SearchError
from hashsearch.hashing.bits import hamming
from hashsearch.search.by_phash import PerceptualHit, PerceptualSearcher, as_table
from hashsearch.search.radius import MEASURED

COUNT = 400
VECTORS = clustered(COUNT, 64)
ENCODER = toy_encoder(VECTORS, bits=64)
ALWAYS_BLOCKS = replace(MEASURED, code=1e12, planning=0.0)  # any prefilter is cheaper than a scan
RADII = (0, 1, 3, 4, 7, 8, 12, 16, 20, 26, 64)


def picture(seed: int) -> NDArray[np.uint8]:
    """Soft spots of colour, 90 x 60 pixels."""
    grain = np.random.default_rng(seed).integers(256, size=(6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(grain).resize((90, 60), Image.Resampling.BICUBIC))


def turned(image: NDArray[np.uint8], turn: str) -> NDArray[np.uint8]:
    transpose = TURNS[turn]
    return image if transpose is None else np.asarray(Image.fromarray(image).transpose(transpose))


QUERY = picture(0)
HASH = STORED.hash([QUERY])[0]


def planted() -> NDArray[np.uint8]:
    """Hashes `(COUNT, 8)`, most at random, and of every distance 0 to 39 to the query's three, its bits anywhere."""
    generator, codes = np.random.default_rng(3), random_codes(COUNT, 64, seed=2)
    for row in range(120):
        codes[row] = flipped(HASH, generator.choice(64, row // 3, replace=False))
    return codes


HASHES = planted()
DISTANCES = hamming(HASH[np.newaxis], HASHES)[0]


def near(radius: int) -> set[int]:
    """Rows of the hashes within the radius of the query's."""
    distances = hamming(HASH[np.newaxis], HASHES)[0]
    return set(np.flatnonzero(distances <= radius).tolist())


TEXTS: list[dict[str, Any]] = [
    {
        **hash_fields(code),
        "title": f"Mug {row}",
        "category": ("mugs", "pens")[row % 2],
        "attributes": {"third": row % 3},
    }
    for row, code in enumerate(HASHES)
]


@pytest.fixture(scope="module")
def index(client: Elasticsearch) -> Iterator[ImageIndex]:
    with fresh_index_name(client) as name:
        yield filled(client, name, ENCODER, VECTORS, TEXTS)


@pytest.fixture(params=[MEASURED, ALWAYS_BLOCKS], ids=["scan", "blocks"])
def searcher(request: pytest.FixtureRequest, index: ImageIndex) -> PerceptualSearcher:
    return PerceptualSearcher(index, request.param)


def rows(hits: list[PerceptualHit]) -> set[int]:
    assert len({hit.id for hit in hits}) == len(hits), "no image is returned twice"
    return {int(hit.id) for hit in hits}


class TestNearest:
    def test_the_k_nearest_hashes_to_an_image(self, index: ImageIndex) -> None:
        hits = PerceptualSearcher(index).by_image(QUERY, 30)
        assert [hit.hamming for hit in hits] == np.sort(DISTANCES)[:30].tolist()
        assert [hit.hamming for hit in hits] == [DISTANCES[int(hit.id)] for hit in hits]
        assert hits == sorted(hits, key=lambda hit: (hit.hamming, hit.id))
        first = PerceptualHit("0000", "/0000.jpg", "Mug 0", "mugs", {"third": 0}, None, None, 0, "upright")
        assert hits[0] == first

    def test_by_id_leaves_the_image_itself_out(self, index: ImageIndex) -> None:
        distances = hamming(HASHES[9:10], HASHES)[0]
        hits = PerceptualSearcher(index).by_id("0009", 20)
        assert [hit.hamming for hit in hits] == np.sort(np.delete(distances, 9))[:20].tolist()
        assert "0009" not in {hit.id for hit in hits}

    def test_filters_apply(self, index: ImageIndex) -> None:
        filters = queries.filters(["pens"], {"third": ["2"]})
        hits = PerceptualSearcher(index).by_image(QUERY, COUNT, filters=filters)
        assert rows(hits) == {row for row in range(COUNT) if row % 2 and row % 3 == 2}
        hits = PerceptualSearcher(index).by_id("0005", COUNT, filters=filters)
        assert rows(hits) == {row for row in range(COUNT) if row % 2 and row % 3 == 2} - {5}

    def test_an_unknown_id_is_refused(self, index: ImageIndex) -> None:
        with pytest.raises(ImageNotFound, match="no image with id 'nothing'"):
            PerceptualSearcher(index).by_id("nothing")

    @pytest.mark.parametrize("k", [0, MAX_CANDIDATES + 1])
    def test_k_out_of_range_is_refused(self, index: ImageIndex, k: int) -> None:
        with pytest.raises(SearchError, match=f"k must be 1 to {MAX_CANDIDATES}, got {k}"):
            PerceptualSearcher(index).by_image(QUERY, k)


class TestWithinARadius:
    @pytest.mark.parametrize("radius", RADII)
    def test_radius_search_misses_no_image_within_the_radius(self, searcher: PerceptualSearcher, radius: int) -> None:
        hits = searcher.within_radius(QUERY, radius)
        assert rows(hits) == near(radius)
        assert [hit.hamming for hit in hits] == np.sort(DISTANCES)[: len(hits)].tolist()

    @pytest.mark.parametrize("radius", RADII)
    def test_radius_search_misses_none_of_the_eight_orientations(
        self, searcher: PerceptualSearcher, radius: int
    ) -> None:
        distances = hamming(STORED.variants(QUERY), HASHES)
        hits = searcher.within_radius(QUERY, radius, turned=True)
        assert rows(hits) == set(np.flatnonzero(distances.min(axis=0) <= radius).tolist())
        nearest = [(hit.hamming, list(TURNS).index(hit.turn)) for hit in hits]
        listed = [int(hit.id) for hit in hits]
        assert nearest == list(zip(distances[:, listed].min(axis=0), distances[:, listed].argmin(axis=0), strict=True))

    def test_blocks_are_used_if_they_cost_less_than_a_scan(self, index: ImageIndex) -> None:
        assert PerceptualSearcher(index, ALWAYS_BLOCKS).radius_planner.clauses(HASH, 16)
        assert PerceptualSearcher(index).radius_planner.clauses(HASH, 16) == [], (
            "few images: comparing all costs next to nothing"
        )

    def test_within_a_radius_of_an_indexed_image(self, searcher: PerceptualSearcher) -> None:
        inside = np.flatnonzero(hamming(HASHES[9:10], HASHES)[0] <= 16)
        assert rows(searcher.within_radius_of("0009", 16)) == set(inside.tolist()) - {9}

    def test_filters_apply(self, searcher: PerceptualSearcher) -> None:
        hits = searcher.within_radius(QUERY, 16, filters=queries.filters(["pens"], {}))
        assert rows(hits) == {row for row in near(16) if row % 2}

    @pytest.mark.parametrize("radius", [-1, 65])
    def test_a_radius_out_of_range_is_refused(self, index: ImageIndex, radius: int) -> None:
        with pytest.raises(SearchError, match=f"radius must be 0 to 64, the bits of a hash, got {radius}"):
            PerceptualSearcher(index).within_radius(QUERY, radius)

    def test_more_images_than_one_answer_holds_are_refused(self, client: Elasticsearch, fresh_name: str) -> None:
        index = ImageIndex.create(client, fresh_name, ENCODER)
        (vector,) = documents_of(ENCODER, VECTORS[:1])
        same = {**vector[1], **hash_fields(HASH)}
        BulkWriter(client, index.alias).write((f"{row}", same) for row in range(MAX_CANDIDATES))
        index.refresh()
        with pytest.raises(SearchError, match="10000 or more images are within radius 3: use a smaller radius"):
            PerceptualSearcher(index).within_radius(QUERY, 3)


class TestTies:
    @pytest.mark.parametrize("k", [1, 3, 4, 5, 7])
    def test_images_of_one_distance_come_by_id_also_at_the_last_rank(
        self, client: Elasticsearch, fresh_name: str, k: int
    ) -> None:
        """Written in the reverse order of their ids: three at distance 0, then twenty at distance 2."""
        index = ImageIndex.create(client, fresh_name, ENCODER)
        (_, fields), *_ = documents_of(ENCODER, VECTORS[:1])
        distances = {f"{row:02}": 0 if row >= 20 else 2 for row in range(23)}
        codes = {name: flipped(HASH, np.arange(bits)) for name, bits in distances.items()}
        documents = [(name, {**fields, **hash_fields(codes[name])}) for name in sorted(codes, reverse=True)]
        assert BulkWriter(client, index.alias).write(documents) == []
        index.refresh()
        expected = sorted(distances, key=lambda name: (distances[name], name))
        hits = PerceptualSearcher(index).by_image(QUERY, k)
        assert [(hit.id, hit.hamming) for hit in hits] == [(name, distances[name]) for name in expected[:k]]


def one_colour(*levels: int) -> NDArray[np.uint8]:
    return np.full((40, 60, 3), levels, np.uint8)


FLAT = {"white": one_colour(255, 255, 255), "red": one_colour(255, 0, 0), "black": one_colour(0, 0, 0)}


class TestFlatPictures:
    @pytest.fixture(params=["with blocks", "without blocks"])
    def mixed(self, request: pytest.FixtureRequest, client: Elasticsearch, fresh_name: str) -> PerceptualSearcher:
        """An index with hashes of flat pictures, as older versions stored them, before the others."""
        flat = [STORED.hash([image])[0] for image in FLAT.values()] * 50
        texts = [*map(hash_fields, flat), *TEXTS[:30]]
        if request.param == "without blocks":
            for fields in texts[: len(flat)]:
                del fields["phash_blocks"]
        return PerceptualSearcher(filled(client, fresh_name, ENCODER, VECTORS[: len(texts)], texts))

    @pytest.mark.parametrize("name", FLAT)
    @pytest.mark.parametrize("turned", [False, True])
    def test_a_flat_query_is_a_named_error(self, index: ImageIndex, name: str, turned: bool) -> None:
        searcher = PerceptualSearcher(index)
        with pytest.raises(FlatImage, match="the picture has nearly one colour, so it has no usable perceptual hash"):
            searcher.by_image(FLAT[name], 1, turned=turned)
        with pytest.raises(FlatImage, match="so it has no usable perceptual hash"):
            searcher.within_radius(FLAT[name], 0, turned=turned)

    @pytest.mark.parametrize("image_id", ["0000", "0001", "0002"])
    def test_a_stored_hash_of_a_flat_picture_is_not_searched_with(
        self, mixed: PerceptualSearcher, image_id: str
    ) -> None:
        with pytest.raises(
            FlatImage, match=f"image '{image_id}' of .* has nearly one colour, so it has no usable perceptual hash"
        ):
            mixed.by_id(image_id)
        with pytest.raises(
            FlatImage, match=f"image '{image_id}' of .* has nearly one colour, so it has no usable perceptual hash"
        ):
            mixed.within_radius_of(image_id, 0)

    @pytest.mark.parametrize("turned", [False, True])
    def test_a_stored_hash_of_a_flat_picture_is_never_a_hit(self, mixed: PerceptualSearcher, turned: bool) -> None:
        others = {f"{row:04}" for row in range(150, 180)}
        assert {hit.id for hit in mixed.within_radius(QUERY, 64, turned=turned)} == others
        assert {hit.id for hit in mixed.by_image(QUERY, 400, turned=turned)} == others
        near_flat = one_colour(255, 255, 255)
        near_flat[:, :30] = 0  # few frequencies, so that flat hashes are nearest
        assert (
            min(hamming(STORED.hash([near_flat]), np.frombuffer(b"".join(FLAT_HASHES), np.uint8).reshape(2, 8))[0]) < 9
        )
        nearest = {hit.id for hit in mixed.by_image(near_flat, 5, turned=turned)}
        assert len(nearest) == 5 and nearest <= others


class TestTurned:
    @pytest.fixture
    def turns(self, client: Elasticsearch, fresh_name: str) -> PerceptualSearcher:
        """An index of other pictures, and of the query in every orientation, with the orientation as id."""
        pictures = {f"other {seed}": picture(seed) for seed in range(1, 40)}
        pictures |= {turn: turned(QUERY, turn) for turn in TURNS}
        hashes = [hash_fields(code) for code in STORED.hash(list(pictures.values()))]
        index = ImageIndex.create(client, fresh_name, ENCODER)
        documents = documents_of(ENCODER, VECTORS[: len(pictures)], hashes)
        written = [(image_id, fields) for image_id, (_, fields) in zip(pictures, documents, strict=True)]
        assert BulkWriter(client, index.alias).write(written) == []
        index.refresh()
        return PerceptualSearcher(index)

    def test_a_turned_picture_is_found_only_with_turned(self, turns: PerceptualSearcher) -> None:
        assert {hit.id for hit in turns.within_radius(QUERY, 8)} == {"upright"}
        every = turns.within_radius(QUERY, 8, turned=True)
        assert {(hit.id, hit.hamming, hit.turn) for hit in every} == {(turn, 0, turn) for turn in TURNS}

    def test_the_nearest_of_the_eight_orientations_counts(self, turns: PerceptualSearcher) -> None:
        hits = turns.by_image(QUERY, 9, turned=True)
        assert {hit.id for hit in hits[:8]} == set(TURNS)
        assert hits[8].hamming > 8
        upright = turns.by_image(QUERY, 9)
        assert upright[0].id == "upright"
        assert upright[1].hamming > 8

    def test_the_query_may_have_any_orientation(self, turns: PerceptualSearcher) -> None:
        """A photo of the picture upside down, smaller: the hit's turn leads from the query to the indexed picture."""
        small = np.asarray(Image.fromarray(QUERY).resize((45, 30), Image.Resampling.BICUBIC))
        for turn in TURNS:
            hits = turns.within_radius(turned(small, turn), 6, turned=True)
            assert {hit.id for hit in hits} == set(TURNS)
            (back,) = (hit.turn for hit in hits if hit.id == "upright")
            assert (turned(turned(QUERY, turn), back) == QUERY).all()


class TestAnOlderIndex:
    def test_an_older_index_can_be_searched_with_and_without_blocks(
        self, client: Elasticsearch, fresh_name: str
    ) -> None:
        index = older(client, fresh_name, ENCODER, ["phash_blocks"])
        documents = list(documents_of(ENCODER, VECTORS, TEXTS))
        for _, fields in documents[::2]:
            del fields["phash_blocks"]
        writer = BulkWriter(client, index.alias)
        assert writer.write(documents[::2]) == []
        index.refresh()
        searcher = PerceptualSearcher(index, ALWAYS_BLOCKS)
        inside = near(16)
        assert rows(searcher.within_radius(QUERY, 16)) == {row for row in inside if row % 2 == 0}
        add_fields(index)
        assert writer.write(documents[1::2]) == []
        index.refresh()
        assert rows(searcher.within_radius(QUERY, 16)) == inside
        assert rows(searcher.by_image(QUERY, COUNT)) == set(range(COUNT))

    def test_images_without_a_hash_are_not_found(self, client: Elasticsearch, fresh_name: str) -> None:
        index = filled(client, fresh_name, ENCODER, VECTORS[:3], TEXTS[:3])
        (_, fields), *_ = documents_of(ENCODER, VECTORS[:1])
        del fields["phash"]
        client.index(index=index.alias, id="bare", document=fields, refresh=True)
        assert rows(PerceptualSearcher(index).by_image(QUERY)) == {0, 1, 2}
        with pytest.raises(
            SearchError, match=r"image 'bare' of .* has no perceptual hash: index it again, unless it is"
        ):
            PerceptualSearcher(index).by_id("bare")

    def test_a_large_index_without_any_hash_has_no_hits(self, client: Elasticsearch, fresh_name: str) -> None:
        (image_id, fields), *_ = documents_of(ENCODER, VECTORS[:1])
        index = ImageIndex.create(client, fresh_name, ENCODER)
        del fields["phash"]
        client.index(index=index.alias, id=image_id, document=fields, refresh=True)
        searcher = PerceptualSearcher(index, ALWAYS_BLOCKS)
        assert searcher.within_radius(QUERY, 64) == searcher.by_image(QUERY) == []


def test_a_table_for_a_terminal() -> None:
    hits = [
        PerceptualHit("a", None, "Red mug", None, {}, 5, 5, 0, "upright"),
        PerceptualHit("b", None, None, None, {}, 5, 5, 12, "rotated 180"),
    ]
    assert as_table(hits).splitlines() == [
        "hamming  query        id",
        "      0  upright      a  Red mug",
        "     12  rotated 180  b",
    ]
    assert hits[0].as_dict()["turn"] == "upright"
