"""How far the student's features are from the teacher's: of an image, which is loss and score, and around each pixel.

Source: Salehi et al., CVPR 2021, arXiv:2011.11108, sec. 3: direction and value of each level's activations.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from uadbench.torch_support.tensors import resized
from uadbench_mkd._networks import Features

TESTED = slice(1, None)  # the student learns all four levels; images are judged by the three coarser ones


def discrepancies(learned: Features, taught: Features, mse_weight: float) -> Float[Tensor, " n"]:
    """Of each image the sum over levels of 1 - cos + `mse_weight` * MSE, >= 0.

    The cosine is that of the angle between the levels flattened to one vector each, c * h * w numbers long; MSE their
    mean squared difference.
    """
    parts = []
    for one, other in zip(learned, taught, strict=True):
        mine, its = one.float().flatten(1), other.float().flatten(1)  # (n, c, h, w) -> (n, c*h*w)
        parts.append(1 - F.cosine_similarity(mine, its) + mse_weight * (mine - its).square().mean(1))
    return torch.stack(parts).sum(0)


def discrepancy_map(learned: Features, taught: Features, mse_weight: float, size: int) -> Float[Tensor, "n 1 s s"]:
    """The same around each pixel, >= 0: angle and squared difference of the channels at each place of a level.

    Levels are drawn up to `size` pixels a side, and added.
    """
    parts = []
    for one, other in zip(learned, taught, strict=True):
        mine, its = one.float(), other.float()
        apart = 1 - F.cosine_similarity(mine, its) + mse_weight * (mine - its).square().mean(1)  # (n, h, w)
        parts.append(resized(apart[:, None], (size, size)))
    return torch.stack(parts).sum(0)
