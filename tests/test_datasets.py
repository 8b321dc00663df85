"""Data sets: pictures with labels from folders, lists and catalogs, and why others are left out."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hashsearch.config import Settings
from hashsearch.errors import CatalogError, ConfigError, EvaluationError, ImageError, TooManyPixels, Unreadable
from hashsearch.evaluation.data.datasets import DataSet, data_of, read_data, spread
from hashsearch.evaluation.data.distortions import Distortion
from hashsearch.evaluation.data.pictures import Picture

NO_PICTURE = b"data sets are read without opening a picture"


def put(folder: Path, *names: str) -> Path:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(NO_PICTURE)
    return folder


def labels(pictures: tuple[Picture, ...]) -> dict[str, str]:
    return {picture.id: picture.label for picture in pictures}


def reasons(data: DataSet) -> dict[str, str]:
    return {problem.picture: problem.reason for problem in data.problems}


class TestSplits:
    def test_train_is_the_base_and_val_and_test_are_the_queries(self, tmp_path: Path) -> None:
        put(tmp_path, "train/cat/1.jpg", "train/dog/2.png", "val/cat/3.jpg", "test/dog/4.jpg")
        data = read_data("pets", tmp_path, "splits")
        assert labels(data.base) == {"train/cat/1.jpg": "cat", "train/dog/2.png": "dog"}
        assert labels(data.queries) == {"val/cat/3.jpg": "cat", "test/dog/4.jpg": "dog"}
        assert data.base[0].path == tmp_path / "train/cat/1.jpg"
        assert data.problems == ()

    def test_splits_can_be_named(self, tmp_path: Path) -> None:
        put(tmp_path, "one/cat/1.jpg", "two/cat/2.jpg", "three/cat/3.jpg", "val/cat/4.jpg")
        data = read_data("pets", tmp_path, "splits", base=["one", "two"], queries="three")
        assert list(labels(data.base)) == ["one/cat/1.jpg", "two/cat/2.jpg"]
        assert list(labels(data.queries)) == ["three/cat/3.jpg"]

    def test_a_class_may_be_a_nested_folder(self, tmp_path: Path) -> None:
        put(tmp_path, "train/fruit/apple/1.jpg")
        assert labels(read_data("food", tmp_path, "splits").base) == {"train/fruit/apple/1.jpg": "fruit/apple"}

    def test_a_class_without_a_picture_is_a_problem(self, tmp_path: Path) -> None:
        put(tmp_path, "train/cat/1.jpg", "train/dog/notes.txt", "train/.cache/x.txt", "val/cat/1.jpg")
        (tmp_path / "val/dog").mkdir()
        problems = reasons(read_data("pets", tmp_path, "splits"))
        assert problems == dict.fromkeys(
            ["train/dog", "val/dog"], "a class folder must hold a picture, this one holds none"
        )

    def test_the_error_names_a_split_that_does_not_exist(self, tmp_path: Path) -> None:
        put(tmp_path, "train/cat/1.jpg", "val/cat/1.jpg")
        with pytest.raises(EvaluationError, match=r"there is no '.*/holdout'"):
            read_data("pets", tmp_path, "splits", queries=["val", "holdout"])
        with pytest.raises(EvaluationError, match=r"there is no '.*/train'"):
            read_data("pets", tmp_path / "val", "splits")


class TestFolders:
    def test_every_fifth_picture_of_each_class_is_a_query(self, tmp_path: Path) -> None:
        put(tmp_path, *(f"cat/{number:02}.jpg" for number in range(11)), "dog/1.jpg", "dog/2.jpg")
        data = read_data("pets", tmp_path, "folders")
        assert list(labels(data.queries)) == ["cat/00.jpg", "cat/05.jpg", "cat/10.jpg", "dog/1.jpg"]
        assert Counter(labels(data.base).values()) == {"cat": 8, "dog": 1}

    def test_the_share_of_queries_can_be_chosen(self, tmp_path: Path) -> None:
        put(tmp_path, *(f"cat/{number}.jpg" for number in range(4)))
        assert list(labels(read_data("pets", tmp_path, "folders", every=2).queries)) == ["cat/0.jpg", "cat/2.jpg"]

    @pytest.mark.parametrize("every", [1, 0, -3, 2.5, "5"])
    def test_a_share_of_queries_below_two_is_refused(self, tmp_path: Path, every: Any) -> None:
        with pytest.raises(EvaluationError, match="'every' must be a whole number of at least 2"):
            read_data("pets", put(tmp_path, "cat/1.jpg"), "folders", every=every)

    def test_pictures_outside_of_class_folders_have_no_label(self, tmp_path: Path) -> None:
        put(tmp_path, "1.jpg", "2.jpg")
        assert labels(read_data("flat", tmp_path, "folders").base) == {"2.jpg": ""}

    def test_a_path_too_long_for_an_id_is_a_problem(self, tmp_path: Path) -> None:
        put(tmp_path, "cat/1.jpg", "cat/2.jpg", "/".join(["long" * 40] * 4) + "/3.jpg")
        (problem, _) = read_data("pets", tmp_path, "folders").problems
        assert "an id may have at most 512 bytes" in problem.reason


class TestLists:
    @pytest.fixture
    def shop(self, tmp_path: Path) -> Path:
        put(tmp_path, "in/1.jpg", "in/2.jpg", "in/3.jpg", "out/1.jpg")
        (tmp_path / "train.txt").write_text("in/1.jpg, 0, 0\nin/2.jpg, 1, 0\n\nin/3.jpg, 2, 1\n")
        (tmp_path / "test.txt").write_text("out/1.jpg,2,1\n")
        (tmp_path / "classes.csv").write_text("Name,ID,Kind,Kind ID\nGala,0,Apple,0\nFuji,1,Apple,0\nLime,2,Citrus,1\n")
        return tmp_path

    def test_a_column_is_the_label(self, shop: Path) -> None:
        fine, coarse = (read_data("shop", shop, "lists", label=column) for column in (1, 2))
        assert labels(fine.base) == {"in/1.jpg": "0", "in/2.jpg": "1", "in/3.jpg": "2"}
        assert labels(coarse.base) == {"in/1.jpg": "0", "in/2.jpg": "0", "in/3.jpg": "1"}
        assert labels(coarse.queries) == {"out/1.jpg": "1"}

    def test_another_column_is_the_product_and_ids_get_their_names(self, shop: Path) -> None:
        names: dict[str, Any] = {"label_names": ["classes.csv", 3, 2], "product_names": ["classes.csv", 1, 0]}
        data = read_data("shop", shop, "lists", label=2, product=1, **names)
        assert [(picture.label, picture.product) for picture in data.base + data.queries] == [
            ("Apple", "Gala"),
            ("Apple", "Fuji"),
            ("Citrus", "Lime"),
            ("Citrus", "Lime"),
        ]

    def test_missing_files_and_lines_that_are_too_short_are_problems(self, shop: Path) -> None:
        (shop / "train.txt").write_text("in/1.jpg, 0, 0\nin/9.jpg, 1, 0\nin/2.jpg, 1\n")
        data = read_data("shop", shop, "lists", label=2)
        assert list(labels(data.base)) == ["in/1.jpg"]
        assert reasons(data) == {
            "in/9.jpg": f"there is no file '{shop / 'in/9.jpg'}'",
            "train.txt:3": "a line must have 3 columns, got ['in/2.jpg', '1']",
        }

    def test_a_repeated_file_is_left_out(self, shop: Path) -> None:
        (shop / "train.txt").write_text("in/1.jpg, 0\nin/2.jpg, 1\nin/1.jpg, 1\n")
        (shop / "test.txt").write_text("in/2.jpg, 1\nin/3.jpg, 1\n")
        data = read_data("shop", shop, "lists")
        assert labels(data.base) == {"in/1.jpg": "0", "in/2.jpg": "1"}
        assert labels(data.queries) == {"in/3.jpg": "1"}
        assert [problem.picture for problem in data.problems] == ["in/1.jpg", "in/2.jpg"]

    def test_the_error_names_a_list_that_is_missing_or_not_text(self, shop: Path) -> None:
        with pytest.raises(EvaluationError, match=r"there is no '.*/dev\.txt'"):
            read_data("shop", shop, "lists", base="dev")
        (shop / "train.txt").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(EvaluationError, match=r"train\.txt' cannot be read: it must be UTF-8 text, got byte 0xff"):
            read_data("shop", shop, "lists")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"label": 0}, "column numbers of at least 1, got 0"),
            ({"label": "coarse"}, "column numbers of at least 1, got 'coarse'"),
            ({"product": "fine"}, "column numbers of at least 1, got 'fine'"),
            ({"label_names": ["classes.csv", 1, 9]}, "every row must have both"),
            ({"label_names": ["classes.csv", "ID", "Name"]}, "every row must have both"),
            ({"label_names": ["classes.csv"]}, "every row must have both"),
            ({"product_names": ["labels.csv", 1, 0]}, r"labels\.csv' cannot be read"),
        ],
    )
    def test_wrong_options_of_lists_are_refused(self, shop: Path, options: dict[str, Any], message: str) -> None:
        with pytest.raises(EvaluationError, match=message):
            read_data("shop", shop, "lists", **options)


class TestCatalog:
    @pytest.fixture
    def catalog(self, tmp_path: Path) -> Path:
        put(tmp_path, *(f"{number}.jpg" for number in range(6)))
        rows = [f"i{number},{number}.jpg,{'shoe' if number < 4 else 'hat'},p{number // 2}" for number in range(6)]
        rows += ["i6,http://shop.example/6.jpg,hat,p3", "i7,7.jpg,hat,p3", ",8.jpg,hat,p4"]
        (tmp_path / "goods.csv").write_text("\n".join(["id,image,category,model", *rows]))
        return tmp_path / "goods.csv"

    def test_the_category_is_the_label(self, catalog: Path) -> None:
        data = read_data("goods", catalog, "catalog")
        assert labels(data.base) == {"i1": "shoe", "i2": "shoe", "i3": "shoe", "i5": "hat"}
        assert labels(data.queries) == {"i0": "shoe", "i4": "hat"}
        assert data.base[0].path == catalog.parent / "1.jpg"

    def test_attributes_can_be_label_and_product_and_each_product_has_a_query(self, catalog: Path) -> None:
        assert set(labels(read_data("goods", catalog, "catalog", label="model").base).values()) == {"p0", "p1", "p2"}
        data = read_data("goods", catalog, "catalog", product="model")
        assert [(picture.label, picture.product) for picture in data.queries] == [
            ("shoe", "p0"),
            ("shoe", "p1"),
            ("hat", "p2"),
        ]

    def test_urls_missing_files_and_bad_rows_are_problems(self, catalog: Path) -> None:
        problems = reasons(read_data("goods", catalog, "catalog"))
        assert problems["i6"] == "a comparison reads files only, got the URL 'http://shop.example/6.jpg'"
        assert "there is no file" in problems["i7"]
        assert "an entry must have an id" in problems[str(catalog)]

    def test_the_columns_of_a_catalog_can_be_named(self, catalog: Path) -> None:
        data = read_data("goods", catalog, "catalog", columns={"category": "model"})
        assert set(labels(data.base).values()) == {"p0", "p1", "p2"}

    def test_the_error_names_a_catalog_that_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(CatalogError, match=r"a catalog is .* got 'goods\.doc'"):
            read_data("goods", put(tmp_path, "goods.doc") / "goods.doc", "catalog")
        with pytest.raises(ConfigError, match="a column's role must be one of"):
            read_data("goods", tmp_path, "catalog", columns={"price": "x"})


class TestLimits:
    @pytest.fixture
    def pets(self, tmp_path: Path) -> Path:
        sizes = {"cat": 50, "dog": 20, "eel": 2}
        return put(tmp_path, *(f"{s}/{k}/{n:02}.jpg" for s in ("train", "val") for k in sizes for n in range(sizes[k])))

    def test_a_limit_is_spread_over_the_classes(self, pets: Path) -> None:
        data = read_data("pets", pets, "splits", limit=20, limit_queries=4)
        assert Counter(labels(data.base).values()) == {"cat": 9, "dog": 9, "eel": 2}
        assert len(data.queries) == 4
        assert set(labels(data.queries).values()) == {"cat", "dog", "eel"}

    def test_a_limit_above_the_number_of_pictures_takes_all(self, pets: Path) -> None:
        assert len(read_data("pets", pets, "splits", limit=1000).base) == 72

    def test_the_seed_chooses_and_a_smaller_limit_takes_a_subset_of_a_larger_one(self, pets: Path) -> None:
        everything = read_data("pets", pets, "splits").base
        ten, thirty, other = (
            [picture.id for picture in spread(everything, count, seed)] for count, seed in ((10, 1), (30, 1), (10, 2))
        )
        assert ten != other
        assert set(ten) < set(thirty)
        assert thirty == sorted(thirty)

    @pytest.mark.parametrize("limit", [0, -1, 1.5, "many"])
    def test_a_limit_is_a_whole_number(self, pets: Path, limit: Any) -> None:
        with pytest.raises(EvaluationError, match="whole number of at least 1"):
            read_data("pets", pets, "splits", limit=limit)


def test_an_unknown_layout_lists_the_known_layouts(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="one of splits, folders, lists, catalog, got 'tar'"):
        read_data("pets", tmp_path, "tar")


def test_an_unknown_option_lists_the_known_options(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="splits has the options base, queries, got 'label'"):
        read_data("pets", tmp_path, "splits", label=2)


def test_the_error_names_a_missing_folder_and_one_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"but '.*/gone' does not exist"):
        read_data("pets", tmp_path / "gone", "folders")
    (tmp_path / "cat").mkdir()
    with pytest.raises(
        EvaluationError, match=r"found none in '.*'; first of 1 problems: cat: a class folder must hold"
    ):
        read_data("pets", tmp_path, "folders")


def test_a_picture_is_read_unchanged_or_distorted(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    plain = Picture("a.png", tmp_path / "a.png", "a")
    assert np.array_equal(plain.read(), pixels)
    mirrored = Picture("a.png@mirror=1", tmp_path / "a.png", "a", Distortion("mirror", 1))
    assert np.array_equal(mirrored.read(), pixels[:, ::-1])


def test_a_file_that_is_not_an_image_fails_when_it_is_read(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg")
    with pytest.raises(ImageError):
        Picture("a.jpg", tmp_path / "a.jpg", "a").read()
    with pytest.raises(Unreadable):
        Picture("b.jpg", tmp_path / "b.jpg", "b").read()


def test_pictures_are_read_within_the_limits_of_the_settings(tmp_path: Path) -> None:
    """Also after a data set was sent to another process."""
    for number in range(10):
        (tmp_path / "set" / "cat").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20 + number)).save(tmp_path / "set" / "cat" / f"{number}.png")
    reader = Settings(tmp_path, max_pixels=500).image_reader
    data = data_of({"name": "pets", "folder": "set", "layout": "folders"}, tmp_path, 0, reader)
    sent = pickle.loads(pickle.dumps(data))
    assert sent == data
    outcomes = []
    for picture in sorted((*sent.base, *sent.queries), key=lambda picture: picture.id):
        try:
            outcomes.append(picture.read().shape[0])
        except TooManyPixels:
            outcomes.append(0)
    assert outcomes == [20, 21, 22, 23, 24, 25, 0, 0, 0, 0]
