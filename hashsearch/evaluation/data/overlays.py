"""Things drawn on or around a picture with Pillow and its own font: text, a logo, a border, a screenshot."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

Colour = tuple[int, int, int]

_WORDS = "SALE new only today free shipping best price 20% off order now sample shop.example offer limited".split()
_LINE = 10  # % of the height: the largest height of a line of text
_LONGEST = 1600  # pixels of a screen's longer side at most: a larger picture is scaled down
_LIGHT = "#ffffff", "#b8b8b8", "#dee1e6", "#ffffff"  # the page, its lines, the window bar, the address field
_DARK = "#1f1f1f", "#5f6368", "#3c3c3c", "#282828"
_SQUARE = 256  # pixels of the side at which a logo is drawn before it is scaled


def edge_colour(picture: Image.Image) -> Colour:
    """The mean colour of the outermost pixels."""
    image = np.asarray(picture)
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return _colour(np.rint(edge.mean(axis=0)))


def _colour(levels: np.ndarray) -> Colour:
    return cast(Colour, tuple(int(level) for level in levels))


def text(picture: Image.Image, percent: float, rng: np.random.Generator) -> Image.Image:
    """The picture with lines of text across its width on `percent` of its height, white with a black outline."""
    marked = picture.copy()
    width, height = picture.size
    lines = max(1, math.ceil(percent / _LINE))
    line = height * percent / 100 / lines
    top = rng.random() * (height - lines * line)
    draw = ImageDraw.Draw(marked)
    for number in range(lines):
        words = " ".join(rng.choice(_WORDS, min(50, 2 + int(width / (line + 1)))))  # longer lines are cut off
        middle = (width / 2, top + (number + 0.5) * line)
        draw.text(middle, words, "white", _font(line * 0.8), "mm", stroke_width=round(line / 15), stroke_fill="black")
    return marked


@lru_cache(maxsize=64)
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(size, 1.0))


def logo(picture: Image.Image, percent: float, rng: np.random.Generator) -> Image.Image:
    """The picture with an opaque round emblem on `percent` of its area, at a random position."""
    width, height = picture.size
    emblem = _emblem(rng)
    diameter = math.sqrt(percent / 100 * width * height * 4 / math.pi)
    side = max(1, round(min(diameter, width, height)))
    position = round(rng.random() * (width - side)), round(rng.random() * (height - side))
    emblem = emblem.resize((side, side), Image.Resampling.LANCZOS)
    marked = picture.copy()
    marked.paste(emblem, position, emblem)
    return marked


def _emblem(rng: np.random.Generator) -> Image.Image:
    """A star in a ring on a disc of a random colour, RGBA."""
    emblem = Image.new("RGBA", (_SQUARE, _SQUARE))
    draw, middle = ImageDraw.Draw(emblem), _SQUARE / 2
    disc = _vivid(rng)
    for radius, colour in ((1.0, disc), (0.88, (255, 255, 255)), (0.8, disc)):
        draw.ellipse(_round(middle, middle, radius * middle - 1), colour)
    points = int(rng.integers(4, 8))
    angles = np.arange(2 * points) * math.pi / points - math.pi / 2
    radii = np.where(np.arange(2 * points) % 2, 0.3, 0.68) * middle
    corners = np.stack([middle + radii * np.cos(angles), middle + radii * np.sin(angles)], axis=1)
    draw.polygon([(x, y) for x, y in corners.tolist()], "white")
    return emblem


def _round(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    """The bounding box of a circle."""
    return x - radius, y - radius, x + radius, y + radius


def _vivid(rng: np.random.Generator) -> Colour:
    return _colour(rng.permutation([rng.integers(150, 230), rng.integers(0, 60), rng.integers(0, 200)]))


def border(picture: Image.Image, percent: float, rng: np.random.Generator) -> Image.Image:
    """The picture in a white, black or coloured frame, `percent` of its shorter side wide on each side."""
    colour = ((255, 255, 255), (0, 0, 0), _vivid(rng))[int(rng.integers(3))]
    return ImageOps.expand(picture, max(1, round(min(picture.size) * percent / 100)), colour)


def screenshot(picture: Image.Image, percent: float, rng: np.random.Generator) -> Image.Image:
    """A browser window with the picture on a light or dark page; the rest takes up `percent` of the screen.

    It has the picture's aspect ratio and a longer side of at most 1,600 pixels: a larger picture is scaled down.
    """
    growth = 1 / math.sqrt(1 - percent / 100)
    scale = min(1.0, _LONGEST / (max(picture.size) * growth))
    width, height = (max(1, round(side * scale * growth)) for side in picture.size)
    shown = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    screen = Image.new("RGB", (width, height))
    bar = min(height / 10, (height - shown.height) * 0.7)  # the window bar is above the picture
    _draw_page(screen, bar, rng)
    left = (0.25 + rng.random() / 2) * (width - shown.width)
    top = bar + (0.25 + rng.random() / 2) * (height - shown.height - bar)
    screen.paste(shown, (round(left), round(top)))
    return screen


def _draw_page(screen: Image.Image, bar: float, rng: np.random.Generator) -> None:
    """A page full of lines under a window bar with three buttons and an address."""
    width, height = screen.size
    page, ink, chrome, field = _LIGHT if rng.random() < 0.5 else _DARK
    draw = ImageDraw.Draw(screen)
    draw.rectangle((0, 0, width, height), page)
    for line, top in enumerate(np.arange(bar * 1.5, height, max(height / 24, 4))):
        right = width * rng.uniform(0.5, 0.95) if line % 5 == 4 else width * 0.97
        draw.rectangle((width * 0.03, top, right, top + height / 60), ink)
    draw.rectangle((0, 0, width, bar), chrome)
    for button, colour in enumerate(("#ff5f57", "#febc2e", "#28c840")):
        draw.ellipse(_round(bar * (0.5 + 0.6 * button), bar / 2, bar * 0.2), colour)
    draw.rounded_rectangle((bar * 2.4, bar * 0.2, max(width - bar * 0.5, bar * 2.4), bar * 0.8), bar * 0.3, field)
    draw.text((bar * 2.8, bar / 2), "https://shop.example/item", ink, _font(bar * 0.4), "lm")
