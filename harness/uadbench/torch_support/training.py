"""Training a network: one seeded loop for every method; what a step does is the method's.

`gradient_step` is one optimiser on one loss; a method with several optimisers, or with a weight that changes over
epochs, writes a step of its own. The loop shuffles, augments, validates, keeps a copy of the best weights, steps the
schedulers, tells progress, and goes on exactly where a run that was cut off had its last checkpoint.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from uadbench.errors import EnvironmentProblemError, InvalidDataError, ParameterError
from uadbench.torch_support.checkpoints import Checkpoint, Progressing, settings
from uadbench.torch_support.determinism import generator
from uadbench.torch_support.devices import memory_checked
from uadbench.torch_support.storing import first_line
from uadbench.torch_support.watching import Best, Told, checked, require_finite
from uadbench.types import FitContext

Batch = Float[Tensor, "n c h w"]
Step = Callable[[Batch, int], Tensor]  # a batch and the epoch, from 0; returns the loss, detached
Loss = Callable[[Batch], Float[Tensor, ""]]
Validate = Callable[[], float]
Augment = Callable[[Batch, torch.Generator], Batch]
MODES = ("train", "eval")
RESIDENT = 0.5  # the share of a GPU's free memory that images may fill


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long to train and on how many images at once.

    An epoch is one pass over the images, or `steps` batches where that is not 0. With a `validate` function, training
    stops after `patience` epochs (0 = never) without a value lower by more than `min_delta`, and the network returns to
    its best epoch. `mode` "eval" trains with frozen batch statistics and without sampling, as some published code does.
    """

    epochs: int
    batch: int
    patience: int = 0
    min_delta: float = 0.0
    steps: int = 0
    mode: str = "train"
    checkpoint_minutes: float = 10.0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2 or self.patience < 0 or self.steps < 0:
            raise ParameterError(
                f"Schedule: epochs {self.epochs}, batch {self.batch}, patience {self.patience}, steps {self.steps}. "
                "Give epochs >= 1, batch >= 2, patience >= 0 and steps >= 0."
            )
        if self.mode not in MODES:
            raise ParameterError(f"Schedule: mode is {self.mode!r}. Give one of {', '.join(MODES)}.")

    @property
    def facts(self) -> dict[str, Any]:
        """What changes the result: all but how often checkpoints are written."""
        return {name: value for name, value in asdict(self).items() if name != "checkpoint_minutes"}


@dataclass(frozen=True, slots=True)
class Learner:
    """What is trained: the network, how one step changes it, and everything else that has a state.

    A scheduler is stepped once per epoch; `ReduceLROnPlateau` with the value of `validate`, which it needs.
    """

    network: nn.Module
    step: Step
    optimisers: tuple[torch.optim.Optimizer, ...] = ()
    schedulers: tuple[LRScheduler, ...] = ()
    validate: Validate | None = None

    def __post_init__(self) -> None:
        waiting = any(isinstance(one, ReduceLROnPlateau) for one in self.schedulers)
        if waiting and self.validate is None:
            raise ParameterError("Learner: ReduceLROnPlateau follows the validation value. Give `validate` as well.")


def train(
    learner: Learner,
    images: Batch,
    schedule: Schedule,
    context: FitContext,
    *,
    augment: Augment | None = None,
    name: str = "training",
) -> None:
    """Trains the network in place and leaves it in eval mode, at its best epoch if there is a `validate`.

    `images` are ready for the network and may lie on the CPU; they are kept on the device where they fit. Batches and
    augmentation are drawn from the context's seed on the CPU, so that every device sees the same. `name` tells the
    checkpoints of a method that trains more than once apart.

    Raises:
        ParameterError: Fewer images than a batch holds.
        TrainingDivergedError: A loss that is not finite or grew a thousandfold, or weights that are not finite; says
            where the checkpoint of the last good epoch lies.
        DeviceMemoryError: The batch does not fit; the sentence says which to try.
        InvalidDataError: A checkpoint that is damaged or of another training.
    """
    _require_batch(len(images), schedule.batch)
    draws = generator(context.seed)
    best, told = Best(schedule.patience, schedule.min_delta), Told(context, schedule.epochs)
    state = Progressing(learner.network, (*learner.optimisers, *learner.schedulers), best, told, draws)
    facts = {**schedule.facts, "images": tuple(images.shape), **settings(learner.optimisers)}
    checkpoint = Checkpoint(state, context, name, facts)
    with memory_checked(schedule.batch), checkpoint.left_behind():
        feed = _Feed(_resident(images, context.device), schedule, context.device, draws, augment)
        for epoch in range(checkpoint.resume(schedule.epochs), schedule.epochs):
            told.epoch(epoch, _epoch(learner, feed, epoch))
            _judge(learner, best)
            if best.exhausted:
                break
            checkpoint.keep(epoch + 1, schedule.checkpoint_minutes)
        best.restore(learner.network)
        require_finite(learner.network)
    learner.network.eval()


