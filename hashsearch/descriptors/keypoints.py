"""Local features of an image: its keypoints, and a descriptor in bytes of the surroundings of each.

`sift` (Lowe, IJCV 2004) as RootSIFT (Arandjelovic and Zisserman, CVPR 2012) is the best of the three; `akaze`
(Alcantarilla et al., BMVC 2013) takes a third of its time, `orb` (Rublee et al., ICCV 2011) an eighth. All are robust
to rotation, scaling and moderate perspective. None is to mirroring, but `mirrored` computes the SIFT features of the
mirror image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hashsearch.errors import ConfigError, HashingError
from hashsearch.hashing.nearest import top_k
from hashsearch.hashing.vectors import Vectors

MAX_KEYPOINTS = 1000  # one query clause per word: Elasticsearch allows 1024 clauses, however much memory it has
_MIN_LONGER_SIDE = 128  # pixels; in smaller pictures ORB finds only the border
_MIN_SHORTER_SIDE = 8  # pixels; AKAZE crashes at 1
_ORB_SCALE = 1.2  # between the levels of ORB's image pyramid
_MIN_TO_CROP = 8  # keypoints
_ROOT_SIFT_LENGTH = 512  # of a vector in bytes; no component comes near half of it


@dataclass(frozen=True)
class FeatureKind:
    """A kind of local feature: OpenCV's detector, the bytes of a descriptor, and whether it is binary.

    `ratio`: the best match must be nearer than the second by this factor of squared distances (Hamming if binary); .64
    is Lowe's .8 squared.
    """

    detector: Callable[[int], Any]
    width: int
    bits: bool
    ratio: float


KINDS: dict[str, FeatureKind] = {
    "sift": FeatureKind(lambda most: cv2.SIFT.create(nfeatures=most, enable_precise_upscale=True), 128, False, 0.64),
    "orb": FeatureKind(lambda most: cv2.ORB.create(nfeatures=most, fastThreshold=5), 32, True, 0.8),
    "akaze": FeatureKind(lambda most: cv2.AKAZE.create(threshold=0.0005), 61, True, 0.8),
}


@dataclass(frozen=True)
class LocalFeatures:
    """Keypoints of one image, strongest first; none if it is blank.

    `points (n, 2) float32` are x and y in pixels of the original image, `size` its width and height. `scale` is the
    factor by which it was resized for the detector. `responses (n,) float32` are the strengths, `descriptors (n, width)
    uint8` describe the surroundings.
    """

    kind: str
    size: tuple[int, int]
    scale: float
    points: NDArray[np.float32]
    responses: NDArray[np.float32]
    descriptors: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.points)

    def vectors(self) -> Vectors:
        """Descriptors `(n, dims) float32` to compare by squared Euclidean distance, which is Hamming's for bits."""
        if KINDS[self.kind].bits:
            return np.unpackbits(self.descriptors, axis=1).astype(np.float32)
        return self.descriptors.astype(np.float32)

    def to_array(self) -> NDArray[np.uint8]:
        """The features as bytes `(20 + n * (12 + width),) uint8`, for a cache."""
        head = np.array([list(KINDS).index(self.kind), *self.size, self.scale, len(self)], np.float32)
        parts = (head, self.points, self.responses, self.descriptors)
        return np.concatenate([np.ascontiguousarray(part).view(np.uint8).ravel() for part in parts])

    @classmethod
    def from_array(cls, array: NDArray[np.uint8]) -> LocalFeatures:
        """The features from the bytes of `to_array`."""
        kind, width, height, scale, count = np.ascontiguousarray(array[:20]).view(np.float32).tolist()
        n = int(count)
        numbers = np.ascontiguousarray(array[20 : 20 + 12 * n]).view(np.float32)
        name = list(KINDS)[int(kind)]
        descriptors = array[20 + 12 * n :].reshape(n, KINDS[name].width)
        size = (int(width), int(height))
        return cls(name, size, scale, numbers[: 2 * n].reshape(n, 2), numbers[2 * n :], descriptors)


