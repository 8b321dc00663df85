"""Decoding in processes of their own, each image within limits that really end it.

A picture of a few kilobytes can take a decoder hours and gigabytes. No look at its header finds all of these, and a
thread cannot be stopped. A process can: `worker` limits its own processor time and memory, and is replaced when it was
ended. Measured on 1,500 photos of 0.1 megapixels, an image takes 0.27 ms here instead of 0.20 ms in the calling thread;
a process starts in 0.1 s.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch import errors
from hashsearch.errors import ImageError, ImageTooCostly, TruncatedImage
from hashsearch.images.formats import detect_format
from hashsearch.images.limits import Limits, out_of_time
from hashsearch.images.worker import REPLY, REQUEST

PIXELS_AT_ONCE = 64_000_000  # of all images that are in use, one larger image excepted
_MOST_PROCESSES = 16
MOST_WAIT = 30.0  # seconds until a process that does not answer is killed
_WAIT_FACTOR = 15.0  # more, if an image may take more processor time than this part of it
_PATIENCE = 1.0  # seconds in which a process that is not needed any more may end by itself
_KEPT_FILE = 16 << 20  # bytes of the file in memory that are kept for the next image
_START = "import sys; sys.path[:] = sys.argv[2:]; from hashsearch.images.worker import serve; serve(int(sys.argv[1]))"
_ROOT = str(Path(errors.__file__).parent.parent)  # of the package, however it was imported here
_ENVIRONMENT = {
    # Each thread and each arena of the allocator would reserve address space, which is limited.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    # What holds whole pictures is given back at once, the rest is kept for the next image.
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),
}
_STOPPED = "the decoder process ended with exit code {}; its own message is on standard error"
_ERRORS = {kind.code: kind for kind in ImageError.__subclasses__()}


class Decoder:
    """A process that decodes one image at a time; it is started when it is needed.

    `most_wait` is how many seconds one image may take, whatever the process does.
    """

    def __init__(self, most_wait: float) -> None:
        self._most_wait = most_wait
        self._process: subprocess.Popen[bytes] | None = None
        self._file = -1  # the file in memory that both processes have open
        self._owner = os.getpid()

    def decode(self, data: bytes, limits: Limits, least_side: int = 0) -> tuple[int, int, list[str]]:
        """Height, width and remarks of an image, whose pixels `pixels` returns then.

        Raises
        ------
        ImageError
            The image cannot be decoded, or not within the limits.
        RuntimeError
            The process cannot be started, or has a bug.
        """
        process = self._send(data, limits, least_side)
        seconds = max(self._most_wait, _WAIT_FACTOR * limits.max_seconds)
        try:
            height, width, report = _reply(process, time.monotonic() + seconds)
        except EOFError:
            code = process.wait()
            self.stop()
            raise _error_of(code, limits) from None
        except TimeoutError:
            self.stop()
            raise ImageTooCostly(f"decoding an image may take at most {seconds:g} s, this one takes longer") from None
        if report.get("spent"):  # its memory
            self.stop()
        if "traceback" in report:
            raise RuntimeError(f"the decoder failed:\n{report['traceback']}")
        if not height:
            raise _ERRORS.get(report["code"], ImageError)(report["message"])
        return height, width, report["remarks"]

    def pixels(self, height: int, width: int) -> NDArray[np.uint8]:
        """The pixels `(height, width, 3) uint8` of the image that was decoded last, read-only."""
        pixels = np.empty((height, width, 3), np.uint8)
        view, position = pixels.data.cast("B"), 0
        while position < len(view):
            count = os.preadv(self._file, [view[position:]], position)
            if not count:
                raise RuntimeError(f"the decoder wrote {position} of {len(view)} bytes")
            position += count
        if len(view) > _KEPT_FILE:
            os.ftruncate(self._file, 0)
        pixels.flags.writeable = False
        return pixels

    def stop(self, patience: float = 0.0) -> None:
        """Kill the process unless it ends within `patience` seconds; the next image gets a new one.

        In a forked process, only forget it.
        """
        process, self._process = self._process, None
        if process is None:
            return
        if self._owner != os.getpid():
            process.returncode = 0  # it is not a child of this process, which cannot wait for it
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
        os.close(self._file)

    def hang_up(self) -> None:
        """Let the process end by itself."""
        if self._process and self._process.stdin:
            self._process.stdin.close()

    def _send(self, data: bytes, limits: Limits, least_side: int) -> subprocess.Popen[bytes]:
        request = REQUEST.pack(len(data), limits.max_bytes, limits.max_pixels, limits.max_seconds, least_side)
        for _ in range(2):  # a process that was idle may have been ended by somebody, but not a new one
            process = self._process = self._process or self._start()
            view, position = memoryview(data), 0
            while position < len(data):
                position += os.pwrite(self._file, view[position:], position)
            assert process.stdin
            try:
                process.stdin.write(request)
                return process
            except BrokenPipeError:
                code = process.wait()
                self.stop()
        raise RuntimeError(_STOPPED.format(code))

    def _start(self) -> subprocess.Popen[bytes]:
        self._owner, self._file = os.getpid(), _file_in_memory()
        try:
            return subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", _START, str(self._file), _ROOT, *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                pass_fds=(self._file,),
                env={**os.environ, **_ENVIRONMENT},
                start_new_session=True,  # Ctrl-C reaches it through the process that started it
            )
        except BaseException:
            os.close(self._file)
            raise


def _file_in_memory() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("hashsearch-image")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _reply(process: subprocess.Popen[bytes], deadline: float) -> tuple[int, int, dict[str, Any]]:
    """Height, width and report; EOFError if the process ended, TimeoutError at the deadline."""
    assert process.stdout
    descriptor = process.stdout.fileno()
    height, width, length = REPLY.unpack(_read(descriptor, REPLY.size, deadline))
    return height, width, json.loads(_read(descriptor, length, deadline))


def _read(descriptor: int, length: int, deadline: float) -> bytes:
    poll, data = select.poll(), b""
    poll.register(descriptor, select.POLLIN)
    while len(data) < length:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        piece = os.read(descriptor, length - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def _error_of(code: int, limits: Limits) -> Exception:
    """What it means that a process ended with this code in the middle of an image."""
    if code == -signal.SIGPROF:
        return out_of_time(limits)
    if code == -signal.SIGKILL:
        return ImageTooCostly("the process that decoded the image was killed, most likely because memory ran out")
    if code < 0:
        name = signal.Signals(-code).name
        return TruncatedImage(f"the image is incomplete or damaged: its decoder ended with {name}")
    return RuntimeError(_STOPPED.format(code))


class PixelBudget:
    """Lets only so many pixels be in use at once, in the order in which they were asked for."""

    def __init__(self, total: int) -> None:
        self._total = self._free = total
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Wait until that many are free, and keep them within the `with` block; more than all count as all."""
        pixels = min(pixels, self._total)
        place = object()
        with self._changed:
            self._queue.append(place)
            try:
                self._changed.wait_for(lambda: self._queue[0] is place and self._free >= pixels)
                self._free -= pixels
            finally:
                self._queue.remove(place)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()


