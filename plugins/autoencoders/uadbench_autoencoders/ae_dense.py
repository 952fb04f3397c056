"""AE-D: a convolutional autoencoder whose latent is a vector.

Source: Baur et al., MedIA 2021 (dense autoencoder); layers, loss, optimiser and schedule as Bercea et al., MICCAI 2023
(MorphAEus), use it for their comparison.
Deviates: as there, a sigmoid at the output and no dropout at the latent, where Baur has a linear output and dropout; a
last batch that is not full is used as well; where there are not 4 layers the decoder mirrors the encoder.
Published code has a slope of 1.0, which makes the activations the identity, and trains with frozen batch statistics:
`leaky_slope` and `bn_mode` do so.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from uadbench import FitContext, ImageSource
from uadbench.torch_support.reconstructing import UNIT, Domain, Draw, Grid, Reconstructor, fit, restored
from uadbench.torch_support.training import Schedule
from uadbench_autoencoders._checks import require_latent, require_training
from uadbench_autoencoders._mirrored import (
    BAUR_DELTA,
    Convolutions,
    MirroredNetwork,
    baur,
    least_absolute_error,
    require_layers,
)

THINNER = 8  # the feature map has so many times fewer channels where it turns into a vector


@dataclass(frozen=True)
class DenseAutoencoder:
    """AE-D: `latent` numbers describe an image; each of `layers` layers halves the side.

    The first has `width` channels, later ones up to four times that. `leaky_slope` is that of the activations where
    they are negative; `bn_mode` "eval" trains with frozen batch statistics. The best validation epoch is kept.
    """

    latent: int = 128
    layers: int = 4
    width: int = 32
    size: int = 128
    epochs: int = 1000
    batch: int = 64
    lr: float = 5e-4
    patience: int = 25
    leaky_slope: float = 0.01
    bn_mode: str = "train"
    augment: bool = False
    residual: str = "absolute"
    block: int = 32
    compiled: bool = False

    def __post_init__(self) -> None:
        require_latent(self.latent)
        self.convolutions()
        require_layers("ae-dense", self.layers, self.size)
        require_training("ae-dense", self, multiple=2**self.layers)
        self.schedule()

    @property
    def domain(self) -> Domain:
        """[0, 1]."""
        return UNIT

    def convolutions(self) -> Convolutions:
        """The layers of encoder and decoder."""
        return baur(self.layers, self.width, self.leaky_slope)

    def schedule(self) -> Schedule:
        """How long to train."""
        return Schedule(self.epochs, self.batch, self.patience, BAUR_DELTA, mode=self.bn_mode)

    def optimiser(self, weights: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(weights, lr=self.lr)

    def network(self, channels: int) -> MirroredNetwork:
        """Untrained."""
        layers, side = self.convolutions(), self.size // 2**self.layers
        deepest = layers.widths[-1]
        thin = max(1, deepest // THINNER)
        flat = thin * side**2
        narrowed = nn.Conv2d(deepest, thin, 1), nn.Flatten(), nn.Linear(flat, self.latent)  # -> (n, thin*a*a) -> (n, d)
        widened = nn.Linear(self.latent, flat), nn.Unflatten(1, (thin, side, side)), nn.Conv2d(thin, deepest, 1)
        encoder = nn.Sequential(layers.down(channels), *narrowed)
        return MirroredNetwork(encoder, nn.Sequential(*widened, layers.up(channels), nn.Sigmoid()))

    def reconstruct(self, network: MirroredNetwork, images: Grid, draw: Draw) -> Grid:
        """What the network returns."""
        return network.decode(network.encode(images))

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Reconstructor:
        """Least absolute error."""
        return fit(self, least_absolute_error(self), train, val, context)

    @classmethod
    def load(cls, folder: Path, device: str) -> Reconstructor:
        """The detector that `save` wrote."""
        return restored(cls, folder, device)
