"""Autoencoders of strided convolutions: layers that halve the side, their mirror image, and the least absolute error.

Source: Baur et al., MedIA 2021, as Bercea et al., MICCAI 2023 (MorphAEus), configure it, and Meissen et al., MIDL 2022
(pitfalls), appendix B. Both have one rule for the channels: they double from `width` on, up to four times `width`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from uadbench.errors import ParameterError
from uadbench.torch_support.reconstructing import Grid, Training
from uadbench.torch_support.training import Schedule
from uadbench_autoencoders._checks import require_at_least

WIDEST = 4  # in widths
BAUR_DELTA = 1e-8  # of early stopping, as MorphAEus compares Baur's autoencoders
PITFALLS_LAYERS = 5

Codes = Float[Tensor, "n ..."]


@dataclass(frozen=True, slots=True)
class Convolutions:
    """`layers` convolutions of stride 2 with batch normalisation and leaky ReLU, and as many transposed ones back."""

    layers: int
    width: int
    kernel: int
    slope: float
    bias: bool

    def __post_init__(self) -> None:
        require_at_least("layers", self.layers, 1)
        require_at_least("width", self.width, 1)
        require_at_least("leaky_slope", self.slope, 0)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each layer on the way down."""
        return tuple(self.width * min(2**layer, WIDEST) for layer in range(self.layers))

    def down(self, channels: int) -> nn.Sequential:
        """From images to a feature map of `widths[-1]` channels and 1 / 2^layers of the side."""
        return nn.Sequential(*(self._halved(a, b) for a, b in pairwise((channels, *self.widths))))

    def up(self, channels: int) -> nn.Sequential:
        """From such a feature map to images: a layer returns what its mirror image was given; linear output."""
        widths = (*reversed(self.widths), self.width)
        last = nn.Conv2d(self.width, channels, 1, bias=self.bias)
        return nn.Sequential(*(self._doubled(a, b) for a, b in pairwise(widths)), last)

    def _halved(self, inner: int, outer: int) -> nn.Sequential:
        convolution = nn.Conv2d(inner, outer, self.kernel, 2, self.kernel // 2, bias=self.bias)
        return self._layer(convolution, outer)  # (n, inner, s, s) -> (n, outer, s/2, s/2)

    def _doubled(self, inner: int, outer: int) -> nn.Sequential:
        convolution = nn.ConvTranspose2d(inner, outer, self.kernel, 2, self.kernel // 2, 1, bias=self.bias)
        return self._layer(convolution, outer)  # (n, inner, s, s) -> (n, outer, 2s, 2s)

    def _layer(self, convolution: nn.Module, outer: int) -> nn.Sequential:
        return nn.Sequential(convolution, nn.BatchNorm2d(outer), nn.LeakyReLU(self.slope))


def baur(layers: int, width: int, slope: float) -> Convolutions:
    """Baur's layers: 5 x 5 with biases."""
    return Convolutions(layers, width, kernel=5, slope=slope, bias=True)


def pitfalls(width: int) -> Convolutions:
    """The five layers of the study of pitfalls: 3 x 3 without biases."""
    return Convolutions(PITFALLS_LAYERS, width, kernel=3, slope=0.01, bias=False)


def require_layers(name: str, layers: int, size: int) -> None:
    """Refuses more halvings than a side has.

    Raises:
        ParameterError: Names the most there can be.
    """
    most = size.bit_length() - 1
    if layers > most >= 1:
        raise ParameterError(
            f"{name}: layers is {layers}, but a side of {size} pixels cannot be halved more than {most} times. "
            f"Give 1 to {most} layers, or a larger size."
        )


class MirroredNetwork(nn.Module):
    """An encoder, and a decoder that brings its latents back to images."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, images: Grid) -> Codes:
        """The latents of images."""
        codes: Tensor = self.encoder(images)
        return codes

    def decode(self, codes: Codes) -> Grid:
        """Images of latents."""
        images: Tensor = self.decoder(codes)
        return images


class Learning(Protocol):
    """How a method says that it wants to be trained."""

    @property
    def augment(self) -> bool: ...
    @property
    def compiled(self) -> bool: ...
    def schedule(self) -> Schedule: ...
    def optimiser(self, weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer: ...


def least_absolute_error(method: Learning) -> Training:
    """Training on the absolute error, which chooses the epoch as well."""
    return Training(
        loss=absolute_error,
        optimiser=method.optimiser,
        schedule=method.schedule(),
        validation=absolute_error,
        augment=method.augment,
        compiled=method.compiled,
    )


def absolute_error(network: MirroredNetwork, images: Grid) -> Tensor:
    """Mean |x - x_hat| over pixels, channels and images."""
    return F.l1_loss(network.decode(network.encode(images)), images)
