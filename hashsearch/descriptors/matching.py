"""Two images' local features against each other: which keypoints match, and by what homography.

The recipe is that of perception's local descriptor deduplication (Thorn, version 0.9.3): ratio test (Lowe, IJCV 2004),
homography, inliers, share of matches and overlap both ways.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from hashsearch.descriptors.keypoints import KINDS, LocalFeatures
from hashsearch.errors import HashingError

_TOLERANCE = 3.0  # pixels of the image as it was looked at, between a point and where the homography sends its match
_FEWEST = 5  # matches that say something: four have a homography whatever they are
_LARGEST_ZOOM = 10.0  # of one image against the other, in pixels as looked at

Points = NDArray[np.float32]
Homography = NDArray[np.float64]


@dataclass(frozen=True)
class Match:
    """What two images, a and b, have in common; nothing if `homography` is None.

    `rows_a`, `rows_b (inliers,)` are the keypoints that match and obey the homography `(3, 3)`, which sends pixels of a
    to pixels of b. `matches` passed the ratio test. `share`: that of the keypoints which did, `overlap`: the part of
    the picture that lies within the other picture, `spread`: the part of the keypoints' box that the inliers' box takes
    up; each of a and of b, the smaller one counts.

    `score` is inliers / (8 + 0.3 matches) (Brown and Lowe, IJCV 2007, equation 10): from 1 on it is no chance, and it
    compares pairs of any number of matches.
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
        """How many matches obey the homography."""
        return len(self.rows_a)

    @property
    def score(self) -> float:
        """0 and more, larger is surer; comparable across pairs."""
        return self.inliers / (8 + 0.3 * self.matches)

    @property
    def verified(self) -> bool:
        """Whether something in a is in b as well, be it a part of them only."""
        return self.score >= 1

    def is_same(self, inliers: int = 5, share: float = 0.4, overlap: float = 0.6) -> bool:
        """Whether a and b are one picture, by perception's thresholds: not just a logo or a part in common."""
        return self.inliers >= inliers and self.share >= share and min(self.overlap, self.spread) >= overlap


def verdict(match: Match) -> str:
    """In a word or two: the same picture, a part in common, or nothing that geometry confirms."""
    return "same" if match.is_same() else "in part" if match.verified else "unlike"


def verify(a: LocalFeatures, b: LocalFeatures, ratio: float | None = None) -> Match:
    """How well two images match, by features of one kind; always the same for the same pair.

    `ratio` is by default the kind's. HashingError when the kinds differ.
    """
    if a.kind != b.kind:
        raise HashingError(f"features that are matched must be of one kind, got '{a.kind}' and '{b.kind}'")
    if min(len(a), len(b)) < _FEWEST:
        return Match()
    rows_a, rows_b, share = _passing(a, b, KINDS[a.kind].ratio if ratio is None else ratio)
    if len(rows_a) < _FEWEST:
        return Match(len(rows_a), share)
    found = _homography(a, b, rows_a, rows_b)
    if found is None:
        return Match(len(rows_a), share)
    homography, kept = found
    inside_a, inside_b = rows_a[kept], rows_b[kept]
    spread = min(_box_share(a.points, inside_a), _box_share(b.points, inside_b))
    overlap = _overlap(homography, a.size, b.size)
    return Match(len(rows_a), share, homography, inside_a, inside_b, overlap, spread)


def _passing(a: LocalFeatures, b: LocalFeatures, ratio: float) -> tuple[NDArray[np.int64], NDArray[np.int64], float]:
    """Rows of keypoints that are each other's nearest and pass the ratio test in a direction, and the passing share.

    perception's ratio of .5 is one of squared distances too, for its faiss index gives them.
    """
    distances = _squared_distances(a, b)
    nearest_b, passing_a = _nearest(distances, ratio)
    nearest_a, passing_b = _nearest(distances.T, ratio)
    mutual = nearest_a[nearest_b] == np.arange(len(a))
    rows = np.flatnonzero(mutual & (passing_a | passing_b[nearest_b]))
    return rows, nearest_b[rows], float(min(passing_a.mean(), passing_b.mean()))


def _squared_distances(a: LocalFeatures, b: LocalFeatures) -> NDArray[np.float32]:
    x, y = a.vectors(), b.vectors()
    distances = (x**2).sum(axis=1)[:, np.newaxis] + (y**2).sum(axis=1) - 2 * (x @ y.T)
    return np.maximum(distances, 0)


