"""Pixel shuffle: the pixels of a disc change places; every intensity stays."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float32

from uadbench.datasets.synthetic.corruption import Corrupted, require
from uadbench.datasets.synthetic.disc import PITFALLS, draw_disc


@dataclass(frozen=True, slots=True)
class PitShuffle:
    """A random permutation of the values in a disc, on the pixels above 0.

    Its radius is 20 px at 256 px.

    Source: Meissen et al., "On the pitfalls of using the residual as anomaly score", MIDL 2022, experiment 2.
    """

    radius_px: float = 20.0
    paper: ClassVar[str] = PITFALLS

    def __post_init__(self) -> None:
        require(self.radius_px > 0, "PitShuffle: radius_px", self.radius_px, "pixels above 0")

    def __call__(
        self, image: Float32[np.ndarray, "h w"], foreground: Bool[np.ndarray, "h w"], rng: np.random.Generator
    ) -> Corrupted:
        mask = draw_disc(image, self.radius_px, rng).mask
        shuffled = image.copy()
        shuffled[mask] = rng.permutation(image[mask])
        return Corrupted(shuffled, mask)
