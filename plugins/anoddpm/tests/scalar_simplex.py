"""Simplex noise one point at a time, in plain Python: what the noise of a batch is checked and timed against.

Source: Perlin, SIGGRAPH 2001 course notes; Gustavson, "Simplex noise demystified", 2005, in three dimensions.
"""

import math
from collections.abc import Sequence

EDGES = [(1, 1, 0), (-1, 1, 0), (1, -1, 0), (-1, -1, 0), (1, 0, 1), (-1, 0, 1)]
EDGES += [(1, 0, -1), (-1, 0, -1), (0, 1, 1), (0, -1, 1), (0, 1, -1), (0, -1, -1)]


def point(permutation: Sequence[int], x: float, y: float, z: float) -> float:
    """Noise at a point: what the four corners around it add."""
    skewed = (x + y + z) / 3
    corner = [math.floor(x + skewed), math.floor(y + skewed), math.floor(z + skewed)]
    total = 0.0
    for axis in (None, *largest_first(x, y, z, corner)):
        if axis is not None:
            corner[axis] += 1
        total += share(permutation, corner, (x, y, z))
    return 76.88 * total


def largest_first(x: float, y: float, z: float, cell: Sequence[int]) -> list[int]:
    """The axes in the order of the point's coordinates inside its cell."""
    origin = place(cell)
    inside = [x - origin[0], y - origin[1], z - origin[2]]
    return sorted(range(3), key=lambda axis: -inside[axis])


def place(corner: Sequence[int]) -> list[float]:
    """Where a corner of the skewed lattice lies."""
    return [one - sum(corner) / 6 for one in corner]


def share(permutation: Sequence[int], corner: Sequence[int], at: Sequence[float]) -> float:
    """What one corner adds: its gradient times the distance, faded out."""
    away = [one - other for one, other in zip(at, place(corner), strict=True)]
    near = 0.5 - sum(one * one for one in away)
    if near <= 0:
        return 0.0
    i, j, k = corner
    entry = permutation[(i + permutation[(j + permutation[k % 256]) % 256]) % 256]
    return near**4 * sum(one * other for one, other in zip(EDGES[entry % 12], away, strict=True))


def image(
    permutation: Sequence[int], depth: int, side: int, frequency: float, count: int, persistence: float
) -> list[list[float]]:
    """Octaves at every pixel of a square image, row by row."""
    rows = []
    for row in range(side):
        rows.append([])
        for column in range(side):
            total, height, pixels = 0.0, 1.0, frequency
            for _ in range(count):
                total += height * point(permutation, column / pixels, row / pixels, depth / pixels)
                height, pixels = height * persistence, pixels / 2
            rows[-1].append(total)
    return rows
