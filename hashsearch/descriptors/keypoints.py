"""Local features of an image: where its keypoints are, and what surrounds each of them as bytes.

`sift` (Lowe, IJCV 2004) as RootSIFT (Arandjelovic and Zisserman, CVPR 2012) is the best of the three; `akaze`
(Alcantarilla et al., BMVC 2013) takes a third of its time, `orb` (Rublee et al., ICCV 2011) an eighth. All survive
turning, scaling and moderate perspective; none survives mirroring, but `mirrored` tells what SIFT finds in the mirror
image.
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

MOST_KEYPOINTS = 1000  # as many words can be asked for: Elasticsearch takes 1024 clauses whatever its memory
_SMALLEST = 128  # pixels of the longer side; below that ORB finds nothing but border
_THINNEST = 8  # pixels of the shorter side; AKAZE ends the process at 1
_ORB_STEP = 1.2  # between the sizes of the picture that ORB looks at
_FEWEST_TO_CROP = 8
_STEPS = 512  # of the length of a RootSIFT vector; no component comes near a half of it


@dataclass(frozen=True)
class Kind:
    """A kind of local feature: OpenCV's detector, the bytes of a descriptor, and whether these are bits.

    `ratio`: the best match must be nearer than the second by this factor, in squared distances (of bits: Hamming); .64
    is Lowe's .8 squared.
    """

    detector: Callable[[int], Any]
    width: int
    bits: bool
    ratio: float


KINDS: dict[str, Kind] = {
    "sift": Kind(lambda most: cv2.SIFT.create(nfeatures=most, enable_precise_upscale=True), 128, False, 0.64),
    "orb": Kind(lambda most: cv2.ORB.create(nfeatures=most, fastThreshold=5), 32, True, 0.8),
    "akaze": Kind(lambda most: cv2.AKAZE.create(threshold=0.0005), 61, True, 0.8),
}


@dataclass(frozen=True)
class LocalFeatures:
    """Keypoints of one image, strongest first; none at all if it is blank.

    `points (n, 2) float32` are x and y in pixels of the image as it was given, `size` its width and height; `scale` is
    how many pixels were looked at for each of its own. `responses (n,) float32` tell the strength, `descriptors
    (n, width) uint8` what surrounds a point.
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
        """Descriptors `(n, dims) float32` whose squared Euclidean distance tells them apart: of bits, the Hamming."""
        if KINDS[self.kind].bits:
            return np.unpackbits(self.descriptors, axis=1).astype(np.float32)
        return self.descriptors.astype(np.float32)

    def to_array(self) -> NDArray[np.uint8]:
        """All of it as bytes `(20 + n * (12 + width),) uint8`, for a cache; `from_array` reads them."""
        head = np.array([list(KINDS).index(self.kind), *self.size, self.scale, len(self)], np.float32)
        parts = (head, self.points, self.responses, self.descriptors)
        return np.concatenate([np.ascontiguousarray(part).view(np.uint8).ravel() for part in parts])

    @classmethod
    def from_array(cls, array: NDArray[np.uint8]) -> LocalFeatures:
        """The features that `to_array` made bytes of."""
        kind, width, height, scale, count = np.ascontiguousarray(array[:20]).view(np.float32).tolist()
        n = int(count)
        numbers = np.ascontiguousarray(array[20 : 20 + 12 * n]).view(np.float32)
        name = list(KINDS)[int(kind)]
        descriptors = array[20 + 12 * n :].reshape(n, KINDS[name].width)
        size = (int(width), int(height))
        return cls(name, size, scale, numbers[: 2 * n].reshape(n, 2), numbers[2 * n :], descriptors)


