"""Features: their values, extracted once and stored, and the reasons why some cannot be extracted."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image
from support.drawn import picture

from hashsearch.descriptors.keypoints import KINDS, LocalFeatures
from hashsearch.descriptors.phash import TURNS
from hashsearch.errors import ConfigError
from hashsearch.evaluation.data.distortions import Distortion
from hashsearch.evaluation.data.pictures import Picture
from hashsearch.evaluation.methods.cache import Extracted, FeatureCache, FeatureCaches
from hashsearch.evaluation.methods.features import (
    FEATURES,
    Colours,
    Keypoints,
    NetworkFeatures,
    PerImageFeatures,
    Pixels,
    features_of,
    options_of,
)

COUNT = 6


class Recorded(PerImageFeatures):
    """Mean colours, NaN for a white picture; counts the pictures that it prepared."""

    name = "recorded"
    identity: ClassVar = {"version": 1}

    def __init__(self) -> None:
        self.prepared = 0

    def prepare(self, image: np.ndarray) -> np.ndarray:
        self.prepared += 1
        mean = image.reshape(-1, 3).mean(axis=0, dtype=np.float32)
        return np.full(3, np.nan, np.float32) if mean.min() == 255 else mean


@pytest.fixture
def pictures(tmp_path: Path) -> list[Picture]:
    made = []
    for row in range(COUNT):
        path = tmp_path / "pictures" / f"{row}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), (40 * row, 100, 200)).save(path)
        made.append(Picture(path.name, path, "a"))
    return made


def extracted(cache: FeatureCache, pictures: Sequence[Picture]) -> Extracted:
    return cache.of(pictures, lambda done: None)


def values(features: Extracted) -> list[list[float] | None]:
    return [None if feature is None else feature.tolist() for feature in features.features]


def test_a_picture_is_prepared_once(pictures: list[Picture], tmp_path: Path) -> None:
    features, folder = Recorded(), tmp_path / "kept"
    cache = FeatureCache(folder, features)
    first = extracted(cache, pictures[:4])
    assert values(first)[3] == [120, 100, 200]
    assert values(extracted(cache, pictures)) == values(extracted(FeatureCache(folder, features), pictures))
    assert features.prepared == COUNT


def test_features_of_any_length_come_back_as_they_were(tmp_path: Path) -> None:
    made = []
    for row in range(3):
        path = tmp_path / f"{row}.png"
        Image.fromarray(picture(row) if row else np.full((90, 90, 3), 200, np.uint8)).save(path)
        made.append(Picture(path.name, path, ""))
    features = Keypoints("sift", keypoints=50)
    fresh = extracted(FeatureCache(tmp_path / "kept", features), made).features
    again = extracted(FeatureCache(tmp_path / "kept", features), made).features
    read = [LocalFeatures.from_array(feature) for feature in again if feature is not None]
    assert [len(one) for one in read] == [0, 50, 50]
    assert all(np.array_equal(one, other) for one, other in zip(fresh, again) if one is not None and other is not None)


def test_a_picture_that_cannot_be_read_has_a_reason_and_is_tried_again(pictures: list[Picture], tmp_path: Path) -> None:
    cut, gone = pictures[1].path, pictures[2].path
    whole = cut.read_bytes()
    cut.write_bytes(whole[:60])
    gone.unlink()
    cache = FeatureCache(tmp_path / "kept", Recorded())
    results = extracted(cache, pictures)
    assert [row for row, feature in enumerate(results.features) if feature is None] == [1, 2]
    assert "the PNG image is incomplete or damaged" in results.failures[1]
    assert "cannot be read" in results.failures[2]
    cut.write_bytes(whole)
    assert extracted(cache, pictures).failures.keys() == {2}


def test_a_file_of_another_size_is_another_picture(pictures: list[Picture], tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "kept", Recorded())
    extracted(cache, pictures)
    Image.new("RGB", (400, 300), (7, 8, 9)).save(pictures[0].path)
    assert values(extracted(cache, pictures))[0] == [7, 8, 9]


def test_a_distorted_picture_is_another_one_and_not_timed(pictures: list[Picture], tmp_path: Path) -> None:
    copy = Picture("0.png@border=0.2", pictures[0].path, "a", Distortion("border", 0.2))
    cache = FeatureCache(tmp_path / "kept", Recorded())
    before = extracted(cache, [copy])
    assert cache.images_per_second is None
    both = extracted(cache, [pictures[0], copy])
    assert values(both)[1] == values(before)[0] != values(both)[0]
    rate = cache.images_per_second
    assert rate is not None and rate > 0
    assert FeatureCache(tmp_path / "kept", Recorded()).images_per_second == pytest.approx(rate)


@pytest.mark.parametrize(("colour", "reason"), [((255, 255, 255), "finite"), ((0, 0, 0), "direction")])
def test_a_feature_that_cannot_be_compared_is_a_failure(
    colour: tuple[int, int, int], reason: str, tmp_path: Path
) -> None:
    Image.new("RGB", (8, 8), colour).save(tmp_path / "0.png")
    results = extracted(FeatureCache(tmp_path / "kept", Recorded()), [Picture("0.png", tmp_path / "0.png", "")])
    assert results.features == [None]
    assert reason in results.failures[0]


def test_a_half_written_file_of_a_killed_run_is_ignored(pictures: list[Picture], tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "kept", Recorded())
    extracted(cache, pictures[:3])
    (part,) = (tmp_path / "kept").iterdir()
    for name in ("00001.new", "00001.npz.new"):  # of the former version, and of this one
        shutil.copy(part, part.with_name(name))
    assert values(extracted(FeatureCache(tmp_path / "kept", Recorded()), pictures)) == values(
        extracted(cache, pictures)
    )


def test_the_error_names_a_damaged_feature_file(pictures: list[Picture], tmp_path: Path) -> None:
    extracted(FeatureCache(tmp_path / "kept", Recorded()), pictures)
    (part,) = (tmp_path / "kept").iterdir()
    part.write_bytes(part.read_bytes()[:200])
    with pytest.raises(ConfigError, match=r"damaged feature file .*00000\.npz, remove it"):
        FeatureCache(tmp_path / "kept", Recorded())


def test_nothing_is_overwritten_after_a_damaged_file_was_removed(pictures: list[Picture], tmp_path: Path) -> None:
    features, folder = Recorded(), tmp_path / "kept"
    cache = FeatureCache(folder, features)
    for row in range(3):
        extracted(cache, pictures[row : row + 1])
    (folder / "00001.npz").unlink()
    extracted(FeatureCache(folder, features), pictures)
    assert sorted(path.name for path in folder.iterdir()) == ["00000.npz", "00002.npz", "00003.npz"]
    prepared = features.prepared
    assert values(extracted(FeatureCache(folder, features), pictures)) == values(extracted(cache, pictures))
    assert features.prepared == prepared + 3  # by `cache`, which does not know what the others stored


FORMER_FOLDERS = {
    ("vector", "pixels"): "pixels-32-fdb27d3b00a9",
    ("vector", "bit-tiny"): "bit-tiny-31da43b204c6",
    ("histogram", "colour"): "colour-histogram-44136fa355b3",
    ("hash", "dhash-64"): "dhash-64-d08a8cfc1b7e",
    ("local", "sift"): "sift-256-112f9b7ba147",
}


@pytest.mark.parametrize(("takes", "name"), FORMER_FOLDERS)
def test_features_that_version_0_1_extracted_are_still_used(takes: str, name: str, tmp_path: Path) -> None:
    folder = FeatureCache.folder_of(tmp_path, features_of(takes, name, {}))
    assert folder.name == FORMER_FOLDERS[takes, name]


def test_features_with_other_settings_have_their_own_folder(tmp_path: Path) -> None:
    caches = FeatureCaches(tmp_path)
    assert caches.of(Pixels(16)) is caches.of(Pixels(16))
    assert caches.of(Pixels(16)).folder != caches.of(Pixels(32)).folder
    copies = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for path, content in zip(copies, (b"weights", b"weights")):
        path.write_bytes(content)
    same, other = (NetworkFeatures("bit-s-r50x1", str(path)) for path in copies)
    assert same.identity == other.identity
    copies[1].write_bytes(b"other weights")
    assert NetworkFeatures("bit-s-r50x1", str(copies[1])).identity != same.identity


SHAPES: dict[tuple[str, str], tuple[tuple[int, ...], Any]] = {
    ("vector", "pixels"): ((32 * 32 * 3,), np.float32),
    ("vector", "bit-tiny"): ((768,), np.float32),
    ("histogram", "colour"): ((192,), np.float32),
    ("hash", "phash-64"): ((8,), np.uint8),
    ("hash", "dhash-256"): ((32,), np.uint8),
}


@pytest.mark.parametrize(("takes", "name"), SHAPES)
def test_a_feature_has_its_shape(takes: str, name: str) -> None:
    features = features_of(takes, name, {})
    features.warm()
    (feature,) = features.finish([features.prepare(picture(0))])
    assert (feature.shape, feature.dtype) == SHAPES[takes, name]


def test_a_turned_query_is_hashed_in_all_eight_orientations() -> None:
    plain, turned = (features_of("hash", "phash-64", {"turned": turned}) for turned in (False, True))
    assert plain.identity == turned.identity  # what is searched is the same
    assert plain.of_queries is plain
    mirrored = plain.prepare(picture(0)[:, ::-1])
    variants = turned.of_queries.prepare(picture(0))
    assert len(variants) == len(TURNS)
    assert np.array_equal(variants[list(TURNS).index("mirrored")], mirrored)


def test_the_crop_leaves_only_the_keypoints_to_the_network() -> None:
    framed = np.full((800, 800, 3), 255, np.uint8)
    framed[50:330, 60:340] = picture(0)[120:400, 120:400]
    cropped = NetworkFeatures("bit-tiny", crop="sift").prepare(framed)
    assert (NetworkFeatures("bit-tiny").prepare(framed) == 255).mean() > 0.8
    assert (cropped == 255).mean() < 0.5


def test_every_kind_of_local_features_has_its_name() -> None:
    assert FEATURES["local"].keys() == KINDS.keys()


def test_equal_shares_of_colour_are_equal_features() -> None:
    left = Colours().prepare(picture(0))
    assert left @ left == pytest.approx(1, abs=1e-5)
    assert Colours().prepare(picture(0)[::-1]) == pytest.approx(left)


def test_unknown_features_list_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"one of phash-64, .*got 'phash'"):
        options_of("hash", "phash")
    with pytest.raises(ConfigError, match=r"mobilenet-v2.* or a \.json file, got None"):
        options_of("vector", None)
    assert options_of("vector", "mobilenet-v2") == {"weights", "crop"}
    assert options_of("vector", "net.json") == {"weights", "crop"}
    assert options_of("hash", "phash-64") == {"turned"}
    assert options_of("local", "sift") == {"keypoints", "side"}
    assert options_of("histogram", "colour") == set()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "weights must be given, got none"),
        ({"weights": "/nowhere.keras"}, "but /nowhere.keras does not exist"),
        ({"weights": "x", "crop": "orb"}, "crop must be 'sift' or left out, got 'orb'"),
    ],
)
def test_a_network_needs_its_weights(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        assert features_of("vector", "mobilenet-v2", options).identity
