"""Pictures with planted crops, turns and perspectives are matched by the planted homography; others are not."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from support.drawn import PICTURES, Image, picture, sent, tilted, turned

from hashsearch.descriptors.keypoints import KINDS, LocalExtractor, LocalFeatures, mirrored, no_features
from hashsearch.descriptors.matching import Match, draw_matches, verify
from hashsearch.errors import HashingError


def features(image: Image, kind: str = "sift") -> LocalFeatures:
    return LocalExtractor(kind).extract(np.ascontiguousarray(image))


def away(match: Match, planted: NDArray[np.float64], at: NDArray[np.float64]) -> float:
    """The largest error of the homography at these points, in pixels."""
    assert match.homography is not None
    return float(np.linalg.norm(sent(at, match.homography) - sent(at, planted), axis=1).max())


MIDDLE = np.array([[130, 130], [390, 130], [390, 390], [130, 390], [260, 260]], np.float64)


@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    def test_a_picture_is_itself(self, kind: str) -> None:
        match = verify(features(picture(0), kind), features(picture(0), kind))
        assert match.is_same() and match.verified
        assert match.share > 0.8
        assert match.overlap == pytest.approx(1, abs=0.01)
        assert away(match, np.eye(3), MIDDLE) < 0.5

    @pytest.mark.parametrize("degrees", [15, 90, 180])
    def test_a_turned_picture_is_matched_by_the_planted_homography(self, kind: str, degrees: int) -> None:
        image, planted = turned(picture(0), degrees)
        match = verify(features(picture(0), kind), features(image, kind))
        assert match.verified
        assert away(match, planted, MIDDLE) < 2.5

    def test_a_picture_from_the_side_is_matched_by_the_planted_homography(self, kind: str) -> None:
        image, planted = tilted(picture(0), 0.12)
        match = verify(features(picture(0), kind), features(image, kind))
        assert match.verified
        assert away(match, planted, MIDDLE) < 3

    def test_different_pictures_do_not_match(self, kind: str) -> None:
        all_features = [features(picture(row), kind) for row in range(PICTURES)]
        for a_features, b_features in combinations(all_features, 2):
            match = verify(a_features, b_features)
            assert not match.verified
            assert not match.is_same()

    def test_a_blank_picture_matches_nothing(self, kind: str) -> None:
        blank = no_features(kind, (100, 80))
        for match in (verify(blank, features(picture(0), kind)), verify(blank, blank)):
            assert (match.inliers, match.score, match.homography) == (0, 0, None)
            assert not match.is_same() and not match.verified


def test_the_homography_is_within_a_pixel_for_sift() -> None:
    """Resized from 520 to 320 pixels, so that a pixel here is 0.6 there."""
    for image, planted in (turned(picture(1), 30, 0.9), tilted(picture(1), 0.15)):
        assert away(verify(features(picture(1)), features(image)), planted, MIDDLE) < 1


def test_a_crop_is_a_part_and_not_the_same() -> None:
    part = picture(0)[130:390, 130:390]
    match = verify(features(picture(0)), features(part))
    planted = np.array([[1, 0, -130], [0, 1, -130], [0, 0, 1.0]])
    assert match.verified
    assert away(match, planted, MIDDLE) < 1
    assert match.overlap == pytest.approx(0.25, abs=0.02)
    assert not match.is_same()


def test_a_mild_crop_is_the_same() -> None:
    match = verify(features(picture(0)), features(picture(0)[30:490, 30:490]))
    assert match.overlap == pytest.approx((460 / 520) ** 2, abs=0.02)
    assert match.is_same()


def test_a_logo_in_common_is_a_part_and_not_the_same() -> None:
    """The same emblem at the same place: the homography covers both pictures, the matched keypoints do not."""
    emblem = picture(2)[180:340, 180:340]
    a_features, b_features = picture(0).copy(), picture(1).copy()
    a_features[:160, :160] = b_features[:160, :160] = emblem
    match = verify(features(a_features), features(b_features))
    assert match.spread < 0.6
    assert not match.is_same()


def test_both_directions_give_the_same_match() -> None:
    a, b = features(picture(0)), features(turned(picture(0), 20)[0])
    forward, backward = verify(a, b), verify(b, a)
    assert (forward.matches, forward.share) == (backward.matches, backward.share)
    assert forward.inliers == pytest.approx(backward.inliers, rel=0.1)
    assert forward.overlap == pytest.approx(backward.overlap, abs=0.03)


def test_a_mirror_image_matches_by_mirrored_features_only() -> None:
    a, b = features(picture(0)), features(picture(0)[:, ::-1])
    assert not verify(a, b).verified
    assert verify(mirrored(a), b).is_same()


def test_a_homography_that_mirrors_or_collapses_is_refused() -> None:
    """Descriptors that match exactly, at positions that no camera could produce."""
    a = features(picture(0))
    flat = LocalFeatures(
        a.kind, a.size, a.scale, a.points * np.array([1, 0.002], np.float32), a.responses, a.descriptors
    )
    swapped = LocalFeatures(a.kind, a.size, a.scale, a.points[:, ::-1].copy(), a.responses, a.descriptors)
    for impossible in (flat, swapped):
        match = verify(a, impossible)
        assert match.matches > 100
        assert match.homography is None and not match.verified


def test_the_same_pair_gives_the_same_match() -> None:
    a, b = features(picture(0)), features(tilted(picture(0), 0.1)[0])
    first, second = verify(a, b), verify(a, b)
    np.testing.assert_array_equal(first.homography, second.homography)
    np.testing.assert_array_equal(first.rows_a, second.rows_a)


def test_the_score_is_brown_and_lowes() -> None:
    rows = np.arange(14)
    match = Match(matches=20, share=0.5, homography=np.eye(3), rows_a=rows, rows_b=rows)
    assert match.score == 1  # 14 of 20 matches are just enough: 8 + 0.3 * 20
    assert match.verified


def test_features_of_two_kinds_cannot_be_matched() -> None:
    with pytest.raises(HashingError, match="only features of the same kind can be matched, got 'sift' and 'orb'"):
        verify(features(picture(0)), features(picture(0), "orb"))


def test_the_drawing_shows_both_pictures_and_the_matches() -> None:
    a, b = picture(0), np.ascontiguousarray(picture(0)[100:420, 100:500])
    match = verify(features(a), features(b))
    drawn = draw_matches(a, b, features(a), features(b), match)
    assert drawn.shape == (520, 920, 3)
    bare = draw_matches(a, b, features(a), features(b), Match())
    np.testing.assert_array_equal(bare[:, :520], a)
    np.testing.assert_array_equal(bare[:320, 520:], b)
    assert (bare[320:, 520:] == 0).all()
    assert (drawn != bare).any(axis=2).sum() > 20 * match.inliers
