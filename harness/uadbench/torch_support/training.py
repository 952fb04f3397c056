"""Training a network: seeded batches, one step per batch, progress per epoch, optional early stopping.

What a step does is the method's: `gradient_step` is one optimiser on one loss; a method with two optimisers, or with
a weight that changes over epochs, writes a function of its own.
"""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from uadbench.errors import InvalidDataError, ParameterError, RunFailedError
from uadbench.torch_support.determinism import generator
from uadbench.types import FitContext, Progress

Batch = Float[Tensor, "n c h w"]
Step = Callable[[Batch, int], float]  # a batch and the epoch, from 0; returns the loss
Loss = Callable[[Batch], Float[Tensor, ""]]
Validate = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long to train and on how many images at once.

    With a `validate` function, training stops after `patience` epochs without a lower value (0 = never) and the
    network returns to its best epoch.
    """

    epochs: int
    batch: int
    patience: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2 or self.patience < 0:
            raise ParameterError(
                f"Schedule: epochs {self.epochs}, batch {self.batch}, patience {self.patience}. "
                "Give epochs >= 1, batch >= 2 and patience >= 0."
            )


def train(
    network: nn.Module,
    step: Step,
    images: Batch,
    schedule: Schedule,
    context: FitContext,
    validate: Validate | None = None,
) -> None:
    """Trains the network in place, in train mode, and leaves it in eval mode.

    `images` are ready for the network and may lie on the CPU; batches are drawn from the context's seed and moved to
    its device. `validate` sees the network in eval mode, without gradients.

    Raises:
        InvalidDataError: Fewer than two images.
        RunFailedError: A loss that is not finite.
    """
    if len(images) < 2:
        raise InvalidDataError(f"Training needs at least 2 images, not {len(images)}: batch statistics have no spread.")
    order, best = generator(context.seed), _Best(schedule.patience)
    for epoch in range(schedule.epochs):
        network.train()
        losses = [step(images[rows].to(context.device), epoch) for rows in _batches(len(images), schedule.batch, order)]
        loss = _mean(losses, epoch)
        network.eval()
        context.report(Progress(epoch + 1, schedule.epochs, "epochs", f"loss {loss:.4g}"))
        if validate is not None:
            with torch.no_grad():
                best.see(network, validate())
            if best.exhausted:
                break
    best.restore(network)


def gradient_step(loss: Loss, optimiser: torch.optim.Optimizer, context: FitContext) -> Step:
    """One step of the optimiser down the loss of a batch, computed in the context's precision."""

    def step(batch: Batch, _epoch: int) -> float:
        optimiser.zero_grad(set_to_none=True)
        with autocast(context):
            value = loss(batch)
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return value.item()

    return step


def autocast(context: FitContext) -> AbstractContextManager:
    """Computes in bfloat16 where torch holds that safe, if the context asks for it."""
    kind = torch.device(context.device).type
    return torch.autocast(kind, torch.bfloat16, enabled=context.precision == "bfloat16")


def _batches(count: int, size: int, order: torch.Generator) -> Iterator[Tensor]:
    """Rows of every image once, shuffled. A last image alone joins the batch before: one image has no statistics."""
    rows = torch.randperm(count, generator=order)
    starts = list(range(0, count, size))
    if count - starts[-1] == 1:
        starts.pop()
    return (rows[start:stop] for start, stop in zip(starts, [*starts[1:], count], strict=True))


def _mean(losses: list[float], epoch: int) -> float:
    mean = sum(losses) / len(losses)
    if not math.isfinite(mean):
        raise RunFailedError(f"The loss is {mean} in epoch {epoch + 1}. Lower the learning rate, or use float32.")
    return mean


class _Best:
    """The lowest validation value so far and the weights that gave it."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.value = math.inf
        self.weights: dict[str, Tensor] | None = None
        self.waited = 0

    def see(self, network: nn.Module, value: float) -> None:
        if value < self.value:
            # a copy: state_dict() alone would go on training
            self.value, self.weights, self.waited = value, copy.deepcopy(network.state_dict()), 0
        else:
            self.waited += 1

    @property
    def exhausted(self) -> bool:
        return 0 < self.patience <= self.waited

    def restore(self, network: nn.Module) -> None:
        if self.weights is not None:
            network.load_state_dict(self.weights)
