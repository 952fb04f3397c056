"""Adversarial autoencoder: one network judges whether images are real, another whether latents follow the prior.

Source: Pidhorskyi et al., NeurIPS 2018 (GPND), sec. 4, with the training of the authors' code; the
networks for 128 px are those of Bercea et al., MICCAI 2023. Map: |x - x_hat|, as in the latter's comparison.
Deviates: no likelihood of the latent is computed (GPND's own score); the learning rate is divided by 4 every 90 epochs
as the authors meant it; the sigmoids are computed inside the cross-entropies.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torch.optim.lr_scheduler import StepLR

from uadbench import FitContext, ImageSource
from uadbench.errors import ParameterError
from uadbench.torch_support import training
from uadbench.torch_support.augmentation import Affine
from uadbench.torch_support.determinism import deterministic
from uadbench.torch_support.devices import memory_checked
from uadbench.torch_support.reconstructing import (
    UNIT,
    Domain,
    Draw,
    Grid,
    Reconstructor,
    on_grid,
    reconstructor,
    require_same_channels,
    restored,
)
from uadbench.torch_support.residuals import residual
from uadbench.torch_support.training import Learner, Schedule, Step
from uadbench_autoencoders._adversarial import SIZES, AdversarialNetworks
from uadbench_autoencoders._checks import require_at_least, require_latent, require_training

BETAS = (0.5, 0.999)
QUARTERED = 90  # epochs
ZD_WEIGHT = 2.0

Loss = Callable[[AdversarialNetworks, Grid], Float[Tensor, ""]]


@dataclass(frozen=True)
class AdversarialAutoencoder:
    """GPND's autoencoder: `reconstruction` weighs the cross-entropy of the image against that of the latent.

    `width` is that of the first layers. `init_latent_only` is what a published code does: only the network that judges
    latents starts from N(0, 0.02). `bn_mode` "eval" trains with frozen batch statistics.
    """

    latent: int = 256
    width: int = 64
    size: int = 128
    epochs: int = 500
    batch: int = 128
    lr: float = 2e-3
    reconstruction: float = 10.0
    patience: int = 25
    lr_schedule_active: bool = True
    init_latent_only: bool = False
    bn_mode: str = "train"
    augment: bool = False
    residual: str = "absolute"
    block: int = 32
    compiled: bool = False

    def __post_init__(self) -> None:
        require_latent(self.latent)
        require_at_least("width", self.width, 1)
        require_at_least("reconstruction", self.reconstruction, 0)
        if self.size not in SIZES:
            raise ParameterError(f"aae: size is {self.size}. The network halves it down to 4: give one of {SIZES}.")
        require_training("aae", self, multiple=SIZES[0])
        self.schedule()

    @property
    def domain(self) -> Domain:
        """[0, 1]."""
        return UNIT

    def schedule(self) -> Schedule:
        """How long to train."""
        return Schedule(self.epochs, self.batch, self.patience, mode=self.bn_mode)

    def network(self, channels: int) -> AdversarialNetworks:
        """Untrained."""
        networks = AdversarialNetworks(channels, self.latent, self.size, self.width)
        networks.start(latent_only=self.init_latent_only)
        return networks

    def reconstruct(self, network: AdversarialNetworks, images: Grid, draw: Draw) -> Grid:
        """What the generator makes of the latent."""
        return network.generate(network.encode(images))

    def fit(self, train: ImageSource, val: ImageSource, context: FitContext) -> Reconstructor:
        """Four updates per batch; the epoch that reconstructs the validation images best is kept."""
        channels = train.shape[0]
        require_same_channels(train, val)
        residual(self.residual, context.device)  # what it lacks is said before the training
        with memory_checked(self.batch), deterministic(context.seed, context.device):
            network = self.network(channels).to(context.device)
            learner = self.learner(network, on_grid(self, val), context)
            augment = Affine(fill=self.domain.low) if self.augment else None
            training.train(learner, on_grid(self, train), self.schedule(), context, augment=augment)
        return reconstructor(self, network, channels, context)

    @classmethod
    def load(cls, folder: Path, device: str) -> Reconstructor:
        """The detector that `save` wrote."""
        return restored(cls, folder, device)

    def learner(self, network: AdversarialNetworks, val: Grid, context: FitContext) -> Learner:
        """The networks with their optimisers, schedulers and validation loss."""
        optimisers = self.optimisers(network)
        quartered = tuple(StepLR(one, QUARTERED, gamma=0.25) for one in optimisers)
        validate = training.mean_loss(lambda batch: image_entropy(network, batch), val, self.batch, context)
        step = in_turn(self.updates(network, optimisers, context))
        return Learner(network, step, optimisers, quartered if self.lr_schedule_active else (), validate)

    def optimisers(self, network: AdversarialNetworks) -> tuple[torch.optim.Optimizer, ...]:
        """Adam for the discriminator, the generator, the latent discriminator, and the autoencoder."""
        generator = list(network.generator.parameters())
        trained = (
            list(network.discriminator.parameters()),
            generator,
            list(network.latent_discriminator.parameters()),
            [*network.encoder.parameters(), *generator],
        )
        return tuple(torch.optim.Adam(weights, lr=self.lr, betas=BETAS) for weights in trained)

    def updates(
        self, network: AdversarialNetworks, optimisers: Sequence[torch.optim.Optimizer], context: FitContext
    ) -> tuple[Step, ...]:
        """The four updates, in the order of the optimisers."""

        def autoencoder_loss(networks: AdversarialNetworks, images: Grid) -> Tensor:
            return self.reconstruction * image_entropy(networks, images) + latent_loss(networks, images)

        losses = (discriminator_loss, generator_loss, latent_discriminator_loss, autoencoder_loss)
        pairs = zip(losses, optimisers, strict=True)
        return tuple(_update(network, loss, one, context, compiled=self.compiled) for loss, one in pairs)


def discriminator_loss(networks: AdversarialNetworks, images: Grid) -> Tensor:
    """BCE(D(x), 1) + BCE(D(G(z)), 0) with z ~ N(0, I)."""
    with torch.no_grad():
        made = networks.generate(networks.prior(len(images)))
    return _entropy(networks.judge(images), 1) + _entropy(networks.judge(made), 0)


def generator_loss(networks: AdversarialNetworks, images: Grid) -> Tensor:
    """BCE(D(G(z)), 1) with as many z ~ N(0, I) as there are images."""
    return _entropy(networks.judge(networks.generate(networks.prior(len(images)))), 1)


def latent_discriminator_loss(networks: AdversarialNetworks, images: Grid) -> Tensor:
    """2 [BCE(ZD(z), 1) + BCE(ZD(E(x)), 0)] with z ~ N(0, I)."""
    with torch.no_grad():
        codes = networks.encode(images)
    drawn = networks.judge_latent(networks.prior(len(images)))
    return ZD_WEIGHT * (_entropy(drawn, 1) + _entropy(networks.judge_latent(codes), 0))


def latent_loss(networks: AdversarialNetworks, images: Grid) -> Tensor:
    """BCE(ZD(E(x)), 1): the encoder is to be taken for the prior."""
    return _entropy(networks.judge_latent(networks.encode(images)), 1)


def image_entropy(networks: AdversarialNetworks, images: Grid) -> Tensor:
    """BCE(G(E(x)), x), mean over pixels, channels and images."""
    return F.binary_cross_entropy_with_logits(networks.image_logits(networks.encode(images)), images)


def in_turn(updates: Sequence[Step]) -> Step:
    """One step that makes all updates; its loss is that of the last."""

    def step(batch: Grid, epoch: int) -> Tensor:
        return [update(batch, epoch) for update in updates][-1]

    return step


def _update(
    network: AdversarialNetworks, loss: Loss, optimiser: torch.optim.Optimizer, context: FitContext, *, compiled: bool
) -> Step:
    return training.gradient_step(lambda batch: loss(network, batch), optimiser, context, compiled=compiled)


def _entropy(logits: Float[Tensor, " n"], truth: int) -> Tensor:
    """Mean binary cross-entropy against the same truth for all."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, truth))
