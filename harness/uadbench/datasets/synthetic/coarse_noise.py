"""Coarse noise: what the denoising autoencoder is trained to remove."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float32, Float64
from scipy import ndimage

from uadbench.datasets.synthetic.corruption import Corrupted, painted, require


@dataclass(frozen=True, slots=True)
class DaeNoise:
    """Coarse Gaussian noise added in the body: drawn on a small grid, enlarged, and rolled at random.

    The mask is the whole foreground: a suite for image scores and reconstructions; its pixel metrics say little.

    Source: Kascenas et al., "Denoising autoencoders for unsupervised anomaly detection in brain MRI", MIDL 2022:
    N(0, 0.2) on 16 x 16, bilinear with corners aligned. The grid keeps its 16 x 16 at any image size.
    Deviates: clipped to [0, 1] as images are stored; the dataset's foreground instead of intensity above 0.01; each
    image has a roll of its own.
    """

    deviation: float = 0.2
    grid: int = 16
    paper: ClassVar[str] = "Kascenas et al., MIDL 2022 (DAE)"

    def __post_init__(self) -> None:
        require(self.deviation > 0, "DaeNoise: deviation", self.deviation, "an intensity above 0")
        require(self.grid >= 2, "DaeNoise: grid", self.grid, "at least 2 cells a side")

    def __call__(
        self, image: Float32[np.ndarray, "h w"], foreground: Bool[np.ndarray, "h w"], rng: np.random.Generator
    ) -> Corrupted:
        noise = enlarged(rng.normal(0.0, self.deviation, (self.grid, self.grid)), image.shape)
        rolled = np.roll(noise, rng.integers(0, image.shape), axis=(0, 1))
        return painted(image, foreground.copy(), image + rolled)


def enlarged(grid: Float64[np.ndarray, "g g"], shape: tuple[int, int]) -> Float64[np.ndarray, "h w"]:
    """Bilinear interpolation to a shape; the corner values stay in the corners.

    Source: Kascenas et al., MIDL 2022.
    """
    rows, columns = (np.linspace(0, cells - 1, size) for cells, size in zip(grid.shape, shape, strict=True))
    where = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(ndimage.map_coordinates(grid, where, order=1, mode="nearest"))
