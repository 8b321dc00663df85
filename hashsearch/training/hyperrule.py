"""BiT's hyper-rule: settings for fine-tuning from the size of the images and of the data set. Pure.

Kolesnikov et al., Big Transfer, ECCV 2020, section 3.3, with the numbers of the authors' published code.
"""

from __future__ import annotations

_SMALL, _MEDIUM = 20_000, 500_000  # images of a data set
_BATCH = 512  # batch size that the learning rate is for


def resolution(height: int, width: int) -> tuple[int, int]:
    """The side that images are resized to and the side of the crop, in pixels."""
    return (160, 128) if height * width < 96 * 96 else (512, 480)


def mixup(images: int) -> float:
    """The alpha of MixUp for a data set of that many images; 0 means no MixUp."""
    return 0.0 if images < _SMALL else 0.1


def steps(images: int) -> tuple[int, ...]:
    """The last step of the warm-up, the steps at which the learning rate falls to a tenth, and the last step."""
    if images < _SMALL:
        return 100, 200, 300, 400, 500
    if images < _MEDIUM:
        return 500, 3000, 6000, 9000, 10_000
    return 500, 6000, 12_000, 18_000, 20_000


def rate(step: int, images: int, batch: int = _BATCH, base: float = 0.003) -> float:
    """The learning rate of a step counted from 0; 0 after the last one."""
    warm, *falls, last = steps(images)
    if step > last:
        return 0.0
    whole = base * batch / _BATCH
    if step < warm:
        return whole * step / warm
    return whole * 0.1 ** sum(fall < step for fall in falls)
