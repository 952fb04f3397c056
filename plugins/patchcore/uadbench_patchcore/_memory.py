"""The memory bank: which patches to keep (a greedy k-center coreset) and how far a patch is from them (exact 1-NN)."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from uadbench.torch_support.determinism import generator

Patches = Float[Tensor, "p d"]
FARTHEST = 1024  # points that are thinned among themselves per pass
BLOCK = 16_384  # points whose distances are computed at a time: 64 MiB at most
TABLE = 256 * 2**20  # bytes


def project(patches: Patches, dimensions: int, seed: int) -> Float[Tensor, "p k"]:
    """The patches in a random Gaussian projection, which keeps distances roughly; as they are if that has no fewer."""
    width = patches.shape[1]
    if not 0 < dimensions < width:
        return patches
    directions = torch.randn(width, dimensions, generator=generator(seed)) / dimensions**0.5
    return patches @ directions.to(patches.device)


def coreset(points: Patches, count: int, seed: int) -> Int[Tensor, " count"]:
    """Rows of points chosen one after the other, each the farthest from all chosen before; the first at random.

    Many are chosen per pass over all points: the farthest are thinned among themselves for as long as the next one is
    still farther than any other point was before the pass. So the rows are those of one pass per row, but for rounding.

    Source: Gonzalez, Theor. Comput. Sci. 1985: at most twice the optimal radius. O(count * p * d) time, O(p) memory.
    """
    lengths = points.square().sum(1)  # (p,)
    gaps = torch.full_like(lengths, torch.inf)  # (p,), squared, to the nearest chosen
    rows = torch.randint(len(points), (1,), generator=generator(seed)).to(points.device)
    chosen, left = [rows], count - 1
    while left:
        _approach(gaps, points, lengths, rows)
        far = gaps.topk(min(FARTHEST + 1, len(points)))
        nearer = float(far.values[-1])  # no other point is farther than this
        rows = far.indices[_thinned(points[far.indices[:-1]], far.values[:-1], nearer, left)]
        chosen.append(rows)
        left -= len(rows)
    return torch.cat(chosen).cpu()


def _approach(
    gaps: Float[Tensor, " p"], points: Patches, lengths: Float[Tensor, " p"], rows: Int[Tensor, " m"]
) -> None:
    """Shrinks the gaps, in place, to the points of these rows, which can no longer be chosen."""
    for part in torch.arange(len(points), device=points.device).split(BLOCK):
        block = slice(int(part[0]), int(part[-1]) + 1)
        # |a - b|^2 = |a|^2 - 2 a.b + |b|^2: one product over all points
        nearest_new = torch.addmm(lengths[rows], points[block], points[rows].T, alpha=-2).amin(1)  # (b, m) -> (b,)
        torch.minimum(gaps[block], nearest_new.add_(lengths[block]), out=gaps[block])
    gaps[rows] = -torch.inf


def _thinned(points: Patches, gaps: Float[Tensor, " k"], nearer: float, most: int) -> Int[Tensor, " m"]:
    """Farthest-first rows among these alone, while their gap is at least `nearer`; one or more, at most `most`."""
    lengths = points.square().sum(1)
    table = torch.addmm(lengths, points, points.T, alpha=-2).add_(lengths[:, None]).cpu().numpy()  # (k, k), squared
    left, rows = gaps.cpu().numpy().copy(), []
    while len(rows) < most:
        row = int(left.argmax())
        if rows and not left[row] >= nearer:
            break
        rows.append(row)
        np.minimum(left, table[row], out=left)
        left[row] = -np.inf
    return torch.as_tensor(rows, device=points.device)


def squared_lengths(bank: Float[Tensor, "m d"]) -> Float[Tensor, " m"]:
    """Of the patches in the bank, without a second bank."""
    return torch.einsum("md,md->m", bank, bank)


def nearest(
    patches: Patches,
    bank: Float[Tensor, "m d"],
    most_bytes: int = TABLE,
    lengths: Float[Tensor, " m"] | None = None,
) -> tuple[Float[Tensor, " p"], Int[Tensor, " p"]]:
    """Squared distance of each patch to its nearest in the bank, and that one's row.

    A table of distances between some patches and the whole bank takes at most `most_bytes` at a time. Who asks often
    gives the bank's squared lengths.
    """
    lengths = squared_lengths(bank) if lengths is None else lengths
    block = max(1, most_bytes // (4 * len(bank)))
    # (b, m) -> (b,); min also finds the rows, and sooner than argmin
    found = [torch.addmm(lengths, part, bank.T, alpha=-2).min(1).indices for part in patches.split(block)]
    rows = torch.cat(found)
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