@dataclass(frozen=True)
class LocalExtractor:
    """Finds the `keypoints` strongest local features of images, which are first reduced to `side` pixels at most.

    Images of less than 128 pixels are enlarged to that.
    """

    kind: str = "sift"
    keypoints: int = 256
    side: int = 320

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"local features must be one of {', '.join(KINDS)}, got '{self.kind}'")
        if not 1 <= self.keypoints <= MOST_KEYPOINTS:
            raise ConfigError(f"keypoints must be 1 to {MOST_KEYPOINTS}, got {self.keypoints}")
        if self.side < _SMALLEST:
            raise ConfigError(f"side must be at least {_SMALLEST} pixels, got {self.side}")

    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON holds them."""
        return {"kind": self.kind, "keypoints": self.keypoints, "side": self.side}

    def extract(self, image: NDArray[np.uint8]) -> LocalFeatures:
        """Features of an RGB image `(height, width, 3) uint8`; safe to call from several threads."""
        size = (image.shape[1], image.shape[0])
        grey, scale = self._seen(image)
        if min(grey.shape) < _THINNEST:
            return nothing(self.kind, size, scale)
        found, descriptors = KINDS[self.kind].detector(self.keypoints).detectAndCompute(grey, None)
        if descriptors is None:
            return nothing(self.kind, size, scale)
        responses = np.array([point.response for point in found], np.float32)
        strongest = top_k(responses, self.keypoints)
        places = np.array([self._place(point) for point in found], np.float32)[strongest]
        points = (places + 0.5) / np.float32(scale) - 0.5  # a pixel's number is that of its middle
        kept = descriptors[strongest]
        return LocalFeatures(
            self.kind, size, scale, points, responses[strongest], kept if KINDS[self.kind].bits else _root(kept)
        )

    def _place(self, point: Any) -> tuple[float, float]:
        """Where a keypoint is; ORB reckons from the corner of the pixels that it looked at, not from their middle."""
        off = (_ORB_STEP**point.octave - 1) / 2 if self.kind == "orb" else 0.0
        return point.pt[0] + off, point.pt[1] + off

    def _seen(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
        """The grey image that is looked at, and how many pixels it has for each of the image's own."""
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        longest = max(image.shape[:2])
        scale = min(self.side, max(longest, _SMALLEST)) / longest
        if scale == 1:
            return grey, 1.0
        width, height = (max(1, round(pixels * scale)) for pixels in grey.shape[::-1])
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(grey, (width, height), interpolation=how), np.uint8), scale


def nothing(kind: str, size: tuple[int, int], scale: float = 1.0) -> LocalFeatures:
    """The features of a blank image."""
    none = np.empty(0, np.float32)
    return LocalFeatures(kind, size, scale, none.reshape(0, 2), none, np.empty((0, KINDS[kind].width), np.uint8))


def _root(descriptors: NDArray[np.float32]) -> NDArray[np.uint8]:
    """RootSIFT in bytes: the square root of each component's share of the sum, so that Euclid compares as Hellinger."""
    shares = descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6)
    return np.rint(np.minimum(np.sqrt(shares) * _STEPS, 255)).astype(np.uint8)


def mirrored(features: LocalFeatures) -> LocalFeatures:
    """What SIFT would find in the image mirrored left to right; HashingError for the other kinds.

    A descriptor is a 4 x 4 grid of histograms of 8 directions, about the keypoint's own direction: mirrored, the rows
    and the sense of turning are reversed.
    """
    if features.kind != "sift":
        raise HashingError(f"only SIFT features can be mirrored, got '{features.kind}'")
    grid = features.descriptors.reshape(-1, 4, 4, 8)
    turned = grid[:, ::-1, :, -np.arange(8) % 8].reshape(-1, 128)
    points = features.points * np.array([-1, 1], np.float32) + np.array([features.size[0] - 1, 0], np.float32)
    return replace(features, points=points, descriptors=np.ascontiguousarray(turned))


def keypoint_box(features: LocalFeatures, share: float = 0.9) -> tuple[int, int, int, int]:
    """The box `(left, top, right, bottom)` in pixels that holds the central `share` of the keypoints' strength.

    On each axis. A place counts once, and no more than the median keypoint, so that a few strong ones on the ground
    around do not widen the box; with fewer than 8 keypoints it is the whole image. Made for `hashsearch.images.crop`
    in front of an embedder.
    """
    width, height = features.size
    if len(features) < _FEWEST_TO_CROP:
        return (0, 0, width, height)
    places, first = np.unique(features.points.round(), axis=0, return_index=True)
    weights = np.minimum(features.responses, np.median(features.responses))[first]
    (left, right), (top, bottom) = (_central(axis, weights, share) for axis in places.T)
    return (
        max(0, int(left)),
        max(0, int(top)),
        min(width, int(right) + 1),
        min(height, int(bottom) + 1),
    )


def _central(places: NDArray[np.float32], weights: NDArray[np.float32], share: float) -> tuple[float, float]:
    order = np.argsort(places, kind="stable")
    mass = np.cumsum(weights[order], dtype=np.float64)
    low, high = np.searchsorted(mass, [mass[-1] * (1 - share) / 2, mass[-1] * (1 + share) / 2])
    return float(places[order[low]]), float(places[order[min(high, len(order) - 1)]])
