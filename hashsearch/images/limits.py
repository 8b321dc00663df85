"""What one image may cost: bytes, pixels, processor time and memory."""

from __future__ import annotations

from dataclasses import dataclass

from hashsearch.errors import EmptyImage, ImageTooCostly, ImageTooLarge, TooManyPixels

MAX_SIDE = 65_500  # pixels; what a JPEG can hold, so that every image can have a thumbnail
_LEAST_MEMORY = 500_000_000
_BYTES_PER_PIXEL = 10  # a progressive photo needs 4 of the picture, and 3 to 6 of its coefficients
_PROCESS_MEMORY = 50_000_000


@dataclass(frozen=True)
class Limits:
    """The largest image that is accepted.

    Parameters
    ----------
    max_bytes : int
        Bytes of the file.
    max_pixels : int
        Pixels of the decoded image. No side may have more than 65,500.
    max_seconds : float
        Processor time of decoding, in seconds.
    """

    max_bytes: int = 20_000_000
    max_pixels: int = 50_000_000
    max_seconds: float = 2.0

    @property
    def max_memory(self) -> int:
        """Bytes of memory that decoding may use: 500 MB, more where images of over 50 million pixels are accepted."""
        return max(_LEAST_MEMORY, _BYTES_PER_PIXEL * self.max_pixels)

    def check_bytes(self, data: bytes) -> None:
        """EmptyImage without any bytes, ImageTooLarge with too many."""
        if not data:
            raise EmptyImage("an image must have at least one byte, got none")
        if len(data) > self.max_bytes:
            raise ImageTooLarge(f"an image may have at most {self.max_bytes} bytes, got {len(data)}")

    def check_size(self, width: int, height: int) -> None:
        """TooManyPixels for an image that is too large or has too long a side."""
        if width * height > self.max_pixels:
            raise TooManyPixels(f"an image may have at most {self.max_pixels} pixels, got {width} x {height}")
        if max(width, height) > MAX_SIDE:
            raise TooManyPixels(f"a side of an image may have at most {MAX_SIDE} pixels, got {width} x {height}")

    def check_memory(self, needed: int) -> None:
        """ImageTooCostly if decoding needs more bytes of memory than it may use, those of the process included."""
        needed += _PROCESS_MEMORY
        if needed > self.max_memory:
            raise out_of_memory(self, f"this one needs {needed / 1e6:.0f} MB")


DEFAULT = Limits()


def out_of_memory(limits: Limits, reason: str) -> ImageTooCostly:
    """The error of an image whose decoding takes too much memory."""
    return ImageTooCostly(f"decoding an image may take at most {limits.max_memory / 1e6:.0f} MB of memory, {reason}")


def out_of_time(limits: Limits) -> ImageTooCostly:
    """The error of an image whose decoding takes too much processor time."""
    return ImageTooCostly(
        f"decoding an image may take at most {limits.max_seconds:g} s of processor time, this one takes longer"
    )
