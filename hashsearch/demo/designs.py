"""What is printed: an invented customer with palette, emblem, pattern, scene and words, all chosen at random."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from hashsearch.demo.canvas import Colour

T = TypeVar("T")

CATEGORIES = (
    "business cards",
    "flyers",
    "posters",
    "mugs",
    "T-shirts",
    "pens",
    "packaging",
    "labels",
    "stickers",
    "calendars",
    "tote bags",
    "banners",
)


@dataclass(frozen=True)
class Palette:
    """`name` is that of `main`; `paper` is light, `ink` dark."""

    name: str
    paper: Colour
    main: Colour
    accent: Colour
    second: Colour
    ink: Colour


def _palette(name: str, colours: str) -> Palette:
    paper, main, accent, second, ink = (
        (int(part[:2], 16), int(part[2:4], 16), int(part[4:], 16)) for part in colours.split()
    )
    return Palette(name, paper, main, accent, second, ink)


PALETTES = tuple(
    _palette(name, colours)
    for name, colours in (
        ("forest green", "f4efe3 1f4d3a e3a857 8db596 16241d"),
        ("navy", "f5f1e8 1d3557 e76f51 a8c5da 14213d"),
        ("terracotta", "fbf1e6 c8553d f2b880 588b8b 2d2a32"),
        ("mustard", "fff8e7 e0a526 2f4858 f26419 22223b"),
        ("blush pink", "fff3f0 e8a0a0 7a3b4e f6d6c8 3a2230"),
        ("teal", "f0f7f4 14746f ff9f68 88d4ab 0b2b2a"),
        ("plum", "f8f0f6 5b2a66 f0a6ca b79fd0 2a1130"),
        ("charcoal", "f2f2f0 2e3238 f5c518 9aa3ad 17191c"),
        ("sky blue", "f2f9ff 3a86c8 ffd166 a9d6f5 14304a"),
        ("tomato red", "fff7f0 d62828 fcbf49 f79a5f 2b0a0a"),
        ("olive", "f7f6ec 6b7a3a d9ae61 b7b78a 2c3016"),
        ("lavender", "f7f5ff 7b6fb8 ffc8a2 c9c2ee 2b2550"),
        ("mint", "f3fbf7 3fa796 f25c66 bde4d4 183b36"),
        ("burgundy", "faf3ee 6d1a36 d8a47f b76d68 2a0a15"),
        ("orange", "fff7ec f2761b 1b4965 ffc15e 2b1a0a"),
        ("royal blue", "f5f6ff 2b3fa8 ff6b6b 93a8f4 10153f"),
        ("sand", "fbf7f0 c9a66b 4a6c6f e7d3b1 3b2f20"),
        ("emerald", "f0faf3 0b7a4b f4d35e 8fd3a8 06281a"),
        ("coral", "fff5f2 f26b5e 2a6f7e ffc3b4 3a1a1e"),
        ("chocolate", "faf4ec 5c3a26 e8a44c bc9472 28170e"),
        ("ice grey", "f7f9fa 7b8fa1 e4572e cbd6df 20303c"),
        ("magenta", "fff2f8 c2185b ffb300 f48fb1 3a0a1e"),
        ("midnight blue", "eef1f8 16203a 6fe3d2 5a6aa0 0b1020"),
        ("lime", "fafdf0 7fb414 1f3a5f cfe69a 1c2a08"),
    )
)

_NAMES = (
    "Nordlys Juniper Kestrel Marlow Ondine Fable Saffron Alder Bramble Calypso Dunmore Elmwood Foxglove Galena Halden "
    "Isola Jasper Kinfolk Lantern Merle Nectar Orchard Pepin Quill Rowan Solveig Tamarind Umber Verbena Willow Yarrow "
    "Zephyr Aurora Birch Cobalt Dahlia Ember Fennel Grove Hazel Indigo Jolie Karst Linden Maple Nimbus Opal Poppy "
    "Raven Sable Thistle Ursa Valley Wren Amber Basil Cedar Delta Eider Finch Garnet Heron Iris Kiln Larch Mistral "
    "North Osprey Pine Quarry Ridge Slate Tern Vesper Wild Atlas Brook Clover Drift Echo"
).split()

# By trade: the word after the name, the line below it, emblems and scenes that fit.
_TRADES: tuple[tuple[str, str, str, str], ...] = (
    ("Coffee Roasters|Espresso Bar|Coffee House", "Slow roasted|Small batch, big heart", "cup sun", "mountains hills"),
    ("Bakery|Bread & Cake|Patisserie", "Baked before sunrise|Flour, water, time", "wheat sun", "hills abstract"),
    ("Flowers|Garden Centre|Botanicals", "Grown with patience|In season, always", "leaf flower", "botanical hills"),
    ("Outdoor|Mountain Guides|Trails", "Higher, further, home|Since 1987", "mountain star", "mountains forest"),
    ("Sailing Club|Surf School|Harbour Tours", "Salt in the air|Follow the wind", "wave boat", "sea night"),
    ("Architects|Interiors|Studio", "Space for living|Lines that last", "blocks rings", "city abstract"),
    (
        "Jazz Festival|Record Store|Music School",
        "Loud and clear|Three nights, nine stages",
        "note rings",
        "abstract night",
    ),
    ("Yoga|Wellness|Day Spa", "Breathe in, breathe out|Move gently", "flower moon", "sea desert"),
    ("Brewery|Cider House|Winery", "Poured with pride|Cellar door open daily", "drop wheat", "hills forest"),
    ("Systems|Data Lab|Robotics", "Simple, on purpose|Tools that think ahead", "hexagon bolt", "city abstract"),
    ("Books|Press|Library", "Read slowly|One more chapter", "moon star", "night botanical"),
    ("Cycles|Bike Repair|Velo Club", "Two wheels are enough|Ride every day", "wheel bolt", "hills city"),
    ("Ice Cream|Toys|Kindergarten", "Made for small hands|A scoop of summer", "balloon star", "balloons abstract"),
    ("& Partners|Notaries|Capital", "Clear advice|Trust takes time", "shield hexagon", "city mountains"),
    ("Tea|Farm Market|Olive Oil", "From leaf to cup|Straight from the field", "leaf drop", "desert hills"),
)

PATTERNS = "stripes dots waves confetti checker sunburst arcs triangles scallops contours terrazzo crosses".split()
LAYOUTS = "centre band diagonal plate type scene frame corner".split()


@dataclass(frozen=True)
class Design:
    """One printed product; its near-duplicates share it. `seed` determines every random detail."""

    id: str
    category: str
    brand: str
    trade: str
    tagline: str
    palette: Palette
    emblem: str
    pattern: str
    scene: str
    layout: str
    seed: str

    def lot(self, part: str) -> random.Random:
        """A random generator for one part of the design: changing how a part is drawn does not change the others."""
        return random.Random(f"{self.seed}/{part}")

    def recoloured(self) -> Design:
        """The same design in another palette."""
        others = [palette for palette in PALETTES if palette != self.palette]
        return replace(self, palette=self.lot("recolour").choice(others))


def make_designs(count: int, seed: int) -> list[Design]:
    """`count` designs, the categories in turn, as different from one another as the lists allow."""
    lot = random.Random(f"{seed}/designs")
    names, trades = _dealt(_NAMES, lot), _dealt(_TRADES, lot)
    palettes, patterns, layouts = _dealt(PALETTES, lot), _dealt(PATTERNS, lot), _dealt(LAYOUTS, lot)
    designs = []
    for number in range(count):
        words, taglines, emblems, scenes = next(trades)
        category = CATEGORIES[number % len(CATEGORIES)]
        id_ = f"{category.lower().replace(' ', '-')}-{number // len(CATEGORIES) + 1:02d}"
        designs.append(
            Design(
                id=id_,
                category=category,
                brand=next(names),
                trade=lot.choice(words.split("|")),
                tagline=lot.choice(taglines.split("|")),
                palette=next(palettes),
                emblem=lot.choice(emblems.split()),
                pattern=next(patterns),
                scene=lot.choice(scenes.split()),
                layout=next(layouts),
                seed=f"{seed}/{id_}",
            )
        )
    return designs


def _dealt(cards: Sequence[T], lot: random.Random) -> Iterator[T]:
    """Endless cards, every one once before any comes again."""
    while True:
        deck = list(cards)
        lot.shuffle(deck)
        yield from deck