@dataclass(frozen=True)
class LocalExtractor:
    """Finds the `keypoints` strongest local features of images.

    Images are first resized, if necessary, so that the longer side has 128 to `side` pixels.
    """

    kind: str = "sift"
    keypoints: int = 256
    side: int = 320

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"local features must be one of {', '.join(KINDS)}, got '{self.kind}'")
        if not 1 <= self.keypoints <= MAX_KEYPOINTS:
            raise ConfigError(f"keypoints must be 1 to {MAX_KEYPOINTS}, got {self.keypoints}")
        if self.side < _MIN_LONGER_SIDE:
            raise ConfigError(f"side must be at least {_MIN_LONGER_SIDE} pixels, got {self.side}")

    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON."""
        return {"kind": self.kind, "keypoints": self.keypoints, "side": self.side}

    def extract(self, image: NDArray[np.uint8]) -> LocalFeatures:
        """Features of an RGB image `(height, width, 3) uint8`; safe to call from several threads."""
        size = (image.shape[1], image.shape[0])
        grey, scale = self._resized(image)
        if min(grey.shape) < _MIN_SHORTER_SIDE:
            return no_features(self.kind, size, scale)
        keypoints, descriptors = KINDS[self.kind].detector(self.keypoints).detectAndCompute(grey, None)
        if descriptors is None:
            return no_features(self.kind, size, scale)
        responses = np.array([keypoint.response for keypoint in keypoints], np.float32)
        strongest = top_k(responses, self.keypoints)
        positions = np.array([self._position(keypoint) for keypoint in keypoints], np.float32)[strongest]
        points = (positions + 0.5) / np.float32(scale) - 0.5  # integer coordinates are pixel centres
        descriptors = descriptors[strongest] if KINDS[self.kind].bits else _root(descriptors[strongest])
        return LocalFeatures(self.kind, size, scale, points, responses[strongest], descriptors)

    def _position(self, keypoint: Any) -> tuple[float, float]:
        """x and y of a keypoint; ORB's are relative to the corner of a pixel of the pyramid level, not its centre."""
        offset = (_ORB_SCALE**keypoint.octave - 1) / 2 if self.kind == "orb" else 0.0
        return keypoint.pt[0] + offset, keypoint.pt[1] + offset

    def _resized(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
        """The image in grey as the detector gets it, and the factor by which it was resized."""
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        longest = max(image.shape[:2])
        scale = min(self.side, max(longest, _MIN_LONGER_SIDE)) / longest
        if scale == 1:
            return grey, 1.0
        width, height = (max(1, round(pixels * scale)) for pixels in grey.shape[::-1])
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(grey, (width, height), interpolation=interpolation), np.uint8), scale


def no_features(kind: str, size: tuple[int, int], scale: float = 1.0) -> LocalFeatures:
    """The features of a blank image."""
    none = np.empty(0, np.float32)
    return LocalFeatures(kind, size, scale, none.reshape(0, 2), none, np.empty((0, KINDS[kind].width), np.uint8))


def _root(descriptors: NDArray[np.float32]) -> NDArray[np.uint8]:
    """RootSIFT in bytes: square roots of the components' shares, so that Euclidean distance is Hellinger distance."""
    shares = descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6)
    roots: NDArray[np.uint8] = np.rint(np.minimum(np.sqrt(shares) * _ROOT_SIFT_LENGTH, 255)).astype(np.uint8)
    return roots


def mirrored(features: LocalFeatures) -> LocalFeatures:
    """The SIFT features of the image mirrored left to right; HashingError for other kinds.

    A descriptor is a 4 x 4 grid of histograms of 8 directions relative to the keypoint's own: in the mirror image the
    rows and the order of the directions are reversed.
    """
    if features.kind != "sift":
        raise HashingError(f"only SIFT features can be mirrored, got '{features.kind}'")
    grid = features.descriptors.reshape(-1, 4, 4, 8)
    descriptors = grid[:, ::-1, :, -np.arange(8) % 8].reshape(-1, 128)
    points = features.points * np.array([-1, 1], np.float32) + np.array([features.size[0] - 1, 0], np.float32)
    return replace(features, points=points, descriptors=np.ascontiguousarray(descriptors))


def keypoint_box(features: LocalFeatures, share: float = 0.9) -> tuple[int, int, int, int]:
    """The box `(left, top, right, bottom)` in pixels that has the central `share` of the keypoints' strength per axis.

    Each position counts once, and at most as much as the median keypoint, so that a few strong ones in the background
    do not enlarge the box. With fewer than 8 keypoints it is the whole image. For `hashsearch.images.crop` in front of
    an embedder.
    """
    width, height = features.size
    if len(features) < _MIN_TO_CROP:
        return (0, 0, width, height)
    positions, first = np.unique(features.points.round(), axis=0, return_index=True)
    weights = np.minimum(features.responses, np.median(features.responses))[first]
    (left, right), (top, bottom) = (_central(axis, weights, share) for axis in positions.T)
    return (
        max(0, int(left)),
        max(0, int(top)),
        min(width, int(right) + 1),
        min(height, int(bottom) + 1),
    )


def _central(positions: NDArray[np.float32], weights: NDArray[np.float32], share: float) -> tuple[float, float]:
    order = np.argsort(positions, kind="stable")
    mass = np.cumsum(weights[order], dtype=np.float64)
    low, high = np.searchsorted(mass, [mass[-1] * (1 - share) / 2, mass[-1] * (1 + share) / 2])
    return float(positions[order[low]]), float(positions[order[min(high, len(order) - 1)]])
