"""The tensors of networks' weights: reading them from files, and the record of those that were drawn at random."""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from uadbench.errors import InvalidDataError
from uadbench.files.digest import digest_array, digest_texts
from uadbench.torch_support.weights import RANDOM, WeightsUsed


def read_state(path: Path, name: str) -> Mapping[str, Tensor]:
    """The tensors in a weights file of a network called `name`.

    Raises:
        InvalidDataError: Not a file of tensors.
    """
    read = _from_safetensors if path.suffix == ".safetensors" else _from_torch
    state = read(path, name)
    if not isinstance(state, Mapping):
        raise not_of(name, path, TypeError(f"it holds a {type(state).__name__}"))
    for key, value in state.items():
        if not isinstance(value, Tensor):
            raise not_of(name, path, TypeError(f"its {key!r} is a {type(value).__name__}"))
    return state


def not_of(name: str, path: Path, error: Exception) -> InvalidDataError:
    """The error that a file holds the tensors of another network than `name`, or none."""
    return InvalidDataError(f"{path} does not hold the weights of {name!r}. Place the right file there. ({error})")


def drawn(network: nn.Module, name: str, seed: int) -> WeightsUsed:
    """The record of weights that were drawn: their digest is over the tensors, since there is no file."""
    tensors = (tensor.numpy() for tensor in network.state_dict().values())
    return WeightsUsed(name, f"{RANDOM}: seed {seed}", digest_texts(digest_array(tensor) for tensor in tensors))


def _from_safetensors(path: Path, name: str) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise not_of(name, path, error) from error


def _from_torch(path: Path, name: str) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, LookupError, AttributeError, UnpicklingError) as error:
        raise not_of(name, path, error) from error
