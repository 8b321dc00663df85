"""Products of the demo catalog, drawn once, for tests of local features; and pictures as a camera would see them."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from hashsearch.demo.designs import make_designs
from hashsearch.demo.photos import product, studio

PICTURES = 6
Image = NDArray[np.uint8]


@cache
def picture(row: int) -> Image:
    """One of six pictures `(520, 520, 3)`, each of a different category."""
    design = make_designs(PICTURES * 2, seed=0)[row * 2]
    return np.asarray(studio(design, product(design)).convert("RGB"))


def warped(image: Image, homography: NDArray[np.float64], size: tuple[int, int] | None = None) -> Image:
    """The picture transformed by the homography, on grey; `size` is width and height."""
    size = size or (image.shape[1], image.shape[0])
    return np.asarray(cv2.warpPerspective(image, homography, size, borderValue=(128, 128, 128)), np.uint8)


def turned(image: Image, degrees: float, zoom: float = 1.0) -> tuple[Image, NDArray[np.float64]]:
    """The picture rotated about its centre, and the homography."""
    height, width = image.shape[:2]
    affine = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, zoom)
    homography = np.vstack([affine, [0, 0, 1]])
    return warped(image, homography), homography


def tilted(image: Image, by: float) -> tuple[Image, NDArray[np.float64]]:
    """The picture seen from the side, its right edge shorter by `by` at each end, and the homography."""
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    away = corners + np.array([[0, 0], [-width * by, height * by], [-width * by, -height * by], [0, 0]], np.float32)
    homography = np.asarray(cv2.getPerspectiveTransform(corners, away), np.float64)
    return warped(image, homography), homography


def sent(points: NDArray[np.floating], homography: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points `(n, 2)` projected by the homography."""
    ahead = np.c_[points, np.ones(len(points))] @ homography.T
    return np.asarray(ahead[:, :2] / ahead[:, 2:])
