"""Patch features: levels of a frozen network, each averaged over its neighbourhood, on the finest's grid."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from uadbench.errors import InvalidDataError, ParameterError
from uadbench.torch_support.backbones import Backbone
from uadbench.torch_support.determinism import generator
from uadbench.torch_support.folding import folded
from uadbench.torch_support.storing import first_line
from uadbench.torch_support.tensors import resized

REDUCTIONS = (8, 16)  # levels 2 and 3 of a residual network
TRIED = 3  # channels


def prepared(backbone: Backbone, size: int) -> Backbone:
    """The backbone without its BatchNorms where it needs none: the same features, sooner.

    Raises:
        ParameterError: The network does not take images of that side, or has other features then.
    """
    with _saying(size):
        return folded(backbone, torch.rand(1, TRIED, size, size, generator=generator(0)))


def grid(backbone: Backbone, size: int) -> int:
    """Patches along a side of an input of that size."""
    return backbone(torch.zeros(1, TRIED, size, size, device=backbone.mean.device))[0].shape[-1]


def width(backbone: Backbone, pooled: int) -> int:
    """The length of a patch's feature."""
    return pooled or sum(backbone.channels)


def extract(backbone: Backbone, images: Float[Tensor, "n c h w"], size: int, pooled: int) -> Float[Tensor, "p d"]:
    """The patches of images, image by image and row by row of the grid."""
    with torch.inference_mode():
        levels = backbone(resized(images, (size, size)))
        fine, *others = [F.avg_pool2d(level, 3, stride=1, padding=1) for level in levels]
        drawn = [F.interpolate(one, fine.shape[-2:], mode="bilinear", align_corners=False) for one in others]
        patches = [level.permute(0, 2, 3, 1).flatten(0, 2) for level in (fine, *drawn)]  # (n, c, g, g) -> (p, c)
        if pooled:
            patches = [F.adaptive_avg_pool1d(level, pooled) for level in patches]  # (p, c) -> (p, pooled)
        joined = torch.cat(patches, 1)
        return F.adaptive_avg_pool1d(joined, pooled) if pooled else joined.contiguous()


@contextmanager
def _saying(size: int) -> Iterator[None]:
    """Makes a network's own complaint about its input's side one about the parameter."""
    try:
        yield
    except AssertionError as error:  # transformers of one input size, or of multiples of their patch
        raise ParameterError(f"PatchCore: size is {size}. {first_line(error)} Give another size.") from error


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
