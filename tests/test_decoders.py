"""Decoding in processes of their own: the same pixels, within limits that end any image, and no trace afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.bad_images import COSTLY, DAMAGED, encode, repeated_scans, small
from hashsearch.errors import ImageError, ImageTooCostly, NotAnImage, TooManyPixels, TruncatedImage
from hashsearch.images.decoders import DecoderPool, PixelBudget
from hashsearch.images.decoding import CUT_OFF, decode
from hashsearch.images.limits import DEFAULT, Limits
from hashsearch.images.sources import ImageReader

BRIEF = Limits(max_seconds=0.3)


@pytest.fixture
def pool() -> Iterator[DecoderPool]:
    made = DecoderPool(1)
    yield made
    made.close()


@pytest.fixture(scope="module")
def endless() -> bytes:
    """Seconds of work for a decoder."""
    return repeated_scans(5000, 90)


def process_of(pool: DecoderPool) -> int | None:
    """The id of the pool's only process."""
    process = pool._decoders[0]._process
    return process.pid if process else None


def children() -> set[int]:
    """The processes that this one started and that have not been waited for, zombies included."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(child) for task in tasks for child in task.read_text().split()}


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_pixels_are_those_of_decode(pool: DecoderPool, form: str) -> None:
    data = small(form)
    pixels = pool.decode(data, DEFAULT)
    assert (pixels == decode(data)).all() and not pixels.flags.writeable


def test_pictures_of_all_sizes_one_after_the_other(pool: DecoderPool) -> None:
    for width, height in ((3, 2), (4000, 3000), (1, 1), (65_500, 2), (2, 65_500), (90, 80)):
        picture = Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8))
        assert (pool.decode(encode(picture, "BMP"), Limits(max_bytes=50_000_000)) == np.asarray(picture)).all()


def test_errors_are_those_of_decode(pool: DecoderPool) -> None:
    for data, limits in ((b"text", DEFAULT), (b"", DEFAULT), (small(), Limits(10)), (small("JPEG")[:300], DEFAULT)):
        with pytest.raises(ImageError) as expected:
            decode(data, limits)
        with pytest.raises(type(expected.value)) as raised:
            pool.decode(data, limits)
        assert str(raised.value) == str(expected.value)
    with pytest.raises(TooManyPixels, match="at most 100 pixels, got 32 x 24"):
        pool.decode(small(), Limits(max_pixels=100))


def test_an_image_that_takes_too_long_is_ended_and_the_next_one_is_decoded(pool: DecoderPool, endless: bytes) -> None:
    for _ in range(3):
        with pytest.raises(ImageTooCostly, match=r"at most 0\.3 s of processor time"):
            pool.decode(endless, BRIEF)
        assert pool.decode(small(), BRIEF).shape == (24, 32, 3)


def test_an_image_that_takes_too_much_memory_is_refused(pool: DecoderPool) -> None:
    with pytest.raises(ImageTooCostly, match="at most 500 MB of memory"):
        pool.decode(COSTLY["16-bit RGBA in one strip"](), Limits(max_seconds=30))
    assert pool.decode(small(), DEFAULT).shape == (24, 32, 3)


def test_a_process_that_hangs_is_killed(endless: bytes) -> None:
    pool = DecoderPool(1, most_wait=1.0)
    pool.decode(small(), Limits(max_seconds=0.01))
    process = process_of(pool)
    assert process
    os.kill(process, signal.SIGSTOP)
    with pytest.raises(ImageTooCostly, match="may take at most 1 s, this one takes longer"):
        pool.decode(small(), Limits(max_seconds=0.01))
    assert not is_running(process)
    assert pool.decode(small(), DEFAULT).shape == (24, 32, 3)
    pool.close()


def test_a_process_that_was_killed_while_idle_is_replaced(pool: DecoderPool) -> None:
    pool.decode(small(), DEFAULT)
    first = process_of(pool)
    assert first
    os.kill(first, signal.SIGKILL)
    while is_running(first):
        time.sleep(0.01)
    assert pool.decode(small(), DEFAULT).shape == (24, 32, 3)
    assert process_of(pool) != first


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [
        (signal.SIGKILL, ImageTooCostly, "was killed, most likely because memory ran out"),
        (signal.SIGSEGV, TruncatedImage, "its decoder ended with SIGSEGV"),
    ],
)
def test_a_process_that_dies_while_it_decodes_costs_one_image(
    pool: DecoderPool, endless: bytes, number: signal.Signals, error: type[ImageError], words: str
) -> None:
    pool.decode(small(), DEFAULT)
    process = process_of(pool)
    assert process
    threading.Timer(0.5, os.kill, (process, number)).start()
    with pytest.raises(error, match=words):
        pool.decode(endless, Limits(max_seconds=60))
    assert pool.decode(small(), DEFAULT).shape == (24, 32, 3)


def test_a_process_that_cannot_start_is_not_the_images_fault(
    pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/bin/false")
        for _ in range(20):  # it ends before it is sent the image, or after
            with pytest.raises(RuntimeError, match="the decoder process ended with exit code 1"):
                pool.decode(small(), DEFAULT)
        patch.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(FileNotFoundError):
            pool.decode(small(), DEFAULT)
    assert pool.decode(small(), DEFAULT).shape == (24, 32, 3)


def test_nothing_is_left_behind(pool: DecoderPool, endless: bytes) -> None:
    pool.decode(small(), DEFAULT)
    descriptors, before = len(list(Path("/proc/self/fd").iterdir())), children()
    for _ in range(5):
        with pytest.raises(ImageTooCostly):
            pool.decode(endless, Limits(max_seconds=0.05))
        pool.decode(small(), DEFAULT)
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    assert len(children()) == len(before), "no zombies"
    pool.close()
    assert len(children()) == len(before) - 1


def test_a_large_picture_leaves_no_memory_in_use(pool: DecoderPool) -> None:
    pool.decode(small(), DEFAULT)
    picture = encode(Image.new("RGB", (8000, 5000)), "PNG")
    process = process_of(pool)
    sizes = []
    for _ in range(3):
        pool.decode(picture, DEFAULT)
        sizes.append(int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    assert process_of(pool) == process
    assert max(sizes) < 80_000_000


def test_many_threads_share_the_processes() -> None:
    pool = DecoderPool(3)
    pictures = [Image.new("RGB", (20 + number, 9), (number, 0, 0)) for number in range(60)]

    def check(picture: Image.Image) -> bool:
        return bool((pool.decode(encode(picture, "PNG"), DEFAULT) == np.asarray(picture)).all())

    before = children()
    with ThreadPoolExecutor(12) as threads:
        assert all(threads.map(check, pictures * 5))
    assert 1 <= len(children() - before) <= 3
    pool.close()
    assert children() == before


def test_costly_images_do_not_hold_up_others(endless: bytes) -> None:
    """Two processes, four costly images, and plain ones in between: none is lost."""
    pool = DecoderPool(2)

    def outcome(data: bytes) -> str:
        try:
            return str(pool.decode(data, BRIEF).shape)
        except ImageError as error:
            return error.code

    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(outcome, [endless, *[small()] * 20] * 4))
    assert outcomes == ["image_too_costly", *["(24, 32, 3)"] * 20] * 4
    pool.close()


def test_remarks_are_counted(pool: DecoderPool) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 40, 3), dtype=np.uint8))
    data = encode(noise, "JPEG")
    for _ in range(2):
        pool.decode(data[:-200], DEFAULT)
    pool.decode(data, DEFAULT)
    assert pool.remarks == {CUT_OFF: 2}


def test_libtiff_writes_nothing_to_standard_error(capfd: pytest.CaptureFixture[str], pool: DecoderPool) -> None:
    data = encode(Image.fromarray(np.zeros((50, 50, 3), np.uint8)), "TIFF", compression="tiff_lzw")
    for place in range(8, len(data), 3):
        damaged = bytearray(data)
        damaged[place] ^= 0x55
        with suppress(ImageError):
            pool.decode(bytes(damaged), DEFAULT)
    assert capfd.readouterr() == ("", "")


def test_a_forked_process_has_decoders_of_its_own() -> None:
    reader = ImageReader()
    reader.decode(small())
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            os._exit(0 if reader.decode(small()).shape == (24, 32, 3) else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert reader.decode(small()).shape == (24, 32, 3)


PROGRAM = """
    import sys, time
    from hashsearch.images.decoders import DECODERS
    from hashsearch.images.limits import DEFAULT
    DECODERS.decode(open(sys.argv[1], "rb").read(), DEFAULT)
    print(DECODERS._decoders[-1]._process.pid, flush=True)
    {}
