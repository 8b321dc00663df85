"""Keypoints of drawn pictures, turned and mirrored ones, and of pictures that have none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from support.drawn import PICTURES, picture

from hashsearch.descriptors.keypoints import KINDS, LocalExtractor, LocalFeatures, keypoint_box, mirrored, no_features
from hashsearch.errors import ConfigError, HashingError
from hashsearch.images.decoding import crop


def blank(width: int = 200, height: int = 120) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 230, np.uint8)


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    def test_keypoints_lie_in_the_picture_strongest_first(self, kind: str) -> None:
        image = picture(0)
        features = LocalExtractor(kind, keypoints=100).extract(image)
        assert 50 < len(features) <= 100
        assert features.size == (image.shape[1], image.shape[0])
        assert (features.points >= -0.5).all()
        assert (features.points <= np.array(features.size)).all()
        assert (np.diff(features.responses) <= 0).all()
        assert features.descriptors.shape == (len(features), KINDS[kind].width)
        assert features.descriptors.dtype == np.uint8

    @pytest.mark.parametrize("size", [(200, 120), (1, 1), (1, 400), (3000, 2)])
    def test_a_blank_picture_of_any_shape_has_none(self, kind: str, size: tuple[int, int]) -> None:
        features = LocalExtractor(kind).extract(blank(*size))
        assert len(features) == 0
        assert features.points.shape == (0, 2)
        assert features.descriptors.shape == (0, KINDS[kind].width)
        assert features.vectors().shape[0] == 0

    def test_points_are_in_pixels_of_the_picture_as_given(self, kind: str) -> None:
        large = blank(800, 800)
        large[600:680, 120:200] = 20
        points = LocalExtractor(kind).extract(large).points
        corners = np.array([[119.5, 599.5], [199.5, 599.5], [199.5, 679.5], [119.5, 679.5], [159.5, 639.5]])
        away = np.linalg.norm(points[:, np.newaxis] - corners, axis=2).min(axis=1)
        assert len(points)
        assert np.median(away) < 16  # a corner's keypoint lies a little inside

    def test_features_survive_to_array_and_from_array(self, kind: str) -> None:
        for features in (LocalExtractor(kind).extract(picture(1)), no_features(kind, (30, 20))):
            again = LocalFeatures.from_array(features.to_array())
            assert (again.kind, again.size) == (features.kind, features.size)
            assert again.scale == pytest.approx(features.scale)
            for name in ("points", "responses", "descriptors"):
                np.testing.assert_array_equal(getattr(again, name), getattr(features, name))

    def test_the_same_picture_has_the_same_features(self, kind: str) -> None:
        one, other = (LocalExtractor(kind).extract(picture(2)).to_array() for _ in range(2))
        np.testing.assert_array_equal(one, other)

    def test_tiny_pictures_are_enlarged(self, kind: str) -> None:
        tiny = picture(0)[:512:16, :512:16]
        assert max(tiny.shape) <= 33
        assert len(LocalExtractor(kind).extract(np.ascontiguousarray(tiny))) > 3


def test_distance_of_bits_is_the_hamming_distance() -> None:
    vectors = LocalExtractor("orb").extract(picture(0)).vectors()
    descriptors = LocalExtractor("orb").extract(picture(0)).descriptors
    differing = np.unpackbits(descriptors[0] ^ descriptors[1]).sum()
    assert ((vectors[0] - vectors[1]) ** 2).sum() == differing


def test_rootsift_vectors_have_equal_length() -> None:
    """The square roots of shares of 1, in steps of 1/512."""
    lengths = np.linalg.norm(LocalExtractor().extract(picture(0)).vectors(), axis=1)
    np.testing.assert_allclose(lengths, 512, rtol=0.02)


def test_mirrored_features_are_those_of_the_mirror_image() -> None:
    image = picture(0)
    expected = LocalExtractor().extract(np.ascontiguousarray(image[:, ::-1]))
    features = mirrored(LocalExtractor().extract(image))
    distances = np.linalg.norm(expected.vectors()[:, np.newaxis] - features.vectors(), axis=2)
    away = np.linalg.norm(expected.points - features.points[distances.argmin(axis=1)], axis=1)
    assert np.mean((away < 2) & (distances.min(axis=1) < 60)) > 0.85


def test_only_sift_can_be_mirrored() -> None:
    with pytest.raises(HashingError, match="only SIFT features can be mirrored, got 'orb'"):
        mirrored(LocalExtractor("orb").extract(picture(0)))


@pytest.mark.parametrize("row", range(PICTURES))
def test_the_keypoints_box_is_where_the_product_is(row: int) -> None:
    small = picture(row)[::2, ::2]
    ground = blank(900, 700)
    top, left = 300, 500
    ground[top : top + small.shape[0], left : left + small.shape[1]] = small
    ground[20:24, 20:24] = 0  # a speck of dust far away
    box = keypoint_box(LocalExtractor(side=640).extract(ground))
    assert box[0] >= left - 10 and box[1] >= top - 10
    assert box[2] <= left + small.shape[1] + 10 and box[3] <= top + small.shape[0] + 10
    assert (box[2] - box[0]) * (box[3] - box[1]) > 0.2 * small.shape[0] * small.shape[1]
    assert crop(ground, box).size


def test_the_box_of_a_blank_picture_is_all_of_it() -> None:
    assert keypoint_box(LocalExtractor().extract(blank())) == (0, 0, 200, 120)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"kind": "surf"}, "local features must be one of sift, orb, akaze, got 'surf'"),
        ({"keypoints": 0}, "keypoints must be 1 to 1000, got 0"),
        ({"side": 64}, "side must be at least 128 pixels, got 64"),
    ],
)
def test_settings_out_of_range_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LocalExtractor(**settings)  # type: ignore[arg-type]  # wrong types are refused too
