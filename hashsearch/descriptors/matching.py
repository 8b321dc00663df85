"""Geometric verification of two images by their local features: matching keypoints and the homography between them.

The steps and thresholds are those of perception's local descriptor deduplication (Thorn, version 0.9.3): ratio test
(Lowe, IJCV 2004), homography, inliers, share of matches and overlap in both directions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from hashsearch.descriptors.keypoints import KINDS, LocalFeatures
from hashsearch.errors import HashingError

_TOLERANCE = 3.0  # pixels of the resized image between a point and the projection of its match
_MIN_MATCHES = 5  # any four matches have a homography
_MAX_ZOOM = 10.0  # of one resized image relative to the other

Points = NDArray[np.float32]
Homography = NDArray[np.float64]


@dataclass(frozen=True)
class Match:
    """How two images, a and b, match; no match if `homography` is None.

    `rows_a`, `rows_b (inliers,)` are the matching keypoints that obey the homography `(3, 3)`, which maps pixels of a
    to pixels of b. `matches` is the number of keypoints that passed the ratio test and `share` their share of all,
    `overlap` the share of a picture that is within the other one, `spread` the share of the box of all keypoints that
    the box of the inliers covers. Each share is the smaller one of a's and b's.

    `score` is inliers / (8 + 0.3 matches) (Brown and Lowe, IJCV 2007, equation 10): from 1 on a match is not due to
    chance, and scores of pairs with different numbers of matches are comparable.
    """

    matches: int = 0
    share: float = 0.0
    homography: Homography | None = None
    rows_a: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    rows_b: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    overlap: float = 0.0
    spread: float = 0.0

    @property
    def inliers(self) -> int:
        """Number of matches that obey the homography."""
        return len(self.rows_a)

    @property
    def score(self) -> float:
        """0 or more, higher is more certain."""
        return self.inliers / (8 + 0.3 * self.matches)

    @property
    def verified(self) -> bool:
        """Whether a and b have something in common, if only a part."""
        return self.score >= 1

    def is_same(self, inliers: int = 5, share: float = 0.4, overlap: float = 0.6) -> bool:
        """Whether a and b are the same picture, by perception's thresholds, and do not just share a logo or part."""
        return self.inliers >= inliers and self.share >= share and min(self.overlap, self.spread) >= overlap


def verdict(match: Match) -> str:
    """ "same" for the same picture, "in part" for a part in common, "unlike" if geometry confirms nothing."""
    return "same" if match.is_same() else "in part" if match.verified else "unlike"


def verify(a: LocalFeatures, b: LocalFeatures, ratio: float | None = None) -> Match:
    """How well two images match, by features of the same kind; deterministic.

    `ratio` defaults to that of the kind. HashingError if the kinds differ.
    """
    if a.kind != b.kind:
        raise HashingError(f"only features of the same kind can be matched, got '{a.kind}' and '{b.kind}'")
    if min(len(a), len(b)) < _MIN_MATCHES:
        return Match()
    rows_a, rows_b, share = _passing(a, b, KINDS[a.kind].ratio if ratio is None else ratio)
    if len(rows_a) < _MIN_MATCHES:
        return Match(len(rows_a), share)
    estimate = _homography(a, b, rows_a, rows_b)
    if estimate is None:
        return Match(len(rows_a), share)
    homography, obeying = estimate
    inliers_a, inliers_b = rows_a[obeying], rows_b[obeying]
    spread = min(_box_share(a.points, inliers_a), _box_share(b.points, inliers_b))
    overlap = _overlap(homography, a.size, b.size)
    return Match(len(rows_a), share, homography, inliers_a, inliers_b, overlap, spread)


def _passing(a: LocalFeatures, b: LocalFeatures, ratio: float) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
    """Rows of keypoints that are mutual nearest neighbours and pass the ratio test one way, and the passing share.

    perception's ratio of .5 is also one of squared distances, as its faiss index returns those.
    """
    distances = _squared_distances(a, b)
    nearest_b, passing_a = _nearest(distances, ratio)
    nearest_a, passing_b = _nearest(distances.T, ratio)
    mutual = nearest_a[nearest_b] == np.arange(len(a))
    rows = np.flatnonzero(mutual & (passing_a | passing_b[nearest_b]))
    return rows, nearest_b[rows], float(min(passing_a.mean(), passing_b.mean()))


def _squared_distances(a: LocalFeatures, b: LocalFeatures) -> NDArray[np.float32]:
    x, y = a.vectors(), b.vectors()
    squares = (x**2).sum(axis=1)[:, np.newaxis] + (y**2).sum(axis=1) - 2 * (x @ y.T)
    distances: NDArray[np.float32] = np.maximum(squares, 0)
    return distances


