"""VAE: a variational autoencoder without normalisation, trained on the sum of squared errors.

Source: Zimmerer et al., MICCAI 2019; network, optimiser and schedule as Bercea et al., MICCAI 2023 (MorphAEus) and
MIDL 2023 (RA), appendix A, use it.
Deviates: the encoder's second output is the log-deviation and enters the divergence as such; `vae_std_bug` takes its
exponential twice, as published code does, which rewards latents without noise. With the right divergence a pixel's
standard deviation of 1, as published, drowns images in [0, 1]: the posterior becomes the prior, and the decoder, which
then only knows latents far from 0, makes a dark image of their mean. Here it is `sigma` = 0.1, about the error that a
trained network leaves. The plateau is measured in nats, not in shares of the loss, which may be negative.
"""

import math
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from uadbench import FitContext, ImageSource
from uadbench.torch_support.reconstructing import (
    UNIT,
    Domain,
    Draw,
    Grid,
    Reconstructor,
    Training,
    fit,
    restored,
)
from uadbench.torch_support.training import Schedule
from uadbench_autoencoders._checks import (
    require_at_least,
    require_latent,
    require_one_of,
    require_positive,
    require_training,
)
from uadbench_autoencoders._variational import (
    CODED,
    SAMPLINGS,
    Latents,
    Moments,
    divergence,
    halvings,
    moments,
    predicted,
    require_halved,
    sampled,
)

GROWTH = (1, 2, 4, 16)  # channels of each layer, in widths; further layers have as many as the last
LEAK = 0.01
MIN_DELTA = 1e-8
PLATEAU = 10  # epochs without a better validation loss until the learning rate falls to a tenth


class VaeNetwork(nn.Module):
    """One strided convolution per halving down to 4 x 4, one into the moments, and back; linear output, no biases."""

    def __init__(self, channels: int, latent: int, size: int, width: int = 16) -> None:
        super().__init__()
        depth = halvings(size)
        widths = [width * GROWTH[min(layer, len(GROWTH) - 1)] for layer in range(depth)]
        down, up = (channels, *widths), (*reversed(widths), channels)
        self.encoder = nn.Sequential(
            *(_down(a, b) for a, b in pairwise(down)),
            nn.Conv2d(widths[-1], 2 * latent, CODED, bias=False),
            nn.Flatten(),  # (n, 2d, 1, 1) -> (n, 2d)
        )
        self.decoder = nn.Sequential(
            nn.Unflatten(1, (latent, 1, 1)),  # (n, d) -> (n, d, 1, 1)
            nn.ConvTranspose2d(latent, widths[-1], CODED, bias=False),
            *(_up(a, b) for a, b in pairwise(up)),
        )

    def encode(self, images: Float[Tensor, "n c s s"]) -> Moments:
        """Mean and log-variance of each image's posterior; the network's own second output is half the latter."""
        mean, log_deviation = moments(self.encoder(images))
        return mean, 2 * log_deviation

    def decode(self, latents: Latents) -> Float[Tensor, "n c s s"]:
        """Images of latents; not bounded to [0, 1]."""
        images: Tensor = self.decoder(latents)
        return images


