"""Solid products cut out on a transparent stage: mugs, pens, packaging, labelled bottles and jars."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from hashsearch.demo.artwork import artwork, mark, pattern
from hashsearch.demo.canvas import (
    BLACK,
    SIZE,
    STAGE,
    WHITE,
    Colour,
    mix,
    quad,
    readable,
    shaded,
    text_width,
    turned,
    write,
)
from hashsearch.demo.designs import Design
from hashsearch.demo.scenes import paint_scene


def round_light(across: np.ndarray, gloss: float = 0.35) -> np.ndarray:
    """Light on an upright cylinder, by the place across it (-1 to 1): dark edges, a bright streak on the left."""
    body = 0.62 + 0.44 * np.sqrt(np.clip(1 - (across + 0.22) ** 2 / 1.6, 0, 1))
    streak = gloss * np.exp(-((across + 0.5) ** 2) / 0.012)
    return body + streak - 0.22 * np.clip(across - 0.55, 0, 1)


def wrapped(art: Image.Image, width: int, height: int, bulge: float, gloss: float = 0.3) -> Image.Image:
    """The picture on the front half of a cylinder seen from slightly above: RGBA, `bulge` higher than `height`."""
    across = np.linspace(-1, 1, width)
    drop = bulge * np.sqrt(1 - across**2)
    columns = ((np.arcsin(across) / math.pi + 0.5) * (art.width - 1)).round().astype(int)
    rows = (np.arange(height + math.ceil(bulge))[:, None] - drop) * (art.height / height)
    inside = (rows >= 0) & (rows < art.height)
    levels = np.asarray(art.convert("RGBA"))[np.clip(rows, 0, art.height - 1).astype(int), columns].copy()
    levels[..., 3] *= inside
    return shaded(Image.fromarray(levels), round_light(across, gloss)[None, :])


def mugs(design: Design) -> Image.Image:
    lot, palette = design.lot("mugs"), design.palette
    ground = lot.choice((WHITE, palette.paper, palette.main, palette.ink, palette.second))
    kind = lot.choice(("mark", "mark", "pattern", "scene", "band"))
    width, height, bulge = 470, lot.choice((500, 540, 430)), 52
    art = Image.new("RGB", (860, height + 60), ground)
    if kind == "pattern":
        art = pattern(design, *art.size)
        art.paste(palette.paper, (250, 85, 610, height - 15))
    elif kind == "scene":
        paint_scene(art, design.scene, palette, design.lot("scene"))
    elif kind == "band":
        art.paste(pattern(design, 860, 110), (0, height - 90))
    if kind != "scene":
        side = height - (180 if kind == "band" else 150)
        emblem = mark(design, side, side, palette.paper if kind == "pattern" else ground)
        art.paste(emblem, (430 - side // 2, 75 if kind == "band" else 110), emblem)
    body = wrapped(art, width, height, bulge)
    left, top = 245 if lot.random() < 0.7 else 330, (STAGE - height) // 2
    layer, rim = Image.new("RGBA", SIZE), ground if lot.random() < 0.6 else palette.accent
    _handle(layer, left + width if left == 245 else left, top + height * 0.5, height * 0.3, ground)
    layer.alpha_composite(body, (left, top))
    draw = ImageDraw.Draw(layer)
    draw.ellipse((left, top - bulge, left + width - 1, top + bulge), fill=mix(rim, WHITE, 0.35))
    draw.ellipse((left + 13, top - bulge + 10, left + width - 14, top + bulge - 8), fill=mix(ground, BLACK, 0.32))
    if lot.random() < 0.5:
        draw.chord(
            (left + 16, top - bulge + 26, left + width - 17, top + bulge + 4), 180, 360, fill=mix(ground, BLACK, 0.2)
        )
        draw.ellipse((left + 30, top - bulge + 40, left + width - 31, top + bulge - 10), fill=(74, 44, 26))
    return layer


def _handle(layer: Image.Image, x: float, y: float, radius: float, colour: Colour) -> None:
    draw = ImageDraw.Draw(layer)
    for step in range(26):
        inset = step * 1.1
        shade = mix(mix(colour, BLACK, 0.36), mix(colour, WHITE, 0.12), math.sin(step / 25 * math.pi))
        box = (x - radius * 0.95 + inset, y - radius + inset, x + radius * 0.95 - inset, y + radius - inset)
        draw.ellipse(box, outline=shade, width=round(54 - inset * 1.9))


def pens(design: Design) -> Image.Image:
    lot, palette = design.lot("pens"), design.palette
    build = lot.choice((_ballpoint, _ballpoint, _pencil))
    colours = lot.sample((palette.main, palette.accent, palette.second, palette.ink, WHITE), 4)
    count, angle = lot.choice((2, 3, 4)), lot.choice((-38, -24, 0, 28, 90))
    layer, gap = Image.new("RGBA", SIZE), 150 if build is _ballpoint else 120
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    for number in range(count):
        off, along = (number - (count - 1) / 2) * gap, (number % 2 - 0.5) * 70
        centre = (520 - off * sine + along * cosine, 520 + off * cosine + along * sine)
        layer.alpha_composite(turned(build(design, colours[number]), centre, angle, SIZE))
    return layer


def _bar(size: tuple[int, int], colour: Colour, light: np.ndarray) -> Image.Image:
    return shaded(Image.new("RGB", size, colour), light[:, None])


def _lettering(picture: Image.Image, design: Design, box: tuple[int, int, int, int], ground: Colour) -> None:
    draw, (left, top, right, bottom) = ImageDraw.Draw(picture), box
    ink = readable(ground, design.palette.paper, design.palette.ink, design.palette.main)
    size, middle = (bottom - top) * 0.5, (top + bottom) / 2
    used = write(draw, (left, middle), design.brand, size, ink, anchor="l", bold=0.03)
    room = max(40.0, right - left - used - size)
    write(
        draw,
        (left + used + size * 0.6, middle + size * 0.06),
        f"{design.trade} · {design.brand.lower()}.example",
        size * 0.6,
        ink,
        anchor="l",
        room=min(room, text_width("m" * 22, size * 0.6)),
    )


def _ballpoint(design: Design, colour: Colour) -> Image.Image:
    height, lot = 68, design.lot("pen")
    light = round_light(np.linspace(-1, 1, height), 0.5)
    metal = lot.choice(((206, 208, 214), (200, 170, 110), (70, 72, 78)))
    pen = Image.new("RGBA", (920, 100))
    barrel = _bar((700, height), colour, light)
    _lettering(barrel, design, (110, 4, 440, height), colour)
    pen.paste(barrel, (110, 16))
    pen.paste(_bar((90, height), lot.choice((mix(colour, BLACK, 0.5), metal, (48, 48, 52))), light), (110, 16))
    for row in range(5):
        ImageDraw.Draw(pen).line((124 + row * 16, 18, 124 + row * 16, 82), fill=(30, 30, 34, 150), width=4)
    cone = quad(_bar((110, height), metal, light), [(10, 45), (110, 16), (110, 84), (10, 55)], pen.size)
    pen.alpha_composite(cone)
    pen.paste(_bar((16, height + 6), metal, round_light(np.linspace(-1, 1, height + 6), 0.5)), (560, 13))
    pen.paste(_bar((70, 40), metal, round_light(np.linspace(-1, 1, 40), 0.5)), (810, 30))
    draw = ImageDraw.Draw(pen)
    draw.rounded_rectangle((610, 2, 815, 22), 9, fill=(*metal, 255), outline=(*mix(metal, BLACK, 0.35), 255), width=2)
    draw.ellipse((4, 46, 16, 54), fill=(90, 90, 96, 255))
    return pen


def _pencil(design: Design, colour: Colour) -> Image.Image:
    height = 56
    light = np.repeat((1.12, 0.98, 0.76), (17, 22, 17))
    pencil = Image.new("RGBA", (960, 80))
    barrel = _bar((690, height), colour, light)
    _lettering(barrel, design, (40, 6, 640, height - 4), colour)
    pencil.paste(barrel, (130, 12))
    wood = quad(_bar((120, height), (222, 184, 138), light), [(12, 37), (132, 12), (132, 68), (12, 43)], pencil.size)
    pencil.alpha_composite(wood)
    draw = ImageDraw.Draw(pencil)
    draw.polygon([(4, 40), (46, 30), (46, 50)], fill=mix(colour, BLACK, 0.55))
    ferrule = round_light(np.linspace(-1, 1, height), 0.6)
    pencil.paste(_bar((60, height), (196, 198, 204), ferrule), (820, 12))
    for x in (832, 846, 860):
        draw.line((x, 12, x, 67), fill=(120, 122, 128, 255), width=3)
    pencil.paste(_bar((56, height - 6), (232, 138, 138), ferrule[3:-3]), (880, 15))
    return pencil


def packaging(design: Design) -> Image.Image:
    lot = design.lot("box")
    width, height, depth = lot.choice(((1, 1, 1), (0.72, 1.3, 0.5), (1.35, 0.5, 1), (1, 1.15, 0.42), (1.2, 0.8, 0.7)))
    yaw, pitch = math.radians(lot.choice((-1, 1)) * lot.uniform(24, 42)), math.radians(lot.uniform(18, 30))
    corners = {}
    for x in (-1, 1):
        for y in (-1, 1):
            for z in (-1, 1):
                u, w = (
                    x * width * math.cos(yaw) + z * depth * math.sin(yaw),
                    -x * width * math.sin(yaw) + z * depth * math.cos(yaw),
                )
                v, far = (
                    y * height * math.cos(pitch) - w * math.sin(pitch),
                    7 - y * height * math.sin(pitch) - w * math.cos(pitch),
                )
                corners[x, y, z] = (u / far, -v / far)
    reach = max(max(abs(u), abs(v)) for u, v in corners.values())
    place = {key: (520 + u / reach * 400, 520 + v / reach * 400) for key, (u, v) in corners.items()}
    unit, side = 400, 1 if yaw < 0 else -1
    front = artwork(
        design, round(width * unit), round(height * unit), lot.choice(("centre", "plate", "scene", "type", "frame"))
    )
    flank = pattern(design, round(depth * unit), round(height * unit), "flank")
    lid = Image.new("RGB", (round(width * unit), round(depth * unit)), design.palette.main)
    if lot.random() < 0.6:
        emblem = mark(design, lid.width, round(lid.height * 0.7), design.palette.main, stacked=False)
        lid.paste(emblem, (0, round(lid.height * 0.15)), emblem)
    ImageDraw.Draw(lid).line(
        (0, lid.height * 0.5, lid.width * 0.1, lid.height * 0.5), fill=mix(design.palette.main, BLACK, 0.3), width=3
    )
    layer = Image.new("RGBA", SIZE)
    faces = (
        (front, (0.9, 1.02), [(-1, 1, 1), (1, 1, 1), (1, -1, 1), (-1, -1, 1)]),
        (flank, (0.6, 0.76), [(side, 1, side), (side, 1, -side), (side, -1, -side), (side, -1, side)]),
        (lid, (1.0, 1.14), [(-1, 1, -1), (1, 1, -1), (1, 1, 1), (-1, 1, 1)]),
    )
    for face, (dark, bright), keys in faces:
        layer.alpha_composite(
            quad(shaded(face, np.linspace(bright, dark, face.height)[:, None]), [place[key] for key in keys], SIZE)
        )
    draw = ImageDraw.Draw(layer)
    for first, last in (((-1, 1, 1), (1, 1, 1)), ((side, 1, 1), (side, -1, 1)), ((side, 1, 1), (side, 1, -1))):
        draw.line([place[first], place[last]], fill=(255, 255, 255, 60), width=2)
    return layer


@dataclass(frozen=True)
class Vessel:
    """A bottle or jar. All measures are parts of its height, from the top: the outline as height and half-width, the
    label's edges, and where the cap ends. No glass colour: tinted like the design."""

    outline: tuple[tuple[float, float], ...]
    label: tuple[float, float]
    cap: float
    glass: tuple[Colour, ...] = ()


