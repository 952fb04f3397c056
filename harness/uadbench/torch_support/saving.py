"""Saving a fitted network: its weights, the parameters it is built from, and the versions that wrote it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from torch import nn

from uadbench.errors import InvalidDataError, UsageError
from uadbench.files.layout import write_text_atomically
from uadbench.torch_support import storing

FORMAT = "uadbench-detector-v1"
FACTS, WEIGHTS = "detector.json", "network.pt"
REMEDY = "Fit the method again."


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
    storing.write(folder / WEIGHTS, network.state_dict())
    write_text_atomically(folder / FACTS, json.dumps({"format": FORMAT, **asdict(facts)}, indent=1))


def read(folder: Path, method: type) -> tuple[Any, Saved]:
    """The method as it was saved, and the other facts.

    Raises:
        InvalidDataError: No detector, that of another method, or one whose parameters this version does not have.
    """
    saved = _facts(folder)
    if saved.method != method.__name__:
        raise InvalidDataError(f"{folder} holds a fitted {saved.method}, not {method.__name__}. Name the right folder.")
    try:
        return method(**_as_given(saved.params)), saved
    except (TypeError, UsageError) as error:
        raise InvalidDataError(_other_version(folder, saved, method, error)) from error


def load_weights(folder: Path, network: nn.Module, saved: Saved, method: type) -> None:
    """Fills the network, on the CPU, and leaves it in eval mode.

    Raises:
        InvalidDataError: The file is missing or damaged, or the network of that version was another.
    """
    weights = storing.read(folder / WEIGHTS, REMEDY)
    try:
        network.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InvalidDataError(_other_version(folder, saved, method, error)) from error
    network.eval()


def _facts(folder: Path) -> Saved:
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if facts.pop("format", None) != FORMAT:
            raise InvalidDataError(f"{folder / FACTS} is no {FORMAT}. Fit the method again with this version.")
        saved = Saved(**facts)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InvalidDataError(f"{folder} holds no saved detector ({error}). {REMEDY}") from error
    if not (isinstance(saved.params, dict) and type(saved.channels) is int and type(saved.seed) is int):
        raise InvalidDataError(f"{folder / FACTS} is damaged: params, channels or seed are of a wrong kind. {REMEDY}")
    return saved


def _as_given(params: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples, and a frozen dataclass no lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in params.items()}


def _writer(method: type) -> str:
    """The distribution that offers the method, with its version."""
    name = method.__module__.partition(".")[0].replace("_", "-")
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return name


def _other_version(folder: Path, saved: Saved, method: type, error: Exception) -> str:
    return (
        f"{folder} was written by {saved.written_by} and does not fit {_writer(method)} ({storing.first_line(error)}). "
        "Fit the method again, or install that version."
    )
