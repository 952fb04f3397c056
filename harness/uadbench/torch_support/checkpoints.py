"""Checkpoints: everything a training needs to go on exactly, byte for byte, after its process was killed.

A file `<name>.checkpoint` in the run's work folder, replaced atomically; the campaign keeps it when a run was cut off
and removes it when the run is done. A training that diverges leaves that of its last good epoch behind.
"""

import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from uadbench.errors import InvalidDataError, TrainingDivergedError
from uadbench.torch_support import storing
from uadbench.torch_support.watching import finite
from uadbench.types import CHECKPOINT_SUFFIX, FitContext, Progress

FORMAT = 2
REMEDY = "Remove it to train from the start."


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

    def __init__(self, state: Progressing, context: FitContext, name: str, facts: Mapping[str, Any]) -> None:
        self.state = state
        self.context = context
        self.path: Path = context.workdir / f"{name}{CHECKPOINT_SUFFIX}"
        known = {"format": FORMAT, "torch": torch.__version__, "seed": context.seed, "device": context.device}
        self.facts = {key: str(fact) for key, fact in {**known, "precision": context.precision, **facts}.items()}
        self._kept = time.monotonic()
        self._good = 0  # epochs until the last good state
        self._held: dict[str, Any] | None = None  # that state, where it is not in the file

    def resume(self, epochs: int) -> int:
        """The epoch of `epochs` to go on with: 0 where there is no checkpoint.

        Raises:
            InvalidDataError: The file is damaged, or another training wrote it.
        """
        if not self.path.exists():
            return 0
        kept = storing.read(self.path, REMEDY)
        self._require_same(kept)
        try:
            self.state.load(kept["state"], self.context.device)
            epoch: int = kept["epoch"]
        except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise InvalidDataError(
                f"{self.path} is of another network ({storing.first_line(error)}). {REMEDY}"
            ) from error
        self.context.report(Progress(epoch, epochs, "epochs", "going on from a checkpoint"))
        self._good = epoch
        return epoch

    def keep(self, epoch: int, minutes: float) -> None:
        """Hold the state after `epoch` epochs, and store it if the last time is that many minutes ago.

        Weights that are not finite are no state to go on from.

        Raises:
            EnvironmentProblemError: No space left, or the folder cannot be written.
        """
        if not finite(self.state.network):
            return
        content = {"facts": self.facts, "epoch": epoch, "state": self.state.state(self.context.device)}
        self._good = epoch
        if time.monotonic() - self._kept < 60 * minutes:
            self._held = _copied(content, self._held)
            return
        storing.write(self.path, content)
        self._kept, self._held = time.monotonic(), None

    @contextmanager
    def left_behind(self) -> Iterator[None]:
        """Where a training inside diverges, the file is that of the last good epoch, and the sentence says so.

        Raises:
            TrainingDivergedError: As raised inside, with the file's place unless no epoch was good.
        """
        try:
            yield
        except TrainingDivergedError as error:
            if not self._good:
                raise
            if self._held is not None:
                storing.write(self.path, self._held)
            raise TrainingDivergedError(
                f"{error} The state after epoch {self._good} is kept in {self.path}."
            ) from error

    def _require_same(self, kept: Any) -> None:
        facts = kept.get("facts") if isinstance(kept, dict) else None
        if not isinstance(facts, dict):
            raise InvalidDataError(f"{self.path} is no checkpoint. {REMEDY}")
        for key in {**self.facts, **facts}:
            there, here = facts.get(key), self.facts.get(key)
            if there != here:
                raise InvalidDataError(f"{self.path} is of another training: {key} is {there}, not {here}. {REMEDY}")


def settings(optimisers: Sequence[torch.optim.Optimizer]) -> dict[str, Any]:
    """What optimisers were made with, such as {"Adam 1.1 lr": 0.001}: numbered, with the number of the group."""
    return {
        f"{type(one).__name__} {number}.{place} {key}": value
        for number, one in enumerate(optimisers, 1)
        for place, group in enumerate(one.param_groups, 1)
        for key, value in group.items()
        if key != "params"
    }


def _copied(content: dict[str, Any], held: dict[str, Any] | None) -> dict[str, Any]:
    """With tensors of their own where training goes on changing them; the best weights are copies already.

    They lie in the memory of those held before: every epoch in fresh memory would cost as much as one of its steps.
    """
    changing, before = _changing(content), list(_tensors(_changing(held))) if held else []
    pairs = zip(_tensors(changing), before, strict=False)
    known = {id(new): old.copy_(new) for new, old in pairs if (new.shape, new.dtype) == (old.shape, old.dtype)}
    return {**content, "state": {**content["state"], **copy.deepcopy(changing, known)}}


def _changing(content: dict[str, Any]) -> dict[str, Any]:
    return {part: content["state"][part] for part in ("network", "others")}


def _tensors(state: Any) -> Iterator[Tensor]:
    """All that are inside, in order."""
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, Mapping | list | tuple):
        for inside in state.values() if isinstance(state, Mapping) else state:
            yield from _tensors(inside)


def _on_gpu(device: str) -> bool:
    return torch.device(device).type == "cuda"
