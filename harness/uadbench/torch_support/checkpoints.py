"""Checkpoints: everything a training needs to go on exactly, byte for byte, after its process was killed.

A file `<name>.checkpoint` in the run's work folder, replaced atomically; the campaign keeps it when a run was cut off
and removes it when the run is done.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import torch
from torch import nn

from uadbench.errors import InvalidDataError
from uadbench.files.layout import space_checked
from uadbench.types import CHECKPOINT_SUFFIX, FitContext, Progress

FORMAT = 1


class Stateful(Protocol):
    """An optimiser, a scheduler, or whatever else changes while training."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> Any: ...


@dataclass(frozen=True, slots=True)
class Progressing:
    """What changes while training: the network, its optimisers and schedulers, the best epoch, the loss, the draws."""

    network: nn.Module
    others: Sequence[Stateful]
    best: Stateful
    told: Stateful
    draws: torch.Generator

    def state(self, device: str) -> dict[str, Any]:
        """All of it, random states included."""
        return {
            "network": self.network.state_dict(),
            "others": [one.state_dict() for one in self.others],
            "best": self.best.state_dict(),
            "told": self.told.state_dict(),
            "draws": self.draws.get_state(),
            "cpu": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(device) if _on_gpu(device) else None,
        }

    def load(self, state: dict[str, Any], device: str) -> None:
        """All of it, as it was."""
        self.network.load_state_dict(state["network"])
        for one, kept in zip(self.others, state["others"], strict=True):
            one.load_state_dict(kept)
        self.best.load_state_dict(state["best"])
        self.told.load_state_dict(state["told"])
        self.draws.set_state(state["draws"])
        torch.set_rng_state(state["cpu"])
        if _on_gpu(device):
            torch.cuda.set_rng_state(state["cuda"], device)


class Checkpoint:
    """The checkpoint of one training; `facts` must be equal for a training to go on from it."""

    def __init__(self, state: Progressing, context: FitContext, name: str, epochs: int, facts: Sequence[int]) -> None:
        self.state = state
        self.context = context
        self.path: Path = context.workdir / f"{name}{CHECKPOINT_SUFFIX}"
        self.epochs = epochs
        self.facts = [FORMAT, torch.__version__, context.seed, context.device, context.precision, epochs, *facts]
        self._kept = time.monotonic()

    def resume(self) -> int:
        """The epoch to go on with: 0 where there is no checkpoint.

        Raises:
            InvalidDataError: The file is damaged, or another training wrote it.
        """
        if not self.path.exists():
            return 0
        try:
            kept = torch.load(self.path, map_location="cpu", weights_only=True)
            if kept["facts"] != self.facts:
                raise InvalidDataError(
                    f"{self.path} is of another training: {kept['facts']} instead of {self.facts}. Remove it."
                )
            self.state.load(kept["state"], self.context.device)
        except (RuntimeError, ValueError, KeyError, TypeError, EOFError, UnpicklingError) as error:
            raise InvalidDataError(f"{self.path} cannot be gone on from. Remove it. ({error})") from error
        epoch: int = kept["epoch"]
        self.context.report(Progress(epoch, self.epochs, "epochs", "going on from a checkpoint"))
        return epoch

    def keep(self, epoch: int, minutes: float) -> None:
        """Store the state after `epoch` epochs, if the last time is that many minutes ago."""
        if time.monotonic() - self._kept < 60 * minutes:
            return
        partial = self.path.with_suffix(".partial")
        with space_checked(self.path.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            kept = {"facts": self.facts, "epoch": epoch, "state": self.state.state(self.context.device)}
            torch.save(kept, partial)
            partial.replace(self.path)
        self._kept = time.monotonic()


def _on_gpu(device: str) -> bool:
    return torch.device(device).type == "cuda"
