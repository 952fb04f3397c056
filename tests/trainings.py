"""Small trainings for tests: a network that has everything a training can change, and what is left of one."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau, StepLR

from uadbench.torch_support.augmentation import Affine
from uadbench.torch_support.determinism import deterministic
from uadbench.torch_support.training import Learner, Schedule, gradient_step, mean_loss, train
from uadbench.types import FitContext, Progress

EPOCHS = 6
NUMBERS = torch.arange(9.0).view(9, 1, 1, 1)  # images that are their own number


class KilledError(Exception):
    """Ends a training from inside, as a signal would."""


def context(folder: Path, *, seed: int = 0, device: str = "cpu", precision: str = "float32", report=None) -> FitContext:
    """What a training gets; nobody listens unless told otherwise."""
    heard: Callable[[Progress], None] = report or (lambda progress: None)
    return FitContext(seed, device, precision, folder, heard)


def one_weight(value: float = 3.0) -> nn.Linear:
    """A network that is a number."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, value)
    return layer


def run(given: FitContext, epochs: int = 2, batch: int = 4, **schedule: Any) -> tuple[Tensor, Schedule, FitContext]:
    """What a training on `NUMBERS` needs beside a learner."""
    return NUMBERS, Schedule(epochs, batch, **schedule), given


def no_tf32() -> AbstractContextManager:
    """Convolutions of a GPU in whole float32, to compare them with the CPU's."""
    return torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)


def images(count: int = 10, size: int = 8) -> Tensor:
    """Noise in [0, 1]."""
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(1))


def network(dropout: float = 0.2) -> nn.Sequential:
    """Convolutions with batch statistics and dropout: random draws inside the step."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(dropout)),
        nn.Conv2d(6, 1, 3, padding=1),
    )


def stepwise(optimiser: torch.optim.Optimizer) -> LRScheduler:
    """A tenth of the learning rate after every second epoch."""
    return StepLR(optimiser, 2, gamma=0.1)


def waiting(optimiser: torch.optim.Optimizer) -> LRScheduler:
    """Half the learning rate after every epoch that is no better by a tenth."""
    return ReduceLROnPlateau(optimiser, factor=0.5, patience=0, threshold=0.1)


@dataclass
class Trained:
    """What is left of a training: the loss of every step, and everything that has a state."""

    learner: Learner
    losses: list[float] = field(default_factory=list)
    heard: list[Progress] = field(default_factory=list)

    @property
    def bytes(self) -> bytes:
        """Weights, moments of the optimiser and numbers of the schedulers."""
        parts = (self.learner.network, *self.learner.optimisers, *self.learner.schedulers)
        return b"".join(_bytes(part.state_dict()) for part in parts)

    @property
    def rate(self) -> float:
        """The learning rate at the end."""
        return self.learner.optimisers[0].param_groups[0]["lr"]


def trained(
    folder: Path,
    *,
    killed_at: int | None = None,
    rate: float = 0.02,
    scheduler: Callable[[torch.optim.Optimizer], LRScheduler] = stepwise,
    schedule: Schedule | None = None,
    dropout: float = 0.2,
    **changes: str | int,
) -> Trained:
    """Autoencoding with dropout, augmentation, a scheduler and a noisy validation; killed in that step, if given.

    `changes` are those of the context.

    Raises:
        KilledError: It was; the next call goes on from the last checkpoint.
    """
    result = Trained(None)  # type: ignore[arg-type]
    given = context(folder, report=result.heard.append, **changes)
    with deterministic(given.seed, given.device):
        model = network(dropout).to(given.device)
        optimiser = torch.optim.Adam(model.parameters(), rate)

        def loss(batch: Tensor) -> Tensor:
            return (model(batch) - batch).square().mean()

        def noisy(batch: Tensor) -> Tensor:
            return loss(batch + 0.1 * torch.randn(batch.shape).to(batch.device))

        descend = gradient_step(loss, optimiser, given)

        def step(batch: Tensor, epoch: int) -> Tensor:
            if killed_at == len(result.losses):
                raise KilledError
            value = descend(batch, epoch)
            result.losses.append(value.item())
            return value

        validate = mean_loss(noisy, images(5), 4, given)
        result.learner = Learner(model, step, (optimiser,), (scheduler(optimiser),), validate)
        chosen = schedule or Schedule(EPOCHS, 4, checkpoint_minutes=0)
        train(result.learner, images(), chosen, given, augment=Affine())
    return result


def _bytes(state: object) -> bytes:
    """Everything inside, in order; tensors by their bytes."""
    if isinstance(state, Tensor):
        return state.cpu().contiguous().numpy().tobytes()
    if isinstance(state, dict):
        return b"".join(repr(key).encode() + _bytes(value) for key, value in state.items())
    if isinstance(state, list | tuple):
        return b"".join(map(_bytes, state))
    return repr(state).encode()
