"""Watching a training: is the loss sound, which epoch was best, and how long will it take."""

import copy
import math
import time
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from uadbench.errors import TrainingDivergedError
from uadbench.types import FitContext, Progress

EXPLODED = 1e3  # a loss this many times that of the first epoch will not come back
REMEDY = "Lower the learning rate, or use float32."


def checked(losses: Float[Tensor, " k"], epoch: int) -> float:
    """The mean of an epoch's losses.

    Raises:
        TrainingDivergedError: One of them is not finite; names the first.
    """
    finite = torch.isfinite(losses)
    if not bool(finite.all()):
        step = int((~finite).nonzero()[0])
        raise TrainingDivergedError(
            f"The loss is {losses[step].item()} in epoch {epoch + 1}, step {step + 1}. {REMEDY}"
        )
    return float(losses.double().mean())


def finite(network: nn.Module) -> bool:
    """Whether all weights are; asked of a GPU once."""
    # the lowest and the highest tell it in a tenth of the time that looking at each takes
    ends = [torch.stack(weights.detach().aminmax()) for weights in network.parameters() if weights.numel()]
    return not ends or bool(torch.isfinite(torch.stack(ends)).all())


def require_finite(network: nn.Module) -> None:
    """Refuses a network that the last steps of a training spoiled, after the last loss that was looked at.

    Raises:
        TrainingDivergedError: Names the first weights that are not finite.
    """
    if finite(network):
        return
    name = next(name for name, weights in network.named_parameters() if not bool(torch.isfinite(weights).all()))
    raise TrainingDivergedError(f"The weights {name!r} are not finite at the end of training. {REMEDY}")


class Best:
    """The lowest validation value so far and a copy of the weights that gave it."""

    def __init__(self, patience: int, min_delta: float) -> None:
        self.patience = patience
        self.min_delta = min_delta
        self.value = math.inf
        self.weights: dict[str, Tensor] | None = None
        self.waited = 0

    def see(self, network: nn.Module, value: float) -> None:
        """Judge the network as it is now.

        Raises:
            TrainingDivergedError: The value is not finite.
        """
        if not math.isfinite(value):
            raise TrainingDivergedError(f"The validation loss is {value}. {REMEDY}")
        if value < self.value - self.min_delta:
            # a copy: state_dict() alone would go on training
            self.value, self.weights, self.waited = value, copy.deepcopy(network.state_dict()), 0
        else:
            self.waited += 1

    @property
    def exhausted(self) -> bool:
        """Whether patience has run out."""
        return 0 < self.patience <= self.waited

    def restore(self, network: nn.Module) -> None:
        """Return the network to its best epoch, if it was ever judged."""
        if self.weights is not None:
            network.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"value": self.value, "weights": self.weights, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.value, self.weights, self.waited = state["value"], state["weights"], state["waited"]


class Told:
    """Tells each epoch with its loss and the time left, and refuses a loss that has exploded."""

    def __init__(self, context: FitContext, epochs: int) -> None:
        self.context = context
        self.epochs = epochs
        self.first: float | None = None
        self._begun: tuple[int, float] | None = None

    def epoch(self, epoch: int, loss: float) -> None:
        """An epoch has ended with this mean loss.

        Raises:
            TrainingDivergedError: The loss is a thousand times that of the first epoch.
        """
        self.first = loss if self.first is None else self.first
        if loss > EXPLODED * abs(self.first) > 0:
            raise TrainingDivergedError(
                f"The loss exploded: {loss:.3g} in epoch {epoch + 1}, {self.first:.3g} in the first. {REMEDY}"
            )
        self.context.report(Progress(epoch + 1, self.epochs, "epochs", f"loss {loss:.4g}{self._left(epoch)}"))

    def _left(self, epoch: int) -> str:
        """How long the other epochs will take; nothing before a second one has been timed."""
        now = time.monotonic()
        if self._begun is None:
            self._begun = (epoch, now)
            return ""
        begun, since = self._begun
        seconds = (now - since) / (epoch - begun) * (self.epochs - epoch - 1)
        return f", {seconds / 60:.0f} min left" if seconds >= 90 else f", {seconds:.0f} s left"

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"first": self.first}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.first = state["first"]
