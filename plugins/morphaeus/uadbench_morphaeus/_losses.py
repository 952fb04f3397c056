"""The deformation's loss: local cross-correlation of both directions and the smoothness of the velocity.

Source: Bercea et al., MICCAI 2023, sec. 2 (L_morph, with its second direction by their code); local cross-correlation
after Avants et al., MedIA 2008, as Balakrishnan et al., TMI 2019 (VoxelMorph), compute it.
Deviates: the paper writes the smoothness as beta * ||Phi||^2; it is that of the velocity, by the authors' code.
MONAI's LocalNormalizedCrossCorrelationLoss keeps each variance above 1e-5 instead of adding 1e-5 to their product, and
importing it costs seconds and thousands of modules for these few lines.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from uadbench_morphaeus._warping import integrate, warp

WINDOW = 9  # pixels a side
FLAT = 1e-5  # added to the product of variances
STIFFEST, LOOSEST = 3.0, 1e-3  # weights of smoothness

Images = Float[Tensor, "n c h w"]
Velocity = Float[Tensor, "n 2 h w"]
Loss = Float[Tensor, ""]


def morph_loss(images: Images, seen: Images, velocity: Velocity, beta: float) -> Loss:
    """1/2 [LNCC(x, x_rec after exp(v)) + LNCC(x_rec, x after exp(-v))] + beta R(v)."""
    forth, back = integrate(torch.cat([velocity, -velocity])).chunk(2)
    apart = dissimilarity(images, warp(seen, forth)) + dissimilarity(seen, warp(images, back))
    return apart / 2 + beta * roughness(velocity)


def dissimilarity(one: Images, other: Images) -> Loss:
    """1 - mean of `correlation`, in [0, 1]; a flat background counts as unlike."""
    return 1 - correlation(one, other).mean()


def correlation(one: Images, other: Images) -> Images:
    """Squared correlation of the 9 x 9 pixels around each, in [0, 1], about 0 where one is flat; outside lie zeros.

    cross^2 / (max(var var', 0) + 1e-5), each a sum over the window and not divided by its 81 pixels.
    """
    x, y = one.float(), other.float()
    sums = _windows(torch.cat([x, y, x * x, y * y, x * y], 1))  # (n, c, h, w) -> (n, 5c, h, w)
    of_x, of_y, of_xx, of_yy, of_xy = sums.chunk(5, dim=1)
    cross = of_xy - of_x * of_y / WINDOW**2
    spread = (of_xx - of_x**2 / WINDOW**2) * (of_yy - of_y**2 / WINDOW**2)
    return cross**2 / (spread.clamp(min=0) + FLAT)


def roughness(velocity: Velocity) -> Loss:
    """Half the sum over both directions of the mean squared central difference; inside the frame."""
    v = velocity.float()
    down, across = (v[..., 2:, :] - v[..., :-2, :]) / 2, (v[..., 2:] - v[..., :-2]) / 2
    return (down.square().mean() + across.square().mean()) / 2


def stiffness(epoch: int, ramp_epochs: int) -> float:
    """beta: what smoothness weighs in an epoch, counted from 0; it grows linearly from 1e-3 to 3 in `ramp_epochs`."""
    return min(max(STIFFEST * epoch / ramp_epochs, LOOSEST), STIFFEST)


def _windows(maps: Images) -> Images:
    """Sums over the window around each pixel, rows first."""
    half = WINDOW // 2
    rows = F.avg_pool2d(maps, (1, WINDOW), stride=1, padding=(0, half))
    return F.avg_pool2d(rows, (WINDOW, 1), stride=1, padding=(half, 0)) * WINDOW**2