class DecoderPool:
    """Decodes images for any number of threads in a few processes, which are started when they are needed.

    Parameters
    ----------
    size : int
        Number of processes.
    pixels_at_once : int
        Pixels of all images in use that `decoded` gives out.
    most_wait : float
        Seconds that an image may take, though it takes no processor time.
    """

    def __init__(self, size: int, pixels_at_once: int = PIXELS_AT_ONCE, most_wait: float = MOST_WAIT) -> None:
        self._size, self._pixels_at_once, self._most_wait = size, pixels_at_once, most_wait
        self._remarks: Counter[str] = Counter()
        self._decoders: list[Decoder] = []
        self.reset()

    def close(self) -> None:
        """End the processes; the next image starts them again."""
        for decoder in self._decoders:
            decoder.hang_up()
        self.reset()

    def reset(self) -> None:
        """Start again without processes; after a fork, those of the former process are left alone."""
        for decoder in self._decoders:
            decoder.stop(patience=_PATIENCE)
        self._decoders[:] = [Decoder(self._most_wait) for _ in range(self._size)]
        self._budget, self._lock = PixelBudget(self._pixels_at_once), threading.Lock()
        self._idle: queue.LifoQueue[Decoder] = queue.LifoQueue()  # the last one used is used first
        for decoder in self._decoders:
            self._idle.put(decoder)

    @property
    def remarks(self) -> Counter[str]:
        """How many of the images so far had which remark."""
        with self._lock:
            return self._remarks.copy()

    def decode(
        self,
        data: bytes,
        limits: Limits,
        admit: Callable[[int], object] = lambda pixels: None,
        least_side: int = 0,
    ) -> NDArray[np.uint8]:
        """The pixels of an image; `admit` is called with their number before there is memory for them.

        `least_side` and the errors are those of `hashsearch.images.decoding.load`.
        """
        limits.check_bytes(data)
        detect_format(data)
        decoder = self._idle.get()
        try:
            height, width, remarks = decoder.decode(data, limits, least_side)
            admit(height * width)
            pixels = decoder.pixels(height, width)
        except ImageError:
            raise
        except BaseException:  # where in the conversation it stands is not known
            decoder.stop()
            raise
        finally:
            self._idle.put(decoder)
        with self._lock:
            self._remarks.update(remarks)
        return pixels

    @contextlib.contextmanager
    def decoded(self, data: bytes, limits: Limits, least_side: int = 0) -> Iterator[NDArray[np.uint8]]:
        """The pixels of an image, to be used within the `with` block only; waits while too many are in use."""
        with contextlib.ExitStack() as stack:
            yield self.decode(data, limits, lambda pixels: stack.enter_context(self._budget.hold(pixels)), least_side)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


DECODERS = DecoderPool(min(_MOST_PROCESSES, _processors()))
atexit.register(DECODERS.close)
os.register_at_fork(after_in_child=DECODERS.reset)
