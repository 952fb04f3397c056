"""Training the inpainting: one update of the generator and one of the discriminator for every batch.

Source: Bercea et al., MICCAI 2023 (PHANES), sec. 3 and 4; Zeng et al., TVCG 2022 (AOT-GAN), sec. 3.4.
A mask travels with its image as the last channel. The best epoch is that of the smallest squared error of healthy
validation images: the paper adds that of the coarse image, which no longer changes once stage 1 is fitted.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from uadbench import FitContext
from uadbench.torch_support import training
from uadbench.torch_support.augmentation import Affine
from uadbench.torch_support.training import Learner, Schedule, Step, autocast
from uadbench_phanes._inpainting import InpaintingNetworks, composed
from uadbench_phanes._losses import Features, Loss, Weights, likeness, passing, unmasking
from uadbench_phanes._masks import Batch, Masking, split

NAME = "inpainting"  # of the checkpoints
MIN_DELTA = 1e-8  # of early stopping


class Inpainting(Protocol):
    """What the method must have for stage 2 to be trained."""

    epochs: int
    batch: int
    lr: float
    patience: int
    augment: bool

    @property
    def loss_weights(self) -> Weights: ...


def schedule(method: Inpainting) -> Schedule:
    """How long to train."""
    return Schedule(method.epochs, method.batch, method.patience, MIN_DELTA)


def train(
    method: Inpainting,
    networks: InpaintingNetworks,
    features: Features,
    batches: tuple[Batch, Batch],
    context: FitContext,
) -> None:
    """Trains the networks in place on images with their masks, for training and validation.

    Raises:
        ParameterError: Fewer images than a batch holds.
        TrainingDivergedError: A loss that is not finite; says where the last good epoch is kept.
        DeviceMemoryError: The batch does not fit.
    """
    images, val = batches
    made = learner(method, networks, features, val, context)
    masking = Masking(Affine() if method.augment else None)
    training.train(made, images, schedule(method), context, augment=masking, name=NAME)


def learner(
    method: Inpainting, networks: InpaintingNetworks, features: Features, val: Batch, context: FitContext
) -> Learner:
    """The networks with their two optimisers, and the validation error."""
    parts = (networks.generator, networks.discriminator)
    optimisers = tuple(torch.optim.Adam(part.parameters(), lr=method.lr) for part in parts)

    def error(batch: Batch) -> Loss:
        images, masks = split(batch)
        made = networks.generator(images, masks).clamp(0, 1)
        return F.mse_loss(composed(images, made, masks), images)

    validate = training.mean_loss(error, val, method.batch, context)
    step = inpainting_step(networks, optimisers, features, method.loss_weights, context)
    return Learner(networks, step, optimisers, (), validate)


def inpainting_step(
    networks: InpaintingNetworks,
    optimisers: Sequence[torch.optim.Optimizer],
    features: Features,
    weights: Weights,
    context: FitContext,
) -> Step:
    """One update of the generator, then one of the discriminator on the same images; the loss is the sum of both.

    An adversarial weight of 0 leaves the discriminator as it is: nothing would ever ask it.
    """
    of_generator, of_discriminator = optimisers
    generator, discriminator = networks.generator, networks.discriminator

    def step(batch: Batch, _epoch: int) -> Tensor:
        images, masks = split(batch)
        with autocast(context):
            made = generator(images, masks)
            fake = composed(images, made, masks)
            loss = likeness(made, images, features, weights)
            if weights.adversarial:
                loss = loss + weights.adversarial * passing(discriminator(fake), masks)
        _descend(loss, of_generator, generator)
        if not weights.adversarial:
            return loss.detach()
        judged = discriminator(torch.cat([fake.detach(), images]))
        second = unmasking(*judged.chunk(2), masks)
        _descend(second, of_discriminator, discriminator)
        return loss.detach() + second.detach()

    return step


def _descend(loss: Loss, optimiser: torch.optim.Optimizer, part: nn.Module) -> None:
    """One step on the weights of this part alone."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward(inputs=list(part.parameters()))
    optimiser.step()