"""


def started(tmp_path: Path, last_line: str) -> tuple[subprocess.Popen[str], int]:
    """A program that decodes an image, and the process that did it."""
    (tmp_path / "image.png").write_bytes(small())
    program = textwrap.dedent(PROGRAM).format(last_line)
    command = [sys.executable, "-c", program, str(tmp_path / "image.png")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    with process.stdout:
        return process, int(process.stdout.readline())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_decoders_end_with_the_process_that_was_killed(tmp_path: Path, number: signal.Signals) -> None:
    process, decoder = started(tmp_path, "time.sleep(60)")
    assert is_running(decoder)
    process.send_signal(number)
    process.wait()
    deadline = time.monotonic() + 20
    while is_running(decoder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(decoder)


def test_decoders_end_with_a_process_that_ends(tmp_path: Path) -> None:
    process, decoder = started(tmp_path, "pass")
    assert process.wait(60) == 0
    assert not is_running(decoder)


class TestBudget:
    def test_so_many_pixels_are_in_use_at_once(self) -> None:
        budget, now, most, lock = PixelBudget(100), 0, 0, threading.Lock()

        def use(pixels: int) -> None:
            nonlocal now, most
            with budget.hold(pixels):
                with lock:
                    now += pixels
                    most = max(most, now)
                time.sleep(0.002)
                with lock:
                    now -= pixels

        with ThreadPoolExecutor(16) as threads:
            list(threads.map(use, [10, 30, 60, 90, 100, 1] * 20))
        assert (now, most) == (0, 100) or (now == 0 and 90 <= most <= 100)

    def test_a_picture_larger_than_all_is_used_alone(self) -> None:
        budget, inside = PixelBudget(100), threading.Event()
        with budget.hold(1_000_000):

            def enter() -> None:
                with budget.hold(1):
                    inside.set()

            other = threading.Thread(target=enter)
            other.start()
            assert not inside.wait(0.1)
        assert inside.wait(10)
        other.join()

    def test_a_large_picture_is_not_overtaken_for_ever(self) -> None:
        """Small ones that ask later wait behind it."""
        budget, order = PixelBudget(100), list[int]()
        first = budget.hold(50)
        first.__enter__()

        def use(pixels: int) -> None:
            with budget.hold(pixels):
                order.append(pixels)

        threads = []
        for pixels in (100, 10):
            threads.append(threading.Thread(target=use, args=(pixels,)))
            threads[-1].start()
            time.sleep(0.1)
        assert order == []
        first.__exit__(None, None, None)
        for thread in threads:
            thread.join(10)
        assert order == [100, 10]

    def test_pixels_are_given_back_when_the_work_on_a_picture_fails(self) -> None:
        pool = DecoderPool(1, pixels_at_once=1000)
        for _ in range(5):
            with pytest.raises(ZeroDivisionError), pool.decoded(small(), DEFAULT):
                raise ZeroDivisionError
            with pytest.raises(NotAnImage), pool.decoded(b"text", DEFAULT):
                pass
        with pool.decoded(small(), DEFAULT) as pixels:
            assert pixels.shape == (24, 32, 3)
        pool.close()


CORPUS = """
    import json, resource, sys
    from pathlib import Path
    from hashsearch.errors import ImageError
    from hashsearch.images.decoders import DecoderPool
    from hashsearch.images.limits import DEFAULT

    for path in sorted(Path(sys.argv[1]).iterdir()):
        data, pool = path.read_bytes(), DecoderPool(1)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        try:
            outcome = str(pool.decode(data, DEFAULT).shape)
        except ImageError as error:
            outcome = f"{error.code}: {error}"
        pool.close()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
        print(json.dumps([path.name, outcome, seconds, after.ru_maxrss / 1e3]), flush=True)
