"""Simplex noise in octaves: slices of gradient noise in three dimensions, for a batch of images at once.

Source: Perlin, SIGGRAPH 2001 course notes, "Noise hardware"; Gustavson, "Simplex noise demystified", 2005 (skewing,
traversal of a cell, the twelve gradients); octaves as Wyatt et al., CVPRW 2022 (AnoDDPM), sec. 3.
Deviates: the authors' code takes OpenSimplex, which has another lattice. A corner reaches to r^2 = 0.5 instead of 0.6,
so that noise is continuous, and the factor brings it to [-1, 1].
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

ENTRIES = 256  # of a permutation
SKEW, UNSKEW = 1 / 3, 1 / 6
REACH = 0.5  # squared distance from a corner at which its gradient ends
FACTOR = 76.88  # one over the largest sum that gradients of a cell can make
GRADIENTS = (
    *((1, 1, 0), (-1, 1, 0), (1, -1, 0), (-1, -1, 0)),
    *((1, 0, 1), (-1, 0, 1), (1, 0, -1), (-1, 0, -1)),
    *((0, 1, 1), (0, -1, 1), (0, 1, -1), (0, -1, -1)),
)

Permutations = Int[Tensor, "n 256"]
Depths = Int[Tensor, " k"]  # one of all images (k = 1), or one of each (k = n)
Noise = Float[Tensor, "n *points"]
Axes = tuple[Tensor, Tensor, Tensor]  # x, y, z, or of a cell i, j, k; together they broadcast to (k, *points)


def octaves(
    permutations: Permutations, depths: Depths, side: int, frequency: float, count: int, persistence: float
) -> Float[Tensor, "n s s"]:
    """sum over o < `count` of persistence^o simplex(x / f, y / f, depth / f), f = frequency / 2^o; not renormalised."""
    pixels = torch.tensor([frequency / 2**octave for octave in range(count)], device=permutations.device)
    pixels = pixels[:, None, None]  # (o,) -> (o, 1, 1)
    places = torch.arange(side, device=permutations.device)
    noise = simplex(permutations, (places / pixels, places[:, None] / pixels, depths[:, None, None, None] / pixels))
    total = torch.zeros_like(noise[:, 0])
    for octave in range(count):
        total += persistence**octave * noise[:, octave]  # (n, o, s, s) -> (n, s, s)
    return total


def simplex(permutations: Permutations, at: Axes) -> Noise:
    """Noise in [-1, 1] at x, y, z by each permutation; 0 at lattice points and on average."""
    cell, inside = _cells(at)
    ranks = _ranks(inside)
    slopes = _slopes(permutations)
    total: Tensor | float = 0.0
    for corner in range(4):  # one step more along the largest coordinate, then the second, then the third
        steps = [(rank >= 3 - corner).long() for rank in ranks]
        i, j, k = (one + step for one, step in zip(cell, steps, strict=True))
        x, y, z = (one - step + corner * UNSKEW for one, step in zip(inside, steps, strict=True))
        near = (x * x + y * y + z * z - REACH).clamp(max=0).square().square()
        entry = i + _entries(permutations, j + _entries(permutations, k))  # (k, *points) -> (n, *points)
        along_x, along_y, along_z = (_entries(slope, entry) for slope in slopes)
        total = total + near * (along_x * x + along_y * y + along_z * z)
    return FACTOR * total


def _cells(at: Axes) -> tuple[Axes, Axes]:
    """The cube of the skewed lattice that each point lies in, and the point as seen from that cube's origin."""
    x, y, z = at
    skew = (x + y + z) * SKEW
    i, j, k = (torch.floor(axis + skew) for axis in at)
    unskew = (i + j + k) * UNSKEW
    return (i.long(), j.long(), k.long()), (x - (i - unskew), y - (j - unskew), z - (k - unskew))


def _ranks(inside: Axes) -> Axes:
    """How many of the other coordinates each is above: 0, 1, 2; of two that are equal the first is."""
    x, y, z = inside
    return (
        (x >= y).long() + (x >= z).long(),
        (x < y).long() + (y >= z).long(),
        (x < z).long() + (y < z).long(),
    )


def _slopes(permutations: Permutations) -> tuple[Tensor, ...]:
    """What the gradient of each entry has along x, y and z, (n, 256) each."""
    table = torch.tensor(GRADIENTS, dtype=torch.float32, device=permutations.device).T.contiguous()
    return tuple(along[permutations % len(GRADIENTS)] for along in table)


def _entries(tables: Tensor, places: Int[Tensor, "k *points"]) -> Tensor:
    """The entries of each table, (n, 256), at these places or at its own ones: (n, *points)."""
    n, points = len(tables), places.shape[1:]
    return tables.gather(1, (places & (ENTRIES - 1)).flatten(1).expand(n, -1)).view(n, *points)
