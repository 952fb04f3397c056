"""The memory bank: which patches to keep (a greedy k-center coreset) and how far a patch is from them (exact 1-NN)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from uadbench.torch_support.determinism import generator

Patches = Float[Tensor, "p d"]


def project(patches: Patches, dimensions: int, seed: int) -> Float[Tensor, "p k"]:
    """The patches in a random Gaussian projection, which keeps distances roughly; as they are if that has no fewer."""
    width = patches.shape[1]
    if not 0 < dimensions < width:
        return patches
    directions = torch.randn(width, dimensions, generator=generator(seed)) / dimensions**0.5
    return patches @ directions.to(patches.device)


def coreset(points: Patches, count: int, seed: int) -> Int[Tensor, " count"]:
    """Rows of points chosen one after the other, each the farthest from all chosen before; the first at random.

    Source: Gonzalez, Theor. Comput. Sci. 1985: at most twice the optimal radius. O(count * p * d) time, O(p) memory.
    """
    chosen = torch.empty(count, dtype=torch.int64)
    lengths = points.square().sum(1)  # (p,)
    gaps = torch.full_like(lengths, torch.inf)  # (p,), squared, to the nearest chosen
    row = int(torch.randint(len(points), (), generator=generator(seed)))
    for turn in range(count):
        chosen[turn] = row
        # |a - b|^2 = |a|^2 - 2 a.b + |b|^2: one product over all points
        distances = torch.addmv(lengths, points, points[row], alpha=-2).add_(lengths[row])
        torch.minimum(gaps, distances, out=gaps)
        gaps[row] = -torch.inf  # rounding must not choose it twice
        row = int(gaps.argmax())
    return chosen


def nearest(patches: Patches, bank: Float[Tensor, "m d"]) -> tuple[Float[Tensor, " p"], Int[Tensor, " p"]]:
    """Squared distance of each patch to its nearest in the bank, and that one's row."""
    lengths = bank.square().sum(1)  # (m,)
    rows = torch.addmm(lengths, patches, bank.T, alpha=-2).argmin(1)  # (p, m) -> (p,)
    # again by difference: the product loses the digits of small distances
    return (patches - bank[rows]).square().sum(1), rows


def reweighted(
    patch: Float[Tensor, " d"], squared: Float[Tensor, ""], bank: Float[Tensor, "m d"], row: int, neighbours: int
) -> Float[Tensor, ""]:
    """The squared distance of the most anomalous patch, more if its neighbour in the bank is itself a rare one.

    w = 1 - exp|patch - m*| / sum over the b neighbours m of m* (itself among them) of exp|patch - m|.

    Source: Roth et al., CVPR 2022, eq. 7.
    """
    around = (bank - bank[row]).square().sum(1).topk(min(neighbours, len(bank)), largest=False).indices
    distances = (bank[around] - patch).square().sum(1).sqrt()
    share = (squared.sqrt() - distances.logsumexp(0)).exp()
    return (1 - share) * squared
