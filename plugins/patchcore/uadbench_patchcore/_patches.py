"""Patch features: two levels of a frozen network, each averaged over its neighbourhood and put on one grid."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from uadbench.errors import InvalidDataError
from uadbench.torch_support.backbones import Backbone
from uadbench.torch_support.tensors import resized

REDUCTIONS = (8, 16)  # levels 2 and 3 of a residual network


def grid(size: int) -> int:
    """Patches along a side of an input of that size."""
    return -(-size // REDUCTIONS[0])


def extract(backbone: Backbone, image: Float[Tensor, "1 c h w"], size: int, pooled: int) -> Float[Tensor, "p d"]:
    """The patches of one image, row by row of the grid."""
    with torch.inference_mode():
        levels = backbone(resized(image, (size, size)))
        near = [F.avg_pool2d(level, 3, stride=1, padding=1) for level in levels]
        fine, coarse = near[0], F.interpolate(near[1], near[0].shape[-2:], mode="bilinear", align_corners=False)
        patches = [level[0].flatten(1).T for level in (fine, coarse)]  # (1, c, g, g) -> (g*g, c)
        if pooled:
            patches = [F.adaptive_avg_pool1d(level, pooled) for level in patches]  # (p, c) -> (p, pooled)
        joined = torch.cat(patches, 1)
        return F.adaptive_avg_pool1d(joined, pooled) if pooled else joined.contiguous()


def require_large_enough(shape: tuple[int, int, int]) -> None:
    """Refuses images that are smaller than one patch of the coarser level.

    Raises:
        InvalidDataError: With the size.
    """
    channels, height, width = shape
    if min(height, width) < REDUCTIONS[-1]:
        raise InvalidDataError(
            f"PatchCore: images of {height} x {width} px are smaller than the backbone's stride, {REDUCTIONS[-1]} px. "
            "Give larger images."
        )
    if channels not in (1, 3):
        raise InvalidDataError(f"PatchCore: images have {channels} channels. Give 1 (grey) or 3 (RGB).")
