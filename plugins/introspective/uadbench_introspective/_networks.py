"""The two networks of an introspective autoencoder: residual blocks and poolings to a posterior, and back.

Source: Daniel and Tamar, CVPR 2021 (Soft-IntroVAE), with the layers for 128 px of the authors' code, which Bercea et
al., MIDL 2023 (RA), take over. A grid of half the side has one level less, of twice the side one more.
Moments and images are float32 whatever the precision of the layers.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

BOTTOM = 4  # the side of the last feature map
GROWTH = (1, 2, 4, 8, 8)  # channels of each level, in widths; further levels have as many as the last
SIZES = (32, 64, 128, 256)
SLOPE = 0.2
WIDTH = 64

Codes = Float[Tensor, "n z"]
Pixels = Float[Tensor, "n c s s"]
Maps = list[Float[Tensor, "n _c _s _s"]]  # one of each level


def stride(size: int) -> int:
    """How much the encoder shrinks a side."""
    return size // BOTTOM


def level_widths(size: int, width: int) -> list[int]:
    """Channels of each level, the largest map first."""
    levels = stride(size).bit_length() - 1
    return [width * GROWTH[min(level, len(GROWTH) - 1)] for level in range(levels)]


class ResidualBlock(nn.Module):
    """Two normalised convolutions 3 x 3 beside a shortcut, which is one of 1 x 1 where channels change."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(inner, outer, 1, bias=False) if inner != outer else nn.Identity()
        self.body = nn.Sequential(
            *(
                nn.Conv2d(inner, outer, 3, padding=1, bias=False),
                nn.BatchNorm2d(outer),
                nn.LeakyReLU(SLOPE, inplace=True),
            ),
            *(nn.Conv2d(outer, outer, 3, padding=1, bias=False), nn.BatchNorm2d(outer)),
        )

    def forward(self, maps: Float[Tensor, "n a s s"]) -> Float[Tensor, "n b s s"]:
        """Maps of the same side."""
        return F.leaky_relu(self.shortcut(maps) + self.body(maps), SLOPE, inplace=True)


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the encoder makes of images: mean and log-variance of each one's posterior, the feature maps on the way."""

    mean: Codes
    log_variance: Codes
    maps: Maps

    def sampled(self, noise: Codes) -> Codes:
        """Latents of the posterior: mean + sigma * noise."""
        return self.mean + torch.exp(self.log_variance / 2) * noise


class Encoder(nn.Module):
    """One level per halving, down to 4 x 4; its maps are those after each pooling, the largest first."""

    def __init__(self, channels: int, latent: int, size: int, width: int) -> None:
        super().__init__()
        widths = level_widths(size, width)
        first = nn.Sequential(
            nn.Conv2d(channels, width, 5, padding=2, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(SLOPE, inplace=True),
        )
        self.levels = nn.ModuleList([first, *(ResidualBlock(a, b) for a, b in pairwise(widths))])
        self.last = ResidualBlock(widths[-1], widths[-1])
        self.moments = nn.Linear(widths[-1] * BOTTOM**2, 2 * latent)

    def forward(self, images: Pixels) -> Encoded:
        """Images in [0, 1]."""
        maps, seen = [], images
        for level in self.levels:
            seen = F.avg_pool2d(level(seen), 2)  # (n, a, s, s) -> (n, b, s/2, s/2)
            maps.append(seen)
        outputs = self.moments(self.last(seen).flatten(1)).float()  # (n, b, 4, 4) -> (n, 2z)
        mean, log_variance = outputs.chunk(2, dim=1)
        return Encoded(mean, log_variance, maps)


class Decoder(nn.Module):
    """The same levels the other way round; the sigmoid keeps images in [0, 1]."""

    def __init__(self, channels: int, latent: int, size: int, width: int) -> None:
        super().__init__()
        widths = level_widths(size, width)
        up = pairwise((widths[-1], *reversed(widths)))
        self.layers = nn.Sequential(
            *(nn.Linear(latent, widths[-1] * BOTTOM**2), nn.ReLU(inplace=True)),
            nn.Unflatten(1, (widths[-1], BOTTOM, BOTTOM)),
            *(nn.Sequential(ResidualBlock(a, b), nn.Upsample(scale_factor=2)) for a, b in up),
            ResidualBlock(width, width),
            nn.Conv2d(width, channels, 5, padding=2),
        )

    def forward(self, codes: Codes) -> Pixels:
        """The images of latents, in [0, 1]."""
        return torch.sigmoid(self.layers(codes).float())


class IntrospectiveNetworks(nn.Module):
    """Both in one module, so that they are kept, restored and saved together."""

    def __init__(self, channels: int, latent: int, size: int, width: int = WIDTH) -> None:
        super().__init__()
        self.latent = latent
        self.encoder = Encoder(channels, latent, size, width)
        self.decoder = Decoder(channels, latent, size, width)
        self.to(memory_format=torch.channels_last)  # a third faster on a CPU

    def noise(self, *shape: int) -> Float[Tensor, "... z"]:
        """Normal latents, drawn on the CPU so that every device sees the same."""
        return torch.randn(*shape, self.latent).to(next(self.parameters()).device)
