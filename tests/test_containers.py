"""Files with more in them than a picture: what browsers read is read, whatever stands around it."""

from __future__ import annotations

import io
import random
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from benchmarks.bad_images import chunk, encode, gif_with, jpeg_with, with_chunks
from benchmarks.bad_images import small as small_image
from hashsearch.errors import ImageTooCostly, TruncatedImage
from hashsearch.images.container import orientation
from hashsearch.images.decoding import CUT_OFF, decode, load

SOI, EOI = b"\xff\xd8", b"\xff\xd9"


def noise(width: int = 64, height: int = 48, seed: int = 0) -> Image.Image:
    """A picture with soft and hard parts."""
    levels = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC)


def by_pillow(data: bytes) -> NDArray[np.uint8]:
    """What plain Pillow makes of an ordinary file."""
    with Image.open(io.BytesIO(data)) as picture:
        upright = ImageOps.exif_transpose(picture)
        assert upright is not None
        return np.asarray(upright.convert("RGB"))


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.integers(30, 100),
    st.sampled_from([0, 1, 2]),
    st.booleans(),
    st.sampled_from(["RGB", "L", "CMYK"]),
    st.integers(0, 9),
)
def test_ordinary_jpegs_have_the_pixels_that_pillow_decodes(
    width: int, height: int, quality: int, subsampling: int, progressive: bool, mode: str, turn: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    picture = noise().resize((width, height)).convert(mode)
    options = {} if mode != "RGB" else {"subsampling": subsampling}
    data = encode(picture, "JPEG", quality=quality, progressive=progressive, exif=exif, **options)
    assert (decode(data) == by_pillow(data)).all()


@pytest.mark.parametrize("form", ["PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P"])
def test_ordinary_files_have_the_pixels_that_pillow_decodes(form: str, mode: str) -> None:
    data = encode(noise().convert(mode), form)
    assert (decode(data) == by_pillow(data)).all()


@pytest.mark.parametrize("turn", range(1, 9))
def test_large_pictures_are_turned_as_small_ones(turn: int) -> None:
    """They are converted in several parts."""
    exif = Image.Exif()
    exif[0x0112] = turn
    data = encode(noise(3001, 2803), "JPEG", exif=exif)
    assert (decode(data) == by_pillow(data)).all()


class TestOrientation:
    @staticmethod
    def exif(order: str, entries: list[tuple[int, int, int, int]], turn: int, kind: int = 3) -> bytes:
        """EXIF data with an orientation behind other entries (tag, type, count, value)."""
        number = {3: "HH", 4: "I"}[kind]
        values = (turn, 0) if kind == 3 else (turn,)
        packed = [struct.pack(f"{order}HHII", *entry) for entry in entries]
        packed.append(struct.pack(f"{order}HHI{number}", 0x0112, kind, 1, *values))
        start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(packed))
        return start + b"".join(packed)

    ENTRIES = st.lists(
        st.tuples(
            st.integers(0, 0xFFFF).filter(lambda tag: tag != 0x0112),
            st.integers(0, 0xFFFF),
            st.integers(0, 0xFFFFFFFF),
            st.integers(0, 0xFFFFFFFF),
        ),
        max_size=20,
    )

    @given(st.sampled_from("<>"), ENTRIES, st.integers(1, 8), st.sampled_from([3, 4]))
    def test_broken_entries_do_not_lose_it(
        self, order: str, entries: list[tuple[int, int, int, int]], turn: int, kind: int
    ) -> None:
        assert orientation(self.exif(order, entries, turn, kind)) == turn
        assert orientation(b"Exif\0\0" + self.exif(order, entries, turn, kind) + b"\0\0\0\0more") == turn

    @pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
    @pytest.mark.parametrize("order", "<>")
    def test_files_with_broken_entries_are_upright(self, form: str, order: str) -> None:
        broken = [(0x010F, 2, 0xFFFFFFFF, 0xFFFFFFFF), (0x0110, 99, 5, 0), (0x8769, 4, 1, 0xFFFFFFF0)]
        data = encode(noise(), form, exif=b"Exif\0\0" + self.exif(order, broken, 6))
        assert decode(data).shape == (64, 48, 3)
        plain = decode(encode(noise(), form))
        assert (decode(data) == plain.transpose(1, 0, 2)[:, ::-1]).all()

    @given(st.binary(max_size=200))
    def test_no_exif_data_is_an_error(self, data: bytes) -> None:
        for beginning in (b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"):
            assert orientation(beginning + data) in {None, *range(1, 9)}

    def test_values_that_are_no_orientation_are_ignored(self) -> None:
        for turn in (0, 9, 65535):
            assert orientation(self.exif("<", [], turn)) is None

    def test_the_first_block_with_an_orientation_counts(self) -> None:
        segments = [b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0" + self.exif(">", [], 6)]
        data = jpeg_with(b"".join(b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body for body in segments))
        assert decode(data).shape == (32, 24, 3)


class TestJpeg:
    @pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"optimize": True}])
    @pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
    def test_one_without_its_end_marker_is_read(self, mode: str, options: dict[str, object]) -> None:
        data = encode(noise(200, 150).convert(mode), "JPEG", **(options if mode == "RGB" else {}))
        for cut in (1, 2):
            assert (decode(data[:-cut]) == decode(data)).all()
            assert load(data[:-cut]).remarks == []

    @given(st.floats(0.0, 1.0), st.integers(0, 50), st.sampled_from([0, 2]))
    def test_a_cut_one_is_read_if_nine_tenths_of_its_rows_are_there(
        self, share: float, seed: int, subsampling: int
    ) -> None:
        data = encode(noise(160, 320, seed), "JPEG", subsampling=subsampling)
        whole = decode(data)
        header = data.index(b"\xff\xda") + 20
        cut = data[: header + int(share * (len(data) - 2 - header))]
        try:
            image = decode(cut)
        except TruncatedImage as error:
            assert "of its rows" in str(error)
            assert share < 0.97
        else:
            same = (image == whole).all(axis=(1, 2))
            first = len(same) if same.all() else int(same.argmin())
            assert first >= 0.9 * 320 - 1
            assert load(cut).remarks == [CUT_OFF] or first >= 320 - 16

    def test_a_progressive_one_is_read_as_soon_as_only_its_last_refinement_is_missing(self) -> None:
        data = encode(noise(160, 320), "JPEG", progressive=True)
        scans = [place for place in range(len(data)) if data.startswith(b"\xff\xda", place)]
        assert len(scans) > 5
        for scan in scans[:-1]:
            with pytest.raises(TruncatedImage):
                decode(data[: scan + 20])
        refined = decode(data[: scans[-1] + 40])
        assert np.abs(refined.astype(int) - decode(data)).mean() < 5

    def test_one_that_ends_before_its_picture_is_refused(self) -> None:
        data = encode(noise(), "JPEG")
        for place in range(2, data.index(b"\xff\xda") + 10):
            with pytest.raises(TruncatedImage):
                decode(data[:place] + (b"" if len(data[:place]) > 2 else b"\xff"))

    def test_segments_that_show_nothing_do_not_matter(self) -> None:
        plain = decode(small_image("JPEG"))
        chance = random.Random(1)
        for _ in range(200):
            segments = b"\xff\xfe\0\2"
            for _ in range(chance.randrange(6)):
                body = chance.choice([b"Exif\0\0", b"ICC_PROFILE\0", b"http://ns", b"MPF\0", b"JFIF\0", b"Adobe", b""])
                body += chance.randbytes(chance.randrange(30))
                fill = chance.choice((b"", b"", b"junk", b"\0\0")) + b"\xff" * chance.choice((0, 0, 3))
                marker = chance.choice([0xE1, 0xE2, 0xE3, 0xED, 0xFE])
                segments += fill + bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body
            assert (decode(jpeg_with(segments)) == plain).all()

    def test_the_number_of_segments_is_limited(self) -> None:
        assert decode(jpeg_with(b"\xff\xe1\0\2" * 9_900)).shape == (24, 32, 3)
        with pytest.raises(ImageTooCostly, match="at most 10000 segments"):
            decode(jpeg_with(b"\xff\xe1\0\2" * 10_000))

    def test_the_number_of_scans_is_limited(self) -> None:
        data = encode(noise(), "JPEG", progressive=True)
        last = data.rfind(b"\xff\xda")
        for count, fine in ((80, True), (100, False)):
            repeated = data[:last] + data[last:-2] * count + EOI
            if fine:
                assert decode(repeated).shape == (48, 64, 3)
            else:
                with pytest.raises(ImageTooCostly, match="at most 100 scans"):
                    decode(repeated)

    def test_bytes_that_only_look_like_scans_are_not_counted(self) -> None:
        film = b"\xff\xda\0\4" * 1000  # behind the end, as in motion photos
        data = encode(noise(), "JPEG")
        assert (decode(data + film) == decode(data)).all()
        preview = b"\xff\xe3" + struct.pack(">H", 40_002) + b"\xff\xda" * 20_000
        assert (decode(jpeg_with(preview)) == decode(small_image("JPEG"))).all()


