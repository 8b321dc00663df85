"""A small data set with obvious right answers: pictures of three colours, each with a pattern of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"red": (200, 40, 40), "green": (40, 180, 40), "blue": (40, 40, 220)}
INDEXED, QUERIES = 6, 2  # pictures per colour

METHODS = """
[[method]]
name = "colours"
kind = "histogram"
[[method]]
name = "pixels"
kind = "exact"
features = "pixels"
side = 8
[[method]]
name = "pHash"
kind = "hash"
features = "phash-64"
[[method]]
name = "both"
kind = "fusion"
of = ["colours", "pHash"]
"""

TASKS = """
[[data]]
name = "shelves"
folder = "shelves"
layout = "splits"
[[task]]
name = "same_class"
[[task]]
name = "near_duplicate"
queries = 2
distortions = { jpeg = [50], mirror = [1] }
"""


def make_shelves(folder: Path) -> Path:
    """FOLDER/shelves/train and /val with a folder per colour."""
    rng = np.random.default_rng(0)
    for split, count in (("train", INDEXED), ("val", QUERIES)):
        for name, colour in COLOURS.items():
            (folder / "shelves" / split / name).mkdir(parents=True)
            for row in range(count):
                path = folder / "shelves" / split / name / f"{row}.png"
                drawn(rng, colour).save(path)
    return folder


def drawn(rng: np.random.Generator, colour: tuple[int, int, int]) -> Image.Image:
    """A picture of light and dark patches of one colour."""
    shades = rng.uniform(0.5, 1.0, (6, 6, 1)) * np.array(colour)
    return Image.fromarray(shades.astype(np.uint8)).resize((96, 96), Image.Resampling.BICUBIC)


def write_config(folder: Path, methods: str = METHODS, tasks: str = TASKS, head: str = "k = 10\n") -> Path:
    """FOLDER/compare.toml, beside the data."""
    path = folder / "compare.toml"
    path.write_text(head + tasks + methods)
    return path
