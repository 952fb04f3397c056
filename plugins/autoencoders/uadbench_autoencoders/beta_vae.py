"""beta-VAE: the information that its latents may hold about an image grows with training.

Source: Burgess et al., 2018, arXiv:1804.03599, eq. 8 (capacity), after Higgins et al., ICLR 2017; network, weights and
schedule as Bercea et al., MICCAI 2023 (MorphAEus), use them by their code.
Deviates: `gamma` is 2, where Burgess et al. have 1000; the squared error is a mean over pixels. Predicts from the
posterior's mean and validates on it; published code draws a sample there too (`test_sampling` "sample" does so when
predicting). Only steps of training count towards the capacity; published code counts batches of validation as well
(`validation_counts`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from uadbench import FitContext, ImageSource
from uadbench.torch_support.reconstructing import UNIT, Domain, Draw, Grid, Reconstructor, Training, fit, restored
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

HIDDEN = 8  # widths of the layer between the last map and the latents
MIN_DELTA = 1e-8


class BetaVaeNetwork(nn.Module):
    """Strided convolutions of equal width down to 4 x 4, a hidden layer, the moments, and back; linear output.

    `steps` counts the batches it has learned from; it is kept, restored and saved with the weights.
    """

    steps: Tensor

    def __init__(self, channels: int, latent: int, size: int, width: int = 32) -> None:
        super().__init__()
        widths, hidden = [width] * halvings(size), HIDDEN * width
        self.encoder = nn.Sequential(
            *_strided(nn.Conv2d, [channels, *widths]),
            *(nn.Conv2d(width, hidden, CODED), nn.ReLU(), nn.Flatten()),  # (n, k, 4, 4) -> (n, 8k)
            nn.Linear(hidden, 2 * latent),
        )
        self.decoder = nn.Sequential(
            *(nn.Linear(latent, hidden), nn.ReLU(), nn.Unflatten(1, (hidden, 1, 1))),  # (n, d) -> (n, 8k, 1, 1)
            *(nn.ConvTranspose2d(hidden, width, CODED), nn.ReLU()),
            *_strided(nn.ConvTranspose2d, [*widths, channels])[:-1],
        )
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.apply(_start)

    def encode(self, images: Float[Tensor, "n c s s"]) -> Moments:
        """Mean and log-variance of each image's posterior."""
        return moments(self.encoder(images))

    def decode(self, latents: Latents) -> Float[Tensor, "n c s s"]:
        """Images of latents; not bounded to [0, 1]."""
        images: Tensor = self.decoder(latents)
        return images


@dataclass(frozen=True)
class BetaVae:
    """`latent` numbers describe an image; `gamma` * `kl_weight` weighs how far their divergence is from the capacity.

    The capacity grows to `capacity` nats in `capacity_steps` steps of training; `validation_counts`: batches of
    validation count as well. `test_sampling`: predict from the posterior's "mean" or from a "sample". `bn_mode` changes
    nothing: no layer here has a mode. The best validation epoch is kept.
    """

    latent: int = 32
    width: int = 32
    size: int = 128
    epochs: int = 1000
    batch: int = 64
    lr: float = 5e-4
    patience: int = 25
    gamma: float = 2.0
    kl_weight: float = 0.008
    capacity: float = 50.0
    capacity_steps: int = 100_000
    validation_counts: bool = False
    test_sampling: str = "mean"
    bn_mode: str = "train"
    augment: bool = False
    residual: str = "absolute"
    block: int = 32
    compiled: bool = False

    def __post_init__(self) -> None:
        require_latent(self.latent)
        require_at_least("width", self.width, 1)
        require_halved("beta-vae", self.size)
        require_training("beta-vae", self, multiple=2 * CODED)
        for name in ("gamma", "kl_weight", "capacity"):
            require_at_least(name, getattr(self, name), 0)
        require_positive("capacity_steps", self.capacity_steps, "how many steps it takes to the full capacity")
        require_one_of("test_sampling", self.test_sampling, SAMPLINGS)
        self.schedule()

    @property
    def domain(self) -> Domain:
        """[0, 1]."""
        return UNIT

    def schedule(self) -> Schedule:
        """How long to train."""
        return Schedule(self.epochs, self.batch, self.patience, MIN_DELTA, mode=self.bn_mode)

    def network(self, channels: int) -> BetaVaeNetwork:
        """Untrained."""
        return BetaVaeNetwork(channels, self.latent, self.size, self.width)

    def reconstruct(self, network: BetaVaeNetwork, images: Grid, draw: Draw) -> Grid:
        """The image of the posterior's mean, or of a sample."""
        return network.decode(predicted(*network.encode(images), self.test_sampling, draw))

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Reconstructor:
        """Least squared error, with a divergence near the capacity."""
        return fit(self, self.training(), train, val, context)

    def training(self) -> Training:
        """How the network learns; its best epoch is chosen on the loss of the posterior's means."""
        return Training(
            loss=self.training_loss,
            optimiser=partial(torch.optim.Adam, lr=self.lr),
            schedule=self.schedule(),
            validation=self.validation_loss,
            augment=self.augment,
            compiled=self.compiled,
        )

    @classmethod
    def load(cls, folder: Path, device: str) -> Reconstructor:
        """The detector that `save` wrote."""
        return restored(cls, folder, device)

    def training_loss(self, network: BetaVaeNetwork, images: Grid) -> Tensor:
        """The loss of a sample from each posterior; counts a step before it asks for the capacity."""
        network.steps += 1
        mean, log_variance = network.encode(images)
        return self.loss(network, images, sampled(mean, log_variance), divergence(mean, log_variance))

    def validation_loss(self, network: BetaVaeNetwork, images: Grid) -> Tensor:
        """The loss of each posterior's mean."""
        network.steps += int(self.validation_counts)
        mean, log_variance = network.encode(images)
        return self.loss(network, images, mean, divergence(mean, log_variance))

    def loss(self, network: BetaVaeNetwork, images: Grid, latents: Latents, nats: Float[Tensor, " n"]) -> Tensor:
        """mean (x - x_hat)^2 + `gamma` * `kl_weight` * |mean KL - C|: means over pixels and images, over images."""
        apart = (nats.mean() - self.capacity_after(network.steps)).abs()
        return F.mse_loss(network.decode(latents), images) + self.gamma * self.kl_weight * apart

    def capacity_after(self, steps: Tensor) -> Float[Tensor, ""]:
        """C = min(`capacity`, `capacity` * steps / `capacity_steps`), in nats."""
        return (self.capacity * steps / self.capacity_steps).clamp(max=self.capacity)


def _strided(kind: type[nn.Conv2d | nn.ConvTranspose2d], widths: Sequence[int]) -> list[nn.Module]:
    """Convolutions that halve or double the side, each with its rectifier."""
    layers = [(kind(inner, outer, 4, stride=2, padding=1), nn.ReLU()) for inner, outer in pairwise(widths)]
    return [layer for pair in layers for layer in pair]


def _start(layer: nn.Module) -> None:
    """Weights from N(0, 2 / inputs) as torch counts a layer's inputs, biases 0: He et al., ICCV 2015."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