@dataclass(frozen=True)
class Vae:
    """Zimmerer's VAE: `latent` numbers describe an image, `width` is the channels of the first layer.

    `sigma` is a pixel's standard deviation around its reconstruction: the larger, the fewer latents are used.
    `lr_schedule_active`: the learning rate falls to a tenth after 10 epochs without a better validation loss.
    `test_sampling`: predict from the posterior's "mean" or from a "sample". `bn_mode` "eval": as there is no
    normalisation, it only trains on the mean instead of on samples. The best validation epoch is kept.
    """

    latent: int = 256
    width: int = 16
    sigma: float = 0.1
    size: int = 128
    epochs: int = 500
    batch: int = 128
    lr: float = 5e-4
    patience: int = 25
    lr_schedule_active: bool = True
    vae_std_bug: bool = False
    test_sampling: str = "mean"
    bn_mode: str = "train"
    augment: bool = False
    residual: str = "absolute"
    block: int = 32
    compiled: bool = False

    def __post_init__(self) -> None:
        require_latent(self.latent)
        require_at_least("width", self.width, 1)
        require_positive("sigma", self.sigma, "a standard deviation above 0, such as 0.1")
        require_halved("vae", self.size)
        require_training("vae", self, multiple=2 * CODED)
        require_one_of("test_sampling", self.test_sampling, SAMPLINGS)
        self.schedule()

    @property
    def domain(self) -> Domain:
        """[0, 1]."""
        return UNIT

    def schedule(self) -> Schedule:
        """How long to train."""
        return Schedule(self.epochs, self.batch, self.patience, MIN_DELTA, mode=self.bn_mode)

    def network(self, channels: int) -> VaeNetwork:
        """Untrained."""
        return VaeNetwork(channels, self.latent, self.size, self.width)

    def reconstruct(self, network: VaeNetwork, images: Grid, draw: Draw) -> Grid:
        """The image of the posterior's mean, or of a sample."""
        return network.decode(predicted(*network.encode(images), self.test_sampling, draw))

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Reconstructor:
        """Least negative evidence lower bound."""
        return fit(self, self.training(), train, val, context)

    def training(self) -> Training:
        """How the network learns; its best epoch is chosen on the same loss, of the posterior's means."""
        loss = partial(negative_elbo, sigma=self.sigma, std_bug=self.vae_std_bug)
        return Training(
            loss=loss,
            optimiser=partial(torch.optim.Adam, lr=self.lr),
            schedule=self.schedule(),
            scheduler=self.plateau if self.lr_schedule_active else None,
            validation=loss,
            augment=self.augment,
            compiled=self.compiled,
        )

    def plateau(self, optimiser: torch.optim.Optimizer) -> ReduceLROnPlateau:
        """A tenth of the learning rate after 10 epochs without a validation loss lower by more than 1e-8."""
        # not relative to the loss, which is negative where densities are above 1
        return ReduceLROnPlateau(optimiser, factor=0.1, patience=PLATEAU, threshold=MIN_DELTA, threshold_mode="abs")

    @classmethod
    def load(cls, folder: Path, device: str) -> Reconstructor:
        """The detector that `save` wrote."""
        return restored(cls, folder, device)


def negative_elbo(network: VaeNetwork, images: Grid, *, sigma: float = 1.0, std_bug: bool = False) -> Tensor:
    """Mean of `free_energy` over images."""
    return free_energy(network, images, sigma, std_bug=std_bug).mean()


def free_energy(network: VaeNetwork, images: Grid, sigma: float, *, std_bug: bool = False) -> Float[Tensor, " n"]:
    """The negative evidence lower bound -log N(x; x_hat, sigma^2) + KL per image, in nats.

    Summed over pixels and latents. Latents are drawn while the network is in train mode, and are the mean otherwise.
    `std_bug`: the divergence is that of `exponentiated_twice`.
    """
    mean, log_variance = network.encode(images)
    seen = network.decode(sampled(mean, log_variance) if network.training else mean)
    if std_bug:
        log_variance = exponentiated_twice(log_variance)
    return surprise(images, seen, sigma) + divergence(mean, log_variance)


def exponentiated_twice(log_variance: Latents) -> Latents:
    """The log-variance of a deviation exp(exp(log sigma)), which is never below 1."""
    return 2 * torch.exp(log_variance / 2)


def surprise(images: Grid, seen: Grid, sigma: float) -> Float[Tensor, " n"]:
    """-log N(x; x_hat, sigma^2) = 1/2 sum ((x - x_hat) / sigma)^2 + pixels/2 log(2 pi sigma^2) per image, in nats."""
    errors = ((images - seen) / sigma).square().flatten(1)  # (n, c, s, s) -> (n, c*s*s)
    return 0.5 * errors.sum(1) + 0.5 * math.log(2 * math.pi * sigma**2) * errors.shape[1]


def _down(inner: int, outer: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inner, outer, 4, stride=2, padding=1, bias=False), nn.LeakyReLU(LEAK))


def _up(inner: int, outer: int) -> nn.Sequential:
    return nn.Sequential(nn.LeakyReLU(LEAK), nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1, bias=False))
