"""The first picture of a GIF file, without comments and application data before it."""

from __future__ import annotations

from hashsearch.errors import ImageTooCostly, TruncatedImage
from hashsearch.images.container import Container

MAX_BLOCKS = 100_000
_EXTENSION, _PICTURE, _END = 0x21, 0x2C, 0x3B
_GRAPHIC_CONTROL = 0xF9  # says which colour is transparent


def read_gif(data: bytes) -> Container:
    """The parts of a GIF file; TruncatedImage without a picture, ImageTooCostly with too many blocks before it."""
    try:
        colours, control = 3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0, b""
        screen = position = 13 + colours
        blocks = 0
        while data[position] != _PICTURE:
            if data[position] == _END:
                raise TruncatedImage("the GIF image is incomplete or damaged: it has no picture")
            start, blocks = position, _counted(blocks)
            if data[start] != _EXTENSION:
                position += 1
                continue
            position += 2
            while data[position]:
                position, blocks = position + 1 + data[position], _counted(blocks)
            position += 1
            if data[start + 1] == _GRAPHIC_CONTROL:
                control = data[start:position]
    except IndexError:
        raise TruncatedImage("the GIF image is incomplete or damaged: it ends before its picture") from None
    return Container(data[:screen] + control + data[position:])


def _counted(blocks: int) -> int:
    if blocks >= MAX_BLOCKS:
        raise ImageTooCostly(f"a GIF image may have at most {MAX_BLOCKS} blocks before its picture, got more")
    return blocks + 1
