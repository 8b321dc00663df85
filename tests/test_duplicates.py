"""Near-duplicates: all pairs as numpy finds them, planted groups in a real index, what is kept, and what is written."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import tracemalloc
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from elasticsearch import Elasticsearch
from PIL import Image
from support import planted
from support.browser import Browser, find_chromium
from support.indices import documents_of, filled
from support.shop import ADDRESS, Shop
from support.vectors import clustered, toy_encoder

from hashsearch.cli.jobs.find_duplicates import main
from hashsearch.duplicates.components import Components
from hashsearch.duplicates.finding import Group, Member, NearDuplicates, find
from hashsearch.duplicates.keeping import Keeping
from hashsearch.duplicates.originals import find_original
from hashsearch.duplicates.pairs import similar_pairs
from hashsearch.duplicates.sheets import GROUPS, IMAGES
from hashsearch.duplicates.sketches import ROUNDING, Sketches
from hashsearch.duplicates.spool import Spool
from hashsearch.duplicates.writing import FILES, DuplicatesSummary, write_duplicates
from hashsearch.elastic.image_index import ImageIndex
from hashsearch.elastic.queries import filters
from hashsearch.elastic.writing import BulkWriter
from hashsearch.errors import ConfigError, EncoderMismatch, IndexNotFound, SearchError
from hashsearch.files import exclusive_lock
from hashsearch.hashing.rerank_vectors import RerankVectors
from hashsearch.images.limits import Limits
from hashsearch.images.sources import ImageReader

VECTORS = planted.vectors()
ENCODER = toy_encoder(VECTORS)


def spooled(rows: np.ndarray) -> Spool:
    spool = Spool(rows.shape[1], str(rows.dtype))
    for start in range(0, len(rows), 1000):
        spool.append(rows[start : start + 1000])
    return spool


def all_cosines(rows: np.ndarray) -> np.ndarray:
    """`(n, n)` in double precision."""
    unit = rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    cosines: np.ndarray = unit @ unit.T
    return cosines


class TestSketches:
    @pytest.mark.parametrize("dims", [3, 64, 65, 300])
    def test_no_dot_product_of_sketches_is_below_the_cosine(self, dims: int) -> None:
        learned, others = clustered(500, dims), np.random.default_rng(1).standard_normal((400, dims))
        vectors = np.concatenate([learned, others, others + 1e-3]).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        sketches = Sketches().fit(vectors[:500])
        made = sketches.transform(vectors)
        assert made.shape == (len(vectors), min(64, dims + 1))
        assert (made @ made.T - vectors @ vectors.T).min() >= -ROUNDING

    def test_sketches_of_distant_vectors_rule_out_most_pairs(self) -> None:
        vectors = clustered(2000, 300, spread=0.2)  # twenty clusters: a twentieth of the pairs is near
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        made = Sketches().fit(vectors).transform(vectors)
        assert (made @ made.T >= 0.99).mean() < 0.06


class TestPairs:
    @pytest.mark.parametrize("cosine", [0.99, 0.9, 0.5])
    @pytest.mark.parametrize("dtype", ["float32", "int8"])
    def test_pairs_are_those_that_numpy_finds(self, cosine: float, dtype: str) -> None:
        rows = clustered(4700, 100, clusters=300)  # more than one strip
        rows[4000:4100] = rows[:100] + 0.01 * clustered(100, 100, seed=1)
        rows = (rows * 12).astype(dtype)
        true = np.triu(all_cosines(rows), 1)
        found = np.zeros(true.shape, int)
        for firsts, seconds in similar_pairs(spooled(rows), cosine):
            np.add.at(found, (firsts, seconds), 1)
        assert found.max() == 1
        assert found[true >= cosine + 1e-5].all() and found.sum() > 90
        assert not found[true < cosine - 1e-5].any()

    def test_equal_vectors_are_pairs_at_cosine_one(self) -> None:
        rows = np.concatenate([np.tile(clustered(1, 40), (700, 1)), clustered(10, 40)])  # more than one tile
        assert sum(len(firsts) for firsts, _ in similar_pairs(spooled(rows), 1.0)) == 700 * 699 // 2

    @pytest.mark.parametrize("count", [0, 1])
    def test_fewer_than_two_vectors_have_no_pairs(self, count: int) -> None:
        assert list(similar_pairs(spooled(clustered(count, 8)), -1.0)) == []

    def test_memory_does_not_grow_with_the_vectors(self) -> None:
        few, many = (self.peak(count) for count in (6_000, 24_000))
        assert many - few < 12e6  # the vectors take 74 MB more

    def peak(self, count: int) -> int:
        """Bytes that comparing so many vectors of 1024 dims takes at most."""
        vectors = Spool(1024, "float32")
        for seed in range(count // 1000):
            vectors.append(clustered(1000, 1024, seed))
        together = Components(count)
        tracemalloc.start()
        for firsts, seconds in similar_pairs(vectors, 0.98):
            together.join(firsts, seconds)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak


class TestComponents:
    def groups_of(self, count: int, pairs: np.ndarray, batches: int = 1) -> list[list[int]]:
        together = Components(count)
        for batch in np.array_split(pairs, batches):
            together.join(batch[:, 0], batch[:, 1])
        return [group.tolist() for group in together.groups()]

    @pytest.mark.parametrize("batches", [1, 7])
    @pytest.mark.parametrize("pairs", [0, 1, 150, 400, 2000])
    def test_components_are_those_of_plain_merging(self, pairs: int, batches: int) -> None:
        linked = np.random.default_rng(pairs).integers(500, size=(pairs, 2))
        groups = [{row} for row in range(500)]
        for first, second in linked.tolist():
            if groups[first] is not groups[second]:
                groups[first] |= groups[second]
                for row in groups[second]:
                    groups[row] = groups[first]
        expected = sorted({tuple(sorted(group)) for group in groups if len(group) > 1})
        assert self.groups_of(500, linked, batches) == list(map(list, expected))

    def test_a_long_chain_in_any_order_is_one_component(self) -> None:
        links = np.stack([np.arange(5000), np.arange(1, 5001)], axis=1)
        np.random.default_rng(0).shuffle(links)
        assert self.groups_of(5001, links) == [list(range(5001))]

    def test_no_rows_have_no_groups(self) -> None:
        assert self.groups_of(0, np.empty((0, 2), int)) == []


class TestKeeping:
    def choose(self, rule: str, **records: Any) -> str:
        return Keeping.parse(rule).choose(records)

    def test_the_largest_has_most_pixels(self) -> None:
        sizes = {"a": {"width": 300, "height": 20}, "b": {"width": 90, "height": 90}, "c": {}}
        assert self.choose("largest", **sizes) == "b"

    def test_ties_go_to_the_oldest_then_to_the_lowest_id(self) -> None:
        size = {"width": 9, "height": 9}
        dated = {"c": {**size, "indexed_at": "2026-02"}, "b": {**size, "indexed_at": "2026-03"}, "a": size}
        assert self.choose("largest", **dated) == "c"
        assert self.choose("largest", z=size, x=size, y=size) == "x"

    def test_oldest_keeps_the_image_indexed_first(self) -> None:
        dated = {"a": {"width": 99, "height": 99}, "b": {"indexed_at": "2026-03"}, "c": {"indexed_at": "2026-02"}}
        assert self.choose("oldest", **dated) == "c"
        same = {"a": {"indexed_at": "2026"}, "b": {"indexed_at": "2026", "width": 2, "height": 2}}
        assert self.choose("oldest", **same) == "b"

    @pytest.mark.parametrize(
        ("values", "lowest", "highest"),
        [
            (("54.90", "9.90", "100"), "b", "c"),
            ((3, "2", 10.5), "b", "c"),
            (("b", "a", "c"), "b", "c"),
            (("none", "7", "nan"), "b", "a"),
            ((None, "", "7"), "c", "c"),
            ((None, "", None), "a", "a"),
            ((["x"], {"y": 1}, "z"), "a", "b"),
            ((True, False, 0.5), "b", "a"),
        ],
    )
    def test_a_field_is_compared_as_numbers_or_text(self, values: tuple[Any, ...], lowest: str, highest: str) -> None:
        records = {image_id: {"attributes": {"price": value}} for image_id, value in zip("abc", values)}
        assert self.choose("field:price", **records) == lowest
        assert self.choose("field:-price", **records) == highest

    def test_title_and_category_are_no_attributes(self) -> None:
        records = {"a": {"title": "b", "attributes": {"title": "a"}}, "b": {"title": "a", "attributes": {"title": "b"}}}
        assert self.choose("field:title", **records) == "b"
        assert Keeping.parse("field:category").stored_as == "category"
        assert Keeping.parse("field:-price").stored_as == "attributes.price"
        assert Keeping.parse("largest").stored_as is None

    @pytest.mark.parametrize("rule", ["", "smallest", "field", "field:", "field:-", "largest:x", "Oldest"])
    def test_an_unknown_rule_is_an_error_that_lists_the_known_ones(self, rule: str) -> None:
        with pytest.raises(ConfigError, match=f"must be largest, oldest, field:NAME or field:-NAME, got '{rule}'"):
            Keeping.parse(rule)


@pytest.fixture
def index(client: Elasticsearch, fresh_name: str) -> ImageIndex:
    """The planted groups, with their texts."""
    return filled(client, fresh_name, ENCODER, VECTORS, planted.texts())


def ids_of(groups: Iterator[Group]) -> list[list[str]]:
    return [sorted(member.id for member in group.members) for group in groups]


def ids(rows: range) -> list[str]:
    return [f"{row:04}" for row in rows]


PLANTED = [ids(rows) for rows in (planted.FIVE, planted.CHAIN, planted.TWO, planted.PAIR)]


class TestFinding:
    def test_planted_groups_are_found_largest_first(self, index: ImageIndex) -> None:
        found = find(index, planted.COSINE)
        assert (found.images, found.pairs) == (planted.COUNT, 10 + 3 + 1 + 1)
        groups = list(found.groups)
        assert [group.number for group in groups] == [1, 2, 3, 4]
        assert ids_of(iter(groups)) == PLANTED

    def test_members_have_their_cosine_to_the_kept_image(self, index: ImageIndex) -> None:
        near = all_cosines(VECTORS)
        for group in find(index, planted.COSINE).groups:
            kept, *others = group.members
            assert kept.verdict == "keep"
            assert kept.cosine == pytest.approx(1, abs=1e-6)
            true = [near[int(kept.id), int(member.id)] for member in others]
            assert [member.cosine for member in others] == pytest.approx(true, abs=1e-6)
            assert others == sorted(others, key=lambda member: (-member.cosine, member.id))
            assert group.least_cosine == others[-1].cosine

    def test_a_chain_is_one_group_whose_distant_members_are_marked_chained(self, index: ImageIndex) -> None:
        chain = list(find(index, planted.COSINE, Keeping.parse("field:title")).groups)[1]
        assert [member.id for member in chain.members] == ids(planted.CHAIN)
        assert [member.verdict for member in chain.members] == ["keep", "copy", "chained", "chained"]
        assert chain.least_cosine == pytest.approx(np.cos(np.radians(3 * planted.STEP)), abs=1e-5)

    @pytest.mark.parametrize(
        ("rule", "kept"),
        [
            ("largest", ["0004", "0008", "0010", "0012"]),  # of equal size: the oldest
            ("oldest", ["0004", "0008", "0010", "0012"]),
            ("field:title", ["0000", "0005", "0010", "0011"]),  # "picture 10" is before "picture 9"
            ("field:price", ["0000", "0005", "0010", "0012"]),
            ("field:-price", ["0001", "0005", "0010", "0012"]),
            ("field:shelf", ["0000", "0005", "0010", "0012"]),
        ],
    )
    def test_the_rule_decides_what_is_kept(self, index: ImageIndex, rule: str, kept: list[str]) -> None:
        found = find(index, planted.COSINE, Keeping.parse(rule))
        assert [group.members[0].id for group in found.groups] == kept

    def test_progress_counts_the_images_read_and_the_strips_compared(self, index: ImageIndex) -> None:
        calls: list[tuple[str, int, int]] = []
        find(index, planted.COSINE, progress=lambda *call: calls.append(call))
        assert ("read vectors", planted.COUNT, planted.COUNT) in calls
        assert calls[-1] == ("compare vectors", 1, 1)

    def test_filters_restrict_the_images_that_are_compared(self, index: ImageIndex) -> None:
        found = find(index, planted.COSINE, clauses=filters(["pens"], {}))
        assert found.images == planted.COUNT // 2
        assert ids_of(found.groups) == [["0001", "0003"]]

    def test_deleted_and_changed_images_are_not_in_the_groups(self, index: ImageIndex) -> None:
        index.client.delete(index=index.alias, id="0009")
        moved = VECTORS.copy()
        moved[4], moved[20] = VECTORS[30], VECTORS[11]
        documents = [one for one in documents_of(ENCODER, moved, planted.texts()) if one[0] in ("0004", "0020")]
        assert BulkWriter(index.client, index.alias).write(documents) == []
        index.refresh()
        groups = ids_of(find(index, planted.COSINE).groups)
        assert groups == [PLANTED[0][:4], PLANTED[1], ["0011", "0012", "0020"], ["0004", "0030"]]

    def test_images_deleted_while_groups_are_read_are_left_out(self, index: ImageIndex) -> None:
        found = find(index, planted.COSINE)
        for gone in ("0004", "0009"):
            index.client.delete(index=index.alias, id=gone)
        index.refresh()
        assert ids_of(found.groups) == [PLANTED[0][:4], PLANTED[1], PLANTED[3]]

    def test_an_image_in_two_indices_is_no_copy_of_itself(
        self, client: Elasticsearch, fresh_name: str, index: ImageIndex
    ) -> None:
        (first,) = index.indices
        mappings = client.indices.get_mapping(index=first).body[first]["mappings"]
        client.indices.create(index=f"{first}-later", mappings=mappings, aliases={index.alias: {}})
        document = dict(documents_of(ENCODER, VECTORS, planted.texts()))["0020"]
        client.index(index=f"{first}-later", id="0020", document=document, refresh=True)
        found = find(ImageIndex.open(client, fresh_name, ENCODER), planted.COSINE)
        assert found.images == planted.COUNT
        assert ids_of(found.groups) == PLANTED

    @pytest.mark.parametrize("smaller", [RerankVectors(dtype="int8"), RerankVectors(dims=90)], ids=["bytes", "fewer"])
    def test_smaller_stored_vectors_are_compared(
        self, client: Elasticsearch, fresh_name: str, smaller: RerankVectors
    ) -> None:
        index = filled(client, fresh_name, toy_encoder(VECTORS, rerank_vectors=smaller), VECTORS)
        groups = ids_of(find(index, 0.97).groups)
        assert sorted(groups) == sorted(PLANTED)

    def test_groups_of_more_images_than_a_page_are_complete(self, client: Elasticsearch, fresh_name: str) -> None:
        copies = np.repeat(np.eye(400, dtype=np.float32), 5, axis=0)
        index = filled(client, fresh_name, toy_encoder(copies), copies)
        assert len(list(index.rerank_vectors([]))) > 1
        found = find(index, 0.99)
        assert (found.images, found.pairs) == (2000, 400 * 10)
        assert ids_of(found.groups) == [ids(range(row, row + 5)) for row in range(0, 2000, 5)]

    @pytest.mark.parametrize("count", [0, 1])
    def test_too_small_an_index_has_no_groups(self, client: Elasticsearch, fresh_name: str, count: int) -> None:
        index = ImageIndex.create(client, fresh_name, ENCODER)
        assert BulkWriter(client, index.alias).write(documents_of(ENCODER, VECTORS[:1]) if count else []) == []
        index.refresh()
        found = find(index, 0.9, Keeping.parse("field:price") if not count else Keeping())
        assert (found.images, found.pairs, list(found.groups)) == (count, 0, [])

    @pytest.mark.parametrize("cosine", [1.01, -1.01, float("nan")])
    def test_a_cosine_out_of_range_is_an_error(self, index: ImageIndex, cosine: float) -> None:
        with pytest.raises(SearchError, match=f"cosine must be -1 to 1, got {cosine}"):
            find(index, cosine)

    def test_a_rule_by_a_field_that_no_image_has_is_an_error(self, index: ImageIndex) -> None:
        with pytest.raises(ConfigError, match=r"an attribute of the images, and no image of .* has 'colour'"):
            find(index, 0.9, Keeping.parse("field:colour"))

    def test_a_cosine_so_low_that_a_group_grows_too_large_is_an_error(self, index: ImageIndex) -> None:
        with pytest.raises(
            SearchError, match="a group may have at most 30 images, and at cosine -1 one has 40: use a higher cosine"
        ):
            find(index, -1, most_in_group=30)


def save_picture(path: Path, content: bytes = b"picture") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def indexed(path: Path | str, content: bytes = b"picture", **record: Any) -> dict[str, Any]:
    """The record of a file that had this content when it was indexed, now."""
    at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"uri": str(path), "sha256": hashlib.sha256(content).hexdigest(), "indexed_at": at, **record}


class TestOriginals:
    def state(self, record: dict[str, Any]) -> str:
        return find_original("a", record).state

    @pytest.mark.parametrize("uri", ["http://shop.invalid/a.jpg", "https://shop.invalid/a.jpg", "a.jpg", "", None])
    def test_only_absolute_paths_are_checked(self, uri: str | None) -> None:
        assert self.state({"uri": uri}) == "unchecked"

    @pytest.mark.parametrize(
        "name", ["gone.jpg", "folder", "dangling.jpg", "loop.jpg", "null\0", "a.jpg/b.jpg", "fifo"]
    )
    def test_what_is_no_readable_file_is_missing(self, tmp_path: Path, name: str) -> None:
        save_picture(tmp_path / "a.jpg")
        (tmp_path / "folder").mkdir()
        (tmp_path / "dangling.jpg").symlink_to("gone.jpg")
        (tmp_path / "loop.jpg").symlink_to("loop.jpg")
        os.mkfifo(tmp_path / "fifo")
        assert self.state(indexed(tmp_path / name)) == "missing"

    def test_a_file_that_others_replaced_is_changed_whatever_its_own_time(self, tmp_path: Path) -> None:
        save_picture(tmp_path / "a.jpg", b"another picture")
        os.utime(tmp_path / "a.jpg", (0, 0))
        assert self.state(indexed(tmp_path / "a.jpg")) == "changed"
        save_picture(tmp_path / "a.jpg")
        assert self.state(indexed(tmp_path / "a.jpg")) == "present"

    def test_an_unchanged_file_is_not_read(self, tmp_path: Path) -> None:
        save_picture(tmp_path / "a.jpg", b"another picture")
        assert self.state(indexed(tmp_path / "a.jpg", indexed_at="2100-01-01T00:00:00+00:00")) == "present"

    def test_one_file_has_one_identity_under_all_its_names(self, tmp_path: Path) -> None:
        save_picture(tmp_path / "a.jpg")
        save_picture(tmp_path / "copy.jpg")
        (tmp_path / "link.jpg").symlink_to("a.jpg")
        os.link(tmp_path / "a.jpg", tmp_path / "hard.jpg")
        (tmp_path / "folder").symlink_to(".")
        names = ["a.jpg", "link.jpg", "hard.jpg", "folder/a.jpg", f"../{tmp_path.name}/a.jpg"]
        identities = {find_original(name, indexed(f"{tmp_path}/{name}")).identity for name in names}
        assert len(identities) == 1
        assert find_original("copy", indexed(tmp_path / "copy.jpg")).identity not in identities

    def test_one_address_is_one_picture_and_records_without_any_are_not(self) -> None:
        first, second = (find_original(name, {"uri": ADDRESS}).identity for name in "ab")
        assert first == second
        assert find_original("a", {}).identity != find_original("b", {}).identity


class TestFiles:
    """Groups whose files are gone, or are one file."""

    def members(self, client: Elasticsearch, name: str, records: dict[str, Any], rule: str) -> dict[str, Member]:
        """The one group of equal images with these records, by the last part of the path."""
        vectors = np.repeat(VECTORS[20:21], len(records), axis=0)
        index = filled(client, name, ENCODER, vectors, list(records.values()))
        (only,) = find(index, 0.99, Keeping.parse(rule)).groups
        assert only.members[0].verdict == "keep"
        names = list(records)
        return {names[int(member.id)]: member for member in only.members}

    @pytest.mark.parametrize("rule", ["largest", "oldest", "field:price"])
    @pytest.mark.parametrize("how", ["removed", "replaced", "folder"])
    def test_a_file_that_is_gone_is_not_kept_for_one_that_exists(
        self, client: Elasticsearch, fresh_name: str, tmp_path: Path, rule: str, how: str
    ) -> None:
        preferred: dict[str, Any] = {"width": 500, "height": 500, "indexed_at": "2020-01-01T00:00:00+00:00"}
        records = {
            "gone": indexed(tmp_path / "gone.jpg", **preferred, attributes={"price": 1}),
            "real": indexed(tmp_path / "real.jpg", width=5, height=5, attributes={"price": 2}),
        }
        save_picture(tmp_path / "real.jpg")
        if how == "replaced":
            save_picture(tmp_path / "gone.jpg", b"another picture")
        elif how == "folder":
            (tmp_path / "gone.jpg").mkdir()
        members = self.members(client, fresh_name, records, rule)
        assert [member.verdict for member in members.values()] == ["keep", "missing"]
        assert (members["real"].verdict, members["real"].file) == ("keep", "present")
        assert members["gone"].file == ("changed" if how == "replaced" else "missing")

    def test_an_address_is_kept_for_a_file_that_is_gone(
        self, client: Elasticsearch, fresh_name: str, tmp_path: Path
    ) -> None:
        records = {"gone": indexed(tmp_path / "gone.jpg", width=9, height=9), "web": indexed(ADDRESS)}
        members = self.members(client, fresh_name, records, "largest")
        assert (members["web"].verdict, members["web"].file) == ("keep", "unchecked")

    def test_the_rule_decides_between_files_that_are_all_gone(
        self, client: Elasticsearch, fresh_name: str, tmp_path: Path
    ) -> None:
        records = {name: indexed(tmp_path / name, width=size, height=1) for size, name in enumerate("abc", 1)}
        members = self.members(client, fresh_name, records, "largest")
        assert members["c"].verdict == "keep"
        assert {member.file for member in members.values()} == {"missing"}

    @pytest.mark.parametrize("rule", ["largest", "field:title", "field:-title"])
    def test_one_file_under_several_names_is_never_a_copy_of_itself(
        self, client: Elasticsearch, fresh_name: str, tmp_path: Path, rule: str
    ) -> None:
        save_picture(tmp_path / "originals" / "z.jpg")
        save_picture(tmp_path / "copy.jpg")
        (tmp_path / "a.jpg").symlink_to("originals/z.jpg")
        os.link(tmp_path / "copy.jpg", tmp_path / "hard.jpg")
        paths = ["a.jpg", "originals/z.jpg", "originals/z.jpg", "hard.jpg", "copy.jpg"]
        records = {str(row): indexed(tmp_path / path, title=path) for row, path in enumerate(paths)}
        members = self.members(client, fresh_name, records, rule)
        assert sorted(member.verdict for member in members.values()) == ["copy", "keep", "same", "same", "same"]
        one, other = {"0", "1", "2"}, {"3", "4"}
        for names in (one, other):
            (shown,) = (members[name] for name in names if members[name].verdict != "same")
            same = [members[name].same_as for name in names if members[name].verdict == "same"]
            assert same == [shown.id] * (len(names) - 1)


def member(image_id: str, verdict: str = "copy", cosine: float = 0.99, **record: Any) -> Member:
    return Member(image_id, cosine, verdict, record)


def group(number: int, *others: Member) -> Group:
    return Group(number, (member(f"kept {number}", "keep", 1.0), *others))


def written(out: Path, *groups: Group, roots: tuple[Path, ...] = (), **options: Any) -> DuplicatesSummary:
    duplicates = NearDuplicates(100, 7, iter(groups))
    return write_duplicates(duplicates, out, roots, index="shop", cosine=0.98, rule="largest", **options)


class TestWriting:
    def test_the_lists_hold_every_image_of_every_group(self, tmp_path: Path) -> None:
        record: dict[str, Any] = {
            "uri": "/a.jpg",
            "title": "Tasse, «groß»",
            "width": 3,
            "height": 4,
            "attributes": {"price": 5},
        }
        summary = written(tmp_path / "out", group(1, member("a", **record), member("b", "chained", 0.91)), group(2))
        assert (
            str(summary)
            == "100 images, 7 pairs, 2 groups: 1 copy can be removed; 1 chained image to check before removing"
        )
        first, second = map(json.loads, (tmp_path / "out" / "groups.jsonl").read_text().splitlines())
        assert (first["group"], first["images"], first["least_cosine"]) == (1, 3, 0.91)
        nothing = {"category": None, "indexed_at": None}
        judged = {"id": "a", "verdict": "copy", "cosine": 0.99, "file": "present", "same_as": None}
        assert first["members"][1] == {**judged, **record, **nothing}
        assert second["members"][0]["id"] == "kept 2"
        with (tmp_path / "out" / "groups.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [(row["group"], row["id"], row["verdict"]) for row in rows] == [
            ("1", "kept 1", "keep"),
            ("1", "a", "copy"),
            ("1", "b", "chained"),
            ("2", "kept 2", "keep"),
        ]
        assert rows[1]["title"] == record["title"]
        assert {row["least_cosine"] for row in rows[:3]} == {"0.91"}

    def test_a_title_in_the_csv_is_never_a_formula(self, tmp_path: Path) -> None:
        written(tmp_path, group(1, member("a", title="=cmd()")))
        assert "'=cmd()" in (tmp_path / "groups.csv").read_text()
        assert '"=cmd()"' in (tmp_path / "groups.jsonl").read_text()

    def test_the_lists_and_the_summary_name_missing_and_same_files(self, tmp_path: Path) -> None:
        gone, same = Member("g", 0.99, "missing", {}, "missing"), Member("s", 1.0, "same", {}, "present", "kept 1")
        web, other = Member("w", 0.99, "copy", {}, "unchecked"), Member("o", 0.99, "missing", {}, "changed")
        assert str(written(tmp_path, group(1, same, gone, web, other))) == (
            "100 images, 7 pairs, 1 group: 1 copy can be removed; 1 image is the same file as another: do not remove; "
            "the files of 2 images are missing or changed; the files of 1 image cannot be checked (no local path)"
        )
        with (tmp_path / "groups.csv").open(encoding="utf-8", newline="") as file:
            rows = [(row["id"], row["verdict"], row["file"], row["same_as"]) for row in csv.DictReader(file)]
        assert rows == [
            ("kept 1", "keep", "present", ""),
            ("s", "same", "present", "kept 1"),
            ("g", "missing", "missing", ""),
            ("w", "copy", "unchecked", ""),
            ("o", "missing", "changed", ""),
        ]
        members = json.loads((tmp_path / "groups.jsonl").read_text())["members"]
        assert [(one["file"], one["same_as"]) for one in members] == [(row[2], row[3] or None) for row in rows]
        page = (tmp_path / "report.html").read_text()
        assert page.count("same file as kept 1") == page.count("file changed") == page.count("file missing") == 1
        assert "the files of 2 images are gone, cannot be read, or have other content than was indexed" in page
        assert "1 image has a web address or no absolute path" in page

    def test_a_failed_run_leaves_the_files_of_the_run_before(self, tmp_path: Path) -> None:
        written(tmp_path, group(1, member("a")))
        before = {name: (tmp_path / name).read_bytes() for name in FILES}

        def failing() -> Iterator[Group]:
            yield group(1, member("b"))
            raise SearchError("the index went away")

        with pytest.raises(SearchError):
            write_duplicates(NearDuplicates(2, 1, failing()), tmp_path, index="shop", cosine=0.98, rule="largest")
        assert {name: (tmp_path / name).read_bytes() for name in FILES} == before
        assert {file.name for file in tmp_path.iterdir()} == {*FILES, "lock"}

    def test_a_run_after_a_killed_one_replaces_its_drafts(self, tmp_path: Path) -> None:
        (tmp_path / "groups.csv.new").write_text("group,ima")
        written(tmp_path, group(1, member("a")))
        assert {file.name for file in tmp_path.iterdir()} == {*FILES, "lock"}
        assert len((tmp_path / "groups.csv").read_text().splitlines()) == 3

    def test_a_second_run_into_the_same_folder_is_refused(self, tmp_path: Path) -> None:
        with exclusive_lock(tmp_path / "lock"), pytest.raises(ConfigError, match="another run is writing to"):
            written(tmp_path, group(1, member("a")))


class TestPage:
    def page(self, out: Path) -> str:
        return (out / "report.html").read_text()

    def test_the_page_says_which_groups_and_images_it_leaves_out(self, tmp_path: Path) -> None:
        large = [member(f"copy {place}") for place in range(IMAGES + 4)]
        written(tmp_path, *(group(number, *large) for number in range(1, GROUPS + 6)))
        page = self.page(tmp_path)
        left_out = "5 other groups are in groups.csv and groups.jsonl, with all images of large groups"
        assert f"the {GROUPS} largest groups; {left_out}" in page
        assert page.count("<figure") == GROUPS * IMAGES
        assert "and 5 more images" in page
        assert f"{GROUPS * IMAGES:,} images: give the folder of the images with --images" in page

    def test_a_page_without_groups_says_so(self, tmp_path: Path) -> None:
        assert str(written(tmp_path)) == "100 images, 7 pairs, 0 groups: 0 copies can be removed"
        assert "No two images are this similar." in self.page(tmp_path)

    def test_names_are_text_and_chained_images_are_marked(self, tmp_path: Path) -> None:
        written(tmp_path, group(1, member("<b>x</b>", "chained", 0.9, title="<script>", uri=ADDRESS)))
        page = self.page(tmp_path)
        assert "&lt;b&gt;x&lt;/b&gt;" in page and "<script" not in page
        assert "<b>chained</b>" in page and "1 image is connected to the kept image only through others" in page
        assert f'<a class="blank" href="{ADDRESS}"' in page

    def test_thumbnails_are_of_files_within_the_limits(self, tmp_path: Path) -> None:
        Image.new("RGB", (20, 20)).save(tmp_path / "a.jpg")
        only = group(1, member("a", uri=str(tmp_path / "a.jpg")))
        written(tmp_path / "out", only, roots=(tmp_path,))
        assert "data:image/jpeg" in self.page(tmp_path / "out")
        written(tmp_path / "out", only, roots=(tmp_path,), reader=ImageReader(Limits(max_pixels=9)))
        assert "data:image/jpeg" not in self.page(tmp_path / "out")

    @pytest.mark.browser
    def test_a_browser_shows_the_whole_page_light_dark_and_on_a_phone(self, shop: Shop, tmp_path: Path) -> None:
        program = find_chromium()
        if program is None:
            pytest.skip("no chromium is installed, so the page is not tried in a browser")
        shown = [member(f"mugs/{name}", uri=str(shop.folder / "mugs" / name)) for name in ("red.png", "blue.png")]
        outside = member("outside", uri=str(shop.secret / "plan.png"))
        groups = (group(number, *shown, outside) for number in range(1, 9))
        written(tmp_path / "out", *groups, roots=(shop.folder,))
        with Browser(program, tmp_path / "profile") as browser:
            for width, dark in ((1280, False), (1280, True), (390, False)):
                browser.look(width, 800, dark=dark, phone=width < 800)
                browser.open((tmp_path / "out" / "report.html").as_uri())
                widths = browser.ask("[...document.images].map(image => image.naturalWidth)")
                assert widths == [96] * 16  # never enlarged, and never of what may not be shown
                assert browser.ask("document.documentElement.scrollWidth <= innerWidth")
                dark_paper = browser.ask("getComputedStyle(document.body).backgroundColor") == "rgb(16, 17, 19)"
                assert dark_paper == dark
            assert browser.ask("performance.getEntriesByType('resource').every(e => e.name.startsWith('data:'))")


class TestJob:
    """`python -m jobs.find_duplicates`."""

    @pytest.fixture
    def words(self, node: SimpleNamespace, shop: Shop, tmp_path: Path) -> list[str]:
        folder = shop.searcher.encoder.save(tmp_path / "encoder")
        name = shop.searcher.index.alias.removeprefix("hashsearch-")
        place = ["--es-url", node.url, "--home", str(tmp_path / "home"), "--encoder", str(folder)]
        return ["--index", name, "--out", str(tmp_path / "out"), *place]

    def run(self, words: list[str]) -> Result:
        return CliRunner().invoke(main, words)

    def test_the_command_writes_lists_and_a_page_and_prints_a_summary(
        self, shop: Shop, words: list[str], tmp_path: Path
    ) -> None:
        done = self.run([*words, "--images", str(shop.folder), "--cosine", "0.9999"])
        assert done.exit_code == 0, done.output
        assert [line.split()[0] for line in done.stdout.splitlines()[:3]] == [str(tmp_path / "out" / f) for f in FILES]
        (group,) = map(json.loads, (tmp_path / "out" / "groups.jsonl").read_text().splitlines())
        odd = [image_id for image_id in shop.vectors if not image_id.endswith(".png")]
        assert sorted(one["id"] for one in group["members"]) == sorted(odd)
        pairs = len(odd) * (len(odd) - 1) // 2
        # Five point at the red mug and three at the plan; two have no file, two no absolute path; one is kept.
        said = (
            f"{len(shop.vectors)} images, {pairs} pairs, 1 group: {len(odd) - 1 - 4 - 2 - 2} copies can be removed; "
            "6 images are the same file as another: do not remove; the files of 2 images are missing or changed; "
            "the files of 2 images cannot be checked (no local path); "
        )
        assert done.stdout.splitlines()[3].startswith(said)
        page = (tmp_path / "out" / "report.html").read_text()
        assert page.count("data:image/jpeg;base64,") == 5  # those that point at the red mug
        assert "inside a folder given with --images, cannot be read" in page

    def test_options_filter_the_images_and_choose_the_kept_one(self, words: list[str], tmp_path: Path) -> None:
        narrowed = ["--category", "mugs", "--attribute", "colour=red", "--attribute", "colour=blue"]
        done = self.run([*words, *narrowed, "--cosine", "-1", "--keep", "field:colour"])
        assert done.exit_code == 0, done.output
        (group,) = map(json.loads, (tmp_path / "out" / "groups.jsonl").read_text().splitlines())
        assert [one["id"] for one in group["members"]] == ["mugs/blue.png", "mugs/red.png"]

    @pytest.mark.parametrize(
        ("wrong", "error", "said"),
        [
            (["--cosine", "1.5"], SearchError, "cosine must be -1 to 1, got 1.5"),
            (["--keep", "newest"], ConfigError, "got 'newest'"),
            (["--keep", "field:weight"], ConfigError, "has 'weight'"),
            (["--attribute", "color=red"], SearchError, "got 'color'; known: colour, new, price"),
            (["--attribute", "colour=tartan"], SearchError, "no image passes the filters; 'hashsearch-"),
            (["--category", "hats"], SearchError, "no image passes the filters; 'hashsearch-"),
            (["--index", "absent"], IndexNotFound, "there is no index 'hashsearch-absent'"),
            (["--encoder", ""], EncoderMismatch, "can only be used with it"),
        ],
    )
    def test_wrong_options_are_errors_and_write_nothing(
        self, words: list[str], wrong: list[str], error: type[Exception], said: str, tmp_path: Path
    ) -> None:
        if wrong[0] == "--encoder":
            at = words.index("--encoder")
            words, wrong = words[:at] + words[at + 2 :], []  # the bundled one
        failed = self.run([*words, *wrong])
        assert isinstance(failed.exception, error)
        assert said in str(failed.exception)
        assert not (tmp_path / "out").exists()