_WINE = ((0, 0.048), (0.06, 0.05), (0.3, 0.046), (0.36, 0.064), (0.43, 0.138), (0.47, 0.147), (0.98, 0.147), (1, 0.138))
_BEER = ((0, 0.05), (0.06, 0.046), (0.26, 0.055), (0.42, 0.143), (0.48, 0.156), (0.97, 0.156), (1, 0.143))
_JAR = ((0, 0.23), (0.01, 0.24), (0.17, 0.24), (0.18, 0.22), (0.21, 0.23), (0.26, 0.27), (0.94, 0.27), (1, 0.24))
_TIN = ((0, 0.215), (0.015, 0.225), (0.03, 0.22), (0.97, 0.22), (0.985, 0.225), (1, 0.215))
_DROPPER = (
    *((0, 0.023), (0.05, 0.041), (0.14, 0.041), (0.15, 0.078), (0.3, 0.078)),
    *((0.31, 0.064), (0.34, 0.069), (0.42, 0.166), (0.96, 0.166), (1, 0.147)),
)
_VESSELS = (
    Vessel(_WINE, (0.54, 0.9), 0.22, ((26, 44, 32), (44, 14, 20), (20, 20, 22))),
    Vessel(_BEER, (0.53, 0.88), 0.05, ((92, 50, 18), (30, 62, 36))),
    Vessel(_JAR, (0.38, 0.84), 0.175),
    Vessel(_TIN, (0.05, 0.95), 0.03, ((198, 200, 206),)),
    Vessel(_DROPPER, (0.5, 0.88), 0.305, ((104, 58, 20), (236, 238, 238), (30, 34, 44))),
)


