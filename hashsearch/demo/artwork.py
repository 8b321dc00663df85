"""The printed surface of a design: eight layouts, and the mark (emblem and name) that goes on things alone."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image, ImageDraw

from hashsearch.demo.canvas import Colour, accented, mix, readable, text_width, write
from hashsearch.demo.designs import Design
from hashsearch.demo.emblems import EMBLEMS, disc
from hashsearch.demo.patterns import paint_pattern
from hashsearch.demo.scenes import paint_scene

Draw = ImageDraw.ImageDraw


def artwork(design: Design, width: int, height: int, layout: str | None = None) -> Image.Image:
    """RGB picture of that size in the design's own layout, or in the one named."""
    picture = Image.new("RGB", (width, height), design.palette.paper)
    _LAYOUTS[layout or design.layout](picture, ImageDraw.Draw(picture), width, height, design)
    return picture


def pattern(design: Design, width: int, height: int, part: str = "pattern") -> Image.Image:
    """RGB picture of that size, covered with the design's pattern in one of three colourings."""
    palette, lot = design.palette, design.lot(part)
    picture = Image.new("RGB", (width, height))
    colours = lot.choice(
        (
            (palette.main, mix(palette.main, palette.second, 0.45), palette.accent),
            (palette.paper, palette.second, palette.main),
            (palette.accent, mix(palette.accent, palette.paper, 0.45), palette.main),
        )
    )
    paint_pattern(picture, design.pattern, colours, lot)
    return picture


def mark(design: Design, width: int, height: int, ground: Colour, *, stacked: bool = True) -> Image.Image:
    """RGBA picture of that size: emblem and name in colours that can be read on `ground`, the rest transparent."""
    palette = design.palette
    picture = Image.new("RGBA", (width, height), (*ground, 0))
    draw = ImageDraw.Draw(picture)
    first = readable(ground, palette.main, palette.paper, palette.ink)
    last = accented(ground, first, palette.accent, palette.second, palette.ink, palette.paper)
    emblem, lot = EMBLEMS[design.emblem], design.lot("mark")
    if not stacked:
        radius = min(height * 0.42, width * 0.14)
        size = height * 0.42
        length = min(width - radius * 2.8, text_width(design.brand, size, 0.02))
        left = (width - length - radius * 2.6) / 2
        emblem(draw, left + radius, height / 2, radius, first, last, ground)
        write(draw, (left + radius * 2.6, height * 0.4), design.brand, size, first, anchor="l", bold=0.025, room=length)
        write(draw, (left + radius * 2.6, height * 0.74), design.trade, height * 0.2, first, anchor="l", room=length)
        return picture
    if lot.random() < 0.4:
        disc(draw, width / 2, height * 0.35, min(width, height) * 0.33, None, first, min(width, height) * 0.014)
    emblem(draw, width / 2, height * 0.35, min(width, height) * 0.25, first, last, ground)
    _name(draw, design, width / 2, height * 0.76, height * 0.17, width * 0.94, first, last)
    return picture


def _name(
    draw: Draw, design: Design, x: float, y: float, size: float, room: float, first: Colour, last: Colour
) -> None:
    """Brand over trade, set in one of four manners; `size` is the height of the brand's line."""
    manner = design.lot("name").randrange(4)
    brand = design.brand if manner in (0, 3) else design.brand.upper()
    tracking = (0.0, 0.18, 0.02, 0.04)[manner]
    width = min(room, text_width(brand, size, tracking))
    write(draw, (x, y), brand, size, first, bold=(0.0, 0.0, 0.035, 0.025)[manner], tracking=tracking, room=room)
    below = y + size * 0.88
    if manner == 1:
        draw.line(
            (x - width / 2, y + size * 0.55, x + width / 2, y + size * 0.55),
            fill=last,
            width=max(1, round(size * 0.05)),
        )
        below += size * 0.1
    write(draw, (x, below), design.trade.upper(), size * 0.36, first, tracking=0.16, room=room * 0.92)


def _contact(design: Design) -> list[str]:
    lot, name = design.lot("contact"), design.brand.lower()
    person = f"{lot.choice(('Ada', 'Noor', 'Emil', 'Lena', 'Tomas', 'Ines', 'Yuki', 'Marta', 'Jonas', 'Sofia'))} "
    person += lot.choice(
        ("Brandt", "Okafor", "Lindqvist", "Moreau", "Tanaka", "Vidal", "Keller", "Novak", "Rossi", "Hale")
    )
    street = lot.choice(("Mill Lane", "Station Road", "Canal Street", "Market Square", "High Street"))
    return [person, f"{lot.randint(2, 98)} {street}", f"hello@{name}.example", f"{name}.example"]


def _centre(picture: Image.Image, draw: Draw, w: int, h: int, design: Design) -> None:
    p, unit = design.palette, min(w, h)
    dark = design.lot("ground").random() < 0.5
    ground = p.main if dark else p.paper
    picture.paste(ground, (0, 0, w, h))
    first = readable(ground, p.main, p.paper, p.ink)
    last = accented(ground, first, p.accent, p.second, p.ink, p.paper)
    EMBLEMS[design.emblem](draw, w / 2, h * 0.36, unit * 0.2, first, last, ground)
    _name(draw, design, w / 2, h * 0.64, unit * 0.15, w * 0.82, first, last)
    write(draw, (w / 2, h * 0.92), design.tagline, unit * 0.05, mix(first, ground, 0.2), room=w * 0.8)


