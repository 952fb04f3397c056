"""The U-Net of the denoising autoencoder: weight-standardised convolutions, SiLU, group normalisation.

Source: Kascenas et al., MIDL 2022, and the authors' published layers; standardisation of Qiao et al., 2019.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-5


class StandardisedConv(nn.Conv2d):
    """A 3 x 3 convolution, reflected at the border, whose filters have mean 0 and standard deviation 1."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__(inner, outer, 3)

    def standardised(self) -> Float[Tensor, "k c 3 3"]:
        """The filters that are applied."""
        across = (1, 2, 3)
        spread = self.weight.std(across, keepdim=True) + EPSILON
        return (self.weight - self.weight.mean(across, keepdim=True)) / spread

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        """The images' size is kept."""
        return F.conv2d(F.pad(images, [1] * 4, mode="reflect"), self.standardised(), self.bias)


class UNet(nn.Module):
    """`depth` levels of `width`, 2 `width`, 4 `width`, ... channels; linear output of as many channels as the input.

    The side must be a multiple of 2^`depth`: the lowest level reflects at its border and needs two pixels.
    """

    def __init__(self, channels: int, width: int, depth: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth)]
        upper = widths[-2::-1]
        self.down = nn.ModuleList(_twice(inner, outer) for inner, outer in pairwise([channels, *widths]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * outer, outer, 2, stride=2) for outer in upper)
        self.merge = nn.ModuleList(_twice(2 * outer, outer) for outer in upper)
        self.out = nn.Conv2d(width, channels, 1)

    def forward(self, images: Float[Tensor, "n c s s"]) -> Float[Tensor, "n c s s"]:
        """Images without their noise."""
        skipped, seen = [], images
        for level, block in enumerate(self.down):
            seen = block(F.avg_pool2d(seen, 2) if level else seen)
            skipped.append(seen)
        for up, merge, skip in zip(self.up, self.merge, skipped[-2::-1], strict=True):
            seen = merge(torch.cat([up(seen), skip], dim=1))
        restored: Tensor = self.out(seen)
        return restored


def groups(channels: int) -> int:
    """How many groups are normalised together: the median divisor, the upper one of two."""
    divisors = [count for count in range(1, channels + 1) if channels % count == 0]
    return divisors[len(divisors) // 2]


def _twice(inner: int, outer: int) -> nn.Sequential:
    return nn.Sequential(*_layer(inner, outer), *_layer(outer, outer))


def _layer(inner: int, outer: int) -> tuple[nn.Module, ...]:
    return StandardisedConv(inner, outer), nn.SiLU(), nn.GroupNorm(groups(outer), outer)
