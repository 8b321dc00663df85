"""The process that decodes images for `decoders`: one request after the other, each within limits.

It limits itself: the kernel ends it with SIGPROF after the processor time that one image may take (waiting does not
count, so that a busy machine refuses nothing), and memory beyond the limit is not allocated. It ends when its standard
input does, that is with the process that started it.

Image and pixels go through a file in memory that both processes have open, requests and replies through pipes. Only
numpy and Pillow are imported here.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import struct
import sys
import traceback
from typing import Any

from PIL import AvifImagePlugin, Image

from hashsearch.errors import ImageError, ImageTooCostly
from hashsearch.images.decoding import load
from hashsearch.images.limits import Limits

REQUEST = struct.Struct("<QQQdQ")  # bytes of the image; limits on bytes, pixels and processor time; least side
REPLY = struct.Struct("<QQQ")  # height and width, 0 for an error; bytes of the JSON that follows
_MAX_TEXT = 20_000  # characters of a message; a reply fits into the buffer of a pipe


def serve(file: int) -> None:
    """Answer requests on standard input until it ends; images and pixels are in the file with this descriptor."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Image.MAX_IMAGE_PIXELS = None  # its warnings start at another number of pixels than our limit
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    virtual, resident = _memory_in_use()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # libtiff writes past Python
    while len(request := os.read(0, REQUEST.size)) == REQUEST.size:
        length, max_bytes, max_pixels, max_seconds, least_side = REQUEST.unpack(request)
        limits = Limits(max_bytes, max_pixels, max_seconds)
        if virtual:
            _limit_memory(virtual + limits.max_memory - resident)
        signal.setitimer(signal.ITIMER_PROF, max_seconds)
        height, width, report = _decode(file, length, limits, least_side)
        signal.setitimer(signal.ITIMER_PROF, 0)
        text = json.dumps(report).encode()
        os.write(1, REPLY.pack(height, width, len(text)) + text)


def _decode(file: int, length: int, limits: Limits, least_side: int) -> tuple[int, int, dict[str, Any]]:
    """Write the pixels of the image in the file over it; height, width and remarks, or an error."""
    try:
        image = load(os.pread(file, length, 0), limits, least_side)
        offset = 0
        for block in image.blocks():
            offset += _write(file, block.data.cast("B"), offset)
        return image.height, image.width, {"remarks": image.remarks}
    except ImageError as error:
        spent = isinstance(error, ImageTooCostly) and error.__cause__ is not None  # not refused before it was decoded
        return 0, 0, {"code": error.code, "message": str(error)[:_MAX_TEXT], "spent": spent}
    except MemoryError:
        message = f"decoding an image may take at most {limits.max_memory / 1e6:.0f} MB of memory"
        return 0, 0, {"code": ImageTooCostly.code, "message": message, "spent": True}
    except Exception:  # of ours: reported with its traceback, which the other process logs
        return 0, 0, {"traceback": traceback.format_exc()[-_MAX_TEXT:]}


def _write(file: int, data: memoryview, offset: int) -> int:
    written = 0
    while written < len(data):
        written += os.pwrite(file, data[written:], offset + written)
    return written


def _memory_in_use() -> tuple[int, int]:
    """Bytes of address space and of memory; zeros where the system does not say."""
    try:
        with open("/proc/self/statm") as file:  # noqa: PTH123 pathlib is one import more
            virtual, resident = (int(pages) * resource.getpagesize() for pages in file.read().split()[:2])
            return virtual, resident
    except OSError:
        return 0, 0


def _limit_memory(virtual: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (virtual if hard < 0 else min(virtual, hard), hard))
