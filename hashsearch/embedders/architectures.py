"""The sizes of BiT networks and the names of their parameters (Kolesnikov et al. 2019, arXiv 1912.11370)."""

from __future__ import annotations

from dataclasses import dataclass

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