class TestPng:
    def test_much_text_and_other_chunks_do_not_matter(self) -> None:
        plain = decode(small_image())
        for body in (
            chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3_000_000))),
            chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(2_000_000))),
            chunk(b"tEXt", b"Comment\0" + b"x" * 5_000_000),
            chunk(b"zTXt", b"Comment\0\0no zlib"),
            chunk(b"tEXt", b"no end of the key"),
            chunk(b"pHYs", b"1"),
            chunk(b"acTL", b"") + chunk(b"fcTL", b"damaged"),
            chunk(b"eXIf", b"damaged"),
            chunk(b"sBIT", b""),
            chunk(b"gAMA", b""),
            chunk(b"tEXt", b"x\0y") * 60_000,
        ):
            assert (decode(with_chunks(body)) == plain).all(), body[:40]

    @given(st.lists(st.sampled_from(["tEXt", "zTXt", "tIME", "iCCP", "eXIf", "prVt", "sRGB"]), max_size=6), st.data())
    def test_a_wrong_checksum_in_a_chunk_that_is_no_picture_does_not_matter(
        self, kinds: list[str], data: st.DataObject
    ) -> None:
        plain, png = decode(small_image()), small_image()
        before, after = b"", b""
        for kind in kinds:
            made = chunk(kind.encode(), data.draw(st.binary(max_size=30)))
            made = made[:-4] + data.draw(st.binary(min_size=4, max_size=4))
            if data.draw(st.booleans()):
                before += made
            else:
                after += made
        assert (decode(png[:33] + before + png[33:-12] + after + png[-12:]) == plain).all()

    def test_a_wrong_checksum_of_the_header_or_palette_is_refused(self) -> None:
        png = encode(noise().quantize(8), "PNG")
        for place in (png.index(b"IHDR") + 17, png.index(b"PLTE") + 4 + 24):
            damaged = bytearray(png)
            damaged[place] ^= 1
            with pytest.raises(TruncatedImage):
                decode(bytes(damaged))

    def test_a_transparent_colour_with_a_wrong_checksum_is_ignored_as_in_browsers(self) -> None:
        data = bytearray(encode(Image.new("L", (3, 3), 9), "PNG", transparency=9))
        assert (decode(bytes(data)) == 255).all()
        data[data.index(b"tRNS") + 6] ^= 1
        assert (decode(bytes(data)) == 9).all()

    def test_one_without_its_end_is_read_if_all_pixels_are_there(self) -> None:
        data = encode(noise(), "PNG")
        assert (decode(data[:-12]) == decode(data)).all()
        assert (decode(data[:-16]) == decode(data)).all()
        with pytest.raises(TruncatedImage):
            decode(data[: len(data) // 2])

    def test_pixels_in_many_chunks_are_read(self) -> None:
        data = encode(noise(), "PNG")
        start = data.index(b"IDAT") - 4
        (length,) = struct.unpack_from(">I", data, start)
        pixels = data[start + 8 : start + 8 + length]
        parts = b"".join(chunk(b"IDAT", pixels[place : place + 1]) for place in range(len(pixels)))
        assert (decode(data[:start] + chunk(b"IDAT", b"") + parts + data[-12:]) == decode(data)).all()

    def test_the_number_of_chunks_is_limited(self) -> None:
        with pytest.raises(ImageTooCostly, match="at most 65536 chunks"):
            decode(with_chunks(chunk(b"tEXt", b"") * 65_536))


class TestGif:
    def test_comments_and_applications_do_not_matter(self) -> None:
        plain = decode(small_image("GIF"))
        for extensions in (
            b"!\xfe" + b"\4text" * 1000 + b"\0",
            b"!\xfe\0" * 1000,
            b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0",
            b"!\x01\x0c" + bytes(12) + b"\0",
            b"!\xf9\4\0\0\0\0\0" * 3,
            b"\0\0",
        ):
            assert (decode(gif_with(extensions)) == plain).all()

    def test_the_last_control_before_the_picture_says_what_is_transparent(self) -> None:
        picture = Image.new("P", (8, 8), 1)
        picture.putpalette([9, 9, 9, 200, 0, 0])
        picture.putpixel((0, 0), 0)
        data = encode(picture, "GIF")
        start = data.index(b",", 13 + 6)
        opaque, clear = (b"!\xf9\4" + bytes([flag, 0, 0, colour]) + b"\0" for flag, colour in ((0, 0), (1, 1)))
        assert decode(data[:start] + opaque + b"!\xfe\1x\0" + clear + data[start:])[4, 4].tolist() == [255] * 3
        assert decode(data[:start] + clear + opaque + data[start:])[4, 4].tolist() == [200, 0, 0]

    def test_the_number_of_blocks_is_limited(self) -> None:
        for flood in (b"!\xfe" + b"\1x" * 100_001 + b"\0", b"!\xfe\0" * 100_001, b"\7" * 100_001):
            with pytest.raises(ImageTooCostly, match="at most 100000 blocks"):
                decode(gif_with(flood))

    def test_one_without_a_picture_is_refused(self) -> None:
        data = small_image("GIF")
        for end in (6, 10, 13, 100, data.index(b",", 13 + 768)):
            with pytest.raises(TruncatedImage):
                decode(data[:end])
            with pytest.raises(TruncatedImage):
                decode(data[:end] + b";" * 1000)
