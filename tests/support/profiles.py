"""ICC profiles made by hand: RGB by primaries and gamma, grey by gamma, CMYK by a table."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import product

import numpy as np

D50 = (0.9642, 1.0, 0.8249)
SRGB = ((0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))  # adapted to D50
PROPHOTO = ((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249))


def _fixed(numbers: Sequence[float]) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def _xyz(numbers: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(numbers)


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(gamma * 256), 0)


def _text(text: str) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text.encode() + bytes(79)


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {b"desc": _text("test"), b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz(D50), **tags}
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12x4s28x", start + len(body), b"lcms", 0x02400000, kind, space, connection, b"acsp"
    )
    header += _fixed(D50)
    return header + bytes(128 - len(header)) + struct.pack(">I", len(tags)) + table + body


def rgb_profile(primaries: Sequence[Sequence[float]] = PROPHOTO, gamma: float = 1.8) -> bytes:
    """A profile of three primaries (XYZ adapted to D50) and a gamma."""
    colours = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz, primaries), strict=True))
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(gamma))
    return _profile(b"mntr", b"RGB ", b"XYZ ", colours | curves)


def grey_profile(gamma: float) -> bytes:
    """A profile of grey levels with a gamma."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _curve(gamma)})


def cmyk_profile() -> bytes:
    """A profile for which cyan ink is red, magenta green, yellow blue and black black: nothing like naive CMYK."""
    inks = {(1, 0, 0): (136, 208, 195), (0, 1, 0): (224, 46, 209), (0, 0, 1): (75, 195, 16)}  # L*a*b* as bytes
    grid: list[int] = []
    for cyan, magenta, yellow, black in product((0, 1), repeat=4):
        shade = (0, 128, 128) if black else inks.get((cyan, magenta, yellow), (255, 128, 128))
        grid += shade
    identity = bytes(range(256))
    matrix = _fixed(np.eye(3).ravel().tolist())
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + identity * 4 + bytes(grid) + identity * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table})
