"""Simplex noise: gradient noise on a lattice of tetrahedra, summed over octaves."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from uadbench.datasets.synthetic.corruption import Corrupted, painted, require

# The twelve directions from the middle of a cube to the middles of its edges.
EDGES = np.array([(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if x * x + y * y + z * z == 2])
# Squared distance at which a corner's pull ends, and the factor that keeps every sum of pulls within [-1, 1].
REACH = 0.5
SCALE = 76.8
DIFFUSION_STEPS = 1000


@dataclass(frozen=True, slots=True)
class SimplexNoise:
    """Six octaves of simplex noise added in the body.

    Octave k has wavelength 64 / 2^k px and amplitude 0.8^k; the sum is not normalised. The wavelength is in pixels of
    any image size, as in the paper's code. The mask is the whole foreground: a suite for image scores and
    reconstructions; its pixel metrics say little.

    Source: Wyatt et al., "AnoDDPM: anomaly detection with denoising diffusion probabilistic models using simplex
    noise", CVPR workshops 2022.
    Deviates: Perlin's simplex noise instead of OpenSimplex; added to the image with `strength` (ours) instead of
    mixed in by diffusion steps; clipped to [0, 1] as images are stored.
    """

    strength: float = 0.2
    octaves: int = 6
    wavelength_px: float = 64.0
    persistence: float = 0.8
    paper: ClassVar[str] = "Wyatt et al., CVPRW 2022 (AnoDDPM)"

    def __post_init__(self) -> None:
        require(self.strength > 0, "SimplexNoise: strength", self.strength, "an intensity above 0")
        require(self.octaves >= 1, "SimplexNoise: octaves", self.octaves, "at least 1")
        require(self.wavelength_px > 0, "SimplexNoise: wavelength_px", self.wavelength_px, "pixels above 0")
        require(0 < self.persistence <= 1, "SimplexNoise: persistence", self.persistence, "a factor in (0, 1]")

    def __call__(
        self, image: Float32[np.ndarray, "h w"], foreground: Bool[np.ndarray, "h w"], rng: np.random.Generator
    ) -> Corrupted:
        return painted(image, foreground.copy(), image + self.strength * self.noise(image.shape, rng))

    def noise(self, shape: tuple[int, int], rng: np.random.Generator) -> Float64[np.ndarray, "h w"]:
        """The sum of octaves on one plane of the third axis, at a random step and with a lattice of its own."""
        permutation = rng.permutation(256)
        plane = np.full((1, *shape), rng.integers(DIFFUSION_STEPS))
        points = np.concatenate([np.indices(shape), plane])  # (3, h, w)
        total = np.zeros(shape)
        for octave in range(self.octaves):
            total += self.persistence**octave * simplex(points * (2**octave / self.wavelength_px), permutation)
        return total


def simplex(points: Float64[np.ndarray, "3 *s"], permutation: Int64[np.ndarray, "256"]) -> Float64[np.ndarray, "*s"]:
    """Three-dimensional simplex noise in [-1, 1], 0 at every corner of the lattice and smooth between.

    Each corner of the tetrahedron around a point at offset d pulls by max(0, 1/2 - |d|^2)^4 (g . d), where its
    gradient g is one of 12, chosen by the permutation of 0 to 255.

    Source: Perlin, "Noise hardware", SIGGRAPH course 2001, as explained by Gustavson, "Simplex noise demystified",
    2005.
    Deviates: reach 1/2 instead of 0.6, which leaves no jumps.
    """
    cell = np.floor(points + points.sum(axis=0) / 3)
    origin = points - (cell - cell.sum(axis=0) / 6)
    # The tetrahedron: from the cell's first corner, one step at a time, along the longest offset first.
    rank = np.argsort(np.argsort(-origin, axis=0, kind="stable"), axis=0)  # (3, *s)
    total = np.zeros(points.shape[1:])
    for corner in range(4):
        steps = rank < corner
        offset = origin - steps + corner / 6
        pull = np.clip(REACH - (offset**2).sum(axis=0), 0, None) ** 4
        total += pull * (_gradient((cell + steps).astype(int), permutation) * offset).sum(axis=0)
    return SCALE * total


def _gradient(corner: Int64[np.ndarray, "3 *s"], permutation: Int64[np.ndarray, "256"]) -> Int64[np.ndarray, "3 *s"]:
    place = np.zeros(corner.shape[1:], int)
    for coordinate in corner[::-1]:
        place = permutation[(place + coordinate) % 256]
    return np.moveaxis(EDGES[place % len(EDGES)], -1, 0)  # (*s, 3) -> (3, *s)
