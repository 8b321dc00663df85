"""Solid products cut out on a transparent stage: mugs, T-shirts, pens, packaging, labelled bottles and jars, tote bags."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from hashsearch.demo.artwork import artwork, mark, pattern
from hashsearch.demo.canvas import (
    BLACK,
    WHITE,
    Colour,
    Point,
    blurred,
    curve,
    gradient,
    grain,
    lightness,
    mix,
    quad,
    readable,
    shaded,
    text_width,
    turned,
    write,
)
from hashsearch.demo.designs import Design
from hashsearch.demo.prints import SIZE, STAGE
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
        art.paste(palette.paper, (270, 130, 590, height - 70))
        ground_of_mark: Colour = palette.paper
    elif kind == "scene":
        paint_scene(art, design.scene, palette, design.lot("scene"))
        ground_of_mark = ground
    elif kind == "band":
        art.paste(pattern(design, 860, 130), (0, height - 130))
        ground_of_mark = ground
    else:
        ground_of_mark = ground
    if kind != "scene":
        emblem = mark(design, 300, 300, ground_of_mark)
        art.paste(emblem, (280, 140 if kind != "band" else 70), emblem)
    body = wrapped(art, width, height, bulge)
    left, top = 245 if lot.random() < 0.7 else 330, (STAGE - height) // 2
    layer, rim = Image.new("RGBA", SIZE), readable(ground, ground) if lot.random() < 0.6 else palette.accent
    _handle(layer, left + width if left == 245 else left, top + height * 0.5, height * 0.3, ground)
    layer.alpha_composite(body, (left, top))
    draw = ImageDraw.Draw(layer)
    draw.ellipse((left, top - bulge, left + width - 1, top + bulge), fill=mix(rim, WHITE, 0.35))
    draw.ellipse((left + 13, top - bulge + 10, left + width - 14, top + bulge - 8), fill=mix(ground, BLACK, 0.32))
    if lot.random() < 0.5:
        draw.chord((left + 16, top - bulge + 26, left + width - 17, top + bulge + 4), 180, 360, fill=mix(ground, BLACK, 0.2))
        draw.ellipse((left + 30, top - bulge + 40, left + width - 31, top + bulge - 10), fill=(74, 44, 26))
    return layer


def _handle(layer: Image.Image, x: float, y: float, radius: float, colour: Colour) -> None:
    draw = ImageDraw.Draw(layer)
    for step in range(26):
        inset = step * 1.1
        shade = mix(mix(colour, BLACK, 0.36), mix(colour, WHITE, 0.12), math.sin(step / 25 * math.pi))
        box = (x - radius * 0.95 + inset, y - radius + inset, x + radius * 0.95 - inset, y + radius - inset)
        draw.ellipse(box, outline=shade, width=round(54 - inset * 1.9))


def folds(lot_seed: int, creases: list[tuple[Point, Point]], depth: float) -> np.ndarray:
    """Light on cloth, `(STAGE, STAGE)`: soft dark and bright creases and a slow swell."""
    quarter = Image.new("L", (STAGE // 4, STAGE // 4), 128)
    draw = ImageDraw.Draw(quarter)
    for number, (first, last) in enumerate(creases):
        draw.line([(first[0] / 4, first[1] / 4), (last[0] / 4, last[1] / 4)], fill=60 if number % 2 else 200, width=7)
    soft = np.asarray(blurred(quarter, 6).resize(SIZE, Image.Resampling.BICUBIC), dtype=np.float32)
    waves = np.random.default_rng(lot_seed).uniform(0, math.tau, 2)
    swell = np.sin(np.linspace(0, 7, STAGE) + waves[0])[None, :] * np.sin(np.linspace(0, 4, STAGE) + waves[1])[:, None]
    return 1 + depth * ((soft - 128) / 90 + 0.25 * swell)


def _dyed(colour: Colour) -> Colour:
    """The colour as cloth takes it: on black no fold would show."""
    return mix(colour, WHITE, 0.1) if lightness(colour) < 0.2 else colour


def _cloth(design: Design, outline: list[Point], ground: Colour, texture: float) -> tuple[Image.Image, Image.Image]:
    """The cloth as RGB, and its outline as a mask."""
    mask = Image.new("L", SIZE)
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    noise = grain(Image.new("RGB", (STAGE // 2, STAGE // 2), ground), texture, design.lot("cloth").randrange(2**32))
    return noise.resize(SIZE, Image.Resampling.BILINEAR), mask


def _print_on_cloth(cloth: Image.Image, design: Design, ground: Colour, box: tuple[int, int, int, int]) -> None:
    lot, (left, top, right, bottom) = design.lot("print"), box
    width, height = right - left, bottom - top
    if lot.random() < 0.6:
        emblem = mark(design, width, height, ground)
        cloth.paste(emblem, (left, top), emblem)
        return
    view, window = Image.new("RGB", (width, width)), Image.new("L", (width, width))
    paint_scene(view, design.scene, design.palette, design.lot("scene"))
    shape = ImageDraw.Draw(window)
    if lot.random() < 0.5:
        shape.ellipse((0, 0, width - 1, width - 1), fill=240)
    else:
        shape.rounded_rectangle((0, 0, width - 1, width - 1), 14, fill=240)
    cloth.paste(view, (left, top - 30), window)
    ink = readable(ground, design.palette.main, design.palette.paper, design.palette.ink)
    write(ImageDraw.Draw(cloth), ((left + right) / 2, top + width + 12), f"{design.brand} {design.trade}".upper(), width * 0.1, ink, tracking=0.1, room=width)


def t_shirts(design: Design) -> Image.Image:
    lot, palette = design.lot("shirt"), design.palette
    ground = _dyed(lot.choice((WHITE, palette.main, palette.ink, palette.paper, palette.second, (44, 44, 50), (178, 180, 184))))
    right = [
        *curve((600, 138), (650, 150), (700, 172)), *curve((700, 172), (800, 230), (918, 372)), (836, 474),
        *curve((836, 474), (770, 430), (746, 396)), *curve((746, 396), (738, 640), (752, 920)), *curve((752, 920), (640, 940), (520, 940)),
    ]  # fmt: skip
    neck = curve((600, 138), (580, 222), (520, 224))
    outline = right + [(STAGE - x, y) for x, y in reversed(right)] + [(STAGE - x, y) for x, y in neck] + list(reversed(neck))
    cloth, mask = _cloth(design, outline, ground, 2.5)
    _print_on_cloth(cloth, design, ground, (372, 320, 668, 650))
    draw = ImageDraw.Draw(cloth)
    seam = mix(ground, BLACK if sum(ground) / 765 > 0.3 else WHITE, 0.16)
    draw.line(curve((746, 396), (716, 270), (700, 172)), fill=seam, width=4)
    draw.line(curve((294, 396), (324, 270), (340, 172)), fill=seam, width=4)
    for x in (0, 1):
        draw.line([(STAGE - u if x else u, v) for u, v in curve((914, 352), (860, 410), (822, 458))], fill=seam, width=3)
    draw.line(curve((294, 916), (520, 936), (746, 916)), fill=seam, width=3)
    draw.line(curve((592, 146), (574, 250), (520, 252), steps=24) , fill=seam, width=4)
    draw.line([(STAGE - x, y) for x, y in curve((592, 146), (574, 250), (520, 252), steps=24)], fill=seam, width=4)
    creases = [
        ((746, 400), (690 + lot.uniform(-30, 30), 560)), ((740, 420), (650, 480)), ((294, 400), (360 + lot.uniform(-30, 30), 580)),
        ((300, 420), (390, 500)), ((330, 900), (420, 700)), ((700, 900), (640, 720)), ((520, 260), (540, 330)), ((800, 300), (860, 400)),
        ((240, 300), (190, 400)), ((450, 930), (470, 780)), ((590, 930), (600, 800)),
    ]  # fmt: skip
    face = shaded(cloth, folds(lot.randrange(2**32), creases, 0.1))
    layer = Image.new("RGBA", SIZE)
    inside = ImageDraw.Draw(layer)
    inside.ellipse((440, 108, 600, 226), fill=mix(ground, BLACK, 0.35))
    inside.arc((440, 108, 600, 200), 180, 360, fill=mix(ground, BLACK, 0.12), width=20)
    layer.paste(face, mask=mask)
    return layer


def tote_bags(design: Design) -> Image.Image:
    lot, palette = design.lot("bag"), design.palette
    ground = _dyed(lot.choice(((236, 226, 206), (236, 226, 206), palette.main, palette.ink, palette.second, WHITE)))
    outline = [*curve((285, 372), (520, 384), (755, 372)), *curve((755, 372), (768, 640), (778, 950)), *curve((778, 950), (520, 972), (262, 950)), *curve((262, 950), (272, 640), (285, 372))]
    cloth, mask = _cloth(design, outline, ground, 9)
    if lot.random() < 0.25:
        cloth.paste(pattern(design, 560, 250), (250, 720))
        _print_on_cloth(cloth, design, ground, (400, 440, 640, 690))
    else:
        _print_on_cloth(cloth, design, ground, (350, 480, 690, 840))
    draw = ImageDraw.Draw(cloth)
    seam = mix(ground, BLACK if sum(ground) > 230 else WHITE, 0.2)
    draw.line(curve((280, 402), (520, 414), (760, 402)), fill=seam, width=3)
    creases = [((300, 400), (380, 560)), ((740, 400), (670, 540)), ((300, 940), (400, 800)), ((740, 940), (660, 820)), ((520, 400), (540, 520)), ((420, 960), (430, 880))]
    light = folds(lot.randrange(2**32), creases, 0.1)
    layer = Image.new("RGBA", SIZE)
    strap = ImageDraw.Draw(layer)
    for lift, shade in ((0, 0.34), (34, 0.06)):
        for side in (0, 36):
            band = curve((392, 392), (370 - lift, 40 + lift), (670 + lift, 40 + lift), (648, 392), steps=40)
            strap.line(band, fill=mix(mix(ground, BLACK, shade), BLACK, 0.1 if side else 0), width=40 if not side else 3, joint="curve")
    face = shaded(cloth, light)
    layer.paste(face, mask=mask)
    front = ImageDraw.Draw(layer)
    for x in (392, 648):
        front.rectangle((x - 20, 376, x + 20, 440), fill=mix(ground, BLACK, 0.06), outline=seam, width=2)
        front.line([(x - 14, 394), (x + 14, 434), (x + 14, 394), (x - 14, 434)], fill=seam, width=2)
    return layer


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
    write(draw, (left + used + size * 0.6, middle + size * 0.06), f"{design.trade} · {design.brand.lower()}.example", size * 0.6, ink, anchor="l", room=min(room, text_width("m" * 22, size * 0.6)))


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
                u, w = x * width * math.cos(yaw) + z * depth * math.sin(yaw), -x * width * math.sin(yaw) + z * depth * math.cos(yaw)
                v, far = y * height * math.cos(pitch) - w * math.sin(pitch), 7 - y * height * math.sin(pitch) - w * math.cos(pitch)
                corners[x, y, z] = (u / far, -v / far)
    reach = max(max(abs(u), abs(v)) for u, v in corners.values())
    place = {key: (520 + u / reach * 400, 520 + v / reach * 400) for key, (u, v) in corners.items()}
    unit, side = 400, 1 if yaw < 0 else -1
    front = artwork(design, round(width * unit), round(height * unit), lot.choice(("centre", "plate", "scene", "type", "frame")))
    flank = pattern(design, round(depth * unit), round(height * unit), "flank")
    lid = Image.new("RGB", (round(width * unit), round(depth * unit)), design.palette.main)
    if lot.random() < 0.6:
        emblem = mark(design, lid.width, round(lid.height * 0.7), design.palette.main, stacked=False)
        lid.paste(emblem, (0, round(lid.height * 0.15)), emblem)
    ImageDraw.Draw(lid).line((0, lid.height * 0.5, lid.width * 0.1, lid.height * 0.5), fill=mix(design.palette.main, BLACK, 0.3), width=3)
    layer = Image.new("RGBA", SIZE)
    faces = (
        (front, (0.9, 1.02), [(-1, 1, 1), (1, 1, 1), (1, -1, 1), (-1, -1, 1)]),
        (flank, (0.6, 0.76), [(side, 1, side), (side, 1, -side), (side, -1, -side), (side, -1, side)]),
        (lid, (1.0, 1.14), [(-1, 1, -1), (1, 1, -1), (1, 1, 1), (-1, 1, 1)]),
    )
    for face, (dark, bright), keys in faces:
        layer.alpha_composite(quad(shaded(face, np.linspace(bright, dark, face.height)[:, None]), [place[key] for key in keys], SIZE))
    draw = ImageDraw.Draw(layer)
    for first, last in (((-1, 1, 1), (1, 1, 1)), ((side, 1, 1), (side, -1, 1)), ((side, 1, 1), (side, 1, -1))):
        draw.line([place[first], place[last]], fill=(255, 255, 255, 60), width=2)
    return layer


# Half-widths at heights (parts of the whole), the label's top and bottom, and where a cap ends.
_VESSELS: dict[str, tuple[tuple[tuple[float, float], ...], float, float, float]] = {
    "wine": (((0, 0.105), (0.06, 0.11), (0.3, 0.1), (0.36, 0.14), (0.43, 0.3), (0.47, 0.32), (0.98, 0.32), (1, 0.3)), 0.54, 0.9, 0.22),
    "beer": (((0, 0.11), (0.03, 0.12), (0.06, 0.1), (0.26, 0.12), (0.42, 0.31), (0.48, 0.34), (0.97, 0.34), (1, 0.31)), 0.53, 0.88, 0.05),
    "jar": (((0, 0.46), (0.01, 0.48), (0.17, 0.48), (0.18, 0.44), (0.21, 0.46), (0.26, 0.54), (0.94, 0.54), (1, 0.48)), 0.38, 0.84, 0.175),
    "tin": (((0, 0.43), (0.015, 0.45), (0.03, 0.44), (0.97, 0.44), (0.985, 0.45), (1, 0.43)), 0.05, 0.95, 0.03),
    "dropper": (((0, 0.05), (0.05, 0.09), (0.14, 0.09), (0.15, 0.17), (0.3, 0.17), (0.31, 0.14), (0.34, 0.15), (0.42, 0.36), (0.96, 0.36), (1, 0.32)), 0.5, 0.88, 0.305),
}  # fmt: skip


def labels(design: Design) -> Image.Image:
    lot, palette = design.lot("label"), design.palette
    kind = lot.choice(tuple(_VESSELS))
    profile, top, bottom, cap_ends = _VESSELS[kind]
    height = 760 if kind in ("jar", "tin") else 900
    glass = {
        "wine": ((26, 44, 32), (44, 14, 20), (20, 20, 22)), "beer": ((92, 50, 18), (30, 62, 36)),
        "jar": (mix(palette.accent, WHITE, 0.15), mix(palette.main, WHITE, 0.1)), "tin": ((198, 200, 206),),
        "dropper": ((104, 58, 20), (236, 238, 238), (30, 34, 44)),
    }[kind]  # fmt: skip
    colour, cap = lot.choice(glass), lot.choice((palette.main, palette.ink, palette.accent, (196, 168, 104)))
    rows = np.linspace(0, 1, height)
    reach = np.interp(rows, *zip(*profile)) * height * (0.5 if kind in ("jar", "tin") else 0.46)
    half = math.ceil(reach.max())
    across = np.arange(-half, half + 1)[None, :] / np.maximum(reach, 1)[:, None]
    inside = np.abs(across) <= 1
    across = np.clip(across, -1, 1)
    levels = np.empty((*across.shape, 3), dtype=np.float32)
    levels[:] = colour
    levels[rows < cap_ends] = cap
    art = artwork(design, round(half * 2 * 1.25), round((bottom - top) * height), lot.choice(("centre", "plate", "frame")))
    lines = (np.arange(height)[:, None] - top * height - 22 * np.sqrt(1 - across**2)) / ((bottom - top) * height)
    spread = 1.0 if kind == "tin" else 0.9
    columns = np.arcsin(across) / math.pi / spread + 0.5
    printed = (lines >= 0) & (lines < 1) & (columns >= 0) & (columns < 1)
    paper = np.asarray(art)
    levels[printed] = paper[(lines[printed] * art.height).astype(int), (columns[printed] * art.width).astype(int)]
    levels *= round_light(across, 0.28)[..., None]
    picture = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)).convert("RGBA")
    picture.putalpha(Image.fromarray(inside.astype(np.uint8) * 255))
    layer = Image.new("RGBA", SIZE)
    layer.alpha_composite(picture, (520 - half, 970 - height if height == 900 else 120))
    return layer


def backdrop(design: Design, size: tuple[int, int]) -> Image.Image:
    """RGB studio ground in a light tint of the design's palette, brighter towards the upper left."""
    lot, palette = design.lot("backdrop"), design.palette
    tint = mix(lot.choice((palette.second, palette.paper, palette.accent, (214, 210, 204))), (240, 238, 235), lot.uniform(0.45, 0.8))
    return gradient(size, (mix(tint, WHITE, 0.5), mix(tint, WHITE, 0.15), mix(tint, WHITE, 0.1), mix(tint, BLACK, 0.1)))
