"""Photos of a few classes that a small network tells apart: stripes of a colour and a direction, with noise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

COLOURS = {"brick": (190, 70, 50), "fern": (60, 160, 70), "sky": (80, 120, 210)}
DATA: Mapping[str, Any] = {"name": "stripes", "folder": "stripes", "layout": "splits"}


def draw(colour: tuple[int, int, int], seed: int, side: int = 40) -> Image.Image:
    rng = np.random.default_rng(seed)
    stripes = 40 * np.sin(np.arange(side) / rng.uniform(1.5, 4))[:, None, None]
    pixels = np.array(colour) + stripes + rng.normal(0, 25, (side, side, 3)) + rng.normal(0, 20)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def write_stripes(folder: Path, train: int = 16, val: int = 6) -> Path:
    """FOLDER/stripes/train|val/CLASS/*.png; returns `folder`, which the table DATA is relative to."""
    for number, (name, colour) in enumerate(COLOURS.items()):
        for split, count in (("train", train), ("val", val)):
            inside = folder / "stripes" / split / name
            inside.mkdir(parents=True)
            for seed in range(count):
                draw(colour, 1000 * number + seed + (500 if split == "val" else 0)).save(inside / f"{seed}.png")
    return folder
