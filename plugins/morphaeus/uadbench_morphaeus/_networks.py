"""MorphAEus's networks: an autoencoder down to a single pixel, and a deformer that reads features of both its halves.

Source: Bercea et al., MICCAI 2023, sec. 2; layers as in the authors' settings.
Deviates: other sides than 128 px have as many levels as they can be halved; the deformer reads the same three finest.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

SIZES = (32, 64, 128, 256)
WIDTH = 16  # channels of the first layer
WIDEST = 16  # times as many the last ones have
LEVELS = 3  # that the deformer reads: at 1/2, 1/4 and 1/8 of the side
FLOW_DEVIATION = 1e-5  # of the first velocities' weights: at first nothing moves

Images = Float[Tensor, "n c s s"]
Features = list[Float[Tensor, "n _k _h _h"]]  # one map per level, the coarsest first
Velocity = Float[Tensor, "n 2 s s"]


class Block(nn.Module):
    """A convolution, batch normalisation and swish; returns what the convolution gave as well."""

    def __init__(self, convolution: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        self.convolution = convolution
        self.activation = nn.Sequential(nn.BatchNorm2d(convolution.out_channels), nn.SiLU())

    def forward(self, maps: Float[Tensor, "n _k _h _h"]) -> tuple[Tensor, Tensor]:
        """Before normalisation, and after activation."""
        raw = self.convolution(maps)
        return raw, self.activation(raw)


class PriorAutoencoder(nn.Module):
    """Strided convolutions down to 1 x 1, bilinear enlargements back, and a sigmoid; at 128 px 3,738,689 weights."""

    def __init__(self, channels: int, size: int, width: int = WIDTH) -> None:
        super().__init__()
        widths = [width * min(2**level, WIDEST) for level in range(size.bit_length() - 1)]
        down, up = [channels, *widths], [widths[-1], *reversed(widths)]
        self.encoder = nn.ModuleList(Block(nn.Conv2d(*pair, 3, stride=2, padding=1)) for pair in pairwise(down))
        self.decoder = nn.ModuleList(Block(nn.Conv2d(*pair, 3, padding=1)) for pair in pairwise(up))
        self.image = nn.Conv2d(width, channels, 1)

    def forward(self, images: Images) -> tuple[Images, Features, Features]:
        """Reconstructions in (0, 1), and the features of encoder and decoder that the deformer reads."""
        maps, encoded, decoded = images, [], []
        for block in self.encoder:
            raw, maps = block(maps)  # (n, k, h, h) -> (n, 2k, h/2, h/2)
            encoded.append(raw)
        for block in self.decoder:
            raw, maps = block(F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=True))
            decoded.append(raw)
        return torch.sigmoid(self.image(maps)), encoded[LEVELS - 1 :: -1], decoded[-LEVELS - 1 : -1]


class Deformer(nn.Module):
    """From features at an eighth of the side to a velocity per pixel; 116,066 weights at the paper's width."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        own = 2 * width
        seen = (12 * width, 6 * width + own, 3 * width + own)  # encoder, decoder, and the level below
        self.levels = nn.ModuleList(Block(_doubling(inner, own)) for inner in seen)
        self.flow = nn.Conv2d(own, 2, 3, padding=1)
        nn.init.normal_(self.flow.weight, 0, FLOW_DEVIATION)
        nn.init.zeros_(self.flow.bias)

    def forward(self, encoded: Features, decoded: Features) -> Velocity:
        """Velocities in pixels, down and to the right."""
        below: list[Tensor] = []
        for level, mine, theirs in zip(self.levels, encoded, decoded, strict=True):
            below = [level(torch.cat([mine, theirs, *below], 1))[1]]  # -> (n, 2 width, 2h, 2h)
        velocity: Tensor = self.flow(below[0])
        return velocity


class MorphNetwork(nn.Module):
    """The autoencoder and its deformer."""

    def __init__(self, channels: int, size: int, width: int = WIDTH) -> None:
        super().__init__()
        self.prior = PriorAutoencoder(channels, size, width)
        self.deformer = Deformer(width)

    def forward(self, images: Images) -> tuple[Images, Velocity]:
        """Reconstructions as the autoencoder makes them, and the velocity that would carry each to its image."""
        seen, encoded, decoded = self.prior(images)
        return seen, self.deformer(encoded, decoded)

    def reconstruct(self, images: Images) -> Images:
        """Reconstructions alone, without asking the deformer."""
        seen: Tensor = self.prior(images)[0]
        return seen


def _doubling(inner: int, outer: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inner, outer, 3, stride=2, padding=1, output_padding=1)
