"""The network of AE[d] and of all methods that Cai et al. compare with it, and how they are all trained.

Source: Cai et al., MICCAI 2024, appendix B. `outputs` is the width of the encoder's last layer where a method wants
more than the latent from it (a VAE's two moments).
"""

from functools import partial
from itertools import pairwise
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from uadbench.torch_support.reconstructing import NetworkLoss, Training
from uadbench.torch_support.training import Schedule

WIDTHS = (16, 32, 64, 64)
HIDDEN = 1024
REDUCTION = 16


class Compact(Protocol):
    """What the methods on this network are trained by."""

    @property
    def epochs(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def augment(self) -> bool: ...
    @property
    def compiled(self) -> bool: ...


class LatentNetwork(nn.Module):
    """Four convolutions down to 1/16 of the side, two linear layers to the latent, and back; linear output."""

    def __init__(self, channels: int, latent: int, size: int, outputs: int = 0) -> None:
        super().__init__()
        down, up = (channels, *WIDTHS), (*reversed(WIDTHS), channels)
        side = size // REDUCTION
        flat = WIDTHS[-1] * side**2
        self.encoder = nn.Sequential(
            *(_down(a, b) for a, b in pairwise(down)),
            nn.Flatten(),  # (n, 64, s/16, s/16) -> (n, flat)
            *(nn.Linear(flat, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU()),
            nn.Linear(HIDDEN, outputs or latent),
        )
        self.decoder = nn.Sequential(
            *(nn.Linear(latent, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU()),
            nn.Linear(HIDDEN, flat),
            nn.Unflatten(1, (WIDTHS[-1], side, side)),  # (n, flat) -> (n, 64, s/16, s/16)
            *(_up(a, b) for a, b in pairwise(up[:-1])),
            nn.ConvTranspose2d(up[-2], channels, 4, stride=2, padding=1, bias=False),
        )

    def encode(self, images: Float[Tensor, "n c s s"]) -> Float[Tensor, "n k"]:
        """The encoder's outputs of images in [-1, 1]."""
        codes: Tensor = self.encoder(images)
        return codes

    def decode(self, codes: Float[Tensor, "n d"]) -> Float[Tensor, "n c s s"]:
        """Images of latents."""
        images: Tensor = self.decoder(codes)
        return images


def training(method: Compact, loss: NetworkLoss) -> Training:
    """Adam at one learning rate; without validation, so that the last epoch is kept."""
    return Training(
        loss=loss,
        optimiser=partial(torch.optim.Adam, lr=method.lr),
        schedule=Schedule(method.epochs, method.batch),
        augment=method.augment,
        compiled=method.compiled,
    )


def _down(inner: int, outer: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inner, outer, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(outer), nn.ReLU())


def _up(inner: int, outer: int) -> nn.Sequential:
    convolution = nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outer), nn.ReLU())