"""


@pytest.mark.slow
def test_no_image_takes_more_than_2_seconds_and_500_megabytes(tmp_path: Path) -> None:
    """Of the process that decodes it, with 0.8 s for its start. The parent is small: a process starts at its size."""
    for name, make in {**COSTLY, **DAMAGED}.items():
        (tmp_path / name).write_bytes(make())
        assert (tmp_path / name).stat().st_size <= DEFAULT.max_bytes
    program = [sys.executable, "-c", textwrap.dedent(CORPUS), str(tmp_path)]
    lines = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    outcomes = [json.loads(line) for line in lines]
    assert {name for name, *_ in outcomes} == {*COSTLY, *DAMAGED}
    for name, outcome, seconds, megabytes in outcomes:
        assert seconds < 2.8, (name, outcome, seconds)
        assert megabytes < 500, (name, outcome, megabytes)
    refused = {name: outcome.split(":")[0] for name, outcome, *_ in outcomes if ":" in outcome}
    assert refused.keys() >= DAMAGED.keys()
    assert set(refused.values()) <= {
        *("image_too_costly", "too_many_pixels", "truncated_image", "not_an_image", "empty_image"),
    }
    for name in ("90 scans of 49 million pixels", "empty APP1 segments", "empty tEXt chunks", "comments of one byte"):
        assert refused[name] == "image_too_costly"
    for name in ("50,000,000 x 1", "1 x 50,000,000", "one bit, 65,501 x 1"):
        assert refused[name] == "too_many_pixels"


def test_a_photo_of_50_million_pixels_is_decoded_upright(pool: DecoderPool) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (58, 86, 3), dtype=np.uint8)
    picture = Image.fromarray(levels).resize((8600, 5800), Image.Resampling.BILINEAR)
    exif = Image.Exif()
    for turn, shape in ((1, (5800, 8600, 3)), (6, (8600, 5800, 3))):
        exif[0x0112] = turn
        assert pool.decode(encode(picture, "JPEG", exif=exif), DEFAULT).shape == shape
