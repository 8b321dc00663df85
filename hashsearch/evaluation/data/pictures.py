"""A picture of a comparison: a file, its label, and a distortion to apply when it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashsearch.evaluation.data.distortions import Distortion
from hashsearch.images.sources import DEFAULT_READER, ImageReader


@dataclass(frozen=True)
class Picture:
    """An image file with its label and perhaps a distortion. Only `read` opens the file.

    `id` is unique in a task: the path within the data set's folder, or the catalog's id, followed by "@jpeg=30" where
    the picture is distorted. `label` is the class, or the product in tasks about products; "" for distractors and where
    it is unknown. `reader` reads the file, within its limits.
    """

    id: str
    path: Path
    label: str
    distortion: Distortion | None = None
    product: str = ""
    reader: ImageReader = field(default=DEFAULT_READER, compare=False, repr=False)

    def read(self) -> NDArray[np.uint8]:
        """`(height, width, 3) uint8` RGB, distorted if it has a distortion; Unreadable and the errors of `decode`."""
        image = self.reader.pixels(str(self.path))
        return image if self.distortion is None else self.distortion.apply(image)


@dataclass(frozen=True)
class LeftOut:
    """Something left out of a task, and why: `picture` is the picture's id, or names a class or a line of a list."""

    picture: str
    reason: str

    def __str__(self) -> str:
        return f"{self.picture}: {self.reason}"
