"""Moving pixels: images sampled along a displacement, displacements from a velocity, and whether they fold.

Source: Jaderberg et al., NeurIPS 2015 (spatial transformer); Arsigny et al., MICCAI 2006 (scaling and squaring); both
as Balakrishnan et al., TMI 2019 (VoxelMorph), and Bercea et al., MICCAI 2023, use them.
MONAI's Warp and DVF2DDF give the same bits, but importing them costs seconds and thousands of modules for a few lines.
Displacements are in pixels, the first channel down, the second to the right. All is computed in float32.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

SQUARINGS = 7

Images = Float[Tensor, "n c h w"]
Displacement = Float[Tensor, "n 2 h w"]


def warp(images: Images, displacement: Displacement) -> Images:
    """Images whose pixel p comes from p + u(p): bilinear, 0 from outside the frame."""
    down, across = (places(displacement) + displacement.float()).unbind(1)  # (n, 2, h, w) -> (n, h, w) each
    height, width = displacement.shape[-2:]
    grid = torch.stack([2 * across / (width - 1) - 1, 2 * down / (height - 1) - 1], -1)
    return F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def places(displacement: Displacement) -> Float[Tensor, "2 h w"]:
    """Row and column of every pixel."""
    axes = (torch.arange(side, device=displacement.device, dtype=torch.float32) for side in displacement.shape[-2:])
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def integrate(velocity: Float[Tensor, "n 2 h w"]) -> Displacement:
    """The displacement after unit time: exp(v), by 7 squarings of v / 128. exp(-v) is its inverse."""
    displacement = velocity.float() / 2**SQUARINGS
    for _ in range(SQUARINGS):
        displacement = displacement + warp(displacement, displacement)
    return displacement


def folding(displacement: Displacement) -> Float[Tensor, " n"]:
    """The share of each image's pixels at which p + u(p) folds: a Jacobian determinant below 0, in [0, 1].

    Derivatives are central differences, one-sided at the frame.
    """
    below, beside = torch.gradient(displacement.float(), dim=(2, 3))  # d/dy and d/dx, each (n, 2, h, w)
    determinant = (1 + below[:, 0]) * (1 + beside[:, 1]) - below[:, 1] * beside[:, 0]
    return (determinant < 0).float().mean((1, 2))
