"""Colours, text, gradients, perspective and shadows for all drawings of the demo catalog."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Colour = tuple[int, int, int]
Point = tuple[float, float]
WHITE, BLACK = (255, 255, 255), (0, 0, 0)

STAGE = 1040
"""Side in pixels of the stage that products are drawn on; pictures leave it at half that, which smooths every edge."""

SIZE = (STAGE, STAGE)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`first` with `share` of `second` in it."""
    red, green, blue = (round(start + (end - start) * share) for start, end in zip(first, second))
    return red, green, blue


def lightness(colour: Colour) -> float:
    """0 (black) to 1 (white)."""
    return (0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]) / 255


def readable(ground: Colour, *choices: Colour) -> Colour:
    """The first choice that is readable on the ground, else the one with the most contrast."""
    contrast = [abs(lightness(choice) - lightness(ground)) for choice in choices]
    return next((choice for choice, step in zip(choices, contrast) if step > 0.4), choices[int(np.argmax(contrast))])


def accented(ground: Colour, first: Colour, *choices: Colour) -> Colour:
    """The first choice that differs enough from ground and first colour, else the one that differs most."""
    apart = [min(np.linalg.norm(np.subtract(choice, other)) for other in (ground, first)) for choice in choices]
    return next((choice for choice, step in zip(choices, apart) if step > 90), choices[int(np.argmax(apart))])


def gradient(size: tuple[int, int], corners: Sequence[Colour]) -> Image.Image:
    """RGB between four corner colours: top left, top right, bottom left, bottom right."""
    small = Image.new("RGB", (2, 2))
    small.putdata(list(corners))
    # A 2 x 2 picture ends in its pixel centres; the box between them is what runs from colour to colour.
    return small.resize(size, Image.Resampling.BILINEAR, box=(0.5, 0.5, 1.5, 1.5))


def grain(picture: Image.Image, strength: float, seed: int) -> Image.Image:
    """The picture with grey noise of that standard deviation, in levels of 255."""
    noise = np.random.default_rng(seed).normal(0, strength, (picture.height, picture.width, 1)).astype(np.float32)
    levels = np.asarray(picture, dtype=np.float32) + noise
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


@lru_cache(maxsize=512)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def text_width(text: str, size: float, tracking: float = 0) -> float:
    return _font(round(size)).getlength(text) + tracking * size * max(0, len(text) - 1)


def write(
    draw: ImageDraw.ImageDraw,
    at: Point,
    text: str,
    size: float,
    fill: Colour,
    *,
    anchor: str = "m",
    bold: float = 0,
    tracking: float = 0,
    room: float | None = None,
) -> float:
    """Writes one line centred on the height of `at`, set smaller where it is wider than `room`; its width.

    `anchor` l, m or r: where `at` is on the line; `bold` and `tracking` are parts of the size.
    """
    width = text_width(text, size, tracking)
    if room and width > room:
        size *= room / width
        width = text_width(text, size, tracking)
    x, y = at[0] - {"l": 0.0, "m": 0.5, "r": 1.0}[anchor] * width, at[1]
    font, stroke = _font(max(1, round(size))), round(bold * size)
    for piece in text if tracking else (text,):
        draw.text((x, y), piece, font=font, fill=fill, anchor="lm", stroke_width=stroke)
        x += font.getlength(piece) + tracking * size
    return width


def quad(picture: Image.Image, corners: Sequence[Point], size: tuple[int, int]) -> Image.Image:
    """RGBA layer of `size` with the picture drawn in perspective on the four corners (clockwise from the top left)."""
    left, top = (max(0, int(min(axis))) for axis in zip(*corners))
    right, bottom = (min(edge, int(max(axis)) + 1) for edge, axis in zip(size, zip(*corners)))
    layer = Image.new("RGBA", size, (0, 0, 0, 0))
    if right <= left or bottom <= top:
        return layer
    width, height = picture.size
    source = ((0, 0), (width, 0), (width, height), (0, height))
    rows, values = [], []
    for (x, y), (u, v) in zip([(x - left, y - top) for x, y in corners], source):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    plan = np.linalg.solve(np.array(rows, dtype=float), np.array(values, dtype=float)).round(9).tolist()
    part = picture.convert("RGBA").transform(
        (right - left, bottom - top), Image.Transform.PERSPECTIVE, plan, Image.Resampling.BILINEAR
    )
    layer.paste(part, (left, top))
    return layer


def turned(picture: Image.Image, centre: Point, degrees: float, size: tuple[int, int], scale: float = 1) -> Image.Image:
    """RGBA layer of `size` with the picture turned about its middle, which lies on `centre`."""
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    half_width, half_height = picture.width * scale / 2, picture.height * scale / 2
    corners = [
        (
            centre[0] + x * half_width * cosine - y * half_height * sine,
            centre[1] + x * half_width * sine + y * half_height * cosine,
        )
        for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    return quad(picture, corners, size)


def blurred(mask: Image.Image, blur: float) -> Image.Image:
    """The mask (or picture) blurred by that many pixels; a wide blur is computed on a smaller copy."""
    step = max(1, int(blur / 3))
    small = mask.reduce(step) if step > 1 else mask
    small = small.filter(ImageFilter.GaussianBlur(blur / step))
    return small if step == 1 else small.resize(mask.size, Image.Resampling.BILINEAR)


def cast_shadow(ground: Image.Image, mask: Image.Image, offset: Point, blur: float, strength: float) -> None:
    """Darkens the RGB ground where the mask, moved by `offset` and blurred, lies."""
    moved = Image.new("L", ground.size)
    moved.paste(mask, (round(offset[0]), round(offset[1])))
    ground.paste((24, 20, 28), mask=blurred(moved, blur).point([round(level * strength) for level in range(256)]))


def shaded(picture: Image.Image, light: np.ndarray) -> Image.Image:
    """RGBA picture with its colours times `light` (broadcast to height x width; 1 leaves a pixel as it is)."""
    levels = np.asarray(picture, dtype=np.float32).copy()
    levels[..., :3] *= np.broadcast_to(light, levels.shape[:2])[..., None]
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


def curve(*points: Point, steps: int = 16) -> list[Point]:
    """Points on the Bezier curve of degree 2 or 3 through the first and last of the given ones."""
    drawn = []
    for share in (step / steps for step in range(steps + 1)):
        level = list(points)
        while len(level) > 1:
            level = [(a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share) for a, b in itertools.pairwise(level)]
        drawn.append(level[0])
    return drawn


def pile(*layers: Image.Image) -> Image.Image:
    """The RGBA layers laid on one another, each casting a shadow on those below."""
    below = layers[0]
    for layer in layers[1:]:
        ground, outline = below.convert("RGB"), below.getchannel("A")
        cast_shadow(ground, layer.getchannel("A"), (5, 10), 14, 0.4)
        ground.putalpha(outline)
        ground.alpha_composite(layer)
        below = ground
    return below


def lit(sheet: Image.Image, dark: float = 0.93, bright: float = 1.05) -> Image.Image:
    """The sheet under light from the upper left."""
    across = np.linspace(bright, (bright + dark) / 2, sheet.width)[None, :]
    down = np.linspace(0, (dark - bright) / 2, sheet.height)[:, None]
    return shaded(sheet, across + down)