def _band(picture: Image.Image, draw: Draw, w: int, h: int, design: Design) -> None:
    p, unit = design.palette, min(w, h)
    flat = w > h
    edge = round(w * 0.36) if flat else round(h * 0.46)
    box = (0, 0, edge, h) if flat else (0, 0, w, edge)
    side = pattern(design, box[2], box[3])
    picture.paste(side, box)
    x, y = (edge / 2, h / 2) if flat else (w / 2, edge / 2)
    disc(draw, x, y, unit * 0.21, p.paper)
    EMBLEMS[design.emblem](draw, x, y, unit * 0.13, p.main, p.accent, p.paper)
    first = readable(p.paper, p.main, p.ink)
    left, room = (edge + w * 0.06, w * 0.53) if flat else (w * 0.1, w * 0.8)
    top = h * 0.26 if flat else edge + h * 0.1
    write(draw, (left, top), design.brand, unit * 0.16, first, anchor="l", bold=0.025, room=room)
    write(draw, (left, top + unit * 0.14), design.trade, unit * 0.075, p.ink, anchor="l", room=room)
    for row, line in enumerate((design.tagline, *_contact(design)[1:])):
        write(
            draw,
            (left, h * (0.62 if flat else 0.76) + row * unit * 0.075),
            line,
            unit * 0.048,
            mix(p.ink, p.paper, 0.25),
            anchor="l",
            room=room,
        )


def _diagonal(picture: Image.Image, draw: Draw, w: int, h: int, design: Design) -> None:
    p, unit, lean = design.palette, min(w, h), design.lot("lean").uniform(0.5, 0.72)
    picture.paste(p.main, (0, 0, w, h))
    draw.polygon([(0, h), (0, h * lean), (w, h * (lean - 0.3)), (w, h)], fill=p.paper)
    draw.polygon([(0, h * lean), (w, h * (lean - 0.3)), (w, h * (lean - 0.23)), (0, h * (lean + 0.04))], fill=p.accent)
    ink = readable(p.main, p.paper, p.ink)
    write(draw, (w * 0.08, h * 0.15), design.brand, unit * 0.17, ink, anchor="l", bold=0.025, room=w * 0.8)
    write(
        draw,
        (w * 0.08, h * 0.15 + unit * 0.14),
        design.trade.upper(),
        unit * 0.058,
        mix(ink, p.main, 0.15),
        anchor="l",
        tracking=0.14,
        room=w * 0.6,
    )
    EMBLEMS[design.emblem](
        draw, w - unit * 0.24, h - unit * 0.26, unit * 0.16, readable(p.paper, p.main, p.ink), p.accent, p.paper
    )
    for row, line in enumerate(_contact(design)[1:]):
        write(
            draw, (w * 0.08, h * 0.96 - unit * (0.2 - row * 0.068)), line, unit * 0.046, p.ink, anchor="l", room=w * 0.5
        )


def _plate(picture: Image.Image, draw: Draw, w: int, h: int, design: Design) -> None:
    p, unit = design.palette, min(w, h)
    picture.paste(pattern(design, w, h))
    across, down = (w * 0.64, h * 0.6) if w > h else (w * 0.76, h * 0.42)
    x0, y0, x1, y1 = (w - across) / 2, (h - down) / 2, (w + across) / 2, (h + down) / 2
    round_ = design.lot("plate").choice((0, unit * 0.05, min(across, down) / 2))
    draw.rounded_rectangle((x0, y0, x1, y1), round_, fill=p.paper)
    rim = unit * 0.025
    draw.rounded_rectangle(
        (x0 + rim, y0 + rim, x1 - rim, y1 - rim),
        max(0, round_ - rim),
        outline=p.accent,
        width=max(1, round(unit * 0.006)),
    )
    first = readable(p.paper, p.main, p.ink)
    EMBLEMS[design.emblem](draw, w / 2, y0 + down * 0.31, down * 0.16, first, p.accent, p.paper)
    _name(draw, design, w / 2, y0 + down * 0.63, down * 0.19, across * 0.78, first, p.accent)


def _type(picture: Image.Image, draw: Draw, w: int, h: int, design: Design) -> None:
    """Only letters: the brand's first one fills the sheet."""
    p, unit = design.palette, min(w, h)
    ground = design.lot("ground").choice((p.accent, p.main, p.paper, p.second))
    picture.paste(ground, (0, 0, w, h))
    first = readable(ground, p.main, p.paper, p.ink)
    place = (w * 0.68, h * 0.5) if w > h else (w * 0.5, h * 0.36)
    write(
        draw,
        place,
        design.brand[0],
        unit * 1.05 if w > h else min(unit * 1.05, h * 0.7),
        mix(ground, first, 0.85),
        bold=0.06,
    )
    draw.rectangle((w * 0.08, h - unit * 0.36, w * 0.08 + unit * 0.14, h - unit * 0.345), fill=first)
    write(
        draw,
        (w * 0.08, h - unit * 0.26),
        design.brand,
        unit * 0.11,
        first,
        anchor="l",
        bold=0.025,
        room=w * 0.5 if w > h else w * 0.84,
    )
    write(
        draw,
        (w * 0.08, h - unit * 0.15),
        design.trade,
        unit * 0.06,
        first,
        anchor="l",
        room=w * 0.4 if w > h else w * 0.84,
    )