def gradient_step(
    loss: Loss,
    optimiser: torch.optim.Optimizer,
    context: FitContext,
    *,
    clip_norm: float = 0.0,
    compiled: bool = False,
) -> Step:
    """One step of the optimiser down the loss of a batch, computed in the context's precision.

    `clip_norm` bounds the norm of all gradients together (0 = no bound); `compiled` runs the loss through
    `torch.compile`, which pays for long trainings on a GPU.

    Raises:
        ParameterError: `clip_norm` below 0.
    """
    if not clip_norm >= 0:
        raise ParameterError(f"clip_norm is {clip_norm}. Give a norm above 0, or 0 for no bound.")
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    computed = _compiled(loss) if compiled else loss

    def step(batch: Batch, _epoch: int) -> Tensor:
        optimiser.zero_grad(set_to_none=True)
        with autocast(context):
            value = computed(batch)
        value.backward()  # type: ignore[no-untyped-call]
        if clip_norm:
            nn.utils.clip_grad_norm_(weights, clip_norm)
        optimiser.step()
        return value.detach()

    return step


def mean_loss(loss: Loss, images: Batch, batch: int, context: FitContext) -> Validate:
    """The mean of a loss over images, for `Learner.validate`; the random state is as before when it returns.

    Raises:
        InvalidDataError: No images.
    """
    if not len(images):
        raise InvalidDataError("There are no validation images to choose the best epoch on. Give at least one.")
    kept = _resident(images, context.device)

    def validate() -> float:
        total = torch.zeros((), device=context.device)
        with torch.random.fork_rng(devices=_drawing(context.device)), autocast(context):
            for part in torch.split(kept, batch):
                total += loss(part.to(context.device)).float() * len(part)
        return float(total) / len(images)

    return validate


def autocast(context: FitContext) -> AbstractContextManager:
    """Computes in bfloat16 where torch holds that safe, if the context asks for it.

    In float32 torch still lets a recent GPU round the factors of a convolution to 10 bits (TF32).
    """
    kind = torch.device(context.device).type
    return torch.autocast(kind, torch.bfloat16, enabled=context.precision == "bfloat16")


@dataclass(frozen=True, slots=True)
class _Feed:
    """Where the batches of an epoch come from: the images, and what is drawn from them."""

    images: Batch
    schedule: Schedule
    device: str
    draws: torch.Generator
    augment: Augment | None

    def batches(self) -> Iterator[Batch]:
        """Every image once, shuffled; or as many shuffled passes as `steps` batches take; on the device, augmented."""
        rows = self._rows()
        for start, stop in pairwise(self._starts(len(rows))):
            batch = self.images[rows[start:stop]].to(self.device, non_blocking=True)
            yield self.augment(batch, self.draws) if self.augment else batch

    def _rows(self) -> Int[Tensor, " k"]:
        count, wanted = len(self.images), self.schedule.steps * self.schedule.batch
        passes = math.ceil(wanted / count) if wanted else 1
        rows = torch.cat([torch.randperm(count, generator=self.draws) for _ in range(passes)])
        return (rows[:wanted] if wanted else rows).to(self.images.device)

    def _starts(self, count: int) -> list[int]:
        starts = [*range(0, count, self.schedule.batch), count]
        if count % self.schedule.batch == 1:  # an image alone has no batch statistics: it joins the batch before
            starts.pop(-2)
        return starts


def _epoch(learner: Learner, feed: _Feed, epoch: int) -> float:
    """One pass; the mean loss. Losses stay on the device until its end, so that a GPU never waits for one."""
    learner.network.train(feed.schedule.mode == "train")
    losses = [learner.step(batch, epoch).detach() for batch in feed.batches()]
    learner.network.eval()
    return checked(torch.stack(losses), epoch)


def _judge(learner: Learner, best: Best) -> None:
    """Validate the epoch and step the schedulers."""
    value = None
    if learner.validate is not None:
        with torch.no_grad():
            value = learner.validate()
        best.see(learner.network, value)
    for scheduler in learner.schedulers:
        if not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()
        elif value is not None:
            scheduler.step(value)


def _compiled(loss: Loss) -> Loss:
    """The loss compiled at its first call, which needs a compiler on this machine."""
    from torch._dynamo.exc import BackendCompilerFailed

    fast: Loss = torch.compile(loss)

    def computed(batch: Batch) -> Float[Tensor, ""]:
        try:
            return fast(batch)
        except BackendCompilerFailed as error:
            reason = first_line(error)
            raise EnvironmentProblemError(
                f"torch.compile failed here ({reason}). Install a C++ compiler, or leave `compiled` off."
            ) from error

    return computed


def _resident(images: Batch, device: str) -> Batch:
    """The images on the device, unless they would fill more than half of a GPU's free memory."""
    if torch.device(device).type != "cuda":
        return images
    free, _ = torch.cuda.mem_get_info(torch.device(device).index)
    fits = images.numel() * images.element_size() <= RESIDENT * free
    return images.to(device) if fits else images


def _drawing(device: str) -> list[str]:
    return [device] if torch.device(device).type == "cuda" else []


def _require_batch(count: int, batch: int) -> None:
    if count < batch:
        raise ParameterError(
            f"batch is {batch}, but there are only {count} training images. Give a batch of {count} or less."
            if count > 1
            else f"Training needs at least 2 images, not {count}: batch statistics have no spread."
        )