def _nearest(distances: NDArray[np.float32], ratio: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The nearest column of each row, and whether it is that much nearer than the second."""
    nearest = distances.argmin(axis=1)
    best, second = np.partition(distances, 1, axis=1)[:, :2].T
    return nearest, best < ratio * second


def _homography(
    a: LocalFeatures, b: LocalFeatures, rows_a: NDArray[np.int64], rows_b: NDArray[np.int64]
) -> tuple[Homography, NDArray[np.bool_]] | None:
    """The homography that most matches obey, and which do; None when there is none that a camera could make."""
    estimate, obeying = cv2.findHomography(
        a.points[rows_a] * a.scale,
        b.points[rows_b] * b.scale,
        cv2.USAC_MAGSAC,
        _TOLERANCE,
        maxIters=5000,
        confidence=0.999,
    )
    if estimate is None or not np.isfinite(estimate).all():
        return None
    found = np.asarray(estimate, np.float64)
    kept = obeying.ravel().astype(bool)
    if kept.sum() < _FEWEST or not _possible(found, a.points[rows_a[kept]] * a.scale):
        return None
    return np.diag([1 / b.scale, 1 / b.scale, 1]) @ found @ np.diag([a.scale, a.scale, 1]), kept


def _possible(homography: Homography, points: Points) -> bool:
    """Whether it neither mirrors (no feature survives that), nor shrinks or widens beyond reason, nor folds the points.

    The determinant of its derivative at a point is det(H) / w^3 (Hartley and Zisserman 2004): the area there, mirrored
    if negative. All points must lie on one side of the horizon w = 0.
    """
    weights = points @ homography[2, :2] + homography[2, 2]
    if (weights <= 0).any() and (weights >= 0).any():
        return False
    areas = np.linalg.det(homography) / weights**3
    return bool((areas > _LARGEST_ZOOM**-2).all() and (areas < _LARGEST_ZOOM**2).all())


def _box_share(points: Points, rows: NDArray[np.int64]) -> float:
    """The part of all points' box that the box of these rows takes up."""
    whole, part = np.ptp(points, axis=0), np.ptp(points[rows], axis=0)
    return float(np.prod(part / np.maximum(whole, 1)))


def _overlap(homography: Homography, size_a: tuple[int, int], size_b: tuple[int, int]) -> float:
    """The smaller one of the parts of a within b and of b within a."""
    return min(
        _part_within(homography, size_a, size_b),
        _part_within(np.asarray(np.linalg.inv(homography), np.float64), size_b, size_a),
    )


def _part_within(homography: Homography, size: tuple[int, int], other: tuple[int, int]) -> float:
    """The part of a picture that the homography sends into the other one: the area of what comes back from it."""
    frame, target = _corners(size), _corners(other)
    back = np.linalg.inv(homography)
    weights = target @ back[2, :2] + back[2, 2]
    if (weights <= 0).any() and (weights >= 0).any():
        return 0.0  # the other picture looks beyond the horizon of this one
    returned = cv2.perspectiveTransform(target[np.newaxis], back)[0]
    area, _ = cv2.intersectConvexConvex(frame, returned.astype(np.float32))
    return float(area) / (size[0] * size[1])


def _corners(size: tuple[int, int]) -> Points:
    width, height = size
    return np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - np.float32(0.5)


def draw_matches(
    image_a: NDArray[np.uint8], image_b: NDArray[np.uint8], a: LocalFeatures, b: LocalFeatures, match: Match
) -> NDArray[np.uint8]:
    """RGB picture `(height, width, 3) uint8`: both images side by side, a line for each inlier, a's outline in b."""
    height = max(image_a.shape[0], image_b.shape[0])
    left, right = (np.pad(one, ((0, height - len(one)), (0, 0), (0, 0))) for one in (image_a, image_b))
    picture = np.ascontiguousarray(np.hstack([left, right]))
    thick = max(1, round(max(picture.shape) / 800))
    shift = np.array([image_a.shape[1], 0])
    if match.homography is not None:
        outline = cv2.perspectiveTransform(_corners(a.size)[np.newaxis], match.homography)[0] + shift
        edge = np.clip(outline, -30_000, 30_000).round().astype(np.int32)
        window = picture[:, shift[0] :]
        cv2.polylines(window, [edge - shift.astype(np.int32)], True, (255, 160, 0), 2 * thick, cv2.LINE_AA)
    for place, (start, end) in enumerate(zip(a.points[match.rows_a], b.points[match.rows_b] + shift)):
        colour = _COLOURS[place % len(_COLOURS)]
        first, last = start.round().astype(int).tolist(), end.round().astype(int).tolist()
        cv2.line(picture, first, last, colour, thick, cv2.LINE_AA)
        for point in (first, last):
            cv2.circle(picture, point, 3 * thick, colour, thick, cv2.LINE_AA)
    return picture


_COLOURS = ((0, 200, 90), (0, 170, 255), (255, 90, 120), (190, 110, 255), (240, 220, 0), (0, 220, 210))
