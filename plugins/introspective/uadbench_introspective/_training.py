"""Training introspective autoencoders: one update of the encoder and one of the decoder for every batch.

Source: Daniel and Tamar, CVPR 2021 (Soft-IntroVAE), algorithm 1.
What the decoder made of both kinds of latents for the encoder's update serves its own as well, since its weights are
still the same; its running statistics see each of these batches once.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import MultiStepLR

from uadbench import FitContext, ImageSource
from uadbench.errors import InvalidDataError
from uadbench.torch_support import training
from uadbench.torch_support.augmentation import Affine
from uadbench.torch_support.determinism import deterministic
from uadbench.torch_support.reconstructing import (
    Domain,
    Draw,
    Grid,
    Means,
    Reconstructor,
    by_name,
    on_grid,
    reconstructor,
    require_same_channels,
)
from uadbench.torch_support.training import Learner, Schedule, Step, autocast
from uadbench_introspective._losses import Round, Weights, decoder_loss, encoder_loss
from uadbench_introspective._networks import Codes, IntrospectiveNetworks, stride

MIN_DELTA = 1e-8  # of early stopping
TENTH = 0.1
DRAWS = 6  # of noise per image and step: real, fake, and two for each of the images made of these

Draws = Float[Tensor, "k n z"]
Loss = Float[Tensor, ""]


class Introspective(Protocol):
    """What the methods of this package are trained by; `milestone` is an epoch, or 0 for one learning rate."""

    size: int
    block: int
    latent: int
    width: int
    epochs: int
    batch: int
    lr: float
    patience: int
    bn_mode: str
    augment: bool
    test_sampling: str

    @property
    def domain(self) -> Domain: ...

    @property
    def milestone(self) -> int: ...

    @property
    def loss_weights(self) -> Weights: ...

    def network(self, channels: int) -> IntrospectiveNetworks: ...

    def reconstruct(self, network: IntrospectiveNetworks, images: Grid, draw: Draw) -> Grid: ...


def fit(
    method: Introspective, train: ImageSource, val: ImageSource, context: FitContext, means: Means = by_name
) -> Reconstructor:
    """The detector of the method's networks at the epoch that reconstructs the validation images best.

    Raises:
        InvalidDataError: Images smaller than the encoder's stride; validation images of other channels, or none.
        TrainingDivergedError: A loss that is not finite; says where the last good epoch is kept.
        EnvironmentProblemError: What the map needs, weights or a library, is missing; said before the training.
    """
    require_same_channels(train, val)
    _require_images(method, train.shape)
    means(method, context.device)
    channels = train.shape[0]
    with deterministic(context.seed, context.device):
        network = method.network(channels).to(context.device)
        made = learner(method, network, on_grid(method, val), context)
        augment = Affine(fill=method.domain.low) if method.augment else None
        training.train(made, on_grid(method, train), schedule(method), context, augment=augment)
    return reconstructor(method, network, channels, context, means)


def schedule(method: Introspective) -> Schedule:
    """How long to train."""
    return Schedule(method.epochs, method.batch, method.patience, MIN_DELTA, mode=method.bn_mode)


def learner(method: Introspective, networks: IntrospectiveNetworks, val: Grid, context: FitContext) -> Learner:
    """The networks with their two optimisers and schedulers, and the validation error."""
    optimisers = tuple(torch.optim.Adam(part.parameters(), lr=method.lr) for part in _parts(networks))
    falls = tuple(MultiStepLR(one, [method.milestone], TENTH) for one in optimisers if method.milestone)

    def error(images: Grid) -> Loss:
        def draw(*shape: int) -> Tensor:
            return torch.randn(len(images), *shape).to(images.device)

        return F.mse_loss(method.reconstruct(networks, images, draw), images)

    validate = training.mean_loss(error, val, method.batch, context)
    step = introspective_step(networks, optimisers, method.loss_weights, context)
    return Learner(networks, step, optimisers, falls, validate)


def introspective_step(
    networks: IntrospectiveNetworks,
    optimisers: Sequence[torch.optim.Optimizer],
    weights: Weights,
    context: FitContext,
) -> Step:
    """One update of the encoder, then one of the decoder; the loss is the sum of both."""
    encoder, decoder = (list(part.parameters()) for part in _parts(networks))
    of_encoder, of_decoder = optimisers

    def step(images: Grid, _epoch: int) -> Tensor:
        noise = networks.noise(DRAWS, len(images))
        with autocast(context):
            first, real, fake = encoder_pass(networks, images, noise, weights)
        _descend(first, of_encoder, encoder, again=True)
        first = first.detach()
        with autocast(context):
            second = decoder_pass(networks, real, fake, noise, weights)
        _descend(second, of_decoder, decoder)
        return first + second.detach()

    return step


def encoder_pass(
    networks: IntrospectiveNetworks, images: Grid, noise: Draws, weights: Weights
) -> tuple[Loss, Round, Grid]:
    """The encoder's loss, and what the decoder's begins with: the round of the images, and images made of noise."""
    encoded = networks.encoder(images)
    real = Round(images, encoded, networks.decoder(encoded.sampled(noise[0])))
    fake = networks.decoder(noise[1])
    rec_again, fake_again = (
        _round(networks, one.detach(), drawn) for one, drawn in zip((real.seen, fake), noise[2:4], strict=True)
    )
    return encoder_loss(real, rec_again, fake_again, weights), real, fake


def decoder_pass(networks: IntrospectiveNetworks, real: Round, fake: Grid, noise: Draws, weights: Weights) -> Loss:
    """The decoder's loss, under the encoder as it is now."""
    rec_again, fake_again = (
        _round(networks, one, drawn if weights.gamma else None, held=True)
        for one, drawn in zip((real.seen, fake), noise[4:6], strict=True)
    )
    return decoder_loss(real, rec_again, fake_again, weights)


def reconstructed(networks: IntrospectiveNetworks, images: Grid, sampling: str, draw: Draw) -> Grid:
    """The image of the posterior's mean, or of a sample from each image's own stream ("sample")."""
    encoded = networks.encoder(images)
    return networks.decoder(encoded.mean if sampling == "mean" else encoded.sampled(draw(networks.latent)))


def _round(networks: IntrospectiveNetworks, images: Grid, noise: Codes | None, *, held: bool = False) -> Round:
    """Through both networks, or the encoder alone without `noise`; `held`: latents are data to the decoder."""
    encoded = networks.encoder(images)
    if noise is None:
        return Round(images, encoded, None)
    codes = encoded.sampled(noise)
    return Round(images, encoded, networks.decoder(codes.detach() if held else codes))


def _descend(loss: Loss, optimiser: torch.optim.Optimizer, weights: list[nn.Parameter], *, again: bool = False) -> None:
    """One step on these weights alone; `again`: a second backward pass through parts of the graph follows."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward(inputs=weights, retain_graph=again)
    optimiser.step()


def _parts(networks: IntrospectiveNetworks) -> tuple[nn.Module, nn.Module]:
    return networks.encoder, networks.decoder


def _require_images(method: Introspective, shape: tuple[int, int, int]) -> None:
    (_, height, width), least = shape, stride(method.size)
    if min(height, width) < least:
        raise InvalidDataError(
            f"Images of {height} x {width} px are smaller than the encoder's stride at size {method.size}, which is "
            f"{least} px. Give images of at least {least} px a side, or a smaller size."
        )