def labels(design: Design) -> Image.Image:
    lot, palette = design.lot("label"), design.palette
    vessel = lot.choice(_VESSELS)
    tints = vessel.glass or (mix(palette.accent, WHITE, 0.15), mix(palette.main, WHITE, 0.1))
    glass, cap = lot.choice(tints), lot.choice((palette.main, palette.ink, palette.accent, (196, 168, 104)))
    reach = max(half for _, half in vessel.outline)
    height = 900 if reach < 0.2 else 760
    top, bottom = vessel.label
    art = artwork(
        design, round(reach * height * 2.5), round((bottom - top) * height), lot.choice(("centre", "plate", "frame"))
    )
    picture = _turned_on_a_lathe(vessel, height, glass, cap, art)
    layer = Image.new("RGBA", SIZE)
    layer.alpha_composite(picture, (520 - picture.width // 2, 70 if height == 900 else 120))
    return layer


def _turned_on_a_lathe(vessel: Vessel, height: int, glass: Colour, cap: Colour, art: Image.Image) -> Image.Image:
    """RGBA picture of the vessel with the art around it."""
    rows = np.arange(height)[:, None] / height
    levels_down, half_widths = np.transpose(vessel.outline)
    reach = np.interp(rows, levels_down, half_widths) * height
    middle = math.ceil(reach.max())
    across = np.arange(-middle, middle + 1)[None, :] / reach
    inside, across = np.abs(across) <= 1, np.clip(across, -1, 1)
    colours = np.where((rows < vessel.cap)[..., None], np.array(cap), np.array(glass)).astype(np.float32)
    levels = np.broadcast_to(colours, (*across.shape, 3)).copy()
    top, bottom = vessel.label
    down = (rows - top - 22 / height * np.sqrt(1 - across**2)) / (bottom - top)
    along = np.arcsin(across) / math.pi / 0.94 + 0.5
    printed = (down >= 0) & (down < 1) & (along >= 0) & (along < 1)
    paper = np.asarray(art)
    levels[printed] = paper[(down[printed] * art.height).astype(int), (along[printed] * art.width).astype(int)]
    levels *= round_light(across, 0.28)[..., None]
    picture = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)).convert("RGBA")
    picture.putalpha(Image.fromarray(inside.astype(np.uint8) * 255))
    return picture