def _nearest(distances: NDArray[np.float32], ratio: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The nearest column of each row, and whether it is nearer than the second by the ratio."""
    nearest = distances.argmin(axis=1)
    best, second = np.partition(distances, 1, axis=1)[:, :2].T
    return nearest, best < ratio * second


def _homography(
    a: LocalFeatures, b: LocalFeatures, rows_a: NDArray[np.int64], rows_b: NDArray[np.int64]
) -> tuple[Homography, NDArray[np.bool_]] | None:
    """The homography that most matches obey, and which obey it; None if there is no plausible one."""
    estimate, inliers = cv2.findHomography(
        a.points[rows_a] * a.scale,
        b.points[rows_b] * b.scale,
        cv2.USAC_MAGSAC,
        _TOLERANCE,
        maxIters=5000,
        confidence=0.999,
    )
    if estimate is None or not np.isfinite(estimate).all():
        return None
    resized = np.asarray(estimate, np.float64)
    obeying = inliers.ravel().astype(bool)
    if obeying.sum() < _MIN_MATCHES or not _is_plausible(resized, a.points[rows_a[obeying]] * a.scale):
        return None
    return np.diag([1 / b.scale, 1 / b.scale, 1]) @ resized @ np.diag([a.scale, a.scale, 1]), obeying


def _is_plausible(homography: Homography, points: Points) -> bool:
    """Whether a camera could produce it: it does not mirror (features would not match), zoom too much or fold.

    The determinant of its derivative at a point is det(H) / w^3 (Hartley and Zisserman 2004): the factor of the area,
    negative if mirrored. All points must be on the same side of the horizon w = 0.
    """
    weights = points @ homography[2, :2] + homography[2, 2]
    if (weights <= 0).any() and (weights >= 0).any():
        return False
    areas = np.linalg.det(homography) / weights**3
    return bool((areas > _MAX_ZOOM**-2).all() and (areas < _MAX_ZOOM**2).all())


def _box_share(points: Points, rows: NDArray[np.int64]) -> float:
    """The share of the box of all points that the box of these rows covers."""
    whole, part = np.ptp(points, axis=0), np.ptp(points[rows], axis=0)
    return float(np.prod(part / np.maximum(whole, 1)))


def _overlap(homography: Homography, size_a: tuple[int, int], size_b: tuple[int, int]) -> float:
    """The smaller one of the share of a within b and the share of b within a."""
    return min(
        _share_within(homography, size_a, size_b),
        _share_within(np.asarray(np.linalg.inv(homography), np.float64), size_b, size_a),
    )


def _share_within(homography: Homography, size: tuple[int, int], other: tuple[int, int]) -> float:
    """The share of a picture's area that the homography maps into the other picture."""
    frame, other_frame = _corners(size), _corners(other)
    inverse = np.linalg.inv(homography)
    weights = other_frame @ inverse[2, :2] + inverse[2, 2]
    if (weights <= 0).any() and (weights >= 0).any():
        return 0.0  # the other picture extends beyond the horizon of this one
    projected = cv2.perspectiveTransform(other_frame[np.newaxis], inverse)[0]
    area, _ = cv2.intersectConvexConvex(frame, projected.astype(np.float32))
    return float(area) / (size[0] * size[1])


def _corners(size: tuple[int, int]) -> Points:
    width, height = size
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - np.float32(0.5)


def draw_matches(
    image_a: NDArray[np.uint8], image_b: NDArray[np.uint8], a: LocalFeatures, b: LocalFeatures, match: Match
) -> NDArray[np.uint8]:
    """Both images side by side as RGB `(height, width, 3) uint8`, with a line per inlier and a's outline in b."""
    height = max(image_a.shape[0], image_b.shape[0])
    left, right = (np.pad(image, ((0, height - len(image)), (0, 0), (0, 0))) for image in (image_a, image_b))
    picture = np.ascontiguousarray(np.hstack([left, right]))
    thickness = max(1, round(max(picture.shape) / 800))
    shift = np.array([image_a.shape[1], 0])
    if match.homography is not None:
        outline = cv2.perspectiveTransform(_corners(a.size)[np.newaxis], match.homography)[0] + shift
        edge = np.clip(outline, -30_000, 30_000).round().astype(np.int32)
        window = picture[:, shift[0] :]
        cv2.polylines(window, [edge - shift.astype(np.int32)], True, (255, 160, 0), 2 * thickness, cv2.LINE_AA)
    for number, (start, end) in enumerate(zip(a.points[match.rows_a], b.points[match.rows_b] + shift)):
        colour = _COLOURS[number % len(_COLOURS)]
        first, last = start.round().astype(int).tolist(), end.round().astype(int).tolist()
        cv2.line(picture, first, last, colour, thickness, cv2.LINE_AA)
        for point in (first, last):
            cv2.circle(picture, point, 3 * thickness, colour, thickness, cv2.LINE_AA)
    return picture


_COLOURS = ((0, 200, 90), (0, 170, 255), (255, 90, 120), (190, 110, 255), (240, 220, 0), (0, 220, 210))
