"""Reading images from files within limits; fetching from addresses has tests of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashsearch.errors import FetchError, ImageTooLarge, NotAnImage, TooManyPixels, Unreadable
from hashsearch.images.decoding import Limits
from hashsearch.images.sources import ImageReader, file_within


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.fromarray(np.full((7, 9, 3), 40, dtype=np.uint8)).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def test_pixels_are_those_of_the_file(picture: Path) -> None:
    pixels = ImageReader().pixels(str(picture))
    assert pixels.shape == (7, 9, 3) and pixels.dtype == np.uint8 and (pixels == 40).all()
    assert (ImageReader().decode(ImageReader().read(str(picture))) == pixels).all()


def test_a_file_is_read_no_further_than_the_limit_needs(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 1000)
    assert len(ImageReader(Limits(max_bytes=10)).read(str(tmp_path / "big"))) == 11


def test_limits_hold_for_bytes_and_pixels(picture: Path) -> None:
    with pytest.raises(ImageTooLarge, match="at most 10 bytes, got 11"):
        ImageReader(Limits(max_bytes=10)).pixels(str(picture))
    with pytest.raises(TooManyPixels, match="at most 62 pixels, got 9 x 7"):
        ImageReader(Limits(max_pixels=62)).pixels(str(picture))


@pytest.mark.parametrize("name", ["nothing-here", "null\0character"])
def test_a_file_that_cannot_be_opened_is_unreadable(tmp_path: Path, name: str) -> None:
    with pytest.raises(Unreadable, match="the image file cannot be read: "):
        ImageReader().read(str(tmp_path / name))


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="nothing-here"):
        ImageReader().read(str(tmp_path / "nothing-here"))


def test_private_addresses_are_fetched_only_if_allowed() -> None:
    """Port 9 of this machine does not answer: the first reader does not try it, the second one does."""
    with pytest.raises(FetchError, match="must be public"):
        ImageReader().read("http://127.0.0.1:9/x.jpg")
    with pytest.raises(FetchError, match="refused"):
        ImageReader(allow_private=True).read("http://127.0.0.1:9/x.jpg")


def test_another_scheme_is_a_file_name() -> None:
    with pytest.raises(Unreadable):
        ImageReader().read("ftp://127.0.0.1/x.jpg")


def test_data_that_is_not_an_image_is_refused_with_its_first_bytes() -> None:
    for data, preview in ((b"%PDF-1.7 menu", "'%PDF-1.7 men'"), (b"\0\1\xff", "the bytes 00 01 ff")):
        with pytest.raises(NotAnImage) as refused:
            ImageReader().decode(data)
        assert str(refused.value).endswith(f", got a file that begins with {preview}")


def test_a_file_is_inside_a_folder_after_links_are_resolved(tmp_path: Path) -> None:
    shown, secret = tmp_path / "shown", tmp_path / "secret"
    for folder in (shown, secret):
        folder.mkdir()
        (folder / "a.png").write_bytes(b"")
    (shown / "link.png").symlink_to(secret / "a.png")
    assert file_within(str(shown / "a.png"), [shown]) == shown / "a.png"
    outside = (shown / "link.png", secret / "a.png", shown / ".." / "secret" / "a.png", shown, shown / "gone.png")
    assert [file_within(str(path), [shown]) for path in outside] == [None] * 5
    assert [file_within(path, [shown]) for path in (None, "", "a.png", str(shown / "a\0.png"))] == [None] * 4
