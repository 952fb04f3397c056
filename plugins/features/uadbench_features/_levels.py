"""Feature levels of a frozen backbone: which ones, of which images, and the checks that both methods share."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from uadbench.errors import InvalidDataError, ParameterError
from uadbench.torch_support.backbones import Backbone
from uadbench.torch_support.tensors import resized
from uadbench.torch_support.weights import require_kind

REDUCTIONS = (4, 8, 16)  # the first three stages of a residual network
STRIDE = REDUCTIONS[-1]

Level = Float[Tensor, "n _c _h _w"]
Levels = Sequence[Level]  # the finest first


def levels_of(backbone: Backbone, images: Float[Tensor, "n c h w"], size: int) -> Levels:
    """Features of images in [0, 1], resized to squares of that side without a crop."""
    found: Levels = backbone(resized(images, (size, size)))
    return found


def packed(levels: Levels) -> Float[Tensor, "n f"]:
    """All levels of an image as one row."""
    return torch.cat([level.flatten(1) for level in levels], 1)


def unpacked(rows: Float[Tensor, "n f"], channels: Sequence[int], size: int) -> Levels:
    """The levels that were packed, of images whose side is a multiple of the stride."""
    sides = [size // reduction for reduction in REDUCTIONS]
    counts = [c * side**2 for c, side in zip(channels, sides, strict=True)]
    parts = zip(rows.split(counts, 1), channels, sides, strict=True)
    return [part.reshape(-1, c, side, side) for part, c, side in parts]


def require_images(name: str, shape: tuple[int, ...]) -> None:
    """Refuses images (c, h, w) that are smaller than the backbone's stride, or neither grey nor RGB.

    Raises:
        InvalidDataError: With the size, or the channels.
    """
    channels, height, width = shape
    if min(height, width) < STRIDE:
        raise InvalidDataError(
            f"{name}: images of {height} x {width} px are smaller than the backbone's stride, {STRIDE} px. "
            "Give larger images."
        )
    if channels not in (1, 3):
        raise InvalidDataError(f"{name}: images have {channels} channels. Give 1 (grey) or 3 (RGB).")


def require_common(sigma: float, block: int, weights: str) -> None:
    """Refuses what no method on features can do.

    Raises:
        ParameterError: Names the parameter, its value and what to give.
    """
    if not sigma >= 0:
        raise ParameterError(f"sigma is {sigma}. Give pixels of the image, or 0 for no smoothing.")
    if block < 1:
        raise ParameterError(f"block is {block}. Give at least 1 image.")
    require_kind(weights)
