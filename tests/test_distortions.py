"""Distortions: each does what it says by the strength it was given, to any picture, the same way every time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hashsearch.errors import EvaluationError
from hashsearch.evaluation.data.distortions import DISTORTIONS, UNITS, Distortion

STRENGTHS = [(name, strength) for name, strengths in DISTORTIONS.items() for strength in strengths]


def photo(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Soft colours with a hard edge, as photos have; read-only, as decoded pictures are."""
    rough = np.random.default_rng(seed).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    image = np.array(Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC))
    image[height // 3 : height // 2, width // 3 : width // 2] = (250, 40, 10)
    image.flags.writeable = False
    return image


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Mean difference of levels after both are brought to one size."""
    small = [np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BOX), int) for image in (one, other)]
    return float(np.abs(small[0] - small[1]).mean())


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2), (32, 32), (120, 90), (60, 200)])
@pytest.mark.parametrize(("name", "strength"), STRENGTHS)
def test_every_picture_becomes_an_rgb_picture(name: str, strength: float, size: tuple[int, int]) -> None:
    image = photo(*size)
    before = image.copy()
    made = Distortion(name, strength, seed=3).apply(image)
    assert made.dtype == np.uint8
    assert made.ndim == 3
    assert made.shape[2] == 3
    assert min(made.shape) >= 1
    assert np.array_equal(image, before)


@pytest.mark.parametrize(("name", "strength"), STRENGTHS)
def test_name_strength_and_seed_determine_the_picture(name: str, strength: float) -> None:
    first, second = (Distortion(name, strength, seed=5).apply(photo(80, 60)) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("name", ["crop", "rotate", "noise", "text", "logo", "screenshot", "perspective", "brightness"])
def test_another_seed_makes_another_picture(name: str) -> None:
    strength = DISTORTIONS[name][2]
    made = {Distortion(name, strength, seed).apply(photo(80, 60)).tobytes() for seed in range(8)}
    assert len(made) > 1


@pytest.mark.parametrize("name", sorted(DISTORTIONS.keys() - {"rotate", "hue", "crop", "mirror"}))
def test_strengths_go_from_weak_to_strong(name: str) -> None:
    image = photo(160, 200)
    changes = np.mean(
        [[difference(image, Distortion(name, s, seed).apply(image)) for s in DISTORTIONS[name]] for seed in range(4)], 0
    )
    assert np.all(np.diff(changes) > 0), changes


def test_every_distortion_has_a_unit() -> None:
    assert UNITS.keys() == DISTORTIONS.keys()
    assert all(UNITS.values())


@pytest.mark.parametrize("percent", DISTORTIONS["crop"])
def test_a_crop_takes_its_share_of_the_area_and_leaves_the_rest_as_it_is(percent: float) -> None:
    image = photo(300, 200)
    cut = Distortion("crop", percent, seed=1).apply(image)
    assert cut.shape[0] * cut.shape[1] == pytest.approx(300 * 200 * (1 - percent / 100), rel=0.01)
    windows = np.lib.stride_tricks.sliding_window_view(image, cut.shape)[:, :, 0]
    assert any(np.array_equal(window, cut) for row in windows for window in row)


@pytest.mark.parametrize("percent", DISTORTIONS["resize"])
def test_a_resized_picture_has_that_share_of_the_sides(percent: float) -> None:
    assert Distortion("resize", percent).apply(photo(400, 200)).shape == (4 * percent, 2 * percent, 3)


def test_turns_by_quarters_are_exact() -> None:
    image = photo(90, 60)
    assert np.array_equal(Distortion("rotate", 180).apply(image), image[::-1, ::-1])
    turned = {Distortion("rotate", 90, seed).apply(image).tobytes() for seed in range(8)}
    assert turned == {np.ascontiguousarray(np.rot90(image, times)).tobytes() for times in (1, 3)}


def test_a_turn_keeps_the_whole_picture_and_fills_the_corners_with_the_colour_of_the_edge() -> None:
    image = np.full((100, 100, 3), (20, 200, 90), np.uint8)
    image[40:60, 40:60] = (255, 0, 0)
    turned = Distortion("rotate", 45).apply(image)
    assert turned.shape[0] == pytest.approx(141, abs=3)
    assert turned[0, 0].tolist() == [20, 200, 90]
    assert (turned[..., 0] > 128).sum() == pytest.approx(400, rel=0.05)


def test_a_mirror_image_is_mirrored() -> None:
    image = photo(50, 70)
    assert np.array_equal(Distortion("mirror", 1).apply(image), image[:, ::-1])


def test_perspective_moves_the_corners_of_one_side_inwards_and_fills_what_comes_free() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[1:-1, 1:-1] = 255
    bright = Distortion("perspective", 20, seed=0).apply(image)[..., 0] > 128
    sides = sorted(int(side.sum()) for side in (bright[3], bright[-4], bright[:, 3], bright[:, -4]))
    # One side is whole, the one across is gone, the two between lose the corners.
    assert sides[0] == 0
    assert sides[-1] >= 90
    # the trapezium's area: sides of 100 and 60, 80 apart
    assert bright.sum() == pytest.approx((100 + 60) / 2 * 80, rel=0.05)


@pytest.mark.parametrize("percent", DISTORTIONS["brightness"])
def test_levels_rise_or_fall_by_their_share(percent: float) -> None:
    grey = np.full((4, 4, 3), 100, np.uint8)
    levels = {int(Distortion("brightness", percent, seed).apply(grey)[0, 0, 0]) for seed in range(8)}
    assert levels == {100 - percent, 100 + percent}


def test_contrast_leaves_the_mean_and_moves_the_rest() -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    image[:5], image[5:] = 80, 120
    ranges = {int(np.ptp(Distortion("contrast", 50, seed).apply(image))) for seed in range(8)}
    assert ranges == {20, 60}


def test_without_saturation_a_picture_is_grey() -> None:
    grey = Distortion("saturation", 100).apply(photo(30, 30)).astype(int)
    assert np.abs(grey - grey[..., :1]).max() == 0


def test_half_a_turn_of_hue_is_the_opposite_colour() -> None:
    red = np.full((3, 3, 3), (255, 0, 0), np.uint8)
    assert np.abs(Distortion("hue", 180).apply(red).astype(int) - [0, 255, 255]).max() <= 8


def test_blur_depends_on_the_share_of_the_side_not_on_pixels() -> None:
    small, large = photo(100, 100), photo(400, 400)
    blurred = [Distortion("blur", 4).apply(image) for image in (small, large)]
    assert difference(*blurred) < 3


@pytest.mark.parametrize("levels", DISTORTIONS["noise"][:3])
def test_noise_has_its_deviation(levels: float) -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    noisy = Distortion("noise", levels).apply(grey).astype(float)
    assert noisy.std() == pytest.approx(levels, rel=0.03)
    assert noisy.mean() == pytest.approx(128, abs=0.5)


@pytest.mark.parametrize("percent", DISTORTIONS["text"])
def test_text_stands_on_its_share_of_the_height_across_the_width(percent: float) -> None:
    image = np.full((200, 300, 3), 128, np.uint8)
    changed = (Distortion("text", percent, seed=2).apply(image) != image).any(axis=2)
    rows = np.flatnonzero(changed.any(axis=1))
    assert np.ptp(rows) + 1 == pytest.approx(2 * percent, abs=8)
    assert changed[:, :30].any()
    assert changed[:, -30:].any()


@pytest.mark.parametrize("percent", DISTORTIONS["logo"])
def test_a_logo_covers_its_share_of_the_area(percent: float) -> None:
    image = np.full((200, 300, 3), 128, np.uint8)
    changed = (Distortion("logo", percent, seed=2).apply(image) != image).any(axis=2)
    assert changed.mean() == pytest.approx(percent / 100, rel=0.1)


def test_a_border_lies_around_the_whole_picture() -> None:
    image = photo(100, 200)
    framed = Distortion("border", 20).apply(image)
    assert framed.shape == (140, 240, 3)
    assert np.array_equal(framed[20:-20, 20:-20], image)
    assert len(np.unique(framed[:20].reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize("percent", DISTORTIONS["screenshot"])
def test_a_screenshot_shows_the_whole_picture_on_its_share_of_the_screen(percent: float) -> None:
    image = np.full((150, 200, 3), (255, 0, 200), np.uint8)
    screen = Distortion("screenshot", percent, seed=4).apply(image)
    shown = (screen == (255, 0, 200)).all(axis=2)
    assert shown.sum() == 150 * 200
    assert shown.mean() == pytest.approx(1 - percent / 100, rel=0.02)


def test_a_large_picture_is_shown_smaller_on_a_screen() -> None:
    assert max(Distortion("screenshot", 80).apply(photo(1000, 2000)).shape) == 1600


@pytest.mark.parametrize(
    ("name", "strength", "message"),
    [
        ("sepia", 1, "one of jpeg, resize, .* got 'sepia'"),
        ("jpeg", 0, r"jpeg must be 1 to 100 \(quality\), got 0"),
        ("crop", 100, "crop must be 0 to 95"),
        ("blur", -1, "blur must be 0 to 50"),
        ("noise", float("nan"), "noise must be 0 to 255"),
        ("rotate", "left", "rotate must be 0 to 180 .* got 'left'"),
        ("mirror", True, "mirror must be 1 to 1"),
    ],
)
def test_an_unknown_name_or_strength_is_refused(name: str, strength: Any, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        Distortion(name, strength)


def test_a_distortion_is_written_as_name_and_strength() -> None:
    assert str(Distortion("jpeg", 30)) == "jpeg 30"
    assert str(Distortion("blur", 0.5, seed=7)) == "blur 0.5"


def test_pictures_can_be_distorted_on_several_threads() -> None:
    image = photo(120, 160)
    wanted = [Distortion(name, strength, 1).apply(image).tobytes() for name, strength in STRENGTHS]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda pair: Distortion(pair[0], pair[1], 1).apply(image).tobytes(), STRENGTHS * 4))
    assert made == wanted * 4
