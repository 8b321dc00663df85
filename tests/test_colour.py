"""Colour profiles and transparent pictures: sRGB comes out, and what can be seen is seen."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageDraw
from support.profiles import cmyk_profile, grey_profile, rgb_profile

from benchmarks.bad_images import chunk, encode
from hashsearch.images.decoding import BAD_PROFILE, decode, load

SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "JPEG": {"quality": 98, "subsampling": 0},
}


def photo(seed: int = 0) -> Image.Image:
    """Soft blobs of moderate colours, which every colour space can hold."""
    rough = np.random.default_rng(seed).integers(50, 200, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(rough).resize((60, 50), Image.Resampling.BICUBIC)


def converted(picture: Image.Image, profile: bytes, mode: str = "RGB") -> Image.Image:
    """The picture, which is sRGB, in the colours of a profile."""
    target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    source = ImageCms.ImageCmsProfile(io.BytesIO(SRGB_PROFILE))
    result = ImageCms.profileToProfile(picture, source, target, outputMode=mode)
    assert result is not None
    return result


def distance(data: bytes, picture: Image.Image) -> float:
    """The mean difference of a decoded image from a picture."""
    return float(np.abs(decode(data).astype(int) - np.asarray(picture.convert("RGB"))).mean())


@pytest.mark.parametrize("form", LOSSLESS)
def test_a_picture_in_another_colour_space_looks_like_its_srgb_twin(form: str) -> None:
    for seed in range(4):
        wide = converted(photo(seed), rgb_profile())
        without, tagged = (encode(wide, form, icc_profile=icc, **LOSSLESS[form]) for icc in (None, rgb_profile()))
        assert distance(without, photo(seed)) > 15
        assert distance(tagged, photo(seed)) < 2.5


@given(st.floats(1.0, 2.6), st.sampled_from(["PNG", "TIFF"]))
def test_grey_levels_of_any_gamma_look_alike(gamma: float, form: str) -> None:
    grey = photo().convert("L")
    levels = np.asarray(grey) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    stored = Image.fromarray(np.rint(linear ** (1 / gamma) * 255).astype(np.uint8))
    assert distance(encode(stored, form, icc_profile=grey_profile(gamma)), grey) < 2


def test_sixteen_bit_grey_levels_are_converted_too() -> None:
    linear = np.linspace(0, 65535, 2500).reshape(50, 50).astype(np.uint16)
    image = decode(encode(Image.fromarray(linear), "PNG", icc_profile=grey_profile(1.0)))
    assert abs(int(image[25, 0, 0]) - 188) <= 2  # half of the light


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_is_converted_by_its_profile(form: str) -> None:
    inks = Image.new("CMYK", (48, 16), (255, 0, 0, 0))
    inks.paste((0, 255, 0, 0), (16, 0, 32, 16))
    inks.paste((0, 0, 0, 255), (32, 0, 48, 16))
    options = {"quality": 100} if form == "JPEG" else {}
    image = decode(encode(inks, form, icc_profile=cmyk_profile(), **options)).astype(int)
    red, green, black = image[8, 8], image[8, 24], image[8, 40]
    assert red[0] > red[1:].max() + 100 and green[1] > green[[0, 2]].max() + 100 and black.max() < 30
    plain = decode(encode(inks, form, **options)).astype(int)
    assert plain[8, 8, 2] > plain[8, 8, 0], "without a profile cyan ink is cyan"


@pytest.mark.parametrize("form", LOSSLESS)
def test_a_picture_tagged_as_srgb_keeps_its_exact_values(form: str) -> None:
    for mode in ("RGB", "L"):
        picture = photo().convert(mode)
        tagged, plain = (encode(picture, form, icc_profile=icc, **LOSSLESS[form]) for icc in (SRGB_PROFILE, None))
        assert (decode(tagged) == decode(plain)).all()
        assert load(tagged).remarks == []


def test_transparent_pictures_and_palettes_are_converted_before_they_get_a_ground() -> None:
    wide = converted(photo(), rgb_profile())
    alpha = Image.new("L", wide.size, 255)
    alpha.paste(0, (0, 0, 30, 50))
    layered = wide.copy()
    layered.putalpha(alpha)
    image = decode(encode(layered, "PNG", icc_profile=rgb_profile()))
    assert (image[:, :30] == 255).all()
    assert np.abs(image[:, 30:].astype(int) - np.asarray(photo())[:, 30:]).mean() < 2.5
    palette = wide.quantize(256)
    assert distance(encode(palette, "PNG", icc_profile=None), photo()) > 15
    assert distance(encode(palette, "PNG", icc_profile=rgb_profile()), photo()) < 5


@pytest.mark.parametrize(
    "profile",
    [b"x", b"nonsense" * 50, rgb_profile()[:200], rgb_profile()[:-40] + bytes(3), cmyk_profile(), grey_profile(2.2)],
    ids=["a letter", "text", "cut", "cut in a table", "of CMYK", "of grey"],
)
def test_a_profile_that_cannot_be_used_is_ignored_and_told(profile: bytes) -> None:
    for form in ("PNG", "JPEG", "TIFF", "WEBP"):
        tagged, plain = (encode(photo(), form, **icc) for icc in ({"icc_profile": profile}, {}))
        assert load(tagged).remarks == [BAD_PROFILE], form
        assert (decode(tagged) == decode(plain)).all()


def with_profile_chunk(body: bytes, checksum: int | None = None) -> bytes:
    data, made = encode(photo(), "PNG"), chunk(b"iCCP", body)
    if checksum is not None:
        made = made[:-4] + checksum.to_bytes(4, "big")
    return data[:33] + made + data[33:]


@pytest.mark.parametrize(
    "data",
    [
        with_profile_chunk(b"name\0\0" + zlib.compress(rgb_profile()), checksum=7),
        with_profile_chunk(b"name\0\0" + zlib.compress(rgb_profile())[:60]),
        with_profile_chunk(b"name\0\0no zlib stream"),
        with_profile_chunk(b"name without an end"),
        with_profile_chunk(b"name\0\0" + zlib.compress(rgb_profile() + bytes(9_000_000))),
        with_profile_chunk(b""),
    ],
    ids=["wrong checksum", "cut", "not packed", "no name", "too long", "empty"],
)
def test_a_damaged_profile_chunk_of_a_png_is_ignored_and_told(data: bytes) -> None:
    assert (decode(data) == np.asarray(photo())).all()
    assert load(data).remarks == [BAD_PROFILE]


@given(st.binary(max_size=40), st.integers(0, 600), st.booleans())
def test_no_damage_of_a_profile_prevents_reading_the_picture(damage: bytes, place: int, cut: bool) -> None:
    profile = rgb_profile()
    damaged = profile[:place] + damage + (b"" if cut else profile[place + len(damage) :])
    assert decode(encode(photo(), "PNG", icc_profile=damaged or b"x")).shape == (50, 60, 3)


def logo(shape: str, colour: tuple[int, int, int], side: int = 96) -> Image.Image:
    """A shape with smooth edges on nothing."""
    mask = Image.new("L", (4 * side, 4 * side), 0)
    pen = ImageDraw.Draw(mask)
    if shape == "ring":
        pen.ellipse((side, side, 3 * side, 3 * side), outline=255, width=side // 2)
    else:
        pen.rectangle((side, side // 2, 3 * side, 3 * side), fill=255)
    picture = Image.new("RGB", (side, side), colour)
    picture.putalpha(mask.resize((side, side), Image.Resampling.LANCZOS))
    return picture


SAVED: dict[str, Callable[[Image.Image], bytes]] = {
    "PNG": lambda picture: encode(picture, "PNG"),
    "PNG, grey": lambda picture: encode(picture.convert("LA"), "PNG"),
    "PNG, palette": lambda picture: encode(picture.quantize(32), "PNG"),
    "WebP": lambda picture: encode(picture, "WEBP", lossless=True, exact=True),
    "AVIF": lambda picture: encode(picture, "AVIF", quality=95),
    "TIFF": lambda picture: encode(picture, "TIFF"),
    "GIF": lambda picture: encode(picture, "GIF"),
}


@pytest.mark.parametrize("saved", SAVED)
@pytest.mark.parametrize("colour", [(255, 255, 255), (250, 252, 255), (245, 245, 245)])
def test_a_light_logo_is_seen_on_black(saved: str, colour: tuple[int, int, int]) -> None:
    ring, block = (decode(SAVED[saved](logo(shape, colour))) for shape in ("ring", "block"))
    for image in (ring, block):
        assert image[2, 2].max() < 8 and image[48, 69].min() > 200
    assert np.abs(ring.astype(int) - block).mean() > 20


@pytest.mark.parametrize("saved", SAVED)
@pytest.mark.parametrize("colour", [(0, 0, 0), (200, 30, 30), (128, 128, 128), (255, 255, 0), (230, 230, 210)])
def test_every_other_logo_is_seen_on_white(saved: str, colour: tuple[int, int, int]) -> None:
    image = decode(SAVED[saved](logo("block", colour)))
    assert image[2, 2].min() > 247
    shown = image[40, 48].astype(int)
    assert np.abs(shown - (shown if saved == "PNG, grey" else colour)).max() <= 12


def test_a_white_sheet_with_writing_and_a_transparent_rim_stays_on_white() -> None:
    sheet = Image.new("RGBA", (80, 80), (255, 255, 255, 0))
    sheet.paste((255, 255, 255, 255), (10, 10, 70, 70))
    sheet.paste((0, 0, 0, 255), (20, 30, 60, 34))
    assert (decode(encode(sheet, "PNG"))[2, 2] == 255).all()


def test_a_picture_that_is_flat_on_every_ground_stays_on_white() -> None:
    for picture in (Image.new("RGBA", (9, 9), (255, 255, 255, 0)), Image.new("RGBA", (9, 9), (0, 0, 0, 0))):
        assert (decode(encode(picture, "PNG")) == 255).all()
    assert (decode(encode(Image.new("RGBA", (9, 9), (255, 255, 255, 255)), "PNG")) == 255).all()
    assert (decode(encode(Image.new("RGBA", (9, 9), (0, 0, 0, 255)), "PNG")) == 0).all()


def test_a_large_white_logo_gets_one_ground_though_it_is_converted_in_parts() -> None:
    image: NDArray[np.uint8] = decode(encode(logo("block", (255, 255, 255), 2400), "PNG"))
    assert (image[5] == 0).all() and (image[-5] == 0).all() and (image[1200, 1200] == 255).all()
