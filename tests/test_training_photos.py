"""Photos to train on: those that cannot be used are listed; splits have every class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashsearch.errors import TrainingError
from hashsearch.evaluation.data.pictures import Picture
from hashsearch.training.photos import fingerprint, read_photos, split


def pictures(folder: Path, labels: list[str]) -> list[Picture]:
    made = []
    for number, label in enumerate(labels):
        path = folder / f"{number}.png"
        Image.new("RGB", (30, 20), (10 * number, 0, 0)).save(path)
        made.append(Picture(path.name, path, label))
    return made


def test_photos_are_squares_with_labels_by_name(tmp_path: Path) -> None:
    photos = read_photos(pictures(tmp_path, ["tea", "cup", "tea", "cup"]), 16, tmp_path / "work/photos.npy")
    assert photos.pixels.shape == (4, 16, 16, 3)
    assert photos.classes == ("cup", "tea")
    assert photos.labels.tolist() == [1, 0, 1, 0]
    assert photos.pixels[:, 8, 8, 0].tolist() == [0, 10, 20, 30]


def test_photos_that_cannot_be_used_are_listed_and_the_others_kept(tmp_path: Path) -> None:
    found = pictures(tmp_path, ["tea", "cup", "tea", "cup", "odd", ""])
    found[0].path.write_bytes(b"no picture")
    photos = read_photos([*found, *pictures(tmp_path / "..", [])], 8, tmp_path / "photos.npy")
    assert photos.labels.tolist() == [0, 1, 0]
    reasons = {problem.picture: problem.reason for problem in photos.problems}
    assert reasons.keys() == {"0.png", "4.png", "5.png"}
    assert "must be one of JPEG" in reasons["0.png"]
    assert reasons["4.png"] == "a class must have two pictures or more, 'odd' has one"
    assert reasons["5.png"] == "a picture to learn from must have a label"


def test_pictures_of_unknown_classes_are_left_out(tmp_path: Path) -> None:
    photos = read_photos(pictures(tmp_path, ["tea", "jug"]), 8, tmp_path / "photos.npy", ("cup", "tea"))
    assert photos.labels.tolist() == [1]
    assert [str(problem) for problem in photos.problems] == ["1.png: its class must be one that was learned, got 'jug'"]


@pytest.mark.parametrize("labels", [[], ["tea", "tea"], ["tea", "cup"]])
def test_fewer_than_two_classes_are_refused(tmp_path: Path, labels: list[str]) -> None:
    with pytest.raises(TrainingError, match="there must be two classes or more to learn from, got"):
        read_photos(pictures(tmp_path, labels), 8, tmp_path / "photos.npy")


def test_a_split_takes_a_share_of_each_class_and_at_least_one() -> None:
    labels = np.repeat([0, 1, 2], [40, 10, 2])
    learned, validated = split(labels, 0.1, seed=0)
    assert sorted([*learned, *validated]) == list(range(52))
    assert np.bincount(labels[validated]).tolist() == [4, 1, 1]
    assert np.array_equal(split(labels, 0.1, seed=0)[1], validated)
    assert not np.array_equal(split(labels, 0.1, seed=1)[1], validated)


def test_the_fingerprint_depends_on_ids_labels_and_files(tmp_path: Path) -> None:
    found = pictures(tmp_path, ["tea", "cup"])
    first = fingerprint(found)
    assert fingerprint(found[::-1]) == first
    assert fingerprint(pictures(tmp_path, ["tea", "tea"])) != first
    found[0].path.write_bytes(b"")
    assert fingerprint(found) != first
