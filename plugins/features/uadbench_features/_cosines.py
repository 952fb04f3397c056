"""How unlike two sets of feature levels are: 1 - cosine, at every position or over a whole level."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from uadbench_features._levels import Level, Levels


def apart(one: Level, other: Level) -> Float[Tensor, "n h w"]:
    """1 - cosine of the channels at every position, in [0, 2]. Source: Deng and Li, CVPR 2022, eq. 1."""
    return 1 - F.cosine_similarity(one.float(), other.float(), dim=1)


def position_loss(one: Levels, other: Levels) -> Float[Tensor, ""]:
    """The sum over levels of the mean over positions and images. Source: Deng and Li, CVPR 2022, eq. 2."""
    return torch.stack([apart(a, b).mean() for a, b in zip(one, other, strict=True)]).sum()


def flattened_loss(one: Levels, other: Levels) -> Float[Tensor, ""]:
    """The sum over levels of the mean over images of 1 - cosine of all features of a level as one vector."""
    flat = [(a.flatten(1), b.flatten(1)) for a, b in zip(one, other, strict=True)]
    return torch.stack([apart(a, b).mean() for a, b in flat]).sum()


LOSSES: dict[str, Callable[[Levels, Levels], Float[Tensor, ""]]] = {
    "position": position_loss,
    "flattened": flattened_loss,
}
