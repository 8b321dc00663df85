"""Reading images from files within limits; fetching from addresses has tests of its own."""

from __future__ import annotations

import os
import shutil
import socket
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hashsearch.errors import FetchError, ImageTooLarge, NotAnImage, TooManyPixels, Unreadable
from hashsearch.images.decoding import Limits
from hashsearch.images.sources import ImageReader, file_within, is_address, located, path_within


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
    reason = "the image file cannot be read: No such file or directory: '.*nothing-here'"
    with pytest.raises(Unreadable, match=f"^{reason}$"):
        ImageReader().read(str(tmp_path / "nothing-here"))


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "kind"),
    [(pipe, "a pipe"), (listening, "a socket"), (Path.mkdir, "a folder")],
    ids=["pipe", "socket", "dir"],
)
def test_what_is_no_regular_file_is_refused_and_not_waited_for(
    tmp_path: Path, make: Callable[[Path], None], kind: str
) -> None:
    make(tmp_path / "x.jpg")
    (tmp_path / "link.jpg").symlink_to("x.jpg")
    for name in ("x.jpg", "link.jpg"):
        with pytest.raises(Unreadable, match=f"must be a regular file, and '.*{name}' is {kind}"):
            ImageReader().read(str(tmp_path / name))


def test_a_device_is_refused() -> None:
    with pytest.raises(Unreadable, match="must be a regular file, and '/dev/zero' is a device"):
        ImageReader().read("/dev/zero")


def test_a_link_to_a_file_is_read(tmp_path: Path, picture: Path) -> None:
    (tmp_path / "link").symlink_to(picture)
    assert ImageReader().read(str(tmp_path / "link")) == picture.read_bytes()


@pytest.mark.parametrize(
    "address", ["HTTP://Example.com/A.JPG", " https://Example.com/A.JPG\n", "hTTps://Example.com/A.JPG"]
)
def test_an_address_may_have_capitals_and_blanks_around_it(address: str) -> None:
    assert is_address(address)
    scheme = address.strip().split(":")[0].lower()
    assert located(address) == located(address, Path("/catalog")) == f"{scheme}://Example.com/A.JPG"


def test_an_address_with_capitals_is_fetched_under_the_same_guard() -> None:
    for address in ("HTTP://127.0.0.1:9/x.jpg", "  http://127.0.0.1:9/x.jpg "):
        with pytest.raises(FetchError, match="must be public"):
            ImageReader().read(address)


def test_file_addresses_are_paths(tmp_path: Path) -> None:
    file = tmp_path / "rote Äpfel #1?.png"
    file.write_bytes(b"x")
    for address in (file.as_uri(), f"FILE://localhost{quote(str(file))}", f"file:{file}", f" file://{file}\n"):
        assert located(address) == located(address, Path("/elsewhere")) == str(file)
        assert ImageReader().read(address) == b"x"
    for other in (f"file://elsewhere{file}", "file://", "file:name"):
        with pytest.raises(Unreadable):
            ImageReader().read(other)


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="/"), min_size=1, max_size=20
).filter(
    lambda name: name == name.strip() not in ("", ".", "..") and len(unicodedata.normalize("NFD", name).encode()) < 250
)


@given(
    NAMES, NAMES, st.sampled_from(["NFC", "NFD"]), st.sampled_from(["NFC", "NFD"]), st.sampled_from(["", " ", "\t \n"])
)
def test_a_file_is_found_under_composed_and_decomposed_letters_and_without_blanks(
    tmp_path_factory: pytest.TempPathFactory, folder: str, name: str, stored: Any, written: Any, blank: str
) -> None:
    base = tmp_path_factory.mktemp("names")
    file = base / unicodedata.normalize(stored, folder) / unicodedata.normalize(stored, name)
    try:
        file.parent.mkdir()
        file.write_bytes(b"x")
        source = f"{blank}{unicodedata.normalize(written, f'{folder}/{name}')}{blank}"
        normal = unicodedata.normalize(stored, unicodedata.normalize(written, folder)) == file.parent.name
        if not normal or unicodedata.normalize(stored, unicodedata.normalize(written, name)) != file.name:
            return  # not the same name in both forms
        assert Path(located(source, base)).samefile(file)
        assert ImageReader().read(f"{blank}{base}/{source.strip() if blank else source}") == b"x"
    finally:
        shutil.rmtree(base)


def test_a_name_with_blanks_around_it_goes_before_the_one_without(tmp_path: Path) -> None:
    (tmp_path / " a.png ").write_bytes(b"blanks")
    (tmp_path / "a.png").write_bytes(b"none")
    assert ImageReader().read(located(" a.png ", tmp_path)) == b"blanks"
    assert ImageReader().read(located("  a.png", tmp_path)) == b"none"


def test_a_path_that_leads_nowhere_comes_back_as_it_is(tmp_path: Path) -> None:
    assert located(" gone.png ") == " gone.png "
    assert located("gone/é.png", tmp_path) == str(tmp_path / "gone/é.png")
    assert located("null\0character", tmp_path) == str(tmp_path / "null\0character")


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


def test_a_path_is_inside_a_folder_whether_or_not_a_file_is_there(tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    shown.mkdir()
    (shown / "loop.png").symlink_to(shown / "loop.png")
    (shown / "link.png").symlink_to(tmp_path / "gone.png")
    for path in (shown / "gone.png", shown / ("long" * 100), shown / "sub" / ".." / "gone.png"):
        assert path_within(str(path), [shown]) == path.parent.resolve() / path.name
        assert file_within(str(path), [shown]) is None
    outside = (tmp_path / "gone.png", shown / "link.png", shown / "sub" / ".." / ".." / "gone.png")
    assert [path_within(str(path), [shown]) for path in outside] == [None] * 3
    assert file_within(str(shown / "loop.png"), [shown]) is None
