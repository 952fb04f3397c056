"""Frozen ImageNet networks from timm, by name, with the input normalisation that each was trained with.

Weights are `imagenet`, or `random` for trying things out: drawn from a seed, and recorded as random.
"""

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn

from uadbench.errors import ParameterError, UnknownNameError
from uadbench.torch_support.states import drawn, not_of, read_state
from uadbench.torch_support.weights import IMAGENET, WeightsUsed, locate, require_kind

# feature levels leave the classifier's weights over, which is no news
logging.getLogger("timm.models._builder").setLevel(logging.ERROR)


class Backbone(nn.Module):
    """Feature maps of timm's network at the given reductions of its input, finest first: 8 means an eighth of the side.

    Frozen and always in eval mode; gradients reach the input.

    Raises:
        UnknownNameError: timm has no such network.
        ParameterError: The network has no features at a reduction, or weights of an unknown kind.
        MissingWeightsError: Names the file to place and where.
        InvalidDataError: A damaged weights file, or one of another network.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, reductions: Sequence[int], *, weights: str = IMAGENET, seed: int = 0) -> None:
        super().__init__()
        require_kind(weights)
        levels = levels_at(name, reductions)
        made = pretrained(name, levels) if weights == IMAGENET else _untrained(name, levels, seed)
        self.network, self.weights_used = _trimmed(made[0]), made[1]
        self.channels: tuple[int, ...] = tuple(self.network.feature_info.channels())
        config = _config(name)
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1))
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "Backbone":
        """Stays in eval mode: batch statistics are those of ImageNet."""
        return super().train(False)

    def forward(self, images: Float[Tensor, "n c h w"]) -> list[Float[Tensor, "n _c _h _w"]]:
        """Features of images in [0, 1] with one channel (repeated) or three: one map per reduction."""
        rgb = images.expand(-1, 3, -1, -1)  # (n, 1 or 3, h, w) -> (n, 3, h, w)
        features: list[Tensor] = self.network((rgb - self.mean) / self.std)
        return features


def pretrained(name: str, levels: tuple[int, ...] | None = None) -> tuple[Any, WeightsUsed]:
    """The ImageNet classifier of that name in eval mode, or its feature levels, and the weights it has.

    Raises:
        MissingWeightsError: Names the file to place and where.
        InvalidDataError: A damaged weights file, or one of another network.
    """
    file = locate(name, _config(name).hf_hub_id)
    state = read_state(file.path, name)
    as_features = {} if levels is None else _as_features(name, levels)
    with torch.random.fork_rng(devices=[]):  # timm draws weights before it reads any
        if file.renamed:  # the same tensors in the same order under other names
            state = dict(zip(timm.create_model(name).state_dict(), state.values(), strict=True))
        overlay = {"state_dict": state}
        try:
            network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay)
            if levels is not None:  # made after the whole: timm leaves what it does not find for levels at random
                network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **as_features)
        except RuntimeError as error:
            raise not_of(name, file.path, error) from error
    return network.eval(), file.used


def levels_at(name: str, reductions: Sequence[int]) -> tuple[int, ...]:
    """Which of timm's feature levels have these reductions; the last one where several do."""
    offered = _offered(name)
    for reduction in reductions:
        if reduction not in offered:
            known = ", ".join(f"1/{one}" for one in dict.fromkeys(offered))
            raise ParameterError(
                f"The backbone {name!r} has features at {known} of the input's side, none at 1/{reduction}. "
                "Choose another backbone, or other reductions."
            )
    return tuple(len(offered) - 1 - offered[::-1].index(reduction) for reduction in reductions)


@cache
def _offered(name: str) -> list[int]:
    """The reductions of timm's feature levels."""
    _config(name)
    with torch.device("meta"):
        network: Any = timm.create_model(name, features_only=True)
    offered: list[int] = network.feature_info.reduction()
    return offered


def _as_features(name: str, levels: tuple[int, ...]) -> dict[str, Any]:
    """How timm is asked for levels. A plain vision transformer, all of one reduction, is to take any multiple of it."""
    plain = len(set(_offered(name))) == 1
    return {"features_only": True, "out_indices": levels, **({"dynamic_img_size": True} if plain else {})}


def _trimmed(network: Any) -> Any:
    """Without the stages after the last level, which timm's EfficientNets would compute for nobody."""
    stage, _, last = network.feature_info.module_name()[-1].rpartition(".")
    stages = getattr(network, stage, None) if stage else None
    if isinstance(stages, nn.Sequential) and last.isdecimal():
        setattr(network, stage, stages[: int(last) + 1])
    return network


def _config(name: str) -> Any:
    """What timm knows of the pretrained network."""
    known = timm.list_models() + timm.list_models(pretrained=True)
    if name not in known:
        raise UnknownNameError("backbone", name, known, f"timm.list_models({name[:4] + '*'!r}, pretrained=True)")
    return timm.get_pretrained_cfg(name)


def _untrained(name: str, levels: tuple[int, ...], seed: int) -> tuple[Any, WeightsUsed]:
    """timm's network as it is before training; the caller's random numbers stay as they were."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: Any = timm.create_model(name, **_as_features(name, levels))
    return network.eval(), drawn(network, name, seed)