def _scene(picture: Image.Image, draw: Draw, w: int, h: int, design: Design) -> None:
    p, unit = design.palette, min(w, h)
    edge = round(h * (0.68 if w > h else 0.74))
    view = Image.new("RGB", (w, edge))
    paint_scene(view, design.scene, p, design.lot("scene"))
    picture.paste(view)
    ground = design.lot("ground").choice((p.paper, p.main, p.ink))
    draw.rectangle((0, edge, w, h), fill=ground)
    first = readable(ground, p.main, p.paper, p.ink)
    last = accented(ground, first, p.accent, p.second, p.ink, p.paper)
    deep = h - edge
    write(
        draw,
        (w * 0.07, edge + deep * 0.4),
        design.brand.upper(),
        deep * 0.36,
        first,
        anchor="l",
        bold=0.025,
        tracking=0.04,
        room=w * 0.62,
    )
    write(
        draw,
        (w * 0.07, edge + deep * 0.74),
        f"{design.trade}  ·  {design.tagline}",
        deep * 0.15,
        first,
        anchor="l",
        room=w * 0.64,
    )
    EMBLEMS[design.emblem](draw, w - unit * 0.16, edge + deep / 2, min(deep * 0.34, unit * 0.11), first, last, ground)


def _frame(picture: Image.Image, draw: Draw, w: int, h: int, design: Design) -> None:
    """An announcement: scene in a round or arched window, date, name."""
    p, unit, lot = design.palette, min(w, h), design.lot("frame")
    ground = lot.choice((p.paper, p.main, p.second))
    picture.paste(ground, (0, 0, w, h))
    first, last = readable(ground, p.main, p.paper, p.ink), readable(ground, p.accent, p.ink, p.paper)
    rim = unit * 0.045
    draw.rectangle((rim, rim, w - rim, h - rim), outline=last, width=max(2, round(unit * 0.008)))
    size = round(unit * (0.62 if h > w * 1.1 else 0.5))
    view, mask = Image.new("RGB", (size, size)), Image.new("L", (size, size), 0)
    paint_scene(view, design.scene, p, design.lot("scene"))
    shape = ImageDraw.Draw(mask)
    if lot.random() < 0.5:
        shape.ellipse((0, 0, size - 1, size - 1), fill=255)
    else:
        shape.rounded_rectangle((size * 0.08, 0, size * 0.92, size * 1.5), size * 0.42, fill=255)
    picture.paste(view, (round((w - size) / 2), round(h * 0.1)), mask)
    rest = h * 0.1 + size
    _name(draw, design, w / 2, rest + (h - rest) * 0.3, (h - rest) * 0.26, w * 0.78, first, last)
    date = f"{lot.randint(1, 28)} {lot.choice(('May', 'June', 'July', 'September', 'October', 'November'))} 2027"
    write(draw, (w / 2, rest + (h - rest) * 0.74), date, (h - rest) * 0.1, last, bold=0.025, room=w * 0.6)


def _corner(picture: Image.Image, draw: Draw, w: int, h: int, design: Design) -> None:
    """Large emblem cut by the corner, words opposite."""
    p, unit = design.palette, min(w, h)
    ground = design.lot("ground").choice((p.paper, p.ink, p.main))
    picture.paste(ground, (0, 0, w, h))
    first = readable(ground, p.main, p.paper, p.ink)
    last = accented(ground, first, p.accent, p.second, p.ink, p.paper)
    EMBLEMS[design.emblem](
        draw,
        w * (0.86 if w > h else 0.9),
        h - unit * 0.24,
        unit * (0.52 if w > h else 0.4),
        mix(ground, first, 0.8),
        last,
        ground,
    )
    write(draw, (w * 0.08, unit * 0.2), design.brand, unit * 0.17, first, anchor="l", bold=0.025, room=w * 0.8)
    write(draw, (w * 0.08, unit * 0.35), design.trade, unit * 0.08, first, anchor="l", room=w * 0.7)
    for row, line in enumerate(_contact(design)):
        write(
            draw,
            (w * 0.08, h - unit * (0.34 - row * 0.075)),
            line,
            unit * 0.05,
            first,
            anchor="l",
            bold=0.02 if row == 0 else 0,
            room=w * 0.4,
        )


_LAYOUTS: dict[str, Callable[[Image.Image, Draw, int, int, Design], None]] = {
    "centre": _centre, "band": _band, "diagonal": _diagonal, "plate": _plate,
    "type": _type, "scene": _scene, "frame": _frame, "corner": _corner,
}  # fmt: skip
