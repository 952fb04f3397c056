"""Patch features: levels of a frozen network, each averaged over its neighbourhood, on the finest's grid."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from uadbench.errors import InvalidDataError, ParameterError
from uadbench.torch_support.backbones import Backbone
from uadbench.torch_support.storing import first_line
from uadbench.torch_support.tensors import resized

REDUCTIONS = (8, 16)  # levels 2 and 3 of a residual network
TRIED = 3  # channels


def grid(backbone: Backbone, size: int) -> int:
    """Patches along a side of an input of that size."""
    return _levels(backbone, torch.zeros(1, TRIED, size, size, device=backbone.mean.device))[0].shape[-1]


def width(backbone: Backbone, pooled: int) -> int:
    """The length of a patch's feature."""
    return pooled or sum(backbone.channels)


def extract(backbone: Backbone, image: Float[Tensor, "1 c h w"], size: int, pooled: int) -> Float[Tensor, "p d"]:
    """The patches of one image, row by row of the grid."""
    with torch.inference_mode():
        near = [
            F.avg_pool2d(level, 3, stride=1, padding=1) for level in _levels(backbone, resized(image, (size, size)))
        ]
        fine, *others = near
        drawn = [F.interpolate(one, fine.shape[-2:], mode="bilinear", align_corners=False) for one in others]
        patches = [level[0].flatten(1).T for level in (fine, *drawn)]  # (1, c, g, g) -> (g*g, c)
        if pooled:
            patches = [F.adaptive_avg_pool1d(level, pooled) for level in patches]  # (p, c) -> (p, pooled)
        joined = torch.cat(patches, 1)
        return F.adaptive_avg_pool1d(joined, pooled) if pooled else joined.contiguous()


def _levels(backbone: Backbone, images: Float[Tensor, "1 c s s"]) -> list[Float[Tensor, "1 _k _g _g"]]:
    """The levels of an input.

    Raises:
        ParameterError: The network does not take images of that side; says what it says.
    """
    try:
        return backbone(images)
    except AssertionError as error:  # transformers of one input size, or of multiples of their patch
        raise ParameterError(
            f"PatchCore: size is {images.shape[-1]}. {first_line(error)} Give another size."
        ) from error


def require_large_enough(shape: tuple[int, int, int], stride: int) -> None:
    """Refuses images that are smaller than one patch of the coarsest level.

    Raises:
        InvalidDataError: With the size.
    """
    channels, height, width = shape
    if min(height, width) < stride:
        raise InvalidDataError(
            f"PatchCore: images of {height} x {width} px are smaller than the backbone's stride, {stride} px. "
            "Give larger images."
        )
    if channels not in (1, 3):
        raise InvalidDataError(f"PatchCore: images have {channels} channels. Give 1 (grey) or 3 (RGB).")
