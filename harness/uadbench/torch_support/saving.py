"""Saving a fitted network: its weights, the parameters it is built from, and the versions that wrote it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from uadbench.errors import InvalidDataError
from uadbench.files.layout import space_checked

FORMAT = "uadbench-detector-v1"
FACTS, WEIGHTS = "detector.json", "network.pt"


@dataclass(frozen=True, slots=True)
class Saved:
    """What a folder holds beside the weights: the method's name and parameters, the images' channels, the seed."""

    method: str
    params: Mapping[str, Any]
    channels: int
    seed: int
    written_by: str


def save(folder: Path, network: nn.Module, method: Any, channels: int, seed: int = 0) -> None:
    """Writes the weights and what `read` returns; `method` is the frozen dataclass that was fitted.

    Raises:
        EnvironmentProblemError: The folder cannot be written.
    """
    facts = Saved(type(method).__name__, asdict(method), channels, seed, _writer(type(method)))
    with space_checked(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FACTS).write_text(json.dumps({"format": FORMAT, **asdict(facts)}, indent=1), encoding="utf-8")
        torch.save(network.state_dict(), folder / WEIGHTS)


def read(folder: Path, method: type) -> tuple[Any, Saved]:
    """The method as it was saved, and the other facts.

    Raises:
        InvalidDataError: No detector, that of another method, or one whose parameters this version does not have.
    """
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if facts.pop("format", None) != FORMAT:
            raise InvalidDataError(f"{folder / FACTS} is no {FORMAT}. Fit the method again with this version.")
        saved = Saved(**facts)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InvalidDataError(f"{folder} holds no saved detector. Fit the method again. ({error})") from error
    if saved.method != method.__name__:
        raise InvalidDataError(f"{folder} holds a fitted {saved.method}, not {method.__name__}. Name the right folder.")
    try:
        return method(**saved.params), saved
    except TypeError as error:
        raise InvalidDataError(_other_version(folder, saved, method, error)) from error


def load_weights(folder: Path, network: nn.Module, saved: Saved, method: type) -> None:
    """Fills the network, on the CPU, and leaves it in eval mode.

    Raises:
        InvalidDataError: The file is damaged, or the network of that version was another.
    """
    try:
        network.load_state_dict(torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError, TypeError, AttributeError, UnpicklingError) as error:
        raise InvalidDataError(_other_version(folder, saved, method, error)) from error
    network.eval()


def _writer(method: type) -> str:
    """The distribution that offers the method, with its version."""
    name = method.__module__.partition(".")[0].replace("_", "-")
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return name


def _other_version(folder: Path, saved: Saved, method: type, error: Exception) -> str:
    reason = str(error).splitlines()[0]
    return (
        f"{folder} was written by {saved.written_by} and does not fit {_writer(method)} ({reason}). "
        "Fit the method again, or install that version."
    )
