"""Image bytes to RGB arrays: known pixels through every format and mode, and nothing but named errors for the rest."""

from __future__ import annotations

import io
import random
import re
import resource
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hashsearch.errors import EmptyImage, ImageTooLarge, InvalidCrop, NotAnImage, TooManyPixels, TruncatedImage
from hashsearch.images.decoding import Limits, crop, decode, resize_square, thumbnail

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
RED, GREEN, BLUE, WHITE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (128, 128, 128)


def quarters(width: int = 48, height: int = 32) -> Image.Image:
    """Red, green over blue, grey: no two turns of it look the same."""
    picture = Image.new("RGB", (width, height))
    for number, colour in enumerate((RED, GREEN, BLUE, GREY)):
        picture.paste(colour, (number % 2 * width // 2, number // 2 * height // 2, width, height))
    return picture


def encode(picture: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    if form in ("JPEG", "WEBP", "AVIF") and "lossless" not in options:
        options = {"quality": 95, **options}
    if form == "JPEG" and picture.mode == "RGB":
        options = {"subsampling": 0, **options}
    picture.save(out, form, **options)
    return out.getvalue()


def corners(image: np.ndarray) -> list[tuple[int, ...]]:
    """Colours in the middles of the four quarters."""
    height, width = image.shape[:2]
    return [
        tuple(int(level) for level in image[row, column])
        for row in (height // 4, 3 * height // 4)
        for column in (width // 4, 3 * width // 4)
    ]


def assert_quarters(data: bytes, tolerance: int = 0) -> None:
    image = decode(data)
    assert image.dtype == np.uint8 and image.shape == (32, 48, 3)
    assert np.abs(np.subtract(corners(image), (RED, GREEN, BLUE, GREY))).max() <= tolerance


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_decoded(form: str) -> None:
    assert_quarters(encode(quarters(), form), tolerance=4 if form in ("JPEG", "WEBP", "AVIF") else 0)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
def test_palettes_are_decoded(form: str) -> None:
    assert_quarters(encode(quarters().quantize(4), form))


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_opaque_alpha_changes_nothing(form: str) -> None:
    assert_quarters(encode(quarters().convert("RGBA"), form))


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_is_decoded(form: str) -> None:
    assert_quarters(encode(quarters().convert("CMYK"), form), tolerance=6)


def test_ycbcr_tiff_is_decoded() -> None:
    assert_quarters(encode(quarters().convert("YCbCr"), "TIFF", compression="jpeg", quality=95), tolerance=6)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiff_compressions_are_decoded(compression: str) -> None:
    assert_quarters(encode(quarters(), "TIFF", compression=compression))


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "GIF"])
def test_one_bit_images_are_decoded(form: str) -> None:
    picture = Image.new("1", (16, 8), 0)
    picture.paste(1, (8, 0, 16, 8))
    image = decode(encode(picture, form))
    assert (image[:, :8] == 0).all() and (image[:, 8:] == 255).all()


@pytest.mark.parametrize("form", FORMATS)
def test_grey_is_decoded(form: str) -> None:
    image = decode(encode(Image.new("L", (9, 7), 77), form))
    assert image.shape == (7, 9, 3)
    assert np.abs(image.astype(int) - 77).max() <= 2


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_blended_with_white(form: str) -> None:
    picture = Image.new("RGBA", (30, 10), (255, 0, 0, 255))
    picture.paste((0, 0, 255, 0), (10, 0, 20, 10))
    picture.paste((0, 0, 0, 128), (20, 0, 30, 10))
    image = decode(encode(picture, form, lossless=True) if form == "WEBP" else encode(picture, form))
    assert tuple(image[5, 5]) == RED and tuple(image[5, 15]) == WHITE and tuple(image[5, 25]) == (127, 127, 127)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_grey_with_alpha_is_blended_with_white(form: str) -> None:
    picture = Image.merge("LA", [Image.new("L", (4, 4), 0), Image.new("L", (4, 4), 0)])
    assert (decode(encode(picture, form)) == 255).all()


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_a_transparent_palette_colour_is_white(form: str) -> None:
    picture = Image.new("P", (20, 10), 0)
    picture.putpalette([0, 0, 0, 0, 255, 0])
    picture.paste(1, (10, 0, 20, 10))
    image = decode(encode(picture, form, transparency=0))
    assert (image[:, :10] == 255).all() and (image[:, 10:] == GREEN).all()


def test_palette_colours_with_alpha_are_blended_with_white() -> None:
    picture = Image.new("P", (2, 1), 0)
    picture.putpalette([0, 0, 0, 0, 255, 0])
    picture.putpixel((1, 0), 1)
    assert decode(encode(picture, "PNG", transparency=b"\x80\xff")).tolist() == [[[127] * 3, [0, 255, 0]]]


@pytest.mark.parametrize(("mode", "colour"), [("RGB", RED), ("L", 0)])
def test_a_transparent_colour_key_is_white(mode: str, colour: float | tuple[float, ...]) -> None:
    assert (decode(encode(Image.new(mode, (3, 3), colour), "PNG", transparency=colour)) == 255).all()


RAMP = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_its_scale(form: str) -> None:
    image = decode(encode(Image.fromarray(RAMP), form))
    assert (image == (RAMP // 257)[:, :, None]).all()


def test_big_endian_sixteen_bit_tiff_is_decoded() -> None:
    assert (decode(tiff(RAMP.astype(">u2").tobytes(), 16, 16, bits=16, order=">")) == (RAMP // 257)[:, :, None]).all()


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0, 1e6])
def test_float_tiff_is_scaled(white: float) -> None:
    levels = (np.arange(256, dtype=np.float32) * (white / 255)).reshape(16, 16)
    assert (decode(encode(Image.fromarray(levels), "TIFF")) == (RAMP // 257)[:, :, None]).all()


@pytest.mark.parametrize("factor", [1, 257, 65537])
def test_integer_tiff_is_scaled(factor: int) -> None:
    levels = (np.arange(256, dtype=np.int32) * factor).reshape(16, 16)
    assert (decode(encode(Image.fromarray(levels), "TIFF")) == (RAMP // 257)[:, :, None]).all()


def test_float_tiff_with_nan_and_infinity_is_decoded() -> None:
    levels = np.array([[np.nan, np.inf], [-3.0, 1.0]], dtype=np.float32)
    assert decode(encode(Image.fromarray(levels), "TIFF"))[:, :, 0].tolist() == [[0, 0], [0, 255]]


def test_sixteen_bit_colour_png_is_decoded() -> None:
    row = b"\0" + struct.pack(">6H", 65535, 0, 0x8080, 0x1234, 65535, 0)
    assert decode(png(2, 1, row, bits=16)).tolist() == [[[255, 0, 128], [18, 255, 0]]]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_all_eight_orientations_give_the_same_image(form: str) -> None:
    upright = quarters()
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the turn a camera in that position applies to the scene
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = upright if orientation == 1 else upright.transpose(Image.Transpose(back[orientation]))
        assert_quarters(encode(stored, form, exif=exif), tolerance=0 if form in ("PNG", "TIFF") else 4)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_ignored() -> None:
    data = encode(quarters(), "JPEG")
    damaged = b"Exif\0\0MM\0*\xff\xff\xff\xff"
    assert_quarters(data[:2] + b"\xff\xe1" + struct.pack(">H", len(damaged) + 2) + damaged + data[2:], tolerance=4)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "AVIF", "TIFF"])
def test_the_first_frame_is_decoded(form: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN)]
    options = {"lossless": True} if form == "WEBP" else {}
    image = decode(encode(frames[0], form, save_all=True, append_images=frames[1:], **options))
    assert np.abs(np.subtract(image, RED, dtype=int)).max() <= (2 if form == "AVIF" else 0)


def test_the_array_is_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        decode(encode(quarters(), "PNG"))[0, 0] = 0


def test_no_bytes_are_refused() -> None:
    with pytest.raises(EmptyImage, match="at least one byte"):
        decode(b"")


@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE html><html><body>404</body></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7 ...",
        b"BMW sells cars, and this is a text about them.",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"8BPS\0\1",
        b"\0",
        b"GIF",
    ],
)
def test_data_that_is_not_an_image_is_refused(data: bytes) -> None:
    with pytest.raises(NotAnImage, match="one of JPEG, PNG, WebP, AVIF, GIF, BMP, TIFF, got"):
        decode(data)


def test_a_photo_that_a_phone_wrote_as_heic_is_named() -> None:
    for brand in (b"heic", b"heix", b"mif1"):
        with pytest.raises(NotAnImage, match="got a HEIC image"):
            decode(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(100))


def test_an_avif_image_may_name_itself_among_its_compatible_brands() -> None:
    data = encode(quarters(), "AVIF")
    assert data[4:12] == b"ftypavif"
    assert_quarters(data[:8] + b"mif1" + data[12:], tolerance=4)


def test_an_image_of_another_format_is_refused() -> None:
    with pytest.raises(NotAnImage):
        decode(encode(quarters(), "PPM"))


def test_only_the_beginning_decides_what_a_file_is() -> None:
    """A page behind the picture's end changes nothing; a picture behind a page is a page."""
    data, page = encode(quarters(), "PNG"), b"<html><script>alert(1)</script></html>"
    assert_quarters(data + page)
    with pytest.raises(NotAnImage):
        decode(page + data)


def test_more_bytes_than_the_limit_are_refused() -> None:
    data = encode(quarters(), "PNG")
    assert_quarters(data + b"\0" * (1000 - len(data)))
    decode(data, Limits(max_bytes=len(data)))
    with pytest.raises(ImageTooLarge, match=f"at most {len(data) - 1} bytes, got {len(data)}"):
        decode(data, Limits(max_bytes=len(data) - 1))


@pytest.mark.parametrize("form", FORMATS)
def test_more_pixels_than_the_limit_are_refused(form: str) -> None:
    data = encode(quarters(), form)
    decode(data, Limits(max_pixels=48 * 32))
    with pytest.raises(TooManyPixels, match="at most 1535 pixels, got 48 x 32"):
        decode(data, Limits(max_pixels=48 * 32 - 1))


def test_bombs_are_refused_from_the_header() -> None:
    """No allocation, and not a word from Pillow's own guard, whose limit starts higher (89 million pixels)."""
    side = 9900  # 98 million pixels: over our limit, where Pillow only warns
    bombs = [
        png(60000, 60000, b""),
        png(side, side, b""),
        jpeg_claiming(60000, 60000),
        jpeg_claiming(side, side),
        gif_claiming(65535, 65535),
        gif_claiming(side, side),
        b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 60000, 60000, 1, 24, 0, 0, 0, 0, 0, 0),
        b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + struct.pack("<I", 16382)[:3] * 2 + b"VP8L\0\0\0\0",
        tiff(b"", 60000, 60000),
        tiff(b"", side, side),
    ]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for bomb in bombs:
        with warnings.catch_warnings(), pytest.raises((TooManyPixels, TruncatedImage)) as refusal:
            warnings.simplefilter("error")
            decode(bomb)
        assert refusal.type is TooManyPixels or bomb.startswith(b"RIFF"), bomb[:40]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_a_gif_frame_larger_than_its_screen_is_counted_in_pixels() -> None:
    with pytest.raises(TooManyPixels):
        decode(gif_claiming(10, 10, frame=(60000, 60000)))


@pytest.mark.parametrize("shape", [(1, 65_501), (65_501, 1), (1, 50_000_000), (50_000_000, 1)])
def test_a_side_may_have_65500_pixels(shape: tuple[int, int]) -> None:
    message = f"a side of an image may have at most 65500 pixels, got {shape[0]} x {shape[1]}"
    with pytest.raises(TooManyPixels, match=message):
        decode(png(*shape, b""))
    longest = decode(encode(Image.new("L", (65_500, 1) if shape[1] == 1 else (1, 65_500), 9), "PNG"))
    assert longest.size == 3 * 65_500
    assert decode(thumbnail(longest, 480)).size == 3 * 480


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_images_without_area_are_refused(size: tuple[int, int]) -> None:
    for data in (png(*size, b""), tiff(b"", *size), jpeg_claiming(*size), gif_claiming(*size, frame=size)):
        with pytest.raises(TruncatedImage):
            decode(data)


@pytest.mark.parametrize("shape", [(1, 20000), (20000, 1), (1, 1)])
def test_thin_images_are_decoded(shape: tuple[int, int]) -> None:
    image = decode(encode(Image.new("RGB", shape[::-1], RED), "PNG"))
    assert image.shape == (*shape, 3) and (image == RED).all()
    assert (resize_square(image, 8) == RED).all()


@pytest.mark.parametrize("form", FORMATS)
def test_a_damaged_image_is_described_in_words_not_as_a_python_error(form: str) -> None:
    data = encode(quarters(), form)
    for cut in range(len(data) // 4, len(data) // 2):
        with pytest.raises(TruncatedImage) as refused:
            decode(data[:cut])
        assert re.fullmatch(r"the \w+ image is incomplete or damaged(: .+)?", str(refused.value))
        assert "Error(" not in str(refused.value) and "b'" not in str(refused.value)


def test_a_damaged_png_chunk_is_named() -> None:
    data = bytearray(encode(quarters(), "PNG"))
    data[data.index(b"IHDR") + 20] ^= 1  # in its checksum
    with pytest.raises(TruncatedImage, match=r"damaged: broken PNG file .*IHDR") as refused:
        decode(bytes(data))
    assert "'" not in str(refused.value)


def samples() -> dict[str, bytes]:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    data = {form: encode(noise, form) for form in FORMATS}
    exif = Image.Exif()
    exif[0x0112] = 6
    data["progressive JPEG with EXIF"] = encode(noise, "JPEG", progressive=True, exif=exif)
    data["CMYK JPEG"] = encode(noise.convert("CMYK"), "JPEG")
    data["palette PNG"] = encode(noise.convert("P"), "PNG", transparency=0)
    data["LZW TIFF"] = encode(noise, "TIFF", compression="tiff_lzw")
    data["JPEG TIFF"] = encode(noise, "TIFF", compression="jpeg")
    header = struct.pack("<IIIIiiHHIIiiII", 0, 0, 62, 40, 8, 8, 1, 8, 1, 0, 0, 0, 2, 0)
    data["RLE BMP"] = b"BM" + header + b"\1\2\3\0" * 20
    data["animated WebP"] = encode(noise, "WEBP", save_all=True, append_images=[quarters(40, 40)])
    return data


SAMPLES = samples()


def outcome(data: bytes) -> str:
    """What came of it; any error but the named ones fails the test that asks."""
    try:
        image = decode(data, Limits(max_pixels=4_000_000))
    except (EmptyImage, NotAnImage, TruncatedImage, TooManyPixels) as error:
        return type(error).__name__
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size
    return "decoded"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SAMPLES)
def test_an_image_cut_off_anywhere_is_refused_or_decoded(name: str) -> None:
    data = SAMPLES[name]
    cuts = [*range(min(len(data), 120)), *range(120, len(data), max(1, len(data) // 500))]
    outcomes = [outcome(data[:cut]) for cut in cuts]
    assert outcomes[:2] == ["EmptyImage", "NotAnImage"]
    assert outcome(data[: len(data) // 2]) == "TruncatedImage"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SAMPLES)
def test_an_image_damaged_anywhere_is_refused_or_decoded(name: str) -> None:
    chance = random.Random(name)
    data = SAMPLES[name]
    for _ in range(1000):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(min(len(data), chance.choice((40, 200, 10**6))))
            damaged[place] = chance.choice((0, 255, chance.randrange(256)))
        outcome(bytes(damaged))


@pytest.mark.filterwarnings("ignore")
def test_random_bytes_after_a_known_beginning_are_refused_or_decoded() -> None:
    chance = random.Random(5)
    for data in SAMPLES.values():
        for _ in range(100):
            kept = data[: chance.choice((4, 8, 12, 18, 30))]
            assert outcome(kept + chance.randbytes(chance.randrange(300))) != "EmptyImage"


def png(width: int, height: int, rows: bytes, bits: int = 8) -> bytes:
    """RGB PNG made by hand, so that its header can claim what it likes."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(strip: bytes, width: int, height: int, bits: int = 8, order: str = "<") -> bytes:
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1), (278, height)]
    tags.append((279, len(strip)))
    start = 8 + len(strip)
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags)
    magic = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, start)
    return magic + strip + struct.pack(order + "H", len(tags)) + entries + struct.pack(order + "I", 0)


def jpeg_claiming(width: int, height: int) -> bytes:
    data = encode(quarters(), "JPEG")
    start = data.index(b"\xff\xc0") + 5
    return data[:start] + struct.pack(">HH", height, width) + data[start + 4 :]


def gif_claiming(width: int, height: int, frame: tuple[int, int] = (1, 1)) -> bytes:
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return b"GIF89a" + screen + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\2\2\x4c\1\0;"


COUNTED = np.arange(10 * 20 * 3, dtype=np.uint8).reshape(10, 20, 3)


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ((0, 0, 20, 10), slice(0, 10), slice(0, 20)),
        ((3, 1, 11, 10), slice(1, 10), slice(3, 11)),
        ([0, 0, 8, 8], slice(0, 8), slice(0, 8)),
        ((0.0, 0.0, 1.0, 1.0), slice(0, 10), slice(0, 20)),
        ((0, 0, 0.5, 1), slice(0, 10), slice(0, 10)),
        ((0.26, 0.51, 0.27, 0.52), slice(5, 6), slice(5, 6)),
        (np.array([3, 2, 14, 10]), slice(2, 10), slice(3, 14)),
        ((0.7, 0.7, 0.7000001, 0.7000001), slice(7, 8), slice(14, 15)),
    ],
)
def test_a_crop_is_the_part_inside_the_box(box: tuple[float, float, float, float], rows: slice, columns: slice) -> None:
    assert np.array_equal(crop(COUNTED, box), COUNTED[rows, columns])


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 21, 10),
        (0, 0, 20, 11),
        (-1, 0, 5, 5),
        (5, 5, 5, 8),
        (6, 5, 5, 8),
        (0, 0, 1, 1),
        (0, 0, 7, 10),
        (12, 3, 20, 10),
        np.array([0, 0, 1, 1]),
        (0.0, 0.0, 1.01, 1.0),
        (-0.1, 0.0, 1.0, 1.0),
        (0.5, 0.0, 0.5, 1.0),
        (float("nan"), 0.0, 1.0, 1.0),
        (0.0, 0.0, float("inf"), 1.0),
        (0.0, 0.0, 20, 10),
        (0, 0, 5),
        (0, 0, 5, 5, 5),
        ("0", "0", "5", "5"),
        "0055",
        (False, False, True, True),
        (None, 0, 5, 5),
        5,
        None,
        {"left": 0},
    ],
)
def test_boxes_outside_or_malformed_are_refused(box: Any) -> None:
    with pytest.raises(InvalidCrop, match=r"a crop .*must.*got"):
        crop(COUNTED, box)


def test_a_crop_of_whole_numbers_in_a_picture_of_a_few_pixels_may_be_all_of_it() -> None:
    assert crop(COUNTED[:3, :5], (0, 0, 5, 3)).shape == (3, 5, 3)
    with pytest.raises(InvalidCrop, match="write fractions of the image with a point"):
        crop(COUNTED[:3, :5], (0, 0, 4, 3))


def test_an_image_is_resized_to_a_square() -> None:
    image = np.asarray(quarters(400, 200))
    small = resize_square(image, 64)
    assert small.shape == (64, 64, 3) and small.dtype == np.uint8
    assert corners(small) == [RED, GREEN, BLUE, GREY]
    assert resize_square(small, 64) is small


def test_resizing_averages_instead_of_dropping_pixels() -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    assert abs(int(resize_square(stripes, 4).mean()) - 127) <= 2


def test_a_thumbnail_is_a_reduced_jpeg() -> None:
    small = decode(thumbnail(np.asarray(quarters(400, 200)), 100))
    assert small.shape == (50, 100, 3)
    assert np.abs(np.subtract(corners(small), (RED, GREEN, BLUE, GREY))).max() < 10
    assert decode(thumbnail(np.asarray(quarters()), 100)).shape == (32, 48, 3)
