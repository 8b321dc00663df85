"""A picture of a comparison: a file, what it shows, and what is done to it before anyone sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashsearch.evaluation.data.distortions import Distortion
from hashsearch.images.sources import DEFAULT_READER


@dataclass(frozen=True)
class Picture:
    """A file with what it shows, perhaps distorted. The file is opened by `read` only.

    `id` is unique in a task: the path within the data set's folder, or the catalog's id, with "@jpeg=30" for a
    distorted one. `label` is the class, or the product where a task is about those; "" for a distractor, and where it
    is not known.
    """

    id: str
    path: Path
    label: str
    distortion: Distortion | None = None
    product: str = ""

    def read(self) -> NDArray[np.uint8]:
        """`(height, width, 3) uint8` RGB, distorted if it is to be; raises Unreadable and the errors of `decode`."""
        image = DEFAULT_READER.pixels(str(self.path))
        return image if self.distortion is None else self.distortion.apply(image)


@dataclass(frozen=True)
class Problem:
    """What is left out of a task, and why: `picture` is its id, or a class or a line of a list."""

    picture: str
    reason: str

    def __str__(self) -> str:
        return f"{self.picture}: {self.reason}"
